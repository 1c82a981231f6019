// What the proxy checks of a write and what it makes of it: rows that result, partitions, defaults,
// nulls, sizes.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import { hashKey } from '../../src/roles/proxy/write/sharding.ts';
import { ClusterSandbox } from '../support/cluster-sandbox.ts';
import {
  MilvusReplyError,
  toWrite,
  type CollectionSpec,
  type FieldSpec,
  type MilvusClient,
  type Row,
} from '../support/milvus-client.ts';
import { openProxy, type ProxyOptions } from '../support/sandbox-proxy.ts';

const KEY = { name: 'id', type: DataType.Int64, isPrimaryKey: true };
const VECTOR = { name: 'vec', type: DataType.FloatVector, dim: 2 };
const ARRAY_APPEND = 1;

async function withCollection(
  { options = {}, ...spec }: Omit<CollectionSpec, 'name'> & { options?: ProxyOptions },
  task: (client: MilvusClient, spec: CollectionSpec, sandbox: ClusterSandbox) => Promise<void>,
): Promise<void> {
  const sandbox = await ClusterSandbox.open({});
  try {
    const client = openProxy(sandbox, options);
    const named = { name: 'c', ...spec };
    await client.createCollection(named);
    await client.createIndex('c', 'vec', { index_type: 'FLAT', metric_type: 'L2' });
    await client.load('c');
    await task(client, named, sandbox);
    assert.deepEqual(sandbox.errors, []);
  } finally {
    await sandbox.close();
  }
}

const withFields = (...fields: FieldSpec[]): { fields: FieldSpec[] } => ({
  fields: [KEY, VECTOR, ...fields],
});

async function update(
  client: MilvusClient,
  spec: CollectionSpec,
  rows: readonly Row[],
  more: { partition?: string; append?: string } = {},
): Promise<void> {
  const { partition = '', append } = more;
  await client.call('Upsert', {
    ...toWrite(spec, rows, partition),
    partial_update: true,
    field_ops: append === undefined ? [] : [{ field_name: append, op: ARRAY_APPEND }],
  });
}

const isRefused =
  (...texts: string[]) =>
  (error: unknown): boolean => {
    assert.ok(error instanceof MilvusReplyError, String(error));
    for (const text of texts) assert.ok(error.message.includes(text), error.message);
    return error.code === 1100 && !error.status.retriable;
  };

test("the dynamic field that an update leaves is no longer than an insert's", async () => {
  await withCollection({ ...withFields(), hasDynamicField: true }, async (client, spec) => {
    const half = (key: string): string => JSON.stringify({ [key]: 'x'.repeat(40_000) });
    await client.insert(spec, [0n, 1n].map((id) => ({ id, vec: [0, 0], $meta: half('a') })));
    const rows = [
      { id: 0n, $meta: '{"b":1}' },
      { id: 1n, $meta: half('b') },
    ];
    const words = ['json field ($meta)', 'exceeds max length (65536)', '[row=1]'];
    await assert.rejects(update(client, spec, rows), isRefused(...words));
    const found = await client.query('c', { filter: 'id >= 0' });
    assert.deepEqual(found.map((row) => row['$meta']), [half('a'), half('a')]);
    await update(client, spec, rows.slice(0, 1));
    await update(client, spec, [{ id: 1n, $meta: half('a') }]);
  });
});

test('the array that results of an append has no more elements than the field allows', async () => {
  const tags = { name: 'tags', type: DataType.Array, elementType: DataType.Int64, maxCapacity: 4 };
  await withCollection(withFields(tags), async (client, spec) => {
    const before = { vec: [0, 0], tags: [1n, 2n, 3n] };
    await client.insert(spec, [3n, 4n].map((id) => ({ id, ...before })));
    // New rows come last in the batch: the number in the message is the request's.
    const more = [
      { id: 9n, vec: [0, 0], tags: [1n] },
      { id: 3n, vec: [0, 0], tags: [1n] },
      { id: 4n, vec: [0, 0], tags: [7n, 8n] },
    ];
    const words = ['array length 5 exceeds max_capacity 4', '[row=2]'];
    await assert.rejects(update(client, spec, more, { append: 'tags' }), isRefused(...words));
    assert.equal(await client.count('c'), 2n);
    await update(client, spec, more.slice(0, 2), { append: 'tags' });
    const found = await client.query('c', { filter: 'id >= 0' });
    assert.deepEqual(found.map((row) => row['tags']), [[1n, 2n, 3n, 1n], [1n, 2n, 3n], [1n]]);
  });
});

