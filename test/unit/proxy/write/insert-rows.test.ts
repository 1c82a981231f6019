// The insert path: request columns → checks → row batch, and every value that is refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  checkColumns,
  type CheckOptions,
} from '../../../../src/roles/proxy/write/check-columns.ts';
import { buildRowBatch, readKeys } from '../../../../src/roles/proxy/write/build-row-batch.ts';
import { decodeInsertRequest } from '../../../../src/codec/insert-request.ts';
import { RowBatchReader } from '../../../../src/codec/row-batch.ts';
import { sliceRows } from '../../../../src/codec/row-slices.ts';
import { encodeFieldData } from '../../../../src/codec/rows-to-field-data.ts';
import { DataType } from '../../../../src/model/data-type.ts';
import { MilvusError } from '../../../../src/model/error.ts';
import { findNotFinite } from '../../../../src/model/find-not-finite.ts';
import type { CollectionSchema, FieldSchema } from '../../../../src/model/schema.ts';
import { decodeWithTwin, getMessageType, type Plain } from '../../../support/codec/milvus-proto.ts';
import {
  makeCell,
  makeField,
  makeFields,
  type CellValue,
} from '../../../support/codec/random-batch.ts';
import { Random } from '../../../support/codec/random.ts';
import { encodePlain } from '../../../support/codec/reflect-codec.ts';

const SEED = 5;
const FIELD_DATA = getMessageType('milvus.proto.schema.FieldData');
const INSERT = getMessageType('milvus.proto.milvus.InsertRequest');

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

function makeSchema(fields: readonly FieldSchema[]): CollectionSchema {
  return {
    name: 'c',
    description: '',
    fields,
    enableDynamicField: fields.some((field) => field.isDynamic),
    version: 1,
    properties: {},
  };
}

/** FieldData as a client sends it: `values` on the wire, `valid` the rows that have one. */
function makeFieldData(
  field: FieldSchema,
  values: readonly CellValue[],
  valid?: readonly boolean[],
): Plain {
  const plain: Plain = { type: field.dataType, field_name: field.name };
  if (field.isDynamic) plain.is_dynamic = true;
  if (valid !== undefined) plain.valid_data = valid;
  if (field.dataType === DataType.FloatVector) {
    const data = values.flat() as number[];
    plain.vectors = { dim: BigInt(field.dim), float_vector: { data } };
  } else plain.scalars = makeScalars(field, values);
  return plain;
}

function makeScalars(field: FieldSchema, values: readonly CellValue[]): Plain {
  if (field.dataType === DataType.JSON) {
    const texts = values.map((text) => Buffer.from(String(text)).toString('hex'));
    return { json_data: { data: texts } };
  }
  if (field.dataType !== DataType.Array) return { [MEMBERS[field.dataType]!]: { data: values } };
  const member = MEMBERS[field.elementType]!;
  const data = values.map((elements) => ({ [member]: { data: (elements ?? []) as CellValue[] } }));
  return { array_data: { data, element_type: field.elementType } };
}

function check(
  fields: readonly FieldSchema[],
  fieldsData: readonly Plain[],
  options: CheckOptions,
): ReturnType<typeof checkColumns> {
  const random = new Random(SEED);
  const bytes = encodePlain(INSERT, { fields_data: fieldsData }, random);
  const request = decodeInsertRequest(Buffer.concat([Buffer.alloc(3), bytes]).subarray(3));
  return checkColumns(makeSchema(fields), request.fieldsData, options);
}

function makeRowIds(rows: number): BigInt64Array {
  return BigInt64Array.from({ length: rows }, (_, i) => 450_000_000_000_000_000n + BigInt(i));
}

/** Reads a column back by way of the output path: null → null. */
function readColumn(batch: RowBatchReader, field: FieldSchema): readonly CellValue[] {
  const plain = decodeWithTwin(FIELD_DATA, encodeFieldData({ field }, batch));
  const valid = (plain.valid_data ?? new Array(batch.rows).fill(true)) as boolean[];
  if (field.dataType === DataType.FloatVector) {
    const floats = ((plain.vectors as Plain).float_vector as Plain).data as number[];
    let at = 0;
    return valid.map((is) => (is ? floats.slice(at, (at += field.dim)) : null));
  }
  const member = Object.values(plain.scalars as Plain)[0] as { data?: unknown[] };
  return valid.map((is, row) => (is ? readValue(field, member.data![row]) : null));
}

