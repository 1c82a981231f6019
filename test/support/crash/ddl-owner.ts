// One connection's own collection, whose definition changes all the time: create and drop of
// collection, partitions and index, load and release, and rows beside. One shard, so that every
// request is whole or not at all; after a restart the collection is as before the request in flight
// or as after it.

import { DataType } from '../../../src/model/data-type.ts';
import { quoteKeys, type MilvusClient } from '../milvus-client.ts';
import { makeKey, makeRow, makeSpec, printRow, type Key } from './rows.ts';

const DEFAULT_PARTITION = '_default';
const PARTITIONS = ['p0', 'p1', 'p2'];
const KEYS = 60;
const FLAT = { index_type: 'FLAT', metric_type: 'L2' };

/** A collection's state; never changed, each step makes a new one. */
interface State {
  readonly exists: boolean;
  readonly isIndexed: boolean;
  /** Later partitions are loaded too. */
  readonly isWhollyLoaded: boolean;
  readonly loaded: ReadonlySet<string>;
  /** Partition → key → version. */
  readonly partitions: ReadonlyMap<string, ReadonlyMap<Key, number>>;
}

interface Step {
  readonly after: State;
  readonly call: (client: MilvusClient) => Promise<unknown>;
}

const ABSENT: State = {
  exists: false,
  isIndexed: false,
  isWhollyLoaded: false,
  loaded: new Set(),
  partitions: new Map(),
};

export class DdlOwner {
  readonly #owner: number;
  readonly #random: () => number;
  readonly #nextVersion: () => number;
  readonly #spec: ReturnType<typeof makeSpec>;
  #state = ABSENT;
  /** The state if the request in flight has taken effect. */
  #open: State | undefined;

  constructor(owner: number, random: () => number, nextVersion: () => number) {
    this.#owner = owner;
    this.#random = random;
    this.#nextVersion = nextVersion;
    this.#spec = makeSpec(`owned_${owner}`, { keyType: DataType.Int64, shards: 1 });
  }

  /**
   * Makes one request; whether a lost one took effect is unknown. Returns what is wrong with what
   * it read.
   */
  async act(client: MilvusClient, isLost: (error: unknown) => boolean): Promise<string[]> {
    const { exists, loaded } = this.#state;
    if (exists && loaded.size > 0 && this.#random() < 0.2) {
      const { wrong } = await this.#compareRows(client, this.#state, [...loaded]);
      return wrong.map((text) => `${this.#spec.name}: ${text}`);
    }
    const { after, call } = this.#choose();
    try {
      await call(client);
    } catch (error) {
      if (isLost(error)) this.#open = after;
      throw error;
    }
    this.#state = after;
    return [];
  }

