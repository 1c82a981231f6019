// Recoveries that random kills meet too rarely, each with the order of events that matters.

import assert from 'node:assert/strict';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import { MilvusClient, type CollectionSpec, type Row } from '../support/milvus-client.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait-for.ts';

const SPEC: CollectionSpec = {
  name: 'books',
  fields: [
    { name: 'key', type: DataType.Int64, isPrimaryKey: true },
    { name: 'vector', type: DataType.FloatVector, dim: 2 },
  ],
};
const EVERYTHING = { filter: 'key >= 0', outputFields: ['key'] };

const makeRow = (key: bigint): Row => ({ key, vector: [Number(key), 1] });

/** One server after another on the same data. */
class Lives {
  readonly dataPath: string;
  readonly #settings: Record<string, string>;
  #server: ServerProcess | undefined;

  constructor(dataPath: string, settings: Record<string, string>) {
    this.dataPath = dataPath;
    this.#settings = settings;
  }

  async start(more: Record<string, string> = {}): Promise<MilvusClient> {
    const { dataPath } = this;
    const settings = { ...this.#settings, ...more };
    const { server, address } = await ServerProcess.start({ dataPath, settings });
    this.#server = server;
    return new MilvusClient(address.grpc);
  }

  async stop(client: MilvusClient): Promise<void> {
    client.close();
    assert.deepEqual(await this.#server?.stop(), { code: 0, signal: null });
  }

  async kill(client?: MilvusClient): Promise<void> {
    client?.close();
    await this.#server?.kill();
  }
}

async function withLives(
  settings: Record<string, string>,
  body: (lives: Lives) => Promise<void>,
): Promise<void> {
  const { path, remove } = await makeTempDirectory('recovery');
  const lives = new Lives(join(path, 'data'), settings);
  try {
    await body(lives);
  } finally {
    await lives.kill();
    await remove();
  }
}

async function create(client: MilvusClient): Promise<void> {
  await client.createCollection(SPEC);
  await client.createIndex(SPEC.name, 'vector', { index_type: 'FLAT', metric_type: 'L2' });
  await client.load(SPEC.name);
}

async function flush(client: MilvusClient): Promise<void> {
  const { isWritten } = await client.flush(SPEC.name);
  await waitFor(() => isWritten());
}

async function listKeys(client: MilvusClient): Promise<unknown[]> {
  return (await client.query(SPEC.name, EVERYTHING)).map((row) => row['key']);
}

function delay(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

test('a delete outlives the end of a segment of which nothing is left', () =>
  withLives({ ELANUS_MVCCRETENTIONSECONDS: '1' }, async (lives) => {
    let client = await lives.start();
    await create(client);
    await client.createPartition(SPEC.name, 'kept');
    await client.createPartition(SPEC.name, 'emptied');
    await client.insert(SPEC, [makeRow(1n), makeRow(2n)], 'kept');
    await client.insert(SPEC, [makeRow(3n)], 'emptied');
    await client.delete(SPEC.name, 'key in [3]');
    // Past the retention, so that the segment of key 3 ends without a file, at once.
    await delay(1200);
    // Within the retention, so that the file of key 1 still has its row.
    await client.delete(SPEC.name, 'key in [1]');
    await flush(client);
    assert.deepEqual(await listKeys(client), [2n]);
    await lives.kill(client);
    client = await lives.start();
    assert.deepEqual(await listKeys(client), [2n]);
    await lives.kill(client);
  }));

test('R9 a log that was taken away is missed, and accepted it hides nothing of the next one', () =>
  withLives({}, async (lives) => {
    let client = await lives.start();
    await create(client);
    for (const key of [1n, 2n, 3n]) await client.insert(SPEC, [makeRow(key)]);
    await flush(client);
    await lives.stop(client);
    await rm(join(lives.dataPath, 'wal'), { recursive: true });
    client = await lives.start();
    const isMissed = /books.*write-ahead log.*lost its end/;
    await assert.rejects(client.insert(SPEC, [makeRow(4n)]), isMissed);
    await lives.stop(client);
    client = await lives.start({ ELANUS_WAL_ACCEPTDAMAGE: 'true' });
    await client.insert(SPEC, [makeRow(4n)]);
    await lives.kill(client);
    client = await lives.start();
    assert.deepEqual(await listKeys(client), [1n, 2n, 3n, 4n]);
    await lives.kill(client);
  }));

test('a stop in the middle of writes loses nothing acknowledged and ends by itself', () =>
  withLives({ DATACOORD_SEGMENT_MAXSIZE: '1' }, async (lives) => {
    let client = await lives.start();
    await create(client);
    const acknowledged: bigint[] = [];
    let key = 0n;
    const stopping: { ended?: Promise<void> } = {};
    const writing = (async () => {
      for (;;) {
        key += 1n;
        await client.insert(SPEC, [makeRow(key)]);
        acknowledged.push(key);
        if (key === 20n) stopping.ended = lives.stop(client);
      }
    })();
    await assert.rejects(writing);
    await stopping.ended;
    client = await lives.start();
    const found = await listKeys(client);
    assert.deepEqual(found.slice(0, acknowledged.length), acknowledged);
    assert.ok(found.length <= acknowledged.length + 1);
    await lives.kill(client);
  }));

test('R23 a flush whose server is killed is carried out by the next one', () =>
  withLives({}, async (lives) => {
    let client = await lives.start();
    await create(client);
    // Enough that the kill comes before the file.
    const keys = Array.from({ length: 20_000 }, (_, i) => BigInt(i));
    await client.insert(SPEC, keys.map(makeRow));
    const { isWritten } = await client.flush(SPEC.name);
    await lives.kill(client);
    client = await lives.start();
    const later = client;
    await waitFor(() => isWritten(later));
    assert.equal((await listKeys(client)).length, keys.length);
    await lives.kill(client);
  }));
