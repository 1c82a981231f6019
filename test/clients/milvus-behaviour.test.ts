// What clients that know Milvus expect of a running server where nothing is refused: pages of
// hybrid searches, properties of databases, names and counts. What is refused is in bad-input.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import { MilvusClient, MilvusReplyError } from '../support/milvus-client.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';
import {
  int64Data,
  jsonData,
  makeAddField,
  makeCreate,
  makeField,
  makeKey,
  makeSearch,
  makeVector,
  makeWrite,
  toPairs,
  vectorData,
  type Field,
  type Plain,
} from './bad-input/bad-request.ts';

const KEY = makeKey();
const VEC = makeVector('vec', 2);
const SMALL: readonly Field[] = [KEY, VEC];

let client: MilvusClient;
let address: string;
let server: ServerProcess;
let directory: Awaited<ReturnType<typeof makeTempDirectory>>;

before(async () => {
  directory = await makeTempDirectory('milvus-behaviour');
  const started = await ServerProcess.start({ dataPath: directory.path });
  ({ server } = started);
  address = started.address.grpc;
  client = new MilvusClient(address);
});

after(async () => {
  client?.close();
  await server?.stop();
  await directory?.remove();
});

async function expectRefusal(call: Promise<unknown>, code: number, text: string): Promise<void> {
  await assert.rejects(call, (error) => {
    assert.ok(error instanceof MilvusReplyError, String(error));
    assert.equal(error.code, code, error.message);
    assert.ok(error.message.includes(text), error.message);
    return true;
  });
}

/** Rows 0..count-1 with the vectors [i, 0]; indexed and loaded. */
async function makeLine(name: string, count: number, index: Plain): Promise<void> {
  await client.call('CreateCollection', makeCreate(SMALL, {}, name));
  const keys = Array.from({ length: count }, (_unused, i) => i);
  const columns = { id: int64Data(keys), vec: vectorData(2, keys.flatMap((i) => [i, 0])) };
  await client.call('Insert', makeWrite(name, columns, { num_rows: count }));
  await client.createIndex(name, 'vec', { ...index } as Record<string, string>);
  await client.load(name);
}

interface Part {
  readonly at: number;
  readonly params?: Plain;
}

/** A hybrid search as SDKs send it: the offset of the whole is in every part too. */
async function hybridKeys(name: string, parts: readonly Part[], rank: Plain): Promise<number[]> {
  const offset = (rank['offset'] as string | undefined) ?? '0';
  const requests = parts.map(({ at, params }) =>
    makeSearch({ collection: name, vectors: [[at, 0]], params: { topk: '4', offset, ...params } }),
  );
  const rank_params = toPairs({ strategy: 'rrf', params: {}, limit: '4', ...rank });
  const request = { collection_name: name, requests, rank_params };
  const { results } = (await client.call('HybridSearch', request)) as {
    results: { ids: { int_id?: { data: string[] } } | null };
  };
  return (results.ids?.int_id?.data ?? []).map(Number);
}

test('pages of a hybrid search go on where the one before ended', async () => {
  await makeLine('pages', 8, { index_type: 'FLAT', metric_type: 'L2' });
  const parts = [{ at: 0 }, { at: 5 }];
  assert.deepEqual(await hybridKeys('pages', parts, {}), [3, 0, 5, 1]);
  assert.deepEqual(await hybridKeys('pages', parts, { offset: '4' }), [4, 2, 6]);
  assert.deepEqual(await hybridKeys('pages', parts, { offset: '8' }), []);
  const whole = await hybridKeys('pages', parts, { limit: '8' });
  assert.deepEqual(whole, [3, 0, 5, 1, 4, 2, 6]);
});

test('a part without an offset takes part in a page, and one without topk fills it', async () => {
  const parts = [{ at: 0, params: { offset: undefined } }, { at: 5, params: { offset: '0' } }];
  assert.deepEqual(await hybridKeys('pages', parts, { offset: '4' }), [4, 2, 6]);
  const open = [{ at: 0, params: { topk: undefined } }];
  assert.deepEqual(await hybridKeys('pages', open, { limit: '3', offset: '4' }), [4, 5, 6]);
});

test('the offset of a hybrid search asks for no larger ef of its parts', async () => {
  await makeLine('graph', 40, { index_type: 'HNSW', metric_type: 'L2' });
  const params = { topk: '20', params: { ef: 20 } };
  const parts = [{ at: 0, params }, { at: 9, params }];
  assert.deepEqual(await hybridKeys('graph', parts, { offset: '500' }), []);
  assert.equal((await hybridKeys('graph', parts, { offset: '10' })).length, 4);
});

