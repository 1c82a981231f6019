// Upserts and deletes of one key each, from several clients, with kills in between: every one is a
// record, a delete and a row of its own, which is what makes lists of them long. Afterwards a flush
// ends, the log is short, a restart is quick, and every key has the value that was acknowledged.
// Longer: npm run build && SINGLE_KEY_WRITES=1000000 SINGLE_KEY_KILLS=10 node --test
// dist/test/crash/single-key.test.js

import assert from 'node:assert/strict';
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import {
  MilvusClient,
  type CollectionSpec,
  type Row,
} from '../support/milvus-client.ts';
import { LostCallError } from '../support/milvus-transport.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait-for.ts';

const WRITES = Number(process.env['SINGLE_KEY_WRITES'] ?? 12_000);
const KILLS = Number(process.env['SINGLE_KEY_KILLS'] ?? 2);
const CLIENTS = 8;
/** Writes that one client has in flight, each to keys of its own. */
const LANES = 4;
const KEYS_PER_LANE = 2000;
const DIM = 16;

const MIB = 1024 * 1024;
const WAL_BYTES_MAX = 16 * MIB;
const WAL_FILE_BYTES = 2 * MIB;
/** Files are cut whole, one is prepared ahead, and what pins the oldest takes a while to write. */
const WAL_SLACK_BYTES = 8 * WAL_FILE_BYTES;
/** The aim is a second, on a machine that does nothing else. */
const RESTART_MS_MAX = 3000;
const SETTINGS = {
  DATACOORD_SEGMENT_MAXSIZE: '16',
  ELANUS_WALBYTESMAX: String(WAL_BYTES_MAX),
  ELANUS_WAL_FILEBYTES: String(WAL_FILE_BYTES),
};

const SPEC: CollectionSpec = {
  name: 'single',
  shards: 1,
  fields: [
    { name: 'id', type: DataType.Int64, isPrimaryKey: true },
    { name: 'value', type: DataType.Int64 },
    { name: 'vector', type: DataType.FloatVector, dim: DIM },
  ],
};
const VECTOR = Array.from({ length: DIM }, (_unused, i) => i);

/** A server that is killed and started again under its clients. */
class KilledServer {
  readonly dataPath: string;
  #current: Promise<{ server: ServerProcess; grpc: string }> | undefined;
  #walBytesSeen = 0;
  restartMs: number[] = [];

  constructor(dataPath: string) {
    this.dataPath = dataPath;
  }

  get walBytesSeen(): number {
    return this.#walBytesSeen;
  }

  start(): Promise<string> {
    const started = performance.now();
    this.#current = ServerProcess.start({ dataPath: this.dataPath, settings: SETTINGS }).then(
      ({ server, address }) => {
        this.restartMs.push(performance.now() - started);
        return { server, grpc: address.grpc };
      },
    );
    return this.address();
  }

  /** Of the server that runs or comes. */
  async address(): Promise<string> {
    return (await this.#current!).grpc;
  }

  async killAndStart(): Promise<void> {
    const { server } = await this.#current!;
    await server.kill();
    await this.start();
  }

  async kill(): Promise<void> {
    await (await this.#current)?.server.kill();
  }

  async measureWal(): Promise<void> {
    const folder = join(this.dataPath, 'wal');
    let bytes = 0;
    for (const name of await readdir(folder).catch(() => [])) {
      if (!name.endsWith('.wal')) continue;
      // A file that was cut meanwhile has no size.
      bytes += await stat(join(folder, name)).then(({ size }) => size, () => 0);
    }
    this.#walBytesSeen = Math.max(this.#walBytesSeen, bytes);
  }
}

/** One writer of keys of its own, one write at a time: it knows what each key must hold. */
class Lane {
  readonly values = new Map<bigint, bigint>();
  readonly #firstKey: bigint;
  #seed: number;

  constructor(index: number) {
    this.#firstKey = BigInt(index * KEYS_PER_LANE);
    this.#seed = 1 + index;
  }

  /** Writes once. A write whose outcome is unknown is looked up after the restart. */
  async write(
    client: MilvusClient,
    value: bigint,
    reconnect: () => Promise<MilvusClient>,
  ): Promise<void> {
    const key = this.#firstKey + BigInt(this.#random(KEYS_PER_LANE));
    const after = this.#random(5) < 3 ? value : undefined;
    try {
      if (after === undefined) await client.delete(SPEC.name, `id == ${key}`);
      else await client.upsert(SPEC, [{ id: key, value: after, vector: VECTOR }]);
      this.#put(key, after);
    } catch (error) {
      if (!(error instanceof LostCallError)) throw error;
      const [row] = await readAgain(reconnect, key);
      const found = row?.['value'] as bigint | undefined;
      const before = this.values.get(key);
      const isEither = found === before || found === after;
      assert(isEither, `key ${key}: got ${found}, expected ${before} or ${after}`);
      this.#put(key, found);
    }
  }

  #put(key: bigint, value: bigint | undefined): void {
    if (value === undefined) this.values.delete(key);
    else this.values.set(key, value);
  }

  #random(below: number): number {
    this.#seed = (Math.imul(this.#seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((this.#seed / 2 ** 32) * below);
  }
}

