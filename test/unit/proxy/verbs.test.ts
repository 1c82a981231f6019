// The proxy's verbs called with plain values, as another protocol than gRPC would: no message goes
// in, none comes out.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../../src/model/data-type.ts';
import { MilvusError } from '../../../src/model/error.ts';
import type { FieldDefinition } from '../../../src/roles/proxy/catalog/check-field.ts';
import { createCollection, hasCollection } from '../../../src/roles/proxy/catalog/collections.ts';
import { createDatabase } from '../../../src/roles/proxy/catalog/databases.ts';
import { createIndex } from '../../../src/roles/proxy/catalog/indexes.ts';
import { getLoadState, loadCollection } from '../../../src/roles/proxy/catalog/load.ts';
import { ANONYMOUS, type Proxy, type RequestContext } from '../../../src/roles/proxy/proxy.ts';
import { query } from '../../../src/roles/proxy/read/query.ts';
import { search, type SearchInput } from '../../../src/roles/proxy/read/search.ts';
import { deleteRows } from '../../../src/roles/proxy/write/delete.ts';
import { insert, upsert } from '../../../src/roles/proxy/write/insert.ts';
import { KeyReader } from '../../../src/segment/reduce.ts';
import { ClusterSandbox } from '../../support/cluster-sandbox.ts';
import { PlainRows, type PlainColumns } from '../../support/plain-rows.ts';
import { makeProxy, openCall } from '../../support/sandbox-proxy.ts';

const collectionName = 'c';

const makeField = (own: Partial<FieldDefinition>): FieldDefinition => ({
  name: '',
  description: '',
  dataType: DataType.Int64,
  elementType: 0,
  isPrimaryKey: false,
  autoId: false,
  isPartitionKey: false,
  isClusteringKey: false,
  isDynamic: false,
  nullable: false,
  typeParams: {},
  indexParams: {},
  defaultValue: undefined,
  ...own,
});
const FIELDS = [
  makeField({ name: 'id', isPrimaryKey: true }),
  makeField({ name: 'v', dataType: DataType.FloatVector, typeParams: { dim: '2' } }),
  makeField({ name: 'text', dataType: DataType.VarChar, typeParams: { max_length: '16' } }),
];

interface Client {
  readonly proxy: Proxy;
  /** Calls a verb. */
  readonly run: <Input, Result>(
    verb: (proxy: Proxy, input: Input, context: RequestContext) => Promise<Result>,
    input: Input,
    dbName?: string,
  ) => Promise<Result>;
}

async function withProxy(task: (client: Client) => Promise<void>): Promise<void> {
  const sandbox = await ClusterSandbox.open({});
  const proxy = makeProxy(sandbox);
  try {
    await task({
      proxy,
      run: async (verb, input, dbName = 'default') => {
        const { end, ...call } = openCall();
        try {
          return await verb(proxy, input, { ...call, dbName, principal: ANONYMOUS });
        } finally {
          end();
        }
      },
    });
    assert.deepEqual(sandbox.errors, []);
  } finally {
    await sandbox.close();
  }
}

const schema = {
  name: collectionName,
  description: '',
  fields: FIELDS,
  enableDynamicField: false,
  properties: {},
};

async function makeLoaded({ run }: Client, shardCount: number): Promise<void> {
  const definition = { schema, shardCount, partitionCount: 0, consistencyLevel: 0 };
  await run(createCollection, { ...definition, properties: {} });
  const params = { index_type: 'FLAT', metric_type: 'L2' };
  await run(createIndex, { collectionName, fieldName: 'v', indexName: '', params });
  const load = { replicaNumber: 0, loadFields: [], resourceGroups: [] };
  await run(loadCollection, { collectionName, ...load });
}

const makeRows = (ids: readonly number[]): PlainColumns => ({
  id: BigInt64Array.from(ids, BigInt),
  v: Float32Array.from(ids.flatMap((id) => [id, 0])),
  text: ids.map((id) => `row ${id}`),
});
const target = { partitionName: '', schemaTimestamp: 0n };
const all = { collectionName, partitionNames: [], guaranteeTimestamp: 0n, templates: new Map() };

function makeSearch(queries: readonly number[][]): SearchInput {
  const bytes = new Uint8Array(Float32Array.from(queries.flat()).buffer);
  const pairs = Uint32Array.from(queries.flatMap((_query, i) => [8 * i, 8]));
  return {
    ...all,
    filter: '',
    outputFields: ['text'],
    options: { anns_field: 'v', topk: '2' },
    vectors: { type: DataType.FloatVector, bytes, values: { count: queries.length, pairs } },
    ids: undefined,
  };
}

