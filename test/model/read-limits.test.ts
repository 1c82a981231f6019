// Answers that would be too large, behind the client API: refused in Milvus' words before they are
// made, and what fits is answered whole. The limit of a result is small here.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { MilvusReplyError, type MilvusClient, type Row } from '../support/milvus-client.ts';
import { openProxy } from '../support/sandbox-proxy.ts';

const DIM = 256;
const ROWS = 200;
const ROW_BYTES = 4 * DIM + 16;
const KIB = 1024;
const SPEC = {
  name: 'c',
  shards: 2,
  fields: [
    { name: 'id', type: DataType.Int64, isPrimaryKey: true },
    { name: 'v', type: DataType.FloatVector, dim: DIM },
    { name: 't', type: DataType.VarChar, maxLength: 60_000 },
  ],
} as const;

const vectorOf = (id: number): number[] =>
  Array.from({ length: DIM }, (_unused, i) => id + i / DIM);
const makeRows = (first: number, count: number): Row[] =>
  Array.from({ length: count }, (_unused, i) => ({
    id: BigInt(first + i),
    v: vectorOf(first + i),
    t: 't'.repeat(2000),
  }));

/** Half of the rows in segments, half growing, in two shards. */
async function withRows(
  limits: { maxOutputSize?: number; maxResultEntries?: number },
  task: (client: MilvusClient) => Promise<void>,
): Promise<void> {
  const sandbox = await ClusterSandbox.open({});
  try {
    const client = openProxy(sandbox, { limits });
    await client.createCollection(SPEC);
    await client.createIndex('c', 'v', { index_type: 'FLAT', metric_type: 'L2' });
    await client.load('c');
    await client.insert(SPEC, makeRows(0, ROWS / 2));
    const { isWritten } = await client.flush('c');
    while (!(await isWritten())) await new Promise((resolve) => setImmediate(resolve));
    await client.insert(SPEC, makeRows(ROWS / 2, ROWS / 2));
    await task(client);
    assert.deepEqual(sandbox.errors, []);
  } finally {
    await sandbox.close();
  }
}

const isTooLarge =
  (what: 'search' | 'query') =>
  (error: unknown): boolean => {
    assert.ok(error instanceof MilvusReplyError, String(error));
    assert.equal(error.code, 1102, error.message);
    assert.match(error.message, new RegExp(`${what} results exceed the maxOutputSize Limit`));
    assert.match(error.message, /\[(got|need)=\d+\]\[(limit|have)=\d+\]/);
    return true;
  };

const search = (client: MilvusClient, nq: number, k: number, outputFields: string[]) =>
  client.search('c', {
    field: 'v',
    vectors: Array.from({ length: nq }, (_unused, i) => vectorOf(i)),
    k,
    outputFields,
  });

test('P6 a search whose vectors do not fit is refused, one that fits is answered', async () => {
  await withRows({ maxOutputSize: 100 * ROW_BYTES }, async (client) => {
    await assert.rejects(search(client, 3, 40, ['v']), isTooLarge('search'));
    // More was asked for than there is: what counts is what is found.
    await assert.rejects(search(client, 1, 16_384, ['v']), isTooLarge('search'));
    const [first, second] = await search(client, 2, 40, ['v']);
    assert.deepEqual([first!.length, second!.length], [40, 40]);
    assert.equal((await search(client, 3, 40, []))[2]!.length, 40);
  });
});

test('P6 texts are counted as they are, not as long as they may be', async () => {
  await withRows({ maxOutputSize: 64 * KIB }, async (client) => {
    assert.equal((await search(client, 1, 30, ['t']))[0]!.length, 30);
    await assert.rejects(search(client, 10, 20, ['t']), isTooLarge('search'));
    const rows = await client.query('c', { filter: 'id < 30', outputFields: ['t'] });
    assert.equal(rows.length, 30);
    await assert.rejects(
      client.query('c', { filter: 'id >= 0', outputFields: ['t'] }),
      isTooLarge('query'),
    );
  });
});

test('P6 a query is bounded with and without a limit, count(*) is not', async () => {
  await withRows({ maxOutputSize: 100 * ROW_BYTES }, async (client) => {
    const all = { filter: 'id >= 0', outputFields: ['v'] };
    await assert.rejects(client.query('c', all), isTooLarge('query'));
    await assert.rejects(client.query('c', { ...all, limit: 150 }), isTooLarge('query'));
    assert.equal((await client.query('c', { ...all, limit: 90 })).length, 90);
    assert.equal(await client.count('c'), BigInt(ROWS));
  });
});

test('P6 proxy.maxResultEntries bounds nq times limit', async () => {
  await withRows({ maxResultEntries: 100 }, async (client) => {
    assert.equal((await search(client, 10, 10, [])).length, 10);
    await assert.rejects(search(client, 11, 10, []), (error: unknown) => {
      assert.ok(error instanceof MilvusReplyError && error.code === 1100);
      assert.match(error.message, /number of result entries is too large\[got=110\]\[limit=100\]/);
      return true;
    });
  });
});
