// Writes whose rows are much larger than their message: fields that are left out, nulls, defaults,
// claims of rows that are not there. What is too large is refused before it is made (P6).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import { ClusterSandbox } from '../support/cluster-sandbox.ts';
import {
  MilvusReplyError,
  type CollectionSpec,
  type FieldSpec,
  type MilvusClient,
} from '../support/milvus-client.ts';
import { openProxy } from '../support/sandbox-proxy.ts';

const MIB = 1024 * 1024;
const AUTO = { name: 'id', type: DataType.Int64, isPrimaryKey: true, autoId: true };
const NOTE = { name: 'note', type: DataType.VarChar, maxLength: 65535 };
const SMALL = { name: 'v', type: DataType.FloatVector, dim: 2 };

const nullableVector = (dim: number): FieldSpec => ({ ...SMALL, dim, nullable: true });

async function withCollection(
  fields: readonly FieldSpec[],
  task: (client: MilvusClient, spec: CollectionSpec) => Promise<void>,
): Promise<void> {
  const sandbox = await ClusterSandbox.open({});
  try {
    const client = openProxy(sandbox);
    const spec = { name: 'c', fields };
    await client.createCollection(spec);
    await client.createIndex('c', 'v', { index_type: 'FLAT', metric_type: 'L2' });
    await client.load('c');
    await task(client, spec);
    assert.deepEqual(sandbox.errors, []);
  } finally {
    await sandbox.close();
  }
}

const insertNothing = (client: MilvusClient, numRows: number): Promise<unknown> =>
  client.call('Insert', { collection_name: 'c', num_rows: numRows, fields_data: [] });

const vectors = (rows: number): object => ({
  type: DataType.FloatVector,
  field_name: 'v',
  vectors: { dim: 2, float_vector: { data: new Array<number>(2 * rows).fill(1) } },
});

const isTooLarge = (error: unknown): boolean => {
  assert.ok(error instanceof MilvusReplyError, String(error));
  assert.match(error.message, /too large\[collection=c\]\[rows=\d+\]\[need=\d+\]\[limit=\d+\]/);
  return error.code === 1102 && !error.status.retriable;
};

/** The most that was resident while the task ran, above what was before. */
async function measureGrowth(task: () => Promise<void>): Promise<number> {
  const before = process.memoryUsage.rss();
  let most = before;
  const watch = setInterval(() => (most = Math.max(most, process.memoryUsage.rss())), 5);
  await task();
  clearInterval(watch);
  return Math.max(most, process.memoryUsage.rss()) - before;
}

test('P6 rows that are claimed only, or null, are counted before they are made', async () => {
  await withCollection([AUTO, nullableVector(1024)], async (client) => {
    const growth = await measureGrowth(async () => {
      for (const numRows of [2 ** 32 - 1, 50_000_000, 200_000]) {
        await assert.rejects(insertNothing(client, numRows), isTooLarge);
      }
    });
    assert.ok(growth < 100 * MIB, `${growth} bytes`);
    assert.equal(await client.count('c'), 0n);
    await insertNothing(client, 20_000);
    assert.equal(await client.count('c'), 20_000n);
  });
});

test('P6 a default counts once for each row that gets it', async () => {
  const fields = [AUTO, SMALL, { ...NOTE, defaultValue: 'x'.repeat(60_000) }];
  await withCollection(fields, async (client) => {
    const insertRows = (rows: number, more: readonly object[] = []): Promise<unknown> =>
      client.call('Insert', {
        ...{ collection_name: 'c', num_rows: rows },
        fields_data: [vectors(rows), ...more],
      });
    const nulls = (rows: number): object => ({
      type: DataType.VarChar,
      field_name: 'note',
      scalars: { string_data: { data: [] } },
      valid_data: new Array<boolean>(rows).fill(false),
    });
    const growth = await measureGrowth(async () => {
      await assert.rejects(insertRows(20_000), isTooLarge);
      await assert.rejects(insertRows(20_000, [nulls(20_000)]), isTooLarge);
    });
    assert.ok(growth < 100 * MIB, `${growth} bytes`);
    await insertRows(100);
    await insertRows(100, [nulls(100)]);
    assert.equal(await client.count('c', 'note like "x%"'), 200n);
  });
});

test('a number of rows that the columns do not have is named before anything is made', async () => {
  await withCollection([AUTO, SMALL], async (client) => {
    const request = { collection_name: 'c', num_rows: 2 ** 32 - 1, fields_data: [vectors(3)] };
    await assert.rejects(client.call('Insert', request), (error: MilvusReplyError) => {
      assert.match(error.message, /num_rows \(3\) of field \(v\) is not equal to passed num_rows/);
      return error.code === 1100;
    });
  });
});
