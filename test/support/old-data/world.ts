// What a data directory of an older commit holds, and the questions put to it. Everything is made
// from row numbers, so that answers are the same whenever it is written and read. The questions
// have exact answers: no index's recall is among them.

import { DataType } from '../../../src/model/data-type.ts';
import type { CollectionSpec, MilvusClient, Row, Value } from '../milvus-client.ts';
import { waitFor } from '../wait-for.ts';

const DIM = 4;
/** Enough for segments of both shards with index files of their own. */
const SEALED_ROWS = 2600;
const GROWING_ROWS = 40;

const NULLABLES = [
  { name: 'maybe_text', type: DataType.VarChar, maxLength: 64, nullable: true },
  { name: 'maybe_int', type: DataType.Int32, nullable: true },
  { name: 'maybe_json', type: DataType.JSON, nullable: true },
  {
    ...{ name: 'maybe_list', type: DataType.Array, elementType: DataType.VarChar },
    ...{ maxCapacity: 8, maxLength: 32, nullable: true },
  },
] as const;

const TYPES: CollectionSpec = {
  name: 'types',
  shards: 2,
  hasDynamicField: true,
  fields: [
    { name: 'id', type: DataType.Int64, isPrimaryKey: true },
    { name: 'flag', type: DataType.Bool },
    { name: 'tiny', type: DataType.Int8 },
    { name: 'short', type: DataType.Int16 },
    { name: 'int', type: DataType.Int32 },
    { name: 'long', type: DataType.Int64 },
    { name: 'single', type: DataType.Float },
    { name: 'double', type: DataType.Double },
    { name: 'text', type: DataType.VarChar, maxLength: 256 },
    { name: 'doc', type: DataType.JSON },
    {
      ...{ name: 'longs', type: DataType.Array, elementType: DataType.Int64 },
      ...{ maxCapacity: 8 },
    },
    ...NULLABLES,
    { name: 'graph', type: DataType.FloatVector, dim: DIM },
    { name: 'lists', type: DataType.FloatVector, dim: DIM },
  ],
};

const KEYED: CollectionSpec = {
  name: 'keyed',
  partitions: 4,
  fields: [
    { name: 'name', type: DataType.VarChar, maxLength: 64, isPrimaryKey: true },
    { name: 'tenant', type: DataType.VarChar, maxLength: 64, isPartitionKey: true },
    { name: 'vector', type: DataType.FloatVector, dim: DIM },
  ],
};

const PARTED: CollectionSpec = {
  name: 'parted',
  fields: [
    { name: 'id', type: DataType.Int64, isPrimaryKey: true },
    { name: 'vector', type: DataType.FloatVector, dim: DIM },
  ],
};

/** Dropped by half when the server died. */
export const HALF_DROPPED: CollectionSpec = { ...PARTED, name: 'half_dropped' };

const vectorOf = (row: number): number[] => [row % 97, (row * 7) % 89, (row * 31) % 83, row / 16];

function typesRow(row: number, version = 0): Row {
  const isNull = row % 3 === 0;
  return {
    id: BigInt(row),
    flag: row % 2 === 0,
    tiny: (row % 256) - 128,
    short: row * 13 - 7000,
    int: row * 1001 - 500_000,
    long: BigInt(row) * 9_007_199_254_740_993n,
    single: row / 8,
    double: row / 7,
    text: `text ${row % 10} ä€😀 ${row} v${version}`,
    doc: JSON.stringify({ n: row, s: `s${row % 5}`, list: [row, null, 'x'], deep: { k: row / 3 } }),
    longs: Array.from({ length: row % 5 }, (_unused, i) => BigInt(row * 10 + i)),
    maybe_text: isNull ? null : `maybe ${row}`,
    maybe_int: isNull ? null : row,
    maybe_json: isNull ? null : JSON.stringify({ v: row }),
    maybe_list: isNull ? null : ([`a${row}`, `b${row % 4}`] as unknown as Value),
    graph: vectorOf(row),
    lists: vectorOf(row + 5),
    $meta: JSON.stringify({ color: row % 2 === 0 ? 'red' : 'blue', rank: row }),
  };
}

const keyedRow = (row: number): Row => ({
  name: `name-${row}`,
  tenant: `tenant ${row % 6}`,
  vector: vectorOf(row),
});
const partedRow = (row: number): Row => ({ id: BigInt(row), vector: vectorOf(row) });

