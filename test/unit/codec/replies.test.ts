// Replies against protobufjs, in both directions, and row batches as the field data of results.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { encodeMutationResult } from '../../../src/codec/mutation-result.ts';
import { encodeQueryResults } from '../../../src/codec/query-results.ts';
import { RowBatchReader } from '../../../src/codec/row-batch.ts';
import { encodeRowBatch } from '../../../src/codec/row-batch-ops.ts';
import {
  encodeFieldData,
  encodeInt64FieldData,
  type OutputField,
} from '../../../src/codec/rows-to-field-data.ts';
import { encodeSearchResults } from '../../../src/codec/search-results.ts';
import type { StatusMessage } from '../../../src/codec/status-message.ts';
import { DataType } from '../../../src/model/data-type.ts';
import type { FieldSchema } from '../../../src/model/schema.ts';
import {
  decodeWithTwin,
  dropDefaults,
  encodeWithTwin,
  getMessageType,
  type Plain,
} from '../../support/codec/milvus-proto.ts';
import {
  encodeColumn,
  makeField,
  makeRandomBatch,
  type CellValue,
  type RandomBatch,
} from '../../support/codec/random-batch.ts';
import { makeRandomMessage } from '../../support/codec/random-message.ts';
import { Random } from '../../support/codec/random.ts';
import { decodePlain } from '../../support/codec/reflect-codec.ts';

const SEED = 99;
const MESSAGES = 500;
const MILVUS = 'milvus.proto.milvus.';
const FIELD_DATA = getMessageType('milvus.proto.schema.FieldData');

for (const name of ['MutationResult', 'SearchResults', 'QueryResults']) {
  test(`${name}: what protobufjs writes reads the same here`, () => {
    const random = new Random(SEED);
    const type = getMessageType(MILVUS + name);
    for (let i = 0; i < MESSAGES; i += 1) {
      const bytes = encodeWithTwin(type, makeRandomMessage(type, random));
      assert.deepEqual(decodePlain(type, bytes), decodeWithTwin(type, bytes), `seed ${SEED}`);
    }
  });
}

function makeStatus(random: Random): { status: StatusMessage; plain: Plain } {
  const status: StatusMessage = {
    error_code: random.below(60),
    reason: random.text(),
    code: random.pick([0, 1100, 65535, -1]),
    retriable: random.chance(0.5),
    detail: random.text(),
    extra_info: random.chance(0.5) ? { report_value: String(random.below(9)), k: '' } : {},
  };
  const type = getMessageType('milvus.proto.common.Status');
  return { status, plain: dropDefaults(type, { ...status }) };
}

function makeIds(random: Random): { ids: never; plain: Plain } {
  const isInt = random.chance(0.5);
  const values = Array.from({ length: random.below(30) }, () =>
    isInt ? random.int64() : random.text(),
  );
  const data = values.length === 0 ? {} : { data: values };
  if (isInt && random.chance(0.5)) {
    const ids = { kind: 'int', values: BigInt64Array.from(values as bigint[]) };
    return { ids: ids as never, plain: { int_id: data } };
  }
  const field = makeField({ dataType: isInt ? DataType.Int64 : DataType.VarChar });
  const bytes = encodeRowBatch([encodeColumn(field, values)], values.length);
  const column = { kind: 'column', column: new RowBatchReader(bytes).columns[0] };
  const ids = isInt || random.chance(0.5) ? column : { kind: 'string', values };
  return { ids: ids as never, plain: { [isInt ? 'int_id' : 'str_id']: data } };
}

test('MutationResult: what is written here protobufjs reads the same', () => {
  const random = new Random(SEED);
  const type = getMessageType(`${MILVUS}MutationResult`);
  for (let i = 0; i < MESSAGES; i += 1) {
    const { status, plain } = makeStatus(random);
    const ids = makeIds(random);
    const succIndex = Array.from({ length: random.below(200) }, (_, each) => each);
    const counts = [random.below(1e6), random.below(1e6), random.below(1e6)] as const;
    const timestamp = BigInt.asUintN(64, random.int64());
    const bytes = encodeMutationResult({
      status,
      ids: ids.ids,
      succIndex,
      errIndex: [7],
      acknowledged: random.chance(0.5),
      insertCount: counts[0],
      deleteCount: counts[1],
      upsertCount: counts[2],
      timestamp,
    });
    const { acknowledged, ...read } = decodeWithTwin(type, bytes);
    assert.ok(acknowledged === undefined || acknowledged === true);
    const expected = {
      status: plain,
      IDs: ids.plain,
      succ_index: succIndex,
      err_index: [7],
      insert_cnt: BigInt(counts[0]),
      delete_cnt: BigInt(counts[1]),
      upsert_cnt: BigInt(counts[2]),
      timestamp,
    };
    assert.deepEqual(read, dropDefaults(type, expected), `seed ${SEED}, message ${i}`);
  }
});