test('an update that leaves a text longer than its field has become is refused', async () => {
  const text = { name: 'text', type: DataType.VarChar, maxLength: 10 };
  const words = {
    name: 'words',
    type: DataType.Array,
    elementType: DataType.VarChar,
    maxCapacity: 4,
    maxLength: 10,
  };
  const n = { name: 'n', type: DataType.Int64, nullable: true };
  await withCollection(withFields(text, words, n), async (client, spec, { peers }) => {
    await client.insert(spec, [
      { id: 0n, vec: [0, 0], text: 'ten letter', words: ['a'] },
      { id: 1n, vec: [0, 0], text: 'a', words: ['a', 'ten letter'] },
    ]);
    const shorten = (fieldName: string): Promise<unknown> =>
      peers.rootcoord.alterCollectionField(
        {
          ...{ dbName: 'default', name: 'c' },
          ...{ fieldName, properties: { max_length: '5' }, deleteKeys: [] },
        },
        {},
      );
    await shorten('text');
    const tooLong = isRefused('varchar field text exceeds max length', '[row=0]', 'length: 10');
    await assert.rejects(update(client, spec, [{ id: 0n, n: 1n }]), tooLong);
    await shorten('words');
    const tooLongWord = isRefused('Array array field "words" exceeds max length', 'length: 10');
    await assert.rejects(update(client, spec, [{ id: 1n, n: 1n }]), tooLongWord);
    await update(client, spec, [{ id: 0n, text: 'short' }]);
  });
});

test('text that is not JSON is refused before anything is merged with it', async () => {
  await withCollection({ ...withFields(), hasDynamicField: true }, async (client, spec) => {
    await client.insert(spec, [{ id: 0n, vec: [0, 0], $meta: '{"a":1}' }]);
    for (const $meta of ['{"b":', '{"b":1} ?', '[1]', '5', 'null']) {
      const words = $meta.startsWith('{')
        ? 'invalid JSON in field $meta'
        : 'the dynamic field $meta is not a JSON object';
      await assert.rejects(update(client, spec, [{ id: 0n, $meta }]), isRefused(words));
      const fresh = { id: 1n, vec: [0, 0], $meta };
      await assert.rejects(update(client, spec, [fresh]), isRefused(words));
      await assert.rejects(client.insert(spec, [fresh]), isRefused(words));
    }
    const found = await client.query('c', { filter: 'id >= 0' });
    assert.deepEqual(found.map((row) => row['$meta']), ['{"a":1}']);
  });
});

interface WithDefault {
  readonly kind: string;
  readonly field: FieldSpec;
  readonly standard: bigint | string;
  readonly other: bigint | string;
}
const PART = { name: 'part', maxLength: 9 };
const DEFAULTS: readonly WithDefault[] = [
  {
    kind: 'number',
    field: { ...PART, type: DataType.Int64, defaultValue: 7n },
    standard: 7n,
    other: 8n,
  },
  {
    kind: 'text',
    field: { ...PART, type: DataType.VarChar, defaultValue: 'seven' },
    standard: 'seven',
    other: 'x',
  },
];
for (const { kind, field, standard, other } of DEFAULTS) {
  test(`a row without its partition key goes where the default, a ${kind}, belongs`, async () => {
    const fields = withFields({ ...field, isPartitionKey: true });
    await withCollection({ ...fields, shards: 2, partitions: 8 }, async (client, spec) => {
      await client.insert(spec, [0n, 1n].map((id) => ({ id, vec: [0, 0] })));
      // Some rows have it, one does not: values and rows are counted apart.
      await client.insert(spec, [
        { id: 2n, vec: [0, 0], part: other },
        { id: 3n, vec: [0, 0], part: null },
        { id: 4n, vec: [0, 0], part: other },
      ]);
      await client.upsert(spec, [1n, 5n].map((id) => ({ id, vec: [1, 0] })));
      await update(client, spec, [0n, 6n].map((id) => ({ id, vec: [2, 0] })));
      const found = await client.query('c', { filter: 'id >= 0' });
      const parts = found.map((row) => row['part']);
      assert.deepEqual(parts, [standard, standard, other, standard, other, standard, standard]);
      const slot = hashKey(standard) % 8;
      const quoted = typeof standard === 'string' ? `"${standard}"` : standard;
      assert.equal(await client.count('c', `part == ${quoted}`), 5n);
      const names = await client.listPartitions('c');
      assert.equal(names.length, 8);
      const reply = await client.call('GetPartitionStatistics', {
        collection_name: 'c',
        partition_name: `_default_${slot}`,
      });
      const rows = (reply['stats'] as { key: string; value: string }[])[0]!.value;
      const shared = hashKey(other) % 8 === slot ? 2 : 0;
      assert.equal(rows, String(5 + shared));
    });
  });
}

