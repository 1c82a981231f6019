// The whole server with `elanus.grpcBetweenRoles`: every call from role to role is a gRPC call over
// loopback, as between machines. What a client sees must not change.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { loadConfig } from '../../src/config.ts';
import { DataType } from '../../src/model/data-type.ts';
import { startServer, type RunningServer } from '../../src/server.ts';
import { MilvusClient, MilvusReplyError, type Row } from '../support/milvus-client.ts';
import { until } from '../support/sandbox-collection.ts';

const ROWS = 1500;
const SPEC = {
  name: 'c',
  shards: 2,
  hasDynamicField: true,
  fields: [
    { name: 'id', type: DataType.Int64, isPrimaryKey: true },
    { name: 'vec', type: DataType.FloatVector, dim: 4 },
    { name: 'n', type: DataType.Int64, nullable: true },
    { name: 'name', type: DataType.VarChar, maxLength: 64 },
  ],
} as const;

function makeRows(from: number, to: number): Row[] {
  return Array.from({ length: to - from }, (_unused, i) => {
    const id = from + i;
    return {
      id: BigInt(id),
      vec: [id % 7, id % 11, id % 13, id / 1000].map(Math.fround),
      n: id % 5 === 0 ? null : BigInt(id % 100),
      name: `name ${id}`,
      $meta: JSON.stringify({ color: id % 2 === 0 ? 'red' : 'blue' }),
    };
  });
}

async function withServer(
  dataPath: string,
  task: (client: MilvusClient, server: RunningServer) => Promise<void>,
): Promise<void> {
  const { config } = loadConfig({
    env: {
      PROXY_PORT: '0',
      PROXY_IP: '127.0.0.1',
      METRICS_PORT: '0',
      LOCALSTORAGE_PATH: dataPath,
      LOG_LEVEL: 'error',
      ELANUS_GRPCBETWEENROLES: 'true',
    },
  });
  const server = await startServer(config);
  const client = new MilvusClient(`127.0.0.1:${server.port}`);
  try {
    await task(client, server);
  } finally {
    client.close();
    await server.stop();
  }
}

test('R24 a server whose roles talk gRPC serves every kind of request', async () => {
  const dataPath = await mkdtemp(join(tmpdir(), 'elanus-grpc-'));
  const nearest = { field: 'vec', vectors: [[1, 2, 3, 0.5]], k: 10 };
  try {
    await withServer(dataPath, async (client) => {
      const servers = process.getActiveResourcesInfo().filter((name) => name === 'TCPServerWrap');
      assert.equal(servers.length, 3, 'client API, metrics, roles');

      await client.createCollection(SPEC);
      await client.createIndex('c', 'vec', {
        index_type: 'HNSW',
        metric_type: 'L2',
        params: '{"M":8,"efConstruction":64}',
      });
      await client.load('c');
      await client.insert(SPEC, makeRows(0, ROWS));
      assert.equal(await client.count('c'), BigInt(ROWS));
      const growing = await client.search('c', nearest);
      assert.equal(growing[0]!.length, 10);

      await client.upsert(SPEC, makeRows(0, 10));
      await client.delete('c', 'id in [1, 2, 3]');
      await client.delete('c', 'n == 42 and color == "red"');
      const left = await client.count('c');
      assert.equal(left, BigInt(ROWS - 3 - 15));
      const flushed = await client.flush('c');
      await until(flushed.isWritten);
      assert.equal(await client.count('c'), left);
      assert.equal(await client.countSegments('c'), 2);

      await client.insert(SPEC, makeRows(ROWS, ROWS + 100));
      await until((await client.flush('c')).isWritten);
      const before = await client.query('c', { filter: 'id < 20 or id > 1550' });
      await until((await client.compact('c')).isDone);
      assert.equal(await client.countSegments('c'), 2, 'one per shard');
      assert.deepEqual(await client.query('c', { filter: 'id < 20 or id > 1550' }), before);
      assert.equal(await client.count('c'), left + 100n);
      const filtered = await client.search('c', { ...nearest, filter: 'color == "blue"' });
      assert.equal(filtered[0]!.length, 10);
      assert.ok(filtered[0]!.every(({ key }) => (key as bigint) % 2n === 1n));

      await client.createPartition('c', 'p');
      await client.insert(SPEC, makeRows(5000, 5010), 'p');
      assert.equal(await client.count('c', '', ['p']), 10n);
      await client.release('c', ['p']);
      await client.dropPartition('c', 'p');
      assert.equal(await client.count('c', 'id >= 5000'), 0n);
    });

    // Errors keep their codes on the way through two transports; everything is there after a start.
    await withServer(dataPath, async (client) => {
      assert.equal(await client.count('c'), BigInt(ROWS - 18 + 100));
      await assert.rejects(
        client.query('c', { filter: 'n ==' }),
        (error) => error instanceof MilvusReplyError && error.code === 1100,
      );
      await client.release('c');
      await assert.rejects(
        client.search('c', nearest),
        (error) => error instanceof MilvusReplyError && error.code === 101,
      );
      await client.dropCollection('c');
      await assert.rejects(
        client.count('c'),
        (error) => error instanceof MilvusReplyError && error.code === 100,
      );
      assert.equal(await client.hasCollection('c'), false);
    });
  } finally {
    await rm(dataPath, { recursive: true });
  }
});
