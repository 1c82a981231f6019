// A random life of a server that is killed again and again (P1, P3, P5, R1 to R11): several
// connections write, change definitions, flush and compact; after each restart everything is
// compared with what was acknowledged. A connection has at most one request in flight, and writes
// only keys of its own: that keeps the model exact.

import { DataType } from '../../../src/model/data-type.ts';
import { MilvusClient, MilvusReplyError, quoteKeys } from '../milvus-client.ts';
import { LostCallError } from '../milvus-transport.ts';
import { makeRandom } from '../power-cut-wal.ts';
import { DdlOwner } from './ddl-owner.ts';
import { RowModel, type Change } from './row-model.ts';
import { BUCKETS, getBucket, makeKey, makeRow, makeSpec, printRow, type Key } from './rows.ts';

/**
 * Settings for one life: tiny segments and files, so that sealing, merging and cutting of the log
 * happen in every one.
 */
export function makeCrashSettings(random: () => number): Record<string, string> {
  const sealShares = ['0.002', '0.01', '0.05', '0.5'];
  return {
    DATACOORD_SEGMENT_MAXSIZE: '1',
    DATACOORD_SEGMENT_SEALPROPORTION: sealShares[Math.floor(random() * sealShares.length)]!,
    ELANUS_WAL_FILEBYTES: '65536',
    ELANUS_WALBYTESMAX: '4194304',
    ELANUS_MVCCRETENTIONSECONDS: random() < 0.5 ? '0' : '1',
  };
}

/** A server that can be started on the same data again after it was killed. */
export interface Victim {
  /** Resolves with `host:port` when it serves; rejects when it was killed before. */
  start(random: () => number): Promise<string>;
  /** At any time, also while it starts. */
  kill(): Promise<void>;
  /** Within this time a start is over, mostly. */
  readonly startMsMax: number;
  /** What it has complained about in this life. */
  readonly complaints: string;
}

export interface CrashOptions {
  readonly seed: number;
  readonly kills: number;
  readonly connections?: number;
  readonly keysPerConnection?: number;
  /** Most answers that a life gets before the kill. */
  readonly answersMax?: number;
}

export interface CrashSummary {
  readonly kills: number;
  readonly killsWhileStarting: number;
  readonly acknowledged: number;
  readonly inFlight: number;
  readonly rowsCompared: number;
  /** Flushes and compactions that a connection saw to their end. */
  readonly flushes: number;
  readonly compactions: number;
  /** Written segments at all checks together. */
  readonly segmentsFound: number;
  /** Lines that the server wrote at level warn or above, with how often. */
  readonly complaints: ReadonlyMap<string, number>;
}

/** What was found wrong; the message has the seed and the life. */
export class CrashFinding extends Error {}

const CONNECTIONS = 4;
const KEYS_PER_CONNECTION = 150;
const ANSWERS_MAX = 60;
/** Some lives are long enough for merges and for the log to be cut. */
const LONG_LIFE_SHARE = 0.2;
const LONG_LIFE_FACTOR = 4;
const LAST_WORK_MS_MAX = 15;
const SHOWN_MAX = 8;

/** @throws CrashFinding when the server has broken a promise */
export async function liveWithCrashes(
  victim: Victim,
  options: CrashOptions,
): Promise<CrashSummary> {
  const world = new World(victim, options);
  try {
    return await world.run();
  } finally {
    await victim.kill();
  }
}

class World {
  readonly #victim: Victim;
  readonly #options: CrashOptions;
  readonly #random: () => number;
  readonly #shared: RowModel[];
  readonly #owners: DdlOwner[];
  readonly #connections: number;
  readonly #keys: number;
  readonly #complaints = new Map<string, number>();
  #life = 0;
  #nextVersion = 1;
  #isKilled = false;
  #acknowledged = 0;
  #inFlight = 0;
  #rowsCompared = 0;
  #flushes = 0;
  #compactions = 0;
  #segmentsFound = 0;
  #killsWhileStarting = 0;