test('an upsert replaces a key in its partition and leaves it in the others', async () => {
  const n = { name: 'n', type: DataType.Int64 };
  await withCollection({ ...withFields(n), shards: 2 }, async (client, spec) => {
    for (const name of ['p1', 'p2']) await client.createPartition('c', name);
    await client.load('c');
    const rows = (value: bigint): Row[] => [1n, 2n].map((id) => ({ id, vec: [0, 0], n: value }));
    const read = async (partition: string): Promise<unknown[]> => {
      const options = { filter: 'id > 0', outputFields: ['id', 'n'], partitions: [partition] };
      return (await client.query('c', options)).map((row) => row['n']);
    };
    await client.insert(spec, rows(1n), 'p1');
    await client.upsert(spec, rows(2n), 'p2');
    await client.upsert(spec, rows(3n));
    assert.deepEqual(await read('p1'), [1n, 1n]);
    assert.deepEqual(await read('p2'), [2n, 2n]);
    assert.deepEqual(await read('_default'), [3n, 3n]);
    assert.equal(await client.count('c'), 6n);
    await client.upsert(spec, rows(4n), 'p1');
    await client.upsert(spec, rows(5n).slice(0, 1));
    assert.deepEqual(await read('p1'), [4n, 4n]);
    assert.deepEqual(await read('_default'), [5n, 3n]);
    assert.equal(await client.count('c'), 6n);
    await (await client.flush('c')).isWritten();
    await client.upsert(spec, rows(6n), 'p2');
    assert.deepEqual(await read('p2'), [6n, 6n]);
    assert.deepEqual(await read('p1'), [4n, 4n]);
    await client.delete('c', 'id in [1, 2]');
    assert.equal(await client.count('c'), 0n);
  });
});

test('an update of parts of rows looks for them in its partition only', async () => {
  const n = { name: 'n', type: DataType.Int64, nullable: true };
  await withCollection({ ...withFields(n), shards: 2 }, async (client, spec) => {
    await client.createPartition('c', 'p1');
    await client.load('c');
    await client.insert(spec, [{ id: 1n, vec: [1, 1], n: 1n }], 'p1');
    await update(client, spec, [{ id: 1n, n: 2n }], { partition: 'p1' });
    const inP1 = { filter: 'id == 1', partitions: ['p1'] };
    assert.deepEqual(await client.query('c', inP1), [{ id: 1n, vec: [1, 1], n: 2n }]);
    // In the default partition there is no such row: it would be a new one without its vector.
    const words = isRefused('fieldSchema(vec) has no corresponding fieldData pass in');
    await assert.rejects(update(client, spec, [{ id: 1n, n: 3n }]), words);
    await update(client, spec, [{ id: 1n, vec: [3, 3], n: 3n }]);
    assert.equal(await client.count('c'), 2n);
    assert.deepEqual(await client.query('c', inP1), [{ id: 1n, vec: [1, 1], n: 2n }]);
  });
});