/** The slow twin of rows-to-field-data: values → FieldData in the plain form. */
function expectFieldData(field: FieldSchema, cells: readonly CellValue[]): Plain {
  const plain: Plain = {
    type: field.dataType,
    field_name: field.name,
    field_id: field.fieldId,
    is_dynamic: field.isDynamic,
    valid_data: field.nullable ? cells.map((cell) => cell !== null) : [],
  };
  if (field.dataType === DataType.FloatVector) {
    const data = cells.flatMap((cell) => (cell ?? []) as readonly number[]);
    plain.vectors = { dim: BigInt(field.dim), float_vector: data.length === 0 ? {} : { data } };
  } else plain.scalars = expectScalars(field, cells);
  return dropDefaults(FIELD_DATA, plain);
}

const MEMBERS: Readonly<Record<number, string>> = {
  [DataType.Bool]: 'bool_data',
  [DataType.Int8]: 'int_data',
  [DataType.Int16]: 'int_data',
  [DataType.Int32]: 'int_data',
  [DataType.Int64]: 'long_data',
  [DataType.Float]: 'float_data',
  [DataType.Double]: 'double_data',
  [DataType.VarChar]: 'string_data',
};

function expectScalars(field: FieldSchema, cells: readonly CellValue[]): Plain {
  const wrap = (data: readonly unknown[]): Plain => (data.length === 0 ? {} : { data });
  if (field.dataType === DataType.JSON) {
    const texts = cells.map((cell) => Buffer.from((cell ?? 'null') as string).toString('hex'));
    return { json_data: wrap(texts) };
  }
  if (field.dataType === DataType.Array) {
    const member = MEMBERS[field.elementType]!;
    const rows = cells.map((cell) => ({ [member]: wrap((cell ?? []) as readonly CellValue[]) }));
    return { array_data: { ...wrap(rows), element_type: field.elementType } };
  }
  const zero = expectZero(field.dataType);
  return { [MEMBERS[field.dataType]!]: wrap(cells.map((cell) => cell ?? zero)) };
}

function expectZero(dataType: number): CellValue {
  if (dataType === DataType.Bool) return false;
  if (dataType === DataType.VarChar) return '';
  return dataType === DataType.Int64 ? 0n : 0;
}

test('every column of a random batch leaves as the field data that protobufjs reads', () => {
  const random = new Random(SEED + 1);
  for (let i = 0; i < 40; i += 1) {
    const batch = makeRandomBatch(random, random.pick([0, 1, 5, 30, 130]));
    const reader = new RowBatchReader(batch.bytes);
    for (const field of batch.fields) {
      const read = decodeWithTwin(FIELD_DATA, encodeFieldData({ field }, reader));
      assert.deepEqual(read, expectFieldData(field, batch.cells.get(field.fieldId)!));
    }
  }
});

test('a column that the batch lacks is null, or the default of its field', () => {
  const reader = new RowBatchReader(encodeRowBatch([], 3));
  for (const field of makeRandomBatch(new Random(1), 1).fields) {
    const absent: readonly CellValue[] = [null, null, null];
    const read = decodeWithTwin(FIELD_DATA, encodeFieldData({ field }, reader));
    assert.deepEqual(read, expectFieldData(field, absent));
  }
  const defaults = [
    { dataType: DataType.Int64, defaultValue: -5n },
    { dataType: DataType.Bool, defaultValue: true },
    { dataType: DataType.Int16, defaultValue: -300 },
    { dataType: DataType.Float, defaultValue: 0.5 },
    { dataType: DataType.Double, defaultValue: 0.1 },
    { dataType: DataType.VarChar, defaultValue: 'né' },
  ] as const;
  for (const given of defaults) {
    const field = makeField({ ...given, nullable: true });
    const value = given.defaultValue;
    const read = decodeWithTwin(FIELD_DATA, encodeFieldData({ field }, reader));
    assert.deepEqual(read, expectFieldData(field, [value, value, value]));
  }
});

test('null rows of a field with a default read as the default', () => {
  const field = makeField({ dataType: DataType.VarChar, nullable: true, defaultValue: 'd' });
  const bytes = encodeRowBatch([encodeColumn(field, ['a', null, ''])], 3);
  const read = decodeWithTwin(FIELD_DATA, encodeFieldData({ field }, new RowBatchReader(bytes)));
  assert.deepEqual(read, expectFieldData(field, ['a', 'd', '']));
});

