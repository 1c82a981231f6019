// The collections that the bad requests are aimed at, and a picture of everything that a request
// could have changed.

import { DataType } from '../../../src/model/data-type.ts';
import { MilvusReplyError, type MilvusClient } from '../../support/milvus-client.ts';
import {
  arrayData,
  boolData,
  doubleData,
  floatData,
  int64Data,
  intData,
  jsonData,
  makeArray,
  makeCreate,
  makeField,
  makeKey,
  makeText,
  makeVector,
  makeWrite,
  textData,
  vectorData,
  type Columns,
  type Field,
  type Plain,
} from './bad-request.ts';

const VEC_FIELD = makeVector();

const PLAIN_FIELDS: readonly Field[] = [
  makeKey(),
  VEC_FIELD,
  makeText('name', 8),
  makeField('i8', DataType.Int8),
  makeField('i16', DataType.Int16),
  makeField('f', DataType.Float),
  makeField('d', DataType.Double),
  makeField('b', DataType.Bool),
  makeArray('tags', DataType.Int64, { max_capacity: 3 }),
  makeArray('words', DataType.VarChar, { max_capacity: 3, max_length: 4 }),
  makeField('doc', DataType.JSON),
  makeText('opt', 8, { nullable: true }),
];

/** Two good rows for `plain`. */
export const PLAIN_ROWS: Columns = {
  id: int64Data([1, 2]),
  vec: vectorData(4, [1, 0, 0, 0, 0, 1, 0, 0]),
  name: textData(['one', 'two']),
  i8: intData(DataType.Int8, [1, 2]),
  i16: intData(DataType.Int16, [1, 2]),
  f: floatData([0.5, 1.5]),
  d: doubleData([0.5, 1.5]),
  b: boolData([true, false]),
  tags: arrayData(DataType.Int64, [{ long_data: { data: [1, 2] } }, { long_data: { data: [] } }]),
  words: arrayData(DataType.VarChar, [
    { string_data: { data: ['a'] } },
    { string_data: { data: ['b'] } },
  ]),
  doc: jsonData(['{"a": 1}', '{"a": "x"}']),
};

/** Two good rows for collections of a key and a vector. */
export const SMALL_ROWS: Columns = {
  id: int64Data([1, 2]),
  vec: vectorData(4, [1, 0, 0, 0, 0, 1, 0, 0]),
};
export const KEYED_ROWS: Columns = { ...SMALL_ROWS, team: textData(['red', 'blue']) };

interface Index {
  readonly index_type: string;
  readonly metric_type: string;
}

const HNSW: Index = { index_type: 'HNSW', metric_type: 'COSINE' };
const HNSW_SQ: Index = { index_type: 'HNSW_SQ', metric_type: 'COSINE' };
const FLAT_L2: Index = { index_type: 'FLAT', metric_type: 'L2' };
const IVF_L2: Index = { index_type: 'IVF_FLAT', metric_type: 'L2' };

interface Fixture {
  readonly fields: readonly Field[];
  readonly indexes: Readonly<Record<string, Index>>;
  readonly rows?: Columns;
  readonly isLoaded?: boolean;
  readonly hasDynamicField?: boolean;
}

const SMALL: readonly Field[] = [makeKey(), VEC_FIELD];

const FIXTURES: Readonly<Record<string, Fixture>> = {
  plain: { fields: PLAIN_FIELDS, indexes: { vec: HNSW }, rows: PLAIN_ROWS, isLoaded: true },
  /** Auto id. */
  drawn: {
    fields: [makeKey({ autoID: true }), VEC_FIELD],
    indexes: { vec: HNSW },
    rows: { vec: SMALL_ROWS['vec'] },
    isLoaded: true,
  },
  keyed: {
    fields: [...SMALL, makeText('team', 8, { is_partition_key: true })],
    indexes: { vec: HNSW },
    rows: KEYED_ROWS,
    isLoaded: true,
  },
  twin: {
    fields: [makeKey(), makeVector('v1'), makeVector('v2')],
    indexes: { v1: FLAT_L2, v2: HNSW },
    rows: { id: SMALL_ROWS['id'], v1: SMALL_ROWS['vec'], v2: SMALL_ROWS['vec'] },
    isLoaded: true,
  },
  ivf: { fields: SMALL, indexes: { vec: IVF_L2 }, rows: SMALL_ROWS, isLoaded: true },
  loose: { fields: SMALL, indexes: { vec: HNSW }, isLoaded: true, hasDynamicField: true },
  /** Indexed, not loaded, and called `nick` too. */
  idle: { fields: SMALL, indexes: { vec: HNSW }, rows: SMALL_ROWS },
  /** With a clustering key, and an index that may refine. */
  sorted: {
    fields: [...SMALL, makeField('n', DataType.Int64, { is_clustering_key: true })],
    indexes: { vec: HNSW_SQ },
    isLoaded: true,
  },
  bare: { fields: PLAIN_FIELDS, indexes: {}, rows: PLAIN_ROWS },
  /** Loaded by one partition only. */
  partial: { fields: SMALL, indexes: { vec: HNSW }, rows: SMALL_ROWS },
};

export const ALIAS = 'nick';
export const OTHER_DATABASE = 'elsewhere';
export const PARTITION = 'p1';

export async function buildWorld(client: MilvusClient): Promise<void> {
  for (const [name, fixture] of Object.entries(FIXTURES)) {
    const { fields, indexes, rows, isLoaded = false, hasDynamicField = false } = fixture;
    await client.call(
      'CreateCollection',
      makeCreate(fields, { schema: { enable_dynamic_field: hasDynamicField } }, name),
    );
    if (name !== 'keyed') await client.createPartition(name, PARTITION);
    for (const [field, params] of Object.entries(indexes)) {
      await client.createIndex(name, field, { ...params });
    }
    if (rows !== undefined) await client.call('Insert', makeWrite(name, rows));
    if (isLoaded) await client.load(name);
  }
  await client.load('partial', [PARTITION]);
  await client.call('CreateAlias', { collection_name: 'idle', alias: ALIAS });
  await client.call('CreateDatabase', { db_name: OTHER_DATABASE });
  await client.call('CreateCollection', {
    ...makeCreate(SMALL, {}, 'far'),
    db_name: OTHER_DATABASE,
  });
}

/** What clients see: databases, collections, schemas, partitions, indexes, rows, load states. */
export async function takePicture(client: MilvusClient): Promise<Plain> {
  const { db_names: databases } = await client.call('ListDatabases', {});
  const collections: Record<string, unknown> = {};
  for (const db_name of databases as string[]) {
    const listed = await client.call('ShowCollections', { db_name });
    for (const collection_name of (listed['collection_names'] as string[]).sort()) {
      const target = { db_name, collection_name };
      collections[`${db_name}.${collection_name}`] = {
        description: await client.call('DescribeCollection', target),
        partitions: await client.call('ShowPartitions', target),
        load: await client.call('GetLoadState', target),
        statistics: await client.call('GetCollectionStatistics', target),
        indexes: await describeIndexes(client, target),
      };
    }
  }
  const rows: Record<string, unknown> = {};
  for (const [name, { isLoaded }] of Object.entries(FIXTURES)) {
    if (isLoaded === true) rows[name] = await client.query(name, { filter: '', limit: 100 });
  }
  return { databases, collections, rows };
}

const INDEX_NOT_FOUND = 700;

async function describeIndexes(client: MilvusClient, target: Plain): Promise<unknown> {
  try {
    return await client.call('DescribeIndex', target);
  } catch (error) {
    if (error instanceof MilvusReplyError && error.code === INDEX_NOT_FOUND) return [];
    throw error;
  }
}