function rows<T>(from: number, to: number, make: (row: number) => T): T[] {
  return Array.from({ length: to - from }, (_unused, i) => make(from + i));
}

async function flushWhole(client: MilvusClient, collection: string): Promise<void> {
  const { isWritten } = await client.flush(collection);
  await waitFor(isWritten);
}

async function isIndexed(client: MilvusClient, collection: string): Promise<boolean> {
  const reply = await client.call('DescribeIndex', { collection_name: collection });
  const indexes = reply['index_descriptions'] as { state: number | string }[];
  return indexes.every(({ state }) => state === 3 || state === 'Finished');
}

async function makeIndexes(client: MilvusClient): Promise<void> {
  const hnsw = { index_type: 'HNSW', metric_type: 'COSINE', params: '{"M":8}' };
  await client.createIndex(TYPES.name, 'graph', hnsw);
  const ivf = { index_type: 'IVF_FLAT', metric_type: 'L2', params: '{"nlist":16}' };
  await client.createIndex(TYPES.name, 'lists', ivf);
  await client.createIndex(TYPES.name, 'text', { index_type: 'INVERTED' });
  await client.createIndex(TYPES.name, 'long', { index_type: 'STL_SORT' });
  await client.createIndex(TYPES.name, 'longs', { index_type: 'INVERTED' });
  const json = { index_type: 'INVERTED', json_path: 'doc["n"]', json_cast_type: 'double' };
  await client.createIndex(TYPES.name, 'doc', json);
  for (const { name } of [KEYED, PARTED, HALF_DROPPED]) {
    await client.createIndex(name, 'vector', { index_type: 'FLAT', metric_type: 'L2' });
  }
}

/** Fills an empty server. What is killed afterwards has files, a log with a tail, and deletes. */
export async function fillOldData(client: MilvusClient): Promise<void> {
  for (const spec of [TYPES, KEYED, PARTED, HALF_DROPPED]) await client.createCollection(spec);
  await makeIndexes(client);
  for (const { name } of [TYPES, KEYED, PARTED]) await client.load(name);
  await client.createPartition(PARTED.name, 'kept');
  await client.createPartition(PARTED.name, 'going');
  await client.call('CreateAlias', { collection_name: TYPES.name, alias: 'types_alias' });
  await client.call('CreateDatabase', { db_name: 'second' });

  await client.insert(TYPES, rows(0, SEALED_ROWS, typesRow));
  await client.insert(KEYED, rows(0, 300, keyedRow));
  await client.insert(PARTED, rows(0, 50, partedRow));
  await client.insert(PARTED, rows(50, 90, partedRow), 'kept');
  await client.insert(PARTED, rows(90, 120, partedRow), 'going');
  await client.insert(HALF_DROPPED, rows(0, 30, partedRow));
  for (const { name } of [TYPES, KEYED, PARTED, HALF_DROPPED]) await flushWhole(client, name);
  await waitFor(() => isIndexed(client, TYPES.name));

  // Deletes of sealed rows: by key, by filter, by upsert. The next flush puts them in a file.
  await client.delete(TYPES.name, 'id in [3, 4, 5, 2100]');
  await client.delete(TYPES.name, 'int >= 1900000 and flag == true');
  await client.upsert(TYPES, rows(20, 30, (row) => typesRow(row, 1)));
  await client.delete(KEYED.name, 'tenant == "tenant 2"');
  await client.insert(TYPES, rows(SEALED_ROWS, SEALED_ROWS + GROWING_ROWS, typesRow));
  await flushWhole(client, TYPES.name);
  await flushWhole(client, KEYED.name);

  await addField(client);
  // The log's tail: inserts, an upsert over both, deletes of growing and of sealed rows.
  const tail = SEALED_ROWS + GROWING_ROWS;
  const added = { ...TYPES, fields: [...TYPES.fields, ADDED] };
  await client.insert(added, rows(tail, tail + 20, (row) => ({ ...typesRow(row), added: row })));
  await client.upsert(added, rows(100, 110, (row) => ({ ...typesRow(row, 2), added: null })));
  await client.delete(TYPES.name, `id in [7, 8, ${tail}, ${SEALED_ROWS}]`);
  await client.insert(KEYED, rows(300, 320, keyedRow));
  await client.delete(KEYED.name, 'name in ["name-1", "name-301"]');
  await client.insert(PARTED, rows(120, 130, partedRow), 'going');
  await client.release(PARTED.name, ['going']);
}