function readValue(field: FieldSchema, value: unknown): CellValue {
  if (field.dataType === DataType.JSON) return Buffer.from(value as string, 'hex').toString();
  if (field.dataType !== DataType.Array) return value as CellValue;
  return ((Object.values(value as Plain)[0] as Plain).data ?? []) as CellValue[];
}

/** A column of random cells, and how it is sent: with or without places for the null ones. */
function makeRandomColumn(
  field: FieldSchema,
  rows: number,
  random: Random,
): { column: readonly CellValue[]; fieldData: Plain } {
  const column = Array.from({ length: rows }, () =>
    field.nullable && random.chance(0.4) ? null : makeCell(field, random),
  );
  const isCompact = random.chance(0.5);
  const onWire = isCompact
    ? column.filter((cell) => cell !== null)
    : column.map((cell) => cell ?? makeCell(field, random));
  const valid = field.nullable ? column.map((cell) => cell !== null) : undefined;
  return { column, fieldData: makeFieldData(field, onWire, valid) };
}

test('columns of every type become rows; nullable ones may be compact or have all rows', () => {
  const random = new Random(SEED);
  const fields = makeFields();
  for (let round = 0; round < 60; round += 1) {
    const rows = 1 + random.below(20);
    const cells = new Map<FieldSchema, readonly CellValue[]>();
    const fieldsData: Plain[] = [];
    for (const field of fields) {
      const { column, fieldData } = makeRandomColumn(field, rows, random);
      fieldsData.push(fieldData);
      cells.set(field, column);
    }
    const checked = check(fields, fieldsData, { numRows: rows });
    const whole = new RowBatchReader(buildRowBatch(checked, makeRowIds(rows)));
    const picked = Uint32Array.from({ length: random.below(30) }, () => random.below(rows));
    const part = new RowBatchReader(buildRowBatch(checked, makeRowIds(rows), picked));
    assert.deepEqual(whole.findColumn(0n)!.asInt64(), makeRowIds(rows));
    assert.equal(part.rows, picked.length);
    for (const [field, column] of cells) {
      assert.deepEqual(readColumn(whole, field), column, `seed ${SEED}, ${field.name}`);
      if (picked.length === 0) continue;
      assert.deepEqual(readColumn(part, field), Array.from(picked, (row) => column[row]));
    }
  }
});

test('R17 slices of a request have its rows, each once and in order', () => {
  const random = new Random(SEED);
  const fields = makeFields();
  for (let round = 0; round < 60; round += 1) {
    const rows = 1 + random.below(40);
    const fieldsData = fields.map((field) => makeRandomColumn(field, rows, random).fieldData);
    const request = decodeInsertRequest(encodePlain(INSERT, { fields_data: fieldsData }, random));
    const checked = checkColumns(makeSchema(fields), request.fieldsData, { numRows: rows });
    const rowIds = makeRowIds(rows);
    const whole = new RowBatchReader(buildRowBatch(checked, rowIds));
    const sliceRowsMax = 1 + random.below(rows);
    const parts: RowBatchReader[] = [];
    let next = 0;
    for (const slice of sliceRows(request.fieldsData, rows, {
      sliceMax: { bytes: 1e9, rows: sliceRowsMax },
    })) {
      const { firstRow, numRows } = slice;
      assert.equal(firstRow, next);
      assert.ok(numRows <= sliceRowsMax);
      next += numRows;
      const some = checkColumns(makeSchema(fields), slice.fieldsData, { numRows, firstRow });
      parts.push(new RowBatchReader(buildRowBatch(some, rowIds.subarray(firstRow, next))));
    }
    assert.equal(next, rows);
    assert.equal(parts.length, Math.ceil(rows / sliceRowsMax));
    for (const field of fields) {
      assert.deepEqual(
        parts.flatMap((part) => readColumn(part, field)),
        readColumn(whole, field),
        `seed ${SEED}, ${field.name}`,
      );
    }
  }
});