test('a client that connects with a database that is not there is told so', async () => {
  const lost = new MilvusClient(address, 'nowhere');
  try {
    await expectRefusal(lost.call('Connect', {}), 800, 'database not found[database=nowhere]');
    await client.call('CreateDatabase', { db_name: 'nowhere' });
    assert.notEqual((await lost.call('Connect', {}))['identifier'], '0');
    await client.call('DropDatabase', { db_name: 'nowhere' });
  } finally {
    lost.close();
  }
  await client.call('Connect', {});
});

test('a database has as many collections as its property says', async () => {
  const db_name = 'narrow';
  const limit = { 'database.max.collections': '1' };
  await client.call('CreateDatabase', { db_name, properties: toPairs(limit) });
  const create = (name: string): Promise<Plain> =>
    client.call('CreateCollection', makeCreate(SMALL, { db_name }, name));
  await create('first');
  await create('first'); // The same again is no second one.
  const told = 'database.max.collections=1, exceeded the limit number of collections';
  await expectRefusal(create('second'), 102, told);
  const properties = toPairs({ 'database.max.collections': '2' });
  await client.call('AlterDatabase', { db_name, properties });
  await create('second');
  await expectRefusal(create('third'), 102, 'database.max.collections=2');
  await client.call('AlterDatabase', { db_name, delete_keys: ['database.max.collections'] });
  await create('third');
});

test('what a database forbids is refused there, and nowhere else', async () => {
  const db_name = 'closed';
  await client.call('CreateDatabase', { db_name });
  await client.call('CreateCollection', makeCreate(SMALL, { db_name }, 'kept'));
  const target = { db_name, collection_name: 'kept' };
  const columns = { id: int64Data([1, 2]), vec: vectorData(2, [1, 0, 2, 0]) };
  const write = { ...makeWrite('kept', columns), db_name };
  const flat = toPairs({ index_type: 'FLAT', metric_type: 'L2' });
  const index = { ...target, field_name: 'vec', extra_params: flat };
  await client.call('Insert', write);
  await client.call('CreateIndex', index);
  await client.call('LoadCollection', target);
  const count = { ...target, output_fields: ['count(*)'] };
  const calls: readonly [property: string, method: string, request: Plain][] = [
    ['writing', 'Insert', write],
    ['writing', 'Upsert', write],
    ['writing', 'Delete', { ...target, expr: 'id == 1' }],
    ['reading', 'Query', count],
    ['reading', 'Search', { ...makeSearch({ collection: 'kept', vectors: [[1, 0]] }), db_name }],
    ['collectionDDL', 'CreateCollection', makeCreate(SMALL, { db_name }, 'more')],
    ['ddl', 'DropCollection', target],
    ['partitionDDL', 'CreatePartition', { ...target, partition_name: 'p' }],
    ['index', 'CreateIndex', index],
    ['flush', 'Flush', { db_name, collection_names: ['kept'] }],
    ['compaction', 'ManualCompaction', target],
    ['ddl', 'Flush', { db_name, collection_names: ['kept'] }],
  ];
  for (const [name, method, request] of calls) {
    const key = `database.force.deny.${name}`;
    await client.call('AlterDatabase', { db_name, properties: toPairs({ [key]: 'true' }) });
    await expectRefusal(client.call(method, { ...request }), 9, 'disabled by the administrator');
    if (name !== 'reading') await client.call('Query', count);
    if (name !== 'writing') await client.call('Upsert', write);
    await client.call('ShowCollections', { db_name });
    await client.call('AlterDatabase', { db_name, delete_keys: [key] });
  }
  for (const [, method, request] of calls.slice(0, 5)) await client.call(method, { ...request });
});

test('a database and a collection say how many replicas a load takes', async () => {
  const db_name = 'replicated';
  const key = 'database.replica.number';
  await client.call('CreateDatabase', { db_name, properties: toPairs({ [key]: '2' }) });
  await client.call('CreateCollection', makeCreate(SMALL, { db_name }, 'twice'));
  const target = { db_name, collection_name: 'twice' };
  const extra_params = toPairs({ index_type: 'FLAT', metric_type: 'L2' });
  await client.call('CreateIndex', { ...target, field_name: 'vec', extra_params });
  const told = 'when load 2 replica count';
  await expectRefusal(client.call('LoadCollection', target), 65535, told);
  const properties = toPairs({ 'collection.replica.number': '1' });
  await client.call('AlterCollection', { ...target, properties });
  const elsewhere = { ...target, resource_groups: ['gpu'] };
  await expectRefusal(client.call('LoadCollection', elsewhere), 300, 'resource group not found');
  await client.call('LoadCollection', target);
});