  constructor(victim: Victim, options: CrashOptions) {
    this.#victim = victim;
    this.#options = options;
    this.#random = makeRandom(options.seed);
    this.#connections = options.connections ?? CONNECTIONS;
    this.#keys = options.keysPerConnection ?? KEYS_PER_CONNECTION;
    const { Int64, VarChar } = DataType;
    this.#shared = [
      makeSpec('one_shard', { keyType: Int64, shards: 1 }),
      makeSpec('two_shards', { keyType: Int64, shards: 2 }),
      makeSpec('text_keys', { keyType: VarChar, shards: 2, isPartitioned: true }),
    ].map((spec) => new RowModel(spec));
    this.#owners = Array.from(
      { length: this.#connections },
      (_unused, owner) => new DdlOwner(owner, this.#random, () => this.#nextVersion++),
    );
  }

  async run(): Promise<CrashSummary> {
    const { kills } = this.#options;
    let isFirst = true;
    while (this.#life < kills) {
      this.#life += 1;
      this.#isKilled = false;
      const starting = this.#victim.start(this.#random);
      starting.catch(() => undefined);
      if (!isFirst && this.#random() < 0.15) {
        await delay(this.#random() * this.#victim.startMsMax);
        this.#killsWhileStarting += 1;
        await this.#kill();
        continue;
      }
      const address = await this.#orFail('start', () => starting);
      const clients = Array.from({ length: this.#connections }, () => new MilvusClient(address));
      if (isFirst) await this.#create(clients[0]!);
      isFirst = false;
      await this.#orFail('check', () => this.#check(clients));
      await this.#work(clients);
      for (const client of clients) client.close();
      this.#noteComplaints();
    }
    const address = await this.#orFail('start', () => this.#victim.start(this.#random));
    const client = new MilvusClient(address);
    await this.#orFail('check', () => this.#check([client]));
    client.close();
    this.#noteComplaints();
    return {
      kills,
      killsWhileStarting: this.#killsWhileStarting,
      acknowledged: this.#acknowledged,
      inFlight: this.#inFlight,
      rowsCompared: this.#rowsCompared,
      flushes: this.#flushes,
      compactions: this.#compactions,
      segmentsFound: this.#segmentsFound,
      complaints: this.#complaints,
    };
  }

  async #create(client: MilvusClient): Promise<void> {
    for (const { spec } of this.#shared) {
      await client.createCollection(spec);
      await client.createIndex(spec.name, 'vector', HNSW);
      await client.load(spec.name);
    }
  }

  /** All connections at once, until the kill. */
  async #work(clients: readonly MilvusClient[]): Promise<void> {
    const isLong = this.#random() < LONG_LIFE_SHARE;
    const answersMax = (this.#options.answersMax ?? ANSWERS_MAX) * (isLong ? LONG_LIFE_FACTOR : 1);
    const answers = this.#random() ** 2 * answersMax;
    const lastAnswer = this.#acknowledged + answers;
    const lastWorkMs = this.#random() * LAST_WORK_MS_MAX;
    const failures: unknown[] = [];
    let killing: Promise<void> | undefined;
    const workers = clients.map(async (client, owner) => {
      try {
        while (!this.#isKilled) {
          if (this.#acknowledged >= lastAnswer)
            killing ??= delay(lastWorkMs).then(() => this.#kill());
          await this.#act(client, owner);
        }
      } catch (error) {
        if (this.#isKilled && this.#isLost(error)) return;
        failures.push(error);
        killing ??= this.#kill();
      }
    });
    await Promise.all(workers);
    await killing;
    if (failures.length > 0) throw this.#findingOf('traffic', failures[0]);
  }

  async #act(client: MilvusClient, owner: number): Promise<void> {
    if (this.#random() < 0.3) {
      const wrong = await this.#track(() =>
        this.#owners[owner]!.act(client, (error) => this.#isLost(error)),
      );
      if (wrong.length > 0) throw new Error(wrong.join('\n'));
      return;
    }
    const model = this.#pick(this.#shared);
    const { name } = model.spec;
    const dice = this.#random();
    if (dice < 0.3) return this.#write(client, model, owner, 'insert');
    if (dice < 0.55) return this.#write(client, model, owner, 'upsert');
    if (dice < 0.7) return this.#deleteKeys(client, model, owner);
    if (dice < 0.78) return this.#deleteByFilter(client, model, owner);
    if (dice < 0.86) return this.#readOwn(client, model, owner);
    if (dice < 0.88) return this.#search(client, model, owner);
    if (dice < 0.96) {
      const { isWritten } = await this.#track(() => client.flush(name));
      if (this.#random() < 0.7) await waitUntil(isWritten).then(() => (this.#flushes += 1));
      return;
    }
    const { isDone } = await this.#track(() => client.compact(name));
    if (this.#random() < 0.8) await waitUntil(isDone).then(() => (this.#compactions += 1));
  }

  async #write(
    client: MilvusClient,
    model: RowModel,
    owner: number,
    verb: 'insert' | 'upsert',
  ): Promise<void> {
    const { spec, rows } = model;
    const wanted = 1 + Math.floor(this.#random() ** 3 * this.#keys);
    const from = Math.floor(this.#random() * this.#keys);
    const change = new Map<Key, number>();
    for (let i = 0; i < this.#keys && change.size < wanted; i++) {
      const key = makeKey(spec, owner, (from + i) % this.#keys);
      // Insert does not check for duplicates, and the model knows none.
      if (verb === 'insert' && rows.has(key)) continue;
      change.set(key, this.#nextVersion++);
    }
    if (change.size === 0) return;
    const batch = [...change].map(([key, version]) => makeRow(key, version));
    await this.#change(model, change, () => client[verb](spec, batch));
  }

  #deleteKeys(client: MilvusClient, model: RowModel, owner: number): Promise<void> {
    const { spec } = model;
    const count = 1 + Math.floor(this.#random() ** 2 * 40);
    const keys = Array.from({ length: count }, () =>
      makeKey(spec, owner, Math.floor(this.#random() * this.#keys)),
    );
    const change = new Map(keys.map((key) => [key, undefined]));
    return this.#change(model, change, () =>
      client.delete(spec.name, `key in [${quoteKeys(keys)}]`),
    );
  }

  #deleteByFilter(client: MilvusClient, model: RowModel, owner: number): Promise<void> {
    const { spec, rows } = model;
    const bucket = Math.floor(this.#random() * BUCKETS);
    const change = new Map<Key, undefined>();
    for (let index = 0; index < this.#keys; index++) {
      const key = makeKey(spec, owner, index);
      const version = rows.get(key);
      if (version !== undefined && getBucket(key, version) === bucket) change.set(key, undefined);
    }
    return this.#change(model, change, () =>
      client.delete(spec.name, `owner == ${owner} and bucket == ${bucket}`),
    );
  }

  /** What a connection has written it reads back, whatever else goes on (P2). */
  async #readOwn(client: MilvusClient, model: RowModel, owner: number): Promise<void> {
    const { spec } = model;
    const rows = await this.#track(() => client.query(spec.name, { filter: `owner == ${owner}` }));
    const { found, wrong } = toFound(rows);
    for (const text of model.compare(found, owner)) wrong.push(text);
    if (wrong.length > 0) throw new Error(describe(`${spec.name}, read by its writer`, wrong));
  }

  /** A search returns min(k, rows) distinct hits (P4). */
  async #search(client: MilvusClient, model: RowModel, owner: number): Promise<void> {
    const { spec, rows } = model;
    const isMine = (key: Key): boolean => makeRow(key, 0)['owner'] === BigInt(owner);
    const mine = [...rows.keys()].filter(isMine).length;
    const [hits] = await this.#track(() =>
      client.search(spec.name, {
        field: 'vector',
        vectors: [[1, 2, 3, owner]],
        k: 20,
        filter: `owner == ${owner}`,
      }),
    );
    const distinct = new Set(hits!.map((hit) => hit.key)).size;
    const expected = Math.min(20, mine);
    if (hits!.length === expected && distinct === expected) return;
    throw new Error(
      `${spec.name}: search found ${hits!.length} hits, ${distinct} keys of ${expected}`,
    );
  }

  async #change(model: RowModel, change: Change, call: () => Promise<void>): Promise<void> {
    try {
      await this.#track(call);
    } catch (error) {
      if (this.#isLost(error)) model.leaveOpen(change);
      throw error;
    }
    model.acknowledge(change);
  }

  async #track<T>(call: () => Promise<T>): Promise<T> {
    try {
      const reply = await call();
      this.#acknowledged += 1;
      return reply;
    } catch (error) {
      if (this.#isLost(error)) this.#inFlight += 1;
      throw error;
    }
  }

  /** A server whose disk is gone may still answer that it failed. */
  #isLost(error: unknown): boolean {
    return error instanceof LostCallError || (this.#isKilled && error instanceof MilvusReplyError);
  }

  /** Everything, after a restart: by scan, by count, by keys. */
  async #check(clients: readonly MilvusClient[]): Promise<void> {
    const next = (i: number): MilvusClient => clients[i % clients.length]!;
    const shared = this.#shared.map((model, i) => this.#checkShared(next(i), model));
    const owned = this.#owners.map(async (owner, i) => {
      const { wrong, rows } = await owner.check(next(i));
      this.#rowsCompared += rows;
      return wrong;
    });
    const wrong = (await Promise.all([...shared, ...owned])).flat();
    if (wrong.length > 0) throw new Error(describe('after the restart', wrong));
  }

  async #checkShared(client: MilvusClient, model: RowModel): Promise<string[]> {
    const { spec } = model;
    const rows = await client.query(spec.name, { filter: 'owner >= 0' });
    const { found, wrong } = toFound(rows);
    for (const text of model.settle(found)) wrong.push(text);
    const count = await client.count(spec.name);
    if (Number(count) !== rows.length)
      wrong.push(`count(*) is ${count}, scanned were ${rows.length}`);
    const keys = Array.from({ length: this.#connections }, (_unused, owner) =>
      Array.from({ length: this.#keys }, (_each, index) => makeKey(spec, owner, index)),
    ).flat();
    const byKey = toFound(await client.query(spec.name, { filter: `key in [${quoteKeys(keys)}]` }));
    for (const text of [...byKey.wrong, ...model.compare(byKey.found)]) {
      wrong.push(`by keys: ${text}`);
    }
    this.#rowsCompared += rows.length;
    this.#segmentsFound += await client.countSegments(spec.name);
    return wrong.map((text) => `${spec.name}: ${text}`);
  }

  async #kill(): Promise<void> {
    this.#isKilled = true;
    await this.#victim.kill();
  }

  async #orFail<T>(what: string, action: () => Promise<T>): Promise<T> {
    try {
      return await action();
    } catch (error) {
      throw this.#findingOf(what, error);
    }
  }

  #findingOf(what: string, error: unknown): CrashFinding {
    const { seed } = this.#options;
    const text = error instanceof Error ? error.message : String(error);
    const { complaints } = this.#victim;
    return new CrashFinding(`seed ${seed}, life ${this.#life}, ${what}: ${text}\n${complaints}`);
  }

  #noteComplaints(): void {
    for (const line of this.#victim.complaints.split('\n')) {
      if (!/\b(WARN|ERROR|FATAL)\b|"level":[456]0/i.test(line)) continue;
      const text = line.replaceAll(/\d{4,}|\d+:\d+:\d+(\.\d+)?/g, '#');
      this.#complaints.set(text, (this.#complaints.get(text) ?? 0) + 1);
    }
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }
}

const HNSW = { index_type: 'HNSW', metric_type: 'L2', params: '{"M":8,"efConstruction":32}' };

function toFound(rows: Awaited<ReturnType<MilvusClient['query']>>): {
  found: Map<Key, string>;
  wrong: string[];
} {
  const found = new Map<Key, string>();
  const wrong: string[] = [];
  for (const row of rows) {
    const key = row['key'] as Key;
    const text = printRow(row);
    if (found.has(key)) wrong.push(`doubled: ${found.get(key)}\n  and ${text}`);
    found.set(key, text);
  }
  return { found, wrong };
}

function describe(where: string, wrong: readonly string[]): string {
  const shown = wrong.slice(0, SHOWN_MAX).join('\n');
  const more = wrong.length > SHOWN_MAX ? `\n… and ${wrong.length - SHOWN_MAX} more` : '';
  return `${where}: ${wrong.length} wrong\n${shown}${more}`;
}

async function waitUntil(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await delay(10);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