test('with a partition key an upsert replaces the row wherever it was', async () => {
  const fields = [
    { name: 'part', type: DataType.Int64, isPartitionKey: true },
    { name: 'n', type: DataType.Int64, nullable: true },
  ];
  await withCollection({ ...withFields(...fields), partitions: 8 }, async (client, spec) => {
    await client.insert(spec, [{ id: 1n, vec: [0, 0], part: 1n, n: 1n }]);
    await client.upsert(spec, [{ id: 1n, vec: [0, 0], part: 2n, n: 2n }]);
    assert.equal(await client.count('c'), 1n);
    await update(client, spec, [{ id: 1n, part: 3n }]);
    await update(client, spec, [{ id: 1n, n: 4n }]);
    const found = await client.query('c', { filter: 'part == 3' });
    assert.deepEqual(found, [{ id: 1n, vec: [0, 0], part: 3n, n: 4n }]);
    assert.equal(await client.count('c'), 1n);
    await assert.rejects(
      update(client, spec, [{ id: 1n, n: 5n }], { partition: '_default_0' }),
      isRefused('not support manually specifying the partition names'),
    );
  });
});

test('JSON of no bytes is null, as some clients send it', async () => {
  const doc = { name: 'doc', type: DataType.JSON, nullable: true };
  const strict = { name: 'strict', type: DataType.JSON };
  const spec = { ...withFields(doc, strict), hasDynamicField: true };
  await withCollection(spec, async (client, named) => {
    const row = { vec: [0, 0], doc: '{"a":1}', strict: '{}', $meta: '{"b":1}' };
    await client.insert(named, [
      { ...row, id: 0n },
      { ...row, id: 1n, doc: '' },
      { ...row, id: 2n, doc: null },
      { ...row, id: 3n, $meta: '' },
      { ...row, id: 4n },
    ]);
    await client.upsert(named, [{ ...row, id: 5n, doc: '' }]);
    await update(client, { ...named, hasDynamicField: false }, [{ id: 4n, doc: '' }]);
    const found = await client.query('c', { filter: 'id >= 0' });
    const full = '{"a":1}';
    assert.deepEqual(found.map((each) => each['doc']), [full, null, null, full, null, null]);
    assert.equal(found[3]!['$meta'], '{}');
    assert.equal(await client.count('c', 'doc is null'), 4n);
    const words = isRefused('field strict is not nullable', '[row=1]');
    const rows = [{ ...row, id: 6n }, { ...row, id: 7n, strict: '' }];
    await assert.rejects(client.insert(named, rows), words);
    await assert.rejects(
      update(client, { ...named, hasDynamicField: false }, [{ id: 4n, strict: '' }]),
      isRefused('field strict is not nullable'),
    );
  });
});

test('an upsert names the keys of its rows, also where keys are drawn', async () => {
  for (const autoId of [false, true]) {
    const fields = [{ ...KEY, autoId }, VECTOR];
    await withCollection({ fields }, async (client, spec) => {
      const words = isRefused('must assign pk when upsert, primary field: id: invalid parameter');
      await assert.rejects(client.upsert(spec, [{ vec: [0, 0] }]), words);
      await assert.rejects(update(client, spec, [{ vec: [0, 0] }]), words);
      assert.equal(await client.count('c'), 0n);
    });
  }
});

test('a request larger than maxInsertSize is refused', async () => {
  const options = { limits: { maxInsertSize: 400 } };
  await withCollection({ ...withFields(), options }, async (client, spec) => {
    const rows = Array.from({ length: 40 }, (_unused, i) => ({ id: BigInt(i), vec: [0, 0] }));
    const isTooLarge =
      (verb: string) =>
      (error: unknown): boolean =>
        error instanceof MilvusReplyError &&
        error.code === 1102 &&
        error.message.includes(`[message=${verb} request size exceeds maxInsertSize]`);
    await assert.rejects(client.insert(spec, rows), isTooLarge('insert'));
    await assert.rejects(client.upsert(spec, rows), isTooLarge('upsert'));
    assert.equal(await client.count('c'), 0n);
    await client.insert(spec, rows.slice(0, 5));
  });
});