test('dynamic keys: the field is $meta, with an object of those keys alone per row', () => {
  const field = makeField({ dataType: DataType.JSON, isDynamic: true, name: '$meta' });
  const texts = ['{"a": 9007199254740993, "b": 1}', '{}', '{"b":{"a":2},"c":[1,{"a":0}]}'];
  const reader = new RowBatchReader(encodeRowBatch([encodeColumn(field, texts)], 3));
  const bytes = encodeFieldData({ field, dynamicKeys: ['a', 'c'] }, reader);
  const projected = ['{"a": 9007199254740993}', '{}', '{"c":[1,{"a":0}]}'];
  assert.deepEqual(decodeWithTwin(FIELD_DATA, bytes), expectFieldData(field, projected));
});

function pickOutputs(batch: RandomBatch, random: Random): readonly OutputField[] {
  return batch.fields.filter(() => random.chance(0.3)).map((field) => ({ field }));
}

function expectOutputs(batch: RandomBatch, outputs: readonly OutputField[]): readonly Plain[] {
  return outputs.map(({ field }) => expectFieldData(field, batch.cells.get(field.fieldId)!));
}

test('SearchResults: what is written here protobufjs reads the same', () => {
  const random = new Random(SEED + 2);
  const type = getMessageType(`${MILVUS}SearchResults`);
  const dataType = getMessageType('milvus.proto.schema.SearchResultData');
  for (let i = 0; i < MESSAGES; i += 1) {
    const { status, plain } = makeStatus(random);
    const batch = makeRandomBatch(random, random.below(12));
    const outputs = pickOutputs(batch, random);
    const ids = makeIds(random);
    const scores = Float32Array.from({ length: batch.rows }, () => random.next());
    const bytes = encodeSearchResults({
      status,
      collectionName: 'c',
      sessionTs: 77n,
      results: {
        numQueries: 2,
        topK: 10,
        scores,
        ids: ids.ids,
        topks: [batch.rows, 0],
        outputFields: ['a', ''],
        primaryFieldName: 'id',
        rows: new RowBatchReader(batch.bytes),
        outputs,
        groupBy: { field: batch.fields[4]! },
        allSearchCount: 1000,
        recalls: Float32Array.of(0.5),
        iterator: { token: 't', lastBound: 1.5 },
        elementIndices: BigInt64Array.of(1n, 300n),
      },
    });
    const results = {
      num_queries: 2n,
      top_k: 10n,
      fields_data: expectOutputs(batch, outputs),
      scores: [...scores],
      ids: ids.plain,
      topks: [BigInt(batch.rows), 0n],
      output_fields: ['a', ''],
      group_by_field_value: expectOutputs(batch, [{ field: batch.fields[4]! }])[0],
      all_search_count: 1000n,
      search_iterator_v2_results: { token: 't', last_bound: 1.5 },
      recalls: [0.5],
      primary_field_name: 'id',
      element_indices: { data: [1n, 300n] },
    };
    const expected = {
      status: plain,
      results: dropDefaults(dataType, results),
      collection_name: 'c',
      session_ts: 77n,
    };
    assert.deepEqual(decodeWithTwin(type, bytes), expected, `seed ${SEED + 2}, message ${i}`);
  }
});

test('SearchResults without hits: topks are zeros, ids are present and empty', () => {
  const status: StatusMessage = {
    error_code: 0, reason: '', code: 0, retriable: false, detail: '', extra_info: {},
  };
  const results = {
    numQueries: 3,
    topK: 5,
    scores: new Float32Array(0),
    ids: { kind: 'int', values: new BigInt64Array(0) } as const,
    topks: [0, 0, 0],
    outputFields: [],
    primaryFieldName: '',
  };
  const bytes = encodeSearchResults({ status, results });
  assert.deepEqual(decodeWithTwin(getMessageType(`${MILVUS}SearchResults`), bytes), {
    status: {},
    results: { num_queries: 3n, top_k: 5n, ids: { int_id: {} }, topks: [0n, 0n, 0n] },
  });
});

test('QueryResults: what is written here protobufjs reads the same', () => {
  const random = new Random(SEED + 3);
  const type = getMessageType(`${MILVUS}QueryResults`);
  for (let i = 0; i < MESSAGES; i += 1) {
    const { status, plain } = makeStatus(random);
    const batch = makeRandomBatch(random, random.below(12));
    const outputs = pickOutputs(batch, random);
    const bytes = encodeQueryResults({
      status,
      rows: new RowBatchReader(batch.bytes),
      outputs,
      encodedFields: [encodeInt64FieldData('count(*)', BigInt64Array.of(12345678901n))],
      collectionName: 'c',
      outputFields: ['x', 'y'],
      sessionTs: 5n,
      primaryFieldName: 'id',
    });
    const count = {
      type: DataType.Int64,
      field_name: 'count(*)',
      scalars: { long_data: { data: [12345678901n] } },
    };
    assert.deepEqual(decodeWithTwin(type, bytes), {
      status: plain,
      fields_data: [...expectOutputs(batch, outputs), count],
      collection_name: 'c',
      output_fields: ['x', 'y'],
      session_ts: 5n,
      primary_field_name: 'id',
    });
  }
});