test('a property that nobody knows is kept and given back', async () => {
  await client.call('CreateCollection', makeCreate(SMALL, {}, 'noted'));
  const properties = toPairs({ 'my.note': 'x', timezone: 'Europe/Berlin' });
  await client.call('AlterCollection', { collection_name: 'noted', properties });
  const shown = await client.call('DescribeCollection', { collection_name: 'noted' });
  assert.deepEqual(shown['properties'], properties.reverse());
});

test('an index that is asked for again without a name is the one that is there', async () => {
  await client.call('CreateCollection', makeCreate([...SMALL, makeField('n', 5)], {}, 'named'));
  const ask = (field_name: string, params: Plain, index_name = ''): Promise<Plain> =>
    client.call('CreateIndex', {
      collection_name: 'named',
      field_name,
      index_name,
      extra_params: toPairs(params),
    });
  const hnsw = { index_type: 'HNSW', metric_type: 'L2', params: { M: 16 } };
  await ask('vec', hnsw, 'mine');
  await ask('vec', hnsw);
  await ask('vec', hnsw, 'mine');
  const other = { ...hnsw, metric_type: 'IP' };
  await expectRefusal(ask('vec', other), 1100, 'at most one distinct index is allowed per field');
  await expectRefusal(ask('vec', hnsw, 'other'), 1100, 'multiple indexes on same field');
  const properties = toPairs({ 'mmap.enabled': 'true' });
  const mine = { collection_name: 'named', index_name: 'mine' };
  await client.call('AlterIndex', { ...mine, extra_params: properties });
  await ask('vec', hnsw);
  await ask('n', {});
  await ask('n', {});
  const { index_descriptions: indexes } = await client.call('DescribeIndex', {
    collection_name: 'named',
  });
  const names = (indexes as { index_name: string }[]).map((index) => index.index_name);
  assert.deepEqual(names.sort(), ['mine', 'n']);
});

async function describeParams(name: string, field: string): Promise<Plain> {
  const request = { collection_name: name, index_name: field };
  const { index_descriptions: indexes } = await client.call('DescribeIndex', request);
  const [{ params }] = indexes as [{ params: { key: string; value: string }[] }];
  return Object.fromEntries(params.map(({ key, value }) => [key, value]));
}

test('a scalar AUTOINDEX gives back the metric that it was asked with', async () => {
  const fields = [...SMALL, makeField('a', 5), makeField('b', 5), makeField('c', 5)];
  await client.call('CreateCollection', makeCreate(fields, {}, 'scalars'));
  await client.createIndex('scalars', 'a', { index_type: 'AUTOINDEX', metric_type: 'L2' });
  await client.createIndex('scalars', 'b', { index_type: 'AUTOINDEX' });
  await client.createIndex('scalars', 'c', { index_type: 'INVERTED', metric_type: 'L2' });
  assert.deepEqual(await describeParams('scalars', 'a'), {
    index_type: 'AUTOINDEX',
    metric_type: 'L2',
  });
  assert.deepEqual(await describeParams('scalars', 'b'), { index_type: 'AUTOINDEX' });
  assert.deepEqual(await describeParams('scalars', 'c'), { index_type: 'INVERTED' });
});

test('an index parameter that is null has its default', async () => {
  await client.call('CreateCollection', makeCreate(SMALL, {}, 'nulls'));
  const params = '{"M": null, "efConstruction": 100, "refine": null}';
  await client.createIndex('nulls', 'vec', { index_type: 'HNSW_SQ', metric_type: 'L2', params });
  await client.call('CreateCollection', makeCreate(SMALL, {}, 'auto'));
  const auto = { index_type: 'AUTOINDEX', params: '{"M": null}' };
  await client.createIndex('auto', 'vec', auto);
});

test('dropping a collection that is not there succeeds, whatever its name', async () => {
  for (const collection_name of ['nope', '1st', 'a b', '']) {
    await client.call('DropCollection', { collection_name });
  }
  await client.call('DropCollection', { db_name: 'gone', collection_name: 'nope' });
});

test('no number of shards, and one below zero, mean one', async () => {
  for (const shards_num of [0, -1]) {
    const name = `shards${shards_num + 1}`;
    await client.call('CreateCollection', makeCreate(SMALL, { shards_num }, name));
    const shown = await client.call('DescribeCollection', { collection_name: name });
    assert.equal(shown['shards_num'], 1);
  }
});

test('the dynamic field does not count towards the fields of a schema', async () => {
  const scalars = Array.from({ length: 61 }, (_unused, i) => makeField(`f${i}`, DataType.Int8));
  const more = { schema: { enable_dynamic_field: true } };
  await client.call('CreateCollection', makeCreate([...SMALL, ...scalars], more, 'wide'));
  const add = (name: string): Promise<Plain> =>
    client.call(
      'AddCollectionField',
      makeAddField(makeField(name, DataType.Int8, { nullable: true }), 'wide'),
    );
  await add('f61');
  await expectRefusal(add('f62'), 1100, 'The number of fields has reached the maximum value 64');
});