  /** After a restart. Leaves the collection loaded, because only then are its rows seen. */
  async check(client: MilvusClient): Promise<{ wrong: string[]; rows: number }> {
    const candidates = this.#open === undefined ? [this.#state] : [this.#open, this.#state];
    this.#open = undefined;
    const seen = await this.#observe(client);
    const fitting = candidates.filter((state) => printDefinition(state) === seen);
    const { name } = this.#spec;
    if (fitting.length === 0) {
      const expected = candidates.map(printDefinition).join('\n  or ');
      return { wrong: [`${name}: is ${seen}\n  expected ${expected}`], rows: 0 };
    }
    if (!fitting[0]!.exists) {
      this.#state = ABSENT;
      return { wrong: [], rows: 0 };
    }
    await client.createIndex(name, 'vector', FLAT);
    await client.load(name);
    const verdicts = [];
    for (const state of fitting) {
      const partitions = [...state.partitions.keys()];
      const { wrong, rows } = await this.#compareRows(client, state, partitions);
      this.#state = {
        ...state,
        isIndexed: true,
        isWhollyLoaded: true,
        loaded: new Set(partitions),
      };
      if (wrong.length === 0) return { wrong, rows };
      for (const text of wrong) verdicts.push(`${name}: ${text}`);
    }
    return { wrong: verdicts, rows: 0 };
  }

  async #observe(client: MilvusClient): Promise<string> {
    const { name } = this.#spec;
    if (!(await client.hasCollection(name))) return printDefinition(ABSENT);
    const names = await client.listPartitions(name);
    const loaded = new Set<string>();
    for (const partition of names) {
      if (await client.isLoaded(name, [partition])) loaded.add(partition);
    }
    const isIndexed = (await client.listIndexedFields(name)).includes('vector');
    const partitions = new Map(names.map((partition) => [partition, new Map()]));
    return printDefinition({ ...ABSENT, exists: true, isIndexed, loaded, partitions });
  }

  async #compareRows(
    client: MilvusClient,
    state: State,
    partitions: readonly string[],
  ): Promise<{ wrong: string[]; rows: number }> {
    const wrong: string[] = [];
    let rows = 0;
    for (const partition of partitions) {
      const filter = 'owner >= 0';
      const found = await client.query(this.#spec.name, { filter, partitions: [partition] });
      const count = await client.count(this.#spec.name, '', [partition]);
      const expected = [...state.partitions.get(partition)!].map(([key, version]) =>
        printRow(makeRow(key, version)),
      );
      const got = found.map(printRow);
      rows += got.length;
      if (Number(count) !== got.length)
        wrong.push(`${partition}: count(*) ${count} of ${got.length}`);
      const surplus = listSurplus(got, expected).map(
        (row) => `${partition}: back or doubled: ${row}`,
      );
      const missing = listSurplus(expected, got).map((row) => `${partition}: lost: ${row}`);
      for (const text of [...surplus, ...missing]) wrong.push(text);
    }
    return { wrong, rows };
  }

  #choose(): Step {
    const state = this.#state;
    const { name } = this.#spec;
    if (!state.exists) return this.#create();
    const dice = this.#random();
    if (dice < 0.45) return this.#writeRows();
    if (dice < 0.55) return this.#deleteRows();
    if (dice < 0.62) return { after: state, call: (client) => client.flush(name) };
    if (dice < 0.65) return { after: state, call: (client) => client.compact(name) };
    if (dice < 0.72) return { after: ABSENT, call: (client) => client.dropCollection(name) };
    if (dice < 0.8) return this.#createPartition();
    if (dice < 0.88) return this.#dropPartition();
    if (dice < 0.91) return this.#toggleIndex();
    return this.#toggleLoad();
  }

  #create(): Step {
    const partitions = new Map([[DEFAULT_PARTITION, new Map<Key, number>()]]);
    return {
      after: { ...ABSENT, exists: true, partitions },
      call: (client) => client.createCollection(this.#spec),
    };
  }

  #createPartition(): Step {
    const partition = this.#pick(PARTITIONS);
    const { partitions, loaded, isWhollyLoaded } = this.#state;
    const after = partitions.has(partition)
      ? this.#state
      : {
          ...this.#state,
          partitions: new Map([...partitions, [partition, new Map<Key, number>()]]),
          loaded: isWhollyLoaded ? new Set([...loaded, partition]) : loaded,
        };
    return { after, call: (client) => client.createPartition(this.#spec.name, partition) };
  }

  #dropPartition(): Step {
    const partition = this.#pick(PARTITIONS);
    const { partitions, loaded } = this.#state;
    // Milvus asks for the release first.
    if (loaded.has(partition)) return this.#release(partition);
    const rest = new Map([...partitions].filter(([name]) => name !== partition));
    return {
      after: { ...this.#state, partitions: rest },
      call: (client) => client.dropPartition(this.#spec.name, partition),
    };
  }

  #release(partition: string): Step {
    const loaded = new Set([...this.#state.loaded].filter((name) => name !== partition));
    return {
      after: { ...this.#state, isWhollyLoaded: false, loaded },
      call: (client) => client.release(this.#spec.name, [partition]),
    };
  }

  #toggleIndex(): Step {
    const { isIndexed, loaded } = this.#state;
    const { name } = this.#spec;
    // Milvus asks for the release first.
    if (loaded.size > 0) return this.#toggleLoad();
    return {
      after: { ...this.#state, isIndexed: !isIndexed },
      call: (client) =>
        isIndexed ? client.dropIndex(name, 'vector') : client.createIndex(name, 'vector', FLAT),
    };
  }

  #toggleLoad(): Step {
    const { isIndexed, partitions, loaded } = this.#state;
    const { name } = this.#spec;
    if (loaded.size > 0) {
      const after = { ...this.#state, isWhollyLoaded: false, loaded: new Set<string>() };
      return { after, call: (client) => client.release(name) };
    }
    if (!isIndexed) return this.#toggleIndex();
    if (this.#random() < 0.3) {
      const partition = this.#pick([...partitions.keys()]);
      const after = { ...this.#state, loaded: new Set([partition]) };
      return { after, call: (client) => client.load(name, [partition]) };
    }
    const after = { ...this.#state, isWhollyLoaded: true, loaded: new Set(partitions.keys()) };
    return { after, call: (client) => client.load(name) };
  }

  #writeRows(): Step {
    const { partitions } = this.#state;
    const partition = this.#pick([...partitions.keys()]);
    const isUpsert = this.#random() < 0.5;
    const count = 1 + Math.floor(this.#random() ** 2 * 30);
    const versions = new Map<Key, number>();
    for (const key of this.#drawKeys(count)) {
      const isTaken = partitions.get(partition)!.has(key);
      if (isUpsert || !isTaken) versions.set(key, this.#nextVersion());
    }
    if (versions.size === 0) return this.#deleteRows();
    // Rows of the same keys in other partitions stay.
    const rowsAfter = new Map([...partitions.get(partition)!, ...versions]);
    const after = { ...this.#state, partitions: new Map([...partitions, [partition, rowsAfter]]) };
    const rows = [...versions].map(([key, version]) => makeRow(key, version));
    const verb = isUpsert ? 'upsert' : 'insert';
    return { after, call: (client) => client[verb](this.#spec, rows, partition) };
  }

  #deleteRows(): Step {
    const keys = this.#drawKeys(10);
    const filter = `key in [${quoteKeys(keys)}]`;
    const after = { ...this.#state, partitions: this.#removeFromAll(new Set(keys)) };
    return { after, call: (client) => client.delete(this.#spec.name, filter) };
  }

  #removeFromAll(keys: ReadonlySet<Key>): State['partitions'] {
    return new Map(
      [...this.#state.partitions].map(([name, rows]) => [
        name,
        new Map([...rows].filter(([key]) => !keys.has(key))),
      ]),
    );
  }

  #drawKeys(count: number): Key[] {
    return Array.from({ length: count }, () =>
      makeKey(this.#spec, this.#owner, Math.floor(this.#random() * KEYS)),
    );
  }

  #pick<T>(list: readonly T[]): T {
    return list[Math.floor(this.#random() * list.length)]!;
  }
}

function printDefinition({ exists, isIndexed, loaded, partitions }: State): string {
  if (!exists) return 'absent';
  const names = [...partitions.keys()].sort().join(',');
  return `partitions ${names}, loaded ${[...loaded].sort().join(',')}, index ${isIndexed}`;
}

/** What `all` has more of than `others`. */
function listSurplus(all: readonly string[], others: readonly string[]): string[] {
  const counts = new Map<string, number>();
  for (const text of others) counts.set(text, (counts.get(text) ?? 0) + 1);
  return all.filter((text) => {
    const left = counts.get(text) ?? 0;
    counts.set(text, left - 1);
    return left <= 0;
  });
}