test('R17 a request is cut by its bytes; one whose columns disagree stays whole', () => {
  const int = makeField({ name: 'i', dataType: DataType.Int64 });
  const text = makeField({ name: 't', dataType: DataType.VarChar });
  const cut = (fieldsData: readonly Plain[], bytes: number): number[] => {
    const request = decodeInsertRequest(
      encodePlain(INSERT, { fields_data: fieldsData }, new Random(SEED)),
    );
    const slices = sliceRows(request.fieldsData, 10, { sliceMax: { bytes, rows: 100 } });
    return [...slices].map(({ numRows }) => numRows);
  };
  const ints = makeFieldData(int, Array.from({ length: 10 }, (_unused, i) => BigInt(i)));
  const texts = makeFieldData(text, Array.from({ length: 10 }, () => 'x'.repeat(1000)));
  assert.deepEqual(cut([ints, texts], 4200), [4, 4, 2]);
  assert.deepEqual(cut([ints, texts], 10), Array(10).fill(1));
  assert.deepEqual(cut([ints, texts], 1e6), [10]);
  assert.deepEqual(cut([ints, makeFieldData(text, ['one'])], 10), [10]);
  assert.deepEqual(cut([ints, makeFieldData(text, ['one'], Array(10).fill(true))], 10), [10]);
  assert.deepEqual(cut([], 10), [10]);
});

test('an auto id primary key is made from the row ids, as decimals for VarChar', () => {
  const shape = { isPrimaryKey: true, autoId: true } as const;
  for (const dataType of [DataType.Int64, DataType.VarChar]) {
    const field = makeField({ ...shape, dataType });
    const checked = check([field], [], { numRows: 3 });
    const picked = Uint32Array.of(2, 0);
    const batch = new RowBatchReader(buildRowBatch(checked, makeRowIds(3), picked));
    const keys = readKeys(checked.columns[0]!, makeRowIds(3));
    assert.deepEqual(
      readColumn(batch, field),
      Array.from(picked, (row) => keys.values[row]),
    );
    const second = 450_000_000_000_000_001n;
    assert.equal(keys.values[1], dataType === DataType.Int64 ? second : String(second));
  }
});

test('keys of the client are read for all rows', () => {
  const int = makeField({ dataType: DataType.Int64, isPrimaryKey: true });
  const text = makeField({ dataType: DataType.VarChar, isPrimaryKey: true, autoId: true });
  const ints = check([int], [makeFieldData(int, [5n, -6n])], { numRows: 2 });
  assert.deepEqual(readKeys(ints.columns[0]!, makeRowIds(2)).values, BigInt64Array.of(5n, -6n));
  const options = { numRows: 2, allowInsertAutoId: true };
  const texts = check([text], [makeFieldData(text, ['a', 'é'])], options);
  assert.deepEqual(readKeys(texts.columns[0]!, makeRowIds(2)).values, ['a', 'é']);
});

test('keys are read as their rows have them: given, null, left out, generated', () => {
  const random = new Random(SEED);
  const kinds = [
    { dataType: DataType.Int64, defaultValue: 7n },
    { dataType: DataType.VarChar, defaultValue: 'seven' },
    { dataType: DataType.Int64, isPrimaryKey: true, autoId: true },
    { dataType: DataType.VarChar, isPrimaryKey: true, autoId: true },
  ];
  for (let round = 0; round < 200; round += 1) {
    const field = makeField(random.pick(kinds));
    const numRows = random.below(6) + 1;
    const rows = Array.from({ length: numRows }, (_unused, i) =>
      field.autoId || random.chance(0.4)
        ? null
        : field.dataType === DataType.Int64 ? BigInt(i) : `key ${i}`,
    );
    const isAbsent = field.autoId || random.chance(0.2);
    const isCompact = random.chance(0.5);
    const filler = field.dataType === DataType.Int64 ? 0n : '';
    const values = isCompact
      ? rows.filter((value) => value !== null)
      : rows.map((value) => value ?? filler);
    const data = makeFieldData(field, values, rows.map((value) => value !== null));
    const checked = check([field], isAbsent ? [] : [data], { numRows });
    const rowIds = makeRowIds(numRows);
    const batch = new RowBatchReader(buildRowBatch(checked, rowIds));
    const keys = readKeys(checked.columns[0]!, rowIds);
    assert.deepEqual([...keys.values], readColumn(batch, field), `round ${round}`);
  }
});