test('the key field alone says whether keys are drawn', async () => {
  const more = { schema: { autoID: true } };
  await client.call('CreateCollection', makeCreate(SMALL, more, 'given'));
  await client.call('CreateCollection', makeCreate([makeKey({ autoID: true }), VEC], {}, 'drawn'));
  for (const [name, autoID] of [['given', false], ['drawn', true]] as const) {
    const { schema } = await client.call('DescribeCollection', { collection_name: name });
    assert.equal((schema as { autoID: boolean }).autoID, autoID);
  }
  const columns = { id: int64Data([7, 8]), vec: vectorData(2, [1, 0, 2, 0]) };
  const { IDs: ids } = await client.call('Insert', makeWrite('given', columns));
  assert.deepEqual((ids as { int_id: { data: string[] } }).int_id.data, ['7', '8']);
});

test('keys are taken for drawn ones where the property says so in any letters', async () => {
  const fields = [makeKey({ autoID: true }), VEC];
  const properties = toPairs({ allow_insert_auto_id: 'True' });
  await client.call('CreateCollection', makeCreate(fields, { properties }, 'allowed'));
  const columns = { id: int64Data([7, 8]), vec: vectorData(2, [1, 0, 2, 0]) };
  await client.call('Insert', makeWrite('allowed', columns));
});

test('segments for queries are the written ones of what is loaded', async () => {
  await makeLine('segments', 20, { index_type: 'FLAT', metric_type: 'L2' });
  const list = async (): Promise<string[]> => {
    const reply = await client.call('GetQuerySegmentInfo', { collectionName: 'segments' });
    return (reply['infos'] as { num_rows: string }[]).map((info) => info.num_rows);
  };
  assert.deepEqual(await list(), []);
  const { isWritten } = await client.flush('segments');
  const deadline = Date.now() + 30_000;
  while (!(await isWritten())) assert.ok(Date.now() < deadline);
  assert.deepEqual(await list(), ['20']);
  await client.release('segments');
  assert.deepEqual(await list(), []);
});

test('max_length does not fall below the length of a default', async () => {
  const type_params = toPairs({ max_length: '8' });
  const text = { name: 's', data_type: DataType.VarChar, type_params };
  const fields = [...SMALL, { ...text, default_value: { string_data: 'abcdef' } }];
  await client.call('CreateCollection', makeCreate(fields, {}, 'shrunk'));
  const alter = (max_length: string): Promise<Plain> =>
    client.call('AlterCollectionField', {
      collection_name: 'shrunk',
      field_name: 's',
      properties: toPairs({ max_length }),
    });
  await expectRefusal(alter('5'), 1100, 'the length (6) of string exceeds max length (5)');
  await alter('6');
});

test('the root of a JSON field is filtered like what is at a path', async () => {
  const fields = [...SMALL, makeField('j', DataType.JSON)];
  await client.call('CreateCollection', makeCreate(fields, {}, 'roots'));
  const texts = ['1', '2', '2.5', '"abc"', '"abd"', '[2]', 'true', '{"a": 2}'];
  const keys = texts.map((_text, i) => i);
  const columns = {
    id: int64Data(keys),
    vec: vectorData(2, keys.flatMap(() => [0, 0])),
    j: jsonData(texts),
  };
  await client.call('Insert', makeWrite('roots', columns, { num_rows: texts.length }));
  await client.createIndex('roots', 'vec', { index_type: 'FLAT', metric_type: 'L2' });
  await client.load('roots');
  const find = async (filter: string): Promise<number[]> => {
    const rows = await client.query('roots', { filter, outputFields: ['id'] });
    return rows.map((row) => Number(row['id'])).sort((a, b) => a - b);
  };
  const expected: Readonly<Record<string, number[]>> = {
    'j == 2': [1],
    'j in [1, 2.5, "abc"]': [0, 2, 3],
    '1 < j < 3': [1, 2],
    'j + 1 == 3': [1],
    'j % 2 == 0': [1],
    'j like "ab%"': [3, 4],
    'j =~ "^a.d$"': [4],
    'json_contains(j, 2)': [5],
    'j["a"] == 2': [7],
  };
  for (const [filter, ids] of Object.entries(expected)) {
    assert.deepEqual(await find(filter), ids, filter);
  }
  const { isWritten } = await client.flush('roots');
  const deadline = Date.now() + 30_000;
  while (!(await isWritten())) assert.ok(Date.now() < deadline);
  for (const [filter, ids] of Object.entries(expected)) {
    assert.deepEqual(await find(filter), ids, `${filter}, sealed`);
  }
});
