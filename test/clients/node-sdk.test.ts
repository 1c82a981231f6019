// The Node SDK of Milvus, unchanged, against a server process: the life of a collection, and
// int64 values that a JavaScript number cannot hold.

import assert from 'node:assert/strict';
import { after, before, describe, test } from 'node:test';
import { DataType, MilvusClient } from '@zilliz/milvus2-sdk-node';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';

const DIM = 4;
const ROWS = 40;
/** 2^53 + 1: a double rounds it. */
const EXACT = '9007199254740993';

function makeVector(i: number): number[] {
  return Array.from({ length: DIM }, (_unused, j) => (((i * 37 + j * 101) % 1000) - 500) / 512);
}

interface Status {
  readonly error_code: unknown;
  readonly code?: number;
  readonly reason?: string;
}

function assertOk(reply: Status | { status: Status }): void {
  const status = 'status' in reply ? reply.status : reply;
  assert.equal(status.error_code, 'Success', status.reason);
}

describe('the Node SDK', () => {
  let directory: Awaited<ReturnType<typeof makeTempDirectory>>;
  let server: ServerProcess;
  let client: MilvusClient;

  before(async () => {
    directory = await makeTempDirectory('node-sdk');
    const started = await ServerProcess.start({ dataPath: directory.path });
    server = started.server;
    client = new MilvusClient({ address: started.address.grpc });
    await client.connectPromise;
  });

  after(async () => {
    await client.closeConnection();
    await server.kill();
    await directory.remove();
  });

  const createThings = async (name: string): Promise<void> => {
    assertOk(
      await client.createCollection({
        collection_name: name,
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true, autoID: false },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
          { name: 'text', data_type: DataType.VarChar, max_length: 64 },
          { name: 'big', data_type: DataType.Int64 },
          { name: 'doc', data_type: DataType.JSON },
          {
            name: 'tags',
            data_type: DataType.Array,
            element_type: DataType.Int64,
            max_capacity: 4,
          },
        ],
        enable_dynamic_field: true,
        index_params: [{ field_name: 'vector', index_type: 'HNSW', metric_type: 'L2' }],
      } as Parameters<MilvusClient['createCollection']>[0]),
    );
    assertOk(await client.loadCollectionSync({ collection_name: name }));
  };

  const makeRow = (i: number): Record<string, unknown> => ({
    id: i,
    vector: makeVector(i),
    text: `t${i}`,
    big: i,
    doc: { n: i, nested: { list: [i] } },
    tags: [i, i + 1],
    colour: i % 2 === 0 ? 'red' : 'blue',
  });

  const fill = async (name: string): Promise<void> => {
    await createThings(name);
    const data = Array.from({ length: ROWS }, (_unused, i) => makeRow(i));
    const inserted = await client.insert({ collection_name: name, data: data as never });
    assertOk(inserted);
    assert.equal(String(inserted.insert_cnt), String(ROWS));
  };

  const queryRows = async (
    name: string,
    filter: string,
    fields: string[],
  ): Promise<Record<string, unknown>[]> => {
    const reply = await client.query({ collection_name: name, filter, output_fields: fields });
    assertOk(reply);
    return reply.data;
  };

  test('tells that the server is healthy and which version it has', async () => {
    assert.equal((await client.checkHealth()).isHealthy, true);
    assert.match((await client.getVersion()).version, /^v?\d+\.\d+/);
  });

  test('creates, describes, lists and drops a collection', async () => {
    await createThings('described');
    const about = await client.describeCollection({ collection_name: 'described' });
    assertOk(about);
    assert.deepEqual(
      about.schema.fields.map((field) => field.name),
      ['id', 'vector', 'text', 'big', 'doc', 'tags'],
    );
    const index = await client.describeIndex({ collection_name: 'described' });
    assert.equal(index.index_descriptions[0]?.field_name, 'vector');
    assert.equal((await client.hasCollection({ collection_name: 'described' })).value, true);
    assertOk(await client.dropCollection({ collection_name: 'described' }));
    assert.equal((await client.hasCollection({ collection_name: 'described' })).value, false);
  });

  test('inserts and queries rows of every kind of field', async () => {
    await fill('queried');
    const fields = ['id', 'text', 'big', 'doc', 'tags', 'colour', 'vector'];
    const [row] = await queryRows('queried', 'id == 7', fields);
    assert.equal(String(row?.['id']), '7');
    assert.equal(row?.['text'], 't7');
    assert.deepEqual(row?.['doc'], { n: 7, nested: { list: [7] } });
    assert.deepEqual((row?.['tags'] as unknown[]).map(String), ['7', '8']);
    // This SDK hands out dynamic keys as they come, under the name of their field.
    assert.deepEqual(row?.['$meta'], { colour: 'blue' });
    assert.deepEqual(row?.['vector'], makeVector(7));
    const counted = await client.count({ collection_name: 'queried', expr: "colour == 'red'" });
    assert.equal(Number(counted.data), ROWS / 2);
  });

  test('searches with filter, output and several queries', async () => {
    await fill('searched');
    const found = await client.search({
      collection_name: 'searched',
      data: makeVector(7),
      limit: 3,
      filter: "colour == 'blue'",
      output_fields: ['id', 'text', 'colour'],
    });
    assertOk(found);
    assert.equal(found.results[0]?.id, '7');
    assert.equal(found.results[0]?.score, 0);
    assert.equal(found.results[0]?.['text'], 't7');
    assert.ok(found.results.every((hit) => hit['colour'] === 'blue'));
    const many = await client.search({
      collection_name: 'searched',
      data: [makeVector(1), makeVector(2)],
      limit: 1,
    });
    const hits = many.results as unknown as { id: string }[][];
    assert.deepEqual(
      hits.map((each) => each[0]?.id),
      ['1', '2'],
    );
  });

  test('upserts and deletes', async () => {
    await fill('changed');
    const data = [{ ...makeRow(3), text: 'new' }];
    assertOk(await client.upsert({ collection_name: 'changed', data: data as never }));
    assert.equal((await queryRows('changed', 'id == 3', ['text']))[0]?.['text'], 'new');
    assertOk(await client.delete({ collection_name: 'changed', ids: [3, 4] }));
    assertOk(await client.delete({ collection_name: 'changed', filter: "text == 't5'" }));
    assert.deepEqual(await queryRows('changed', 'id in [3, 4, 5]', ['text']), []);
    const counted = await client.count({ collection_name: 'changed' });
    assert.equal(Number(counted.data), ROWS - 3);
  });

  test('keeps int64 values exact in keys, columns and arrays', async () => {
    await createThings('exact');
    const row = { ...makeRow(1), id: EXACT, big: `-${EXACT}`, tags: [EXACT] };
    const inserted = await client.insert({ collection_name: 'exact', data: [row] as never });
    assertOk(inserted);
    assert.deepEqual((inserted.IDs as unknown as { int_id: { data: string[] } }).int_id.data, [
      EXACT,
    ]);
    const [found] = await queryRows('exact', `id == ${EXACT}`, ['id', 'big', 'tags']);
    assert.equal(found?.['id'], EXACT);
    assert.equal(found?.['big'], `-${EXACT}`);
    assert.deepEqual(found?.['tags'], [EXACT]);
    assert.deepEqual(await queryRows('exact', 'id == 9007199254740992', ['id']), []);
    const hits = await client.search({ collection_name: 'exact', data: makeVector(1), limit: 1 });
    assert.equal(hits.results[0]?.id, EXACT);
    assertOk(await client.delete({ collection_name: 'exact', ids: [EXACT] }));
    assert.deepEqual(await queryRows('exact', `id == ${EXACT}`, ['id']), []);
  });

  test('writes nulls of every kind of field', async () => {
    const nullable = [
      ['flag', DataType.Bool, true],
      ['i8', DataType.Int8, 8],
      ['i16', DataType.Int16, 16],
      ['i32', DataType.Int32, 32],
      ['i64', DataType.Int64, '64'],
      ['f32', DataType.Float, 0.5],
      ['f64', DataType.Double, 0.25],
      ['text', DataType.VarChar, 'text'],
      ['doc', DataType.JSON, { a: 1 }],
      ['tags', DataType.Array, ['1']],
      ['words', DataType.Array, ['a', 'b']],
    ] as const;
    const names = nullable.map(([name]) => name);
    const fields = nullable.map(([name, data_type]) => ({
      name,
      data_type,
      nullable: true,
      max_length: 16,
      ...(data_type === DataType.Array
        ? { element_type: name === 'tags' ? DataType.Int64 : DataType.VarChar, max_capacity: 4 }
        : {}),
    }));
    assertOk(
      await client.createCollection({
        collection_name: 'nulls',
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { name: 'vector', data_type: DataType.FloatVector, dim: DIM },
          { name: 'standard', data_type: DataType.Int64, default_value: 5 },
          ...fields,
        ],
        enable_dynamic_field: true,
        index_params: [{ field_name: 'vector', index_type: 'FLAT', metric_type: 'L2' }],
      } as Parameters<MilvusClient['createCollection']>[0]),
    );
    assertOk(await client.loadCollectionSync({ collection_name: 'nulls' }));
    const full = Object.fromEntries(nullable.map(([name, , value]) => [name, value]));
    const none = Object.fromEntries(names.map((name) => [name, null]));
    const vector = makeVector(1);
    const data = [
      { id: 0, vector, ...full, standard: 1, key: 'k' },
      { id: 1, vector, ...none, standard: null, key: null },
      { id: 2, vector, ...full, standard: 2 },
      { id: 3, vector, ...none },
    ];
    assertOk(await client.insert({ collection_name: 'nulls', data: data as never }));
    // All null, none null, and the fields left out altogether.
    for (const rows of [data.slice(1, 2), data.slice(0, 1), [{ id: 4, vector }]]) {
      assertOk(await client.upsert({ collection_name: 'nulls', data: rows as never }));
    }
    const updates = [{ id: 2, ...none, standard: null }];
    const partial = { collection_name: 'nulls', data: updates as never, partial_update: true };
    assertOk(await client.upsert(partial));
    const found = await queryRows('nulls', 'id >= 0', ['id', 'standard', ...names]);
    const pick = (row: Record<string, unknown>): unknown[] => names.map((name) => row[name]);
    assert.deepEqual(pick(found[0]!), pick(full));
    for (const row of found.slice(1)) assert.deepEqual(pick(row), pick(none));
    assert.deepEqual(found.map((row) => String(row['standard'])), ['1', '5', '5', '5', '5']);
    for (const name of names) {
      assert.equal((await queryRows('nulls', `${name} is null`, ['id'])).length, 4, name);
    }
  });

  test('flushes, releases and loads without losing a row', async () => {
    await fill('flushed');
    assertOk(await client.flushSync({ collection_names: ['flushed'] }));
    const statistics = await client.getCollectionStatistics({ collection_name: 'flushed' });
    assert.equal(Number(statistics.data['row_count']), ROWS);
    assertOk(await client.releaseCollection({ collection_name: 'flushed' }));
    assertOk(await client.loadCollectionSync({ collection_name: 'flushed' }));
    const counted = await client.count({ collection_name: 'flushed' });
    assert.equal(Number(counted.data), ROWS);
  });

  test('gets an error with code and words for a collection that is not there', async () => {
    const { status } = await client.query({ collection_name: 'nowhere', filter: 'id > 0' }).then(
      (reply) => reply,
      (error: Error) => ({ status: { error_code: 'thrown', code: 100, reason: error.message } }),
    );
    assert.match(status.reason ?? '', /find|not found|nowhere/);
  });
});