test('missing and null values become the default; $meta becomes an empty object', () => {
  const defaults = [
    { dataType: DataType.Int64, defaultValue: 7n },
    { dataType: DataType.VarChar, defaultValue: 'd', nullable: true },
    { dataType: DataType.JSON, isDynamic: true },
  ];
  for (const given of defaults) {
    const field = makeField(given);
    const value = given.defaultValue ?? '{}';
    const mine = given.dataType === DataType.Int64 ? 1n : '{"x":1}';
    const absent = check([field], [], { numRows: 2 });
    const empty = check([field], [makeFieldData(field, [])], { numRows: 2 });
    const nulls = check([field], [makeFieldData(field, [], [false, false])], { numRows: 2 });
    const mixed = check([field], [makeFieldData(field, [mine], [false, true])], { numRows: 2 });
    for (const checked of [absent, empty, nulls, mixed]) {
      const batch = new RowBatchReader(buildRowBatch(checked, makeRowIds(2)));
      assert.equal(batch.findColumn(100n)!.validity, undefined);
      const second = checked === mixed ? mine : value;
      assert.deepEqual(readColumn(batch, field), [value, second]);
    }
  }
});

test('a partial update leaves out the fields that were not given', () => {
  const fields = [makeField({ dataType: DataType.Int64 }), makeField({
    dataType: DataType.Int8, fieldId: 101n, name: 'g',
  })];
  const options = { numRows: 1, allowMissingFields: true };
  const checked = check(fields, [makeFieldData(fields[0]!, [1n])], options);
  assert.deepEqual(checked.columns.map((column) => column.field.name), ['f']);
});

const FLOAT4 = makeField({ dataType: DataType.FloatVector, dim: 2 });
const TEXT = makeField({ dataType: DataType.VarChar, maxLength: 3 });
const INT8 = makeField({ dataType: DataType.Int8 });
const INTS = makeField({ dataType: DataType.Array, elementType: DataType.Int8, maxCapacity: 4 });
const TEXTS = makeField({ dataType: DataType.Array, elementType: DataType.VarChar, maxLength: 2 });
const NULLABLE = makeField({ dataType: DataType.Int8, nullable: true });
const KEY = makeField({ dataType: DataType.Int64, isPrimaryKey: true, autoId: true });