const ADDED = { name: 'added', type: DataType.Int32, nullable: true } as const;

async function addField(client: MilvusClient): Promise<void> {
  const { getMessageType } = await import('../codec/milvus-proto.ts');
  const type = getMessageType('milvus.proto.schema.FieldSchema');
  const field = {
    ...{ name: ADDED.name, data_type: ADDED.type, nullable: true },
    default_value: { int_data: 77 },
  };
  await client.call('AddCollectionField', {
    collection_name: TYPES.name,
    schema: Buffer.from(type.encode(type.fromObject(field)).finish()),
  });
}

const FILTERS: readonly string[] = [
  ...['id >= 0', 'id in [3, 20, 100, 2639, 2640, 2645]', 'flag == true and tiny > 100'],
  ...['text like "text 3%"', 'doc["n"] > 2590', 'doc["deep"]["k"] < 2', 'long > 9007199254740993'],
  ...['longs[0] == 120', 'array_contains(longs, 5010)', 'maybe_text is null and id < 60'],
  ...['maybe_int >= 2600', 'maybe_json["v"] in [25, 26]', 'color == "red" and rank < 30'],
  ...['exists doc["list"]', 'added == 77 and id < 12', 'added is null', 'double > 370.0'],
];

/** Everything that can be asked and has one answer, as JSON. */
export async function readAnswers(client: MilvusClient): Promise<unknown> {
  const answers: Record<string, unknown> = {};
  for (const filter of FILTERS) {
    const count = await client.count(TYPES.name, filter);
    const few = await client.query(TYPES.name, { filter, outputFields: ['*'], limit: 12 });
    answers[`types: ${filter}`] = { count, rows: few };
  }
  for (const { name, key } of [
    { name: 'types_alias', key: 'id' },
    { name: KEYED.name, key: 'name' },
  ]) {
    answers[`${name}: all keys`] = await client.query(name, {
      ...{ filter: `${key} ${key === 'id' ? '>= 0' : '!= ""'}`, outputFields: [key] },
    });
  }
  answers['keyed: one tenant'] = await client.query(KEYED.name, {
    ...{ filter: 'tenant == "tenant 3"', outputFields: ['name', 'vector'] },
  });
  answers['parted: all keys'] = await client.query(PARTED.name, {
    ...{ filter: 'id >= 0', outputFields: ['id'], partitions: ['_default', 'kept'] },
  });
  answers['parted: partitions'] = (await client.listPartitions(PARTED.name)).sort();
  answers['collections'] = await listCollections(client);
  answers['loaded'] = [
    await client.isLoaded(PARTED.name, ['kept']),
    await client.isLoaded(KEYED.name),
  ];
  answers['indexes'] = (await client.listIndexedFields(TYPES.name)).sort();
  Object.assign(answers, await readSearches(client));
  return JSON.parse(JSON.stringify(answers, toJson));
}

/** A few rows in reach: an exact scan and every index agree about them. */
async function readSearches(client: MilvusClient): Promise<Record<string, unknown>> {
  const vectors = [vectorOf(25), vectorOf(700), vectorOf(2645)];
  const few = 'id in [21, 25, 105, 700, 701, 2630, 2641, 2645, 2650]';
  const answers: Record<string, unknown> = {};
  for (const field of ['graph', 'lists']) {
    answers[`search ${field}, filtered`] = await client.search(TYPES.name, {
      ...{ field, vectors, k: 20, filter: few },
    });
    answers[`search ${field}, nearest`] = await client.search(TYPES.name, {
      ...{ field, vectors: vectors.slice(0, 2), k: 1 },
    });
  }
  answers['search keyed'] = await client.search(KEYED.name, {
    ...{ field: 'vector', vectors, k: 5 },
  });
  answers['search parted'] = await client.search(PARTED.name, {
    ...{ field: 'vector', vectors, k: 5, partitions: ['kept'] },
  });
  return answers;
}

async function listCollections(client: MilvusClient): Promise<string[]> {
  const reply = await client.call('ShowCollections', {});
  return (reply['collection_names'] as string[]).sort();
}

/** Scores to what a float's rounding leaves. */
function toJson(key: string, value: unknown): unknown {
  if (key === 'score') return Number((value as number).toPrecision(5));
  return typeof value === 'bigint' ? `${value}n` : value;
}