async function readAgain(reconnect: () => Promise<MilvusClient>, key: bigint): Promise<Row[]> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    try {
      const client = await reconnect();
      return await client.query(SPEC.name, { filter: `id == ${key}`, outputFields: ['value'] });
    } catch (error) {
      if (!(error instanceof LostCallError) || Date.now() > deadline) throw error;
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

async function runClient(
  server: KilledServer,
  lanes: readonly Lane[],
  next: () => bigint | undefined,
): Promise<void> {
  let address = await server.address();
  let client = new MilvusClient(address);
  const reconnect = async (): Promise<MilvusClient> => {
    const current = await server.address();
    if (current !== address) {
      client.close();
      address = current;
      client = new MilvusClient(current);
    }
    return client;
  };
  try {
    await Promise.all(
      lanes.map(async (lane) => {
        for (let value = next(); value !== undefined; value = next()) {
          await lane.write(client, value, reconnect);
        }
      }),
    );
  } finally {
    client.close();
  }
}

async function flushWhole(client: MilvusClient, withinMs: number): Promise<void> {
  const { isWritten } = await client.flush(SPEC.name);
  await waitFor(isWritten, withinMs);
}

async function checkValues(client: MilvusClient, lanes: readonly Lane[]): Promise<void> {
  const expected = new Map(lanes.flatMap(({ values }) => [...values]));
  assert.equal(await client.count(SPEC.name, ''), BigInt(expected.size));
  const step = BigInt(KEYS_PER_LANE);
  for (let from = 0n; from < step * BigInt(lanes.length); from += step) {
    const filter = `id >= ${from} and id < ${from + step}`;
    const rows = await client.query(SPEC.name, { filter, outputFields: ['id', 'value'] });
    for (const { id, value } of rows) assert.equal(value, expected.get(id as bigint), `key ${id}`);
  }
}

async function run(t: TestContext, server: KilledServer): Promise<void> {
  const setup = new MilvusClient(await server.start());
  await setup.createCollection(SPEC);
  await setup.createIndex(SPEC.name, 'vector', { index_type: 'FLAT', metric_type: 'L2' });
  await setup.load(SPEC.name);
  setup.close();

  let written = 0;
  let killing: Promise<void> = Promise.resolve();
  let kills = 0;
  const next = (): bigint | undefined => {
    if (written >= WRITES) return undefined;
    written += 1;
    if (kills < KILLS && written > ((kills + 1) * WRITES) / (KILLS + 1)) {
      kills += 1;
      killing = killing.then(() => server.killAndStart());
    }
    return BigInt(written);
  };
  const lanes = Array.from({ length: CLIENTS * LANES }, (_unused, index) => new Lane(index));
  const watch = setInterval(() => void server.measureWal(), 100);
  const began = performance.now();
  try {
    await Promise.all(
      Array.from({ length: CLIENTS }, (_unused, i) =>
        runClient(server, lanes.slice(i * LANES, (i + 1) * LANES), next),
      ),
    );
    await killing;
  } finally {
    clearInterval(watch);
  }
  const seconds = (performance.now() - began) / 1000;
  t.diagnostic(`${WRITES} writes, ${kills} kills: ${Math.round(WRITES / seconds)} writes/s`);

  const client = new MilvusClient(await server.address());
  await flushWhole(client, 60_000);
  await checkValues(client, lanes);
  client.close();
  t.diagnostic(`WAL at most ${(server.walBytesSeen / MIB).toFixed(1)} MiB`);
  assert(server.walBytesSeen <= WAL_BYTES_MAX + WAL_SLACK_BYTES, 'the log has outgrown its bound');

  await server.killAndStart();
  const again = new MilvusClient(await server.address());
  await checkValues(again, lanes);
  again.close();
  t.diagnostic(`starts: ${server.restartMs.map((ms) => Math.round(ms)).join(', ')} ms`);
  assert(server.restartMs.at(-1)! <= RESTART_MS_MAX, 'the restart after the flush is slow');
}

test(`P1 P3 R20 ${WRITES} writes of single keys and ${KILLS} kills`, async (t) => {
  const { path, remove } = await makeTempDirectory('single-key');
  const server = new KilledServer(join(path, 'data'));
  try {
    await run(t, server);
  } finally {
    await server.kill();
    await remove();
  }
});