for (const shardCount of [1, 2]) {
  test(`rows are written, searched, read and deleted by plain values, ${shardCount} shards`, () =>
    withProxy(async (client) => {
      const { run } = client;
      await makeLoaded(client, shardCount);
      const ids = Array.from({ length: 10 }, (_unused, id) => id);
      const rows = new PlainRows(makeRows(ids), 10, 4);
      const written = await run(insert, { collectionName, ...target, rows });
      assert.equal(rows.slices, 3);
      assert.equal(written.insertCount, 10);
      const keys = written.keys.flatMap(({ values }) => Array.from<bigint | string>(values));
      assert.deepEqual(keys, ids.map(BigInt));

      const found = await run(search, makeSearch([[3.1, 0], [8, 0]]));
      const keyReader = new KeyReader(found.rows, found.primary);
      assert.deepEqual([...found.counts], [2, 2]);
      assert.deepEqual(ids.slice(0, 4).map((hit) => keyReader.at(hit)), [3n, 4n, 8n, 7n]);
      const text = found.rows.findColumn(found.selection.fieldIds[0]!)!;
      assert.equal(text.getString(0), 'row 3');

      const own = { partialUpdate: false, fieldOps: [] };
      const changed = new PlainRows({ ...makeRows([3]), text: ['changed'] }, 1);
      await run(upsert, { collectionName, ...target, ...own, rows: changed });
      const removed = await run(deleteRows, { ...all, partitionName: '', filter: 'id > 4' });
      assert.equal(removed.deleteCount, 5);
      const input = { ...all, filter: 'id >= 3', options: {} };
      const read = await run(query, { ...input, outputFields: ['text'] });
      const names = read.rows.findColumn(read.selection.outputs[0]!.field.fieldId)!;
      assert.deepEqual([names.getString(0), names.getString(1)], ['changed', 'row 4']);
      assert.equal(read.rows.rows, 2);
      const counted = await run(query, { ...input, filter: '', outputFields: ['count(*)'] });
      assert.equal(counted.count, 5n);
    }));
}

test('what does not fit is refused as it is in a message', () =>
  withProxy(async (client) => {
    const { run } = client;
    await makeLoaded(client, 1);
    const refuse = (text: string) => (error: unknown) =>
      error instanceof MilvusError && error.message.includes(text);
    const v = Float32Array.of(1, NaN);
    const rows = new PlainRows({ ...makeRows([1]), v }, 1);
    await assert.rejects(
      run(insert, { collectionName, ...target, rows }),
      refuse("value 'NaN' is not a number or infinity"),
    );
    const none = { ...makeSearch([[1, 1]]), vectors: undefined };
    await assert.rejects(run(search, none), refuse('invalid placeholder group'));
    const wide = makeSearch([[1, 1]]);
    const values = { count: 1, pairs: Uint32Array.of(0, 4) };
    await assert.rejects(
      run(search, { ...wide, vectors: { ...wide.vectors!, values } }),
      refuse('expected vector size(byte) 8, actual 4'),
    );
  }));

test('a verb looks names up in the database of its context', () =>
  withProxy(async (client) => {
    const { run } = client;
    await run(createDatabase, { name: 'other', properties: {} });
    await makeLoaded(client, 1);
    assert.equal(await run(hasCollection, { collectionName }), true);
    assert.equal(await run(hasCollection, { collectionName }, 'other'), false);
    assert.equal(await run(getLoadState, { collectionName, partitionNames: [] }), 'loaded');
    const elsewhere = await run(getLoadState, { collectionName, partitionNames: [] }, 'other');
    assert.equal(elsewhere, 'notExist');
  }));

test('the facts of a call are those of its rows', () =>
  withProxy(async (client) => {
    await makeLoaded(client, 1);
    const { end, ...call } = openCall();
    const context = { ...call, dbName: 'default', principal: ANONYMOUS };
    const rows = new PlainRows(makeRows([1, 2, 3]), 3);
    await insert(client.proxy, { collectionName, ...target, rows }, context);
    end();
    assert.equal(call.facts.units, 3);
    assert.equal(call.facts.collection?.schema.name, collectionName);
  }));