/** Field, its data, then parts that the message must have. Two rows each. */
const REFUSED: readonly (readonly [string, FieldSchema, Plain | undefined, readonly string[]])[] = [
  ['too few values', INT8, makeFieldData(INT8, [1]),
    ['the num_rows (1) of field (f) is not equal to passed num_rows (2)', '[field=f]']],
  ['a missing field', INT8, undefined,
    ['fieldSchema(f) has no corresponding fieldData pass in: invalid parameter']],
  ['an unknown field', INT8, { ...makeFieldData(INT8, [1, 2]), field_name: 'x' },
    ['field x not exist']],
  ['a dynamic column without dynamic field', INT8,
    { ...makeFieldData(INT8, [1, 2]), is_dynamic: true }, ['dynamic field is not enabled']],
  ['data for an auto id key', KEY, makeFieldData(KEY, [1n, 2n]), ['auto id', '[field=f]']],
  ['NaN in a vector', FLOAT4, makeFieldData(FLOAT4, [[1, 2], [3, NaN]]),
    ["value 'NaN' is not a number or infinity", '[field=f]', '[row=1]', '[actual=NaN]']],
  ['infinity in a vector', FLOAT4, makeFieldData(FLOAT4, [[-Infinity, 2], [3, 4]]),
    ["value '-Inf' is not a number or infinity", '[row=0]']],
  ['a vector of another dim', FLOAT4,
    makeFieldData({ ...FLOAT4, dim: 3 }, [[1, 2, 3], [1, 2, 3]]),
    ['the dim (3) of field data(f) is not equal to schema dim (2)', '[expected=2]', '[actual=3]']],
  ['half a vector', FLOAT4, makeFieldData(FLOAT4, [[1, 2], [3]]),
    ['is not a multiple of its dim', '[row=1]', '[expected=a multiple of 2 floats]']],
  ['a vector of another kind', FLOAT4,
    { field_name: 'f', vectors: { dim: 2n, binary_vector: 'ff' } },
    ["float vector field 'f' is illegal, array type mismatch", '[actual=got binary vector]']],
  ['scalars for a vector', FLOAT4, makeFieldData(INT8, [1, 2]), ['[expected=need float vector']],
  ['a vector for scalars', INT8, makeFieldData(FLOAT4, [[1, 2]]), ['[expected=need Int8 array]']],
  ['another scalar type', INT8, makeFieldData(TEXT, ['a', 'b']),
    ['array type mismatch: invalid parameter', '[expected=need Int8 array]']],
  ['long text', TEXT, makeFieldData(TEXT, ['abc', 'éé']),
    ['length of varchar field f exceeds max length, row number: 1, length: 4, max length: 3',
      '[row=1]', '[expected=at most 3 bytes]', '[actual=4]']],
  ['Int8 out of range', INT8, makeFieldData(INT8, [-128, 128]),
    ['the 1th element (128) out of range: [-128, 127]', '[row=1]', '[actual=128]']],
  ['Int16 out of range', makeField({ dataType: DataType.Int16 }),
    makeFieldData(INT8, [-32769, 0]), ['out of range: [-32768, 32767]', '[row=0]']],
  ['infinite Float', makeField({ dataType: DataType.Float }),
    makeFieldData(makeField({ dataType: DataType.Float }), [1, Infinity]), ['[row=1]']],
  ['NaN Double', makeField({ dataType: DataType.Double }),
    makeFieldData(makeField({ dataType: DataType.Double }), [NaN, 1]), ['[row=0]']],
  ['long JSON', makeField({ dataType: DataType.JSON }),
    makeFieldData(makeField({ dataType: DataType.JSON }), ['1', 'x'.repeat(65537)]),
    ['the length (65537) of json field (f) exceeds max length (65536)', '[row=1]']],
  ['a long array', INTS, makeFieldData(INTS, [[1], [1, 2, 3, 4, 5]]),
    ['the length (5) of 1th array exceeds max capacity (4)', '[row=1]', '[actual=5]']],
  ['an array element out of range', INTS, makeFieldData(INTS, [[1], [2, 200]]),
    ['the 1th element (200) out of range: [-128, 127]', '[row=1]']],
  ['another element type', INTS,
    makeFieldData({ ...INTS, elementType: DataType.Int64 }, [[1n], []]),
    ['array element type mismatch', '[expected=need Int8 elements]']],
  ['long text in an array', TEXTS, makeFieldData(TEXTS, [['ab'], ['a', 'abc']]),
    ['exceeds max length, row number: 1, length: 3, max length: 2']],
  ['valid_data of another length', NULLABLE, makeFieldData(NULLABLE, [1, 2], [true]),
    ['the length of valid_data of field(f) is wrong', '[expected=2]', '[actual=1]']],
  ['nulls in a field that has none', INT8, makeFieldData(INT8, [1], [true, false]),
    ['is not nullable', '[row=1]']],
  ['compact data of another length', NULLABLE, makeFieldData(NULLABLE, [], [true, false]),
    ['the num_rows (0) of field (f)']],
];

for (const [what, field, data, parts] of REFUSED) {
  test(`refused: ${what}`, () => {
    assert.throws(
      () => {
        const options = { numRows: 2, collectionName: 'books' };
        const checked = check([field], data === undefined ? [] : [data], options);
        buildRowBatch(checked, makeRowIds(2));
      },
      (error) => {
        assert.ok(error instanceof MilvusError);
        assert.equal(error.code, 1100);
        for (const part of ['[collection=books]', ...parts]) {
          assert.ok(error.message.includes(part), `${part} in: ${error.message}`);
        }
        return true;
      },
    );
  });
}

test('a refused value is named by its row also in compact columns and in chosen rows', () => {
  const field = { ...TEXT, nullable: true };
  const data = makeFieldData(field, ['a', 'long'], [false, true, false, true]);
  const expected = /row number: 3, length: 4.*\[row=3\]/;
  assert.throws(() => check([field], [data], { numRows: 4 }), expected);
  const vector = makeFieldData(FLOAT4, [[1, 2], [3, 4], [NaN, 5]]);
  const checked = check([FLOAT4], [vector], { numRows: 3 });
  assert.throws(() => buildRowBatch(checked, makeRowIds(3), Uint32Array.of(0, 2)), /\[row=2\]/);
  const good = buildRowBatch(checked, makeRowIds(3), Uint32Array.of(1));
  assert.equal(new RowBatchReader(good).rows, 1);
});

