// Every metric of the table is written, and those of a collection go with it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { silentLogger } from '../../src/base/logger.ts';
import {
  createMetrics,
  type MetricDefinition,
  type MetricsRegistry,
} from '../../src/base/metrics.ts';
import { Health } from '../../src/base/health.ts';
import { loadConfig } from '../../src/config.ts';
import { DataType } from '../../src/model/data-type.ts';
import { ServerMetrics } from '../../src/server-metrics.ts';
import { startServer } from '../../src/server.ts';
import { MilvusClient, type CollectionSpec } from '../support/milvus-client.ts';
import { makeTempDirectory } from '../support/server-process.ts';
import { waitFor } from '../support/wait-for.ts';

const SPEC: CollectionSpec = {
  name: 'books',
  fields: [
    { name: 'key', type: DataType.Int64, isPrimaryKey: true },
    { name: 'vector', type: DataType.FloatVector, dim: 2 },
  ],
};
const makeRows = (first: number, count: number) =>
  Array.from({ length: count }, (_unused, i) => ({ key: BigInt(first + i), vector: [i, 1] }));

function listDefinitions(): string[] {
  const names: string[] = [];
  const define = ({ name }: MetricDefinition): never => {
    names.push(name);
    return undefined as never;
  };
  const registry = { counter: define, gauge: define, histogram: define };
  createMetrics(registry as unknown as MetricsRegistry);
  return names;
}

async function work(client: MilvusClient): Promise<void> {
  await client.createCollection(SPEC);
  const index = { index_type: 'HNSW', metric_type: 'L2', params: '{"M":8}' };
  await client.createIndex(SPEC.name, 'vector', index);
  await client.load(SPEC.name);
  await client.insert(SPEC, makeRows(0, 1100));
  await waitFor((await client.flush(SPEC.name)).isWritten);
  await waitFor(async () => {
    const reply = await client.call('DescribeIndex', { collection_name: SPEC.name });
    return (reply['index_descriptions'] as { state: number }[])[0]!.state === 3;
  });
  await client.insert(SPEC, makeRows(5000, 3));
  const vectors = [[1, 1], [2, 1]];
  assert.equal((await client.search(SPEC.name, { field: 'vector', vectors, k: 3 })).length, 2);
  assert.equal((await client.query(SPEC.name, { filter: 'key < 3' })).length, 3);
  await client.delete(SPEC.name, 'key in [1]');
}

const scrapeAt = async (port: number): Promise<string[]> => {
  const reply = await fetch(`http://127.0.0.1:${port}/metrics`);
  return (await reply.text()).split('\n').filter((line) => !line.startsWith('#'));
};

test('every metric of the table has a sample after a little work', async () => {
  const { path, remove } = await makeTempDirectory('metrics');
  const env = { PROXY_PORT: '0', METRICS_PORT: '0', LOCALSTORAGE_PATH: path };
  const server = await startServer(loadConfig({ env }).config, { logger: silentLogger });
  const client = new MilvusClient(`127.0.0.1:${server.port}`);
  const scrape = (): Promise<string[]> => scrapeAt(server.metricsPort);
  try {
    await work(client);
    const lines = await scrape();
    const hasSample = (name: string): boolean =>
      lines.some((line) => new RegExp(`^${name}(_count)?[{ ]`).test(line));
    assert.deepEqual(listDefinitions().filter((name) => !hasSample(name)), []);
    const find = (pattern: RegExp): number[] =>
      lines.filter((line) => pattern.test(line)).map((line) => Number(line.split(' ').at(-1)));
    assert.deepEqual(find(/^milvus_proxy_search_vectors_count{.*collection_name="books"/), [2]);
    assert.deepEqual(find(/^milvus_proxy_insert_vectors_count{.*collection_name="books"/), [1103]);
    assert.deepEqual(find(/^milvus_datacoord_stored_rows_num{.*"books".*"Flushed"/), [1100]);
    assert.deepEqual(find(/^milvus_querynode_entity_num{.*"books".*"Sealed"/), [1100]);
    assert.deepEqual(find(/^milvus_querynode_entity_num{.*"books".*"Growing"/), [3]);
    assert.deepEqual(find(/^milvus_datacoord_segment_num{segment_state="Flushed"/), [1]);
    assert.deepEqual(find(/^milvus_querynode_sq_req_count{.*query_type="search".*"success"/), [1]);
    assert.ok(find(/^milvus_rootcoord_id_alloc_count/)[0]! > 0);
    assert.ok(Math.abs(find(/^milvus_rootcoord_timestamp /)[0]! - Date.now()) < 60_000);
    assert.deepEqual(find(/^elanus_health_problems/), [0]);
    await client.dropCollection(SPEC.name);
    assert.deepEqual((await scrape()).filter((line) => line.includes('books')), []);
  } finally {
    client.close();
    await server.stop();
    await remove();
  }
});

test('a call that outlives its collection leaves no series behind', async () => {
  const { path, remove } = await makeTempDirectory('metrics');
  const env = { PROXY_PORT: '0', METRICS_PORT: '0', LOCALSTORAGE_PATH: path };
  const server = await startServer(loadConfig({ env }).config, { logger: silentLogger });
  const client = new MilvusClient(`127.0.0.1:${server.port}`);
  try {
    for (let i = 0; i < 5; i += 1) {
      const spec = { ...SPEC, name: `gone${i}` };
      await client.createCollection(spec);
      await client.createIndex(spec.name, 'vector', { index_type: 'FLAT', metric_type: 'L2' });
      await client.load(spec.name);
      await client.insert(spec, makeRows(0, 5000));
      const options = { filter: 'key % 7 == 3 or key * 3 > 100' };
      const queries = Array.from({ length: 20 }, () =>
        client.query(spec.name, options).catch(() => undefined),
      );
      await new Promise((resolve) => setTimeout(resolve, 5));
      await client.dropCollection(spec.name);
      await Promise.all(queries);
    }
    const lines = await scrapeAt(server.metricsPort);
    assert.deepEqual(lines.filter((line) => line.includes('gone')), []);
  } finally {
    client.close();
    await server.stop();
    await remove();
  }
});

test('R24 series of single collections are bounded, however many there are', async () => {
  const metrics = new ServerMetrics('0', new Health());
  const nothing = new Uint8Array(0);
  for (let i = 0; i < 1000; i += 1) {
    const collection = { dbName: 'default', schema: { name: `c${i}` } };
    metrics.observeRpc('Search', nothing, 0, 1, undefined, { collection, units: 2 });
  }
  // What is gone makes room.
  metrics.forget('default', 'c7');
  const collection = { dbName: 'default', schema: { name: 'late' } };
  metrics.observeRpc('Search', nothing, 0, 1, undefined, { collection, units: 2 });
  const port = await metrics.listen('127.0.0.1', 0, silentLogger);
  const text = await (await fetch(`http://127.0.0.1:${port}/metrics`)).text();
  await metrics.close();
  const lines = text.split('\n').filter((line) => /^milvus_proxy_search_vectors_count{/.test(line));
  assert.equal(lines.length, 201);
  assert.ok(lines.some((line) => line.includes('"late"')));
  const sum = lines.reduce((total, line) => total + Number(line.split(' ').at(-1)), 0);
  // All but what c7 had counted.
  assert.equal(sum, 2000);
});
