// Settings that change what a client sees, each with a server that is started with it.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/logger.ts';
import { loadConfig } from '../../src/config.ts';
import { DataType } from '../../src/model/data-type.ts';
import { startServer } from '../../src/server.ts';
import { MilvusClient, type CollectionSpec } from '../support/milvus-client.ts';
import { makeTempDirectory } from '../support/server-process.ts';
import { waitFor } from '../support/wait-for.ts';

const KEY = { name: 'key', type: DataType.Int64, isPrimaryKey: true };
const VECTOR = { name: 'vector', type: DataType.FloatVector, dim: 2 };
const TENANT = { name: 'tenant', type: DataType.Int64, isPartitionKey: true };
const PLAIN: CollectionSpec = { name: 'plain', fields: [KEY, VECTOR] };
const KEYED: CollectionSpec = { name: 'keyed', fields: [KEY, VECTOR, TENANT] };
const makeRows = (count: number) =>
  Array.from({ length: count }, (_unused, i) => ({ key: BigInt(i), vector: [i, 1] }));

/** One server after another on the same data, each with its settings. */
async function withServers(
  ...lives: [Record<string, string>, (client: MilvusClient, path: string) => Promise<void>][]
): Promise<void> {
  const { path, remove } = await makeTempDirectory('settings');
  try {
    for (const [settings, run] of lives) {
      const own = { PROXY_PORT: '0', METRICS_PORT: '0', LOCALSTORAGE_PATH: path };
      const { config } = loadConfig({ env: { ...own, ...settings } });
      const server = await startServer(config, { logger: silentLogger });
      const client = new MilvusClient(`127.0.0.1:${server.port}`);
      try {
        await run(client, path);
      } finally {
        client.close();
        await server.stop();
      }
    }
  } finally {
    await remove();
  }
}

async function countFiles(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).length;
}

test('proxy.mustUsePartitionKey refuses collections without one, old ones when read', async () => {
  const index = { index_type: 'FLAT', metric_type: 'L2' };
  await withServers(
    [
      {},
      async (client) => {
        await client.createCollection(PLAIN);
        await client.createIndex(PLAIN.name, 'vector', index);
        await client.load(PLAIN.name);
        await client.insert(PLAIN, makeRows(3));
      },
    ],
    [
      { PROXY_MUSTUSEPARTITIONKEY: 'true' },
      async (client) => {
        const words = (verb: string): RegExp =>
          new RegExp(`${verb} because the mustUsePartitionKey config is true`);
        await assert.rejects(
          client.createCollection({ ...PLAIN, name: 'other' }),
          words('partition key must be set when creating the collection'),
        );
        await client.createCollection(KEYED);
        const search = { field: 'vector', vectors: [[1, 1]], k: 3 };
        const inSearch = words('must use partition key in the search request');
        await assert.rejects(client.search(PLAIN.name, search), inSearch);
        const inQuery = words('must use partition key in the query request');
        await assert.rejects(client.query(PLAIN.name, { filter: 'key >= 0' }), inQuery);
      },
    ],
  );
});

const exceeds = (count: number, limit: number): RegExp =>
  new RegExp(`partition number \\(${count}\\) exceeds max configuration \\(${limit}\\)`);

test('rootCoord.maxPartitionNum bounds partitions, those of a key at 1,024', async () => {
  await withServers(
    [
      {},
      async (client) => {
        const tooMany = client.createCollection({ ...KEYED, partitions: 1025 });
        await assert.rejects(tooMany, exceeds(1025, 1024));
        await client.createCollection({ ...KEYED, partitions: 1024 });
        assert.equal((await client.listPartitions(KEYED.name)).length, 1024);
      },
    ],
    [
      { ROOTCOORD_MAXPARTITIONNUM: '3' },
      async (client) => {
        const tooMany = client.createCollection({ ...KEYED, name: 'few', partitions: 4 });
        await assert.rejects(tooMany, exceeds(4, 3));
        await client.createCollection(PLAIN);
        for (const name of ['a', 'b']) await client.createPartition(PLAIN.name, name);
        const one = client.createPartition(PLAIN.name, 'c');
        await assert.rejects(one, exceeds(3, 3));
      },
    ],
  );
  assert.equal(loadConfig({ env: {} }).config['rootCoord.maxPartitionNum'], 4096);
});

test('rootCoord.maxGeneralCapacity bounds partitions times shards, however they come', async () => {
  await withServers([
    { ROOTCOORD_MAXGENERALCAPACITY: '6' },
    async (client) => {
      await client.createCollection({ ...PLAIN, shards: 2 });
      await client.createPartition(PLAIN.name, 'a');
      const other = { ...PLAIN, name: 'other' };
      await assert.rejects(
        client.createCollection({ ...other, shards: 3 }),
        /general capacity exceeded\[got=7\]\[limit=6\]/,
      );
      await client.createCollection(other);
      const one = client.createPartition(PLAIN.name, 'b');
      await assert.rejects(one, /general capacity exceeded\[got=7\]\[limit=6\]/);
      await client.createPartition(PLAIN.name, 'a');
      await client.createPartition('other', 'a');
    },
  ]);
});

test('rootCoord.minSegmentSizeToEnableIndex: smaller segments are left as they are', async () => {
  const describe = async (client: MilvusClient): Promise<Record<string, unknown>> => {
    const reply = await client.call('DescribeIndex', { collection_name: PLAIN.name });
    return (reply['index_descriptions'] as Record<string, unknown>[])[0]!;
  };
  for (const [rowsMin, files] of [['50', 1], ['51', 0]] as const) {
    await withServers([
      { ROOTCOORD_MINSEGMENTSIZETOENABLEINDEX: rowsMin },
      async (client, path) => {
        await client.createCollection(PLAIN);
        const index = { index_type: 'HNSW', metric_type: 'L2', params: '{"M":8}' };
        await client.createIndex(PLAIN.name, 'vector', index);
        await client.load(PLAIN.name);
        await client.insert(PLAIN, makeRows(50));
        await waitFor((await client.flush(PLAIN.name)).isWritten);
        await waitFor(async () => (await describe(client))['state'] === 3);
        assert.equal(await countFiles(join(path, 'storage/indexes')), files);
      },
    ]);
  }
});

test('dataCoord.segment.maxLife: rows are written out by age, also those of before', async () => {
  await withServers(
    [
      {},
      async (client) => {
        await client.createCollection(PLAIN);
        await client.insert(PLAIN, makeRows(3));
      },
    ],
    [
      { DATACOORD_SEGMENT_MAXLIFE: '1' },
      async (client) => {
        await waitFor(async () => (await client.countSegments(PLAIN.name)) === 1);
        await client.insert(PLAIN, makeRows(3));
        await waitFor(async () => (await client.countSegments(PLAIN.name)) === 2);
      },
    ],
  );
});