test('a field given twice is refused', () => {
  const data = makeFieldData(INT8, [1]);
  assert.throws(() => check([INT8], [data, data], { numRows: 1 }), /given more than once/);
});

test('text that is not UTF-8 is refused, also where rows only join into UTF-8', () => {
  const wire = (texts: readonly string[]): Uint8Array => {
    const items = texts.map((hex) => Buffer.from(`0a${byteHex(hex.length / 2)}${hex}`, 'hex'));
    const list = Buffer.concat(items);
    const scalars = Buffer.concat([Buffer.from([0x32, list.length]), list]);
    const field = Buffer.concat([Buffer.from([0x12, 1, 0x66, 0x1a, scalars.length]), scalars]);
    return Buffer.concat([Buffer.from([0x2a, field.length]), field]);
  };
  for (const [texts, row] of [[['61', 'ff'], 1], [['c3', 'a9'], 0], [['61c3', 'a9'], 0]] as const) {
    const { fieldsData } = decodeInsertRequest(wire(texts));
    const checked = checkColumns(makeSchema([TEXT]), fieldsData, { numRows: 2 });
    const expected = new RegExp(`text of field f is not UTF-8.*\\[row=${row}\\]`);
    assert.throws(() => buildRowBatch(checked, makeRowIds(2)), expected);
  }
});

function byteHex(value: number): string {
  return value.toString(16).padStart(2, '0');
}

test('findNotFinite finds the first one at every place', () => {
  const edges = [3.4028234663852886e38, -3.4028234663852886e38, 1e-45, -0, 0, 1];
  for (let length = 0; length < 40; length += 1) {
    const floats = Float32Array.from({ length }, (_, i) => edges[i % edges.length]!);
    const bits = new Int32Array(floats.buffer);
    assert.equal(findNotFinite(bits), -1);
    for (let at = 0; at < length; at += 1) {
      for (const bad of [NaN, Infinity, -Infinity]) {
        const good = floats[at]!;
        floats[at] = bad;
        assert.equal(findNotFinite(bits), at);
        floats[at] = good;
      }
    }
  }
});

test('R18 an insert gives the same rows wherever the message lies in memory', () => {
  const random = new Random(SEED);
  const fields = makeFields();
  const rows = 9;
  const fieldsData = fields.map((field) => {
    const valid = field.nullable ? new Array<boolean>(rows).fill(true) : undefined;
    return makeFieldData(field, Array.from({ length: rows }, () => makeCell(field, random)), valid);
  });
  const bytes = encodePlain(INSERT, { fields_data: fieldsData }, random);
  const batches = Array.from({ length: 8 }, (_, shift) => {
    const moved = new Uint8Array(new ArrayBuffer(shift + bytes.length + 8), shift, bytes.length);
    moved.set(bytes);
    const views = decodeInsertRequest(moved).fieldsData;
    const checked = checkColumns(makeSchema(fields), views, { numRows: rows });
    return buildRowBatch(checked, makeRowIds(rows));
  });
  for (const batch of batches) assert.ok(Buffer.compare(batch, batches[0]!) === 0);
});

test('the row batch does not refer to the request', () => {
  const vector = { ...FLOAT4, fieldId: 101n, name: 'v' };
  const fields = [TEXT, vector];
  const fieldsData = [makeFieldData(TEXT, ['abc']), makeFieldData(vector, [[1, 2]])];
  const bytes = encodePlain(INSERT, { fields_data: fieldsData }, new Random(1));
  const views = decodeInsertRequest(bytes).fieldsData;
  const checked = checkColumns(makeSchema(fields), views, { numRows: 1 });
  const batch = buildRowBatch(checked, makeRowIds(1));
  bytes.fill(0);
  const reader = new RowBatchReader(batch);
  assert.deepEqual(fields.map((field) => readColumn(reader, field)), [['abc'], [[1, 2]]]);
});
