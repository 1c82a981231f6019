// Row batches: what goes in comes out, rows can be taken and joined, malformed ones are refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { forEachString, getArrayLength } from '../../../src/codec/array-blob.ts';
import { RowBatchReader, type RowColumn } from '../../../src/codec/row-batch.ts';
import { BYTES_PER_TURN, runNow } from '../../../src/base/turns.ts';
import {
  concatRows,
  encodeRowBatch,
  takeRows,
  takeRowsOf,
} from '../../../src/codec/row-batch-ops.ts';
import { DecodeError } from '../../../src/codec/wire.ts';
import { DataType } from '../../../src/model/data-type.ts';
import {
  encodeColumn,
  makeField,
  makeRandomBatch,
  type CellValue,
  type RandomBatch,
} from '../../support/codec/random-batch.ts';
import { Random } from '../../support/codec/random.ts';

const SEED = 4242;

/** Reads one cell through the public getters. */
function readCell(column: RowColumn, row: number): CellValue {
  if (!column.isValid(row)) return null;
  switch (column.dataType) {
    case DataType.VarChar:
    case DataType.JSON:
      return column.getString(row);
    case DataType.Array:
      return readArray(column.getBytes(row), column.elementType);
    case DataType.FloatVector:
      return Array.from(column.asFloat().subarray(row * column.dim, (row + 1) * column.dim));
    default:
      return readNumbers(column.data, column.dataType)[row]!;
  }
}

function readArray(blob: Uint8Array, elementType: number): readonly CellValue[] {
  if (elementType !== DataType.VarChar) return readNumbers(blob, elementType);
  const texts: string[] = [];
  forEachString(blob, (start, end) => {
    texts.push(Buffer.from(blob.subarray(start, end)).toString());
  });
  assert.equal(texts.length, getArrayLength(blob, elementType));
  return texts;
}

function readNumbers(bytes: Uint8Array, dataType: number): readonly CellValue[] {
  const { buffer } = new Uint8Array(bytes);
  switch (dataType) {
    case DataType.Bool:
      return Array.from(new Uint8Array(buffer), (bit) => bit === 1);
    case DataType.Int8:
      return Array.from(new Int8Array(buffer));
    case DataType.Int16:
      return Array.from(new Int16Array(buffer));
    case DataType.Int32:
      return Array.from(new Int32Array(buffer));
    case DataType.Int64:
      return Array.from(new BigInt64Array(buffer));
    case DataType.Float:
      return Array.from(new Float32Array(buffer));
    default:
      return Array.from(new Float64Array(buffer));
  }
}

function readRows(bytes: Uint8Array): Map<bigint, CellValue[]> {
  const batch = new RowBatchReader(bytes);
  return new Map(
    batch.columns.map((column) => [
      column.fieldId,
      Array.from({ length: batch.rows }, (_, row) => readCell(column, row)),
    ]),
  );
}

test('R18 a batch of every type reads back, at every alignment', () => {
  const random = new Random(SEED);
  for (const rows of [0, 1, 7, 8, 9, 64, 100]) {
    const batch = makeRandomBatch(random, rows);
    assert.equal(batch.bytes.length % 8, 0);
    for (let shift = 0; shift < 8; shift += 1) {
      const moved = Buffer.concat([Buffer.alloc(shift), batch.bytes]).subarray(shift);
      assert.deepEqual(readRows(moved), new Map(batch.cells), `seed ${SEED}`);
    }
  }
});

test('the bytes are those of docs/formats/row-batch.md', () => {
  const bytes = encodeRowBatch(
    [
      {
        fieldId: 101n,
        dataType: DataType.VarChar,
        validity: Uint8Array.of(0b01),
        offsets: Uint32Array.of(0, 2, 2),
        data: Buffer.from('hé').subarray(1),
      },
      { fieldId: 100n, dataType: DataType.Int8, data: Int8Array.of(1, -1) },
    ],
    2,
  );
  const expected =
    '454c4231' + '02000000' + '02000000' + '00000000' + 'a800000000000000' + '0000000000000000' +
    '6400000000000000' + '02000000' + '00000000' + '0000000000000000'.repeat(2) +
    '8000000000000000' + '0200000000000000' +
    '6500000000000000' + '15000100' + '00000000' + '8800000000000000' + '9000000000000000' +
    'a000000000000000' + '0200000000000000' +
    '01ff000000000000' + '0100000000000000' + '00000000' + '02000000' + '02000000' + '00000000' +
    'c3a9000000000000';
  assert.equal(bytes.toString('hex'), expected);
});

test('equal rows are equal bytes', () => {
  const first = makeRandomBatch(new Random(SEED), 33).bytes;
  assert.deepEqual(makeRandomBatch(new Random(SEED), 33).bytes, first);
});

test('takeRows selects, repeats and reorders rows', () => {
  const random = new Random(SEED + 1);
  for (let i = 0; i < 20; i += 1) {
    const batch = makeRandomBatch(random, 1 + random.below(40));
    const picked = Array.from({ length: random.below(60) }, () => random.below(batch.rows));
    const taken = readRows(takeRows(new RowBatchReader(batch.bytes), Uint32Array.from(picked)));
    for (const [fieldId, cells] of batch.cells) {
      assert.deepEqual(taken.get(fieldId), picked.map((row) => cells[row]));
    }
  }
});

test('concatRows joins batches and fills columns that one of them lacks with nulls', () => {
  const random = new Random(SEED + 2);
  for (let i = 0; i < 20; i += 1) {
    const batches = Array.from({ length: 1 + random.below(4) }, () =>
      dropColumns(makeRandomBatch(random, random.below(20)), random),
    );
    const joined = readRows(concatRows(batches.map((batch) => new RowBatchReader(batch.bytes))));
    for (const [fieldId, cells] of joined) {
      const expected = batches.flatMap(
        (batch) => batch.cells.get(fieldId) ?? new Array<CellValue>(batch.rows).fill(null),
      );
      assert.deepEqual(cells, expected);
    }
  }
});

test('rows taken of several batches are those of the joined batch, in steps of any number', () => {
  const random = new Random(SEED + 3);
  for (let i = 0; i < 30; i += 1) {
    const batches = Array.from({ length: 1 + random.below(4) }, () => {
      const batch = dropColumns(makeRandomBatch(random, random.below(20)), random);
      return new RowBatchReader(batch.bytes);
    });
    const joined = new RowBatchReader(concatRows(batches));
    const count = joined.rows === 0 ? 0 : random.below(60);
    const picked = Array.from({ length: count }, () => random.below(joined.rows));
    const taken = runNow(takeRowsOf(batches, picked));
    assert.deepEqual(readRows(taken), readRows(takeRows(joined, picked)));
  }
});

test('P9 many rows are taken in many steps', () => {
  const values = Array.from({ length: 2000 }, (_unused, i) => `${i}`.padEnd(1000));
  const field = makeField({ dataType: DataType.VarChar });
  const batch = new RowBatchReader(encodeRowBatch([encodeColumn(field, values)], values.length));
  const order = values.map((_unused, i) => values.length - 1 - i);
  const steps = takeRowsOf([batch], order);
  let count = 0;
  let step = steps.next();
  for (; step.done !== true; step = steps.next()) {
    assert.ok(step.value <= BYTES_PER_TURN);
    count += 1;
  }
  assert.ok(count > 4);
  assert.deepEqual(readRows(step.value).get(100n), values.toReversed());
});

function dropColumns(batch: RandomBatch, random: Random): RandomBatch {
  const fields = batch.fields.filter(() => random.chance(0.8));
  const columns = fields.map((field) => encodeColumn(field, batch.cells.get(field.fieldId)!));
  const cells = new Map(fields.map((field) => [field.fieldId, batch.cells.get(field.fieldId)!]));
  return { ...batch, fields, cells, bytes: encodeRowBatch(columns, batch.rows) };
}

test('a taken slice joins with others though its offsets do not begin at zero', () => {
  const field = makeField({ dataType: DataType.VarChar });
  const whole = encodeRowBatch([encodeColumn(field, ['skip', 'a', 'bc'])], 3);
  const tail = Buffer.from(whole);
  tail.writeUInt32LE(2, 4); // two rows, offsets from the second value on
  tail.writeBigUInt64LE(tail.readBigUInt64LE(32 + 24) + 8n, 32 + 24);
  tail.copy(tail, 32 + 48 + 8, 32 + 48 + 4, 32 + 48 + 16);
  const rows = readRows(concatRows([new RowBatchReader(tail), new RowBatchReader(tail)]));
  assert.deepEqual(rows.get(100n), ['a', 'bc', 'a', 'bc']);
});

const BREAKS: readonly (readonly [string, (bytes: Buffer) => void])[] = [
  ['magic', (bytes) => bytes.writeUInt32LE(1, 0)],
  ['rows', (bytes) => bytes.writeUInt32LE(4_000_000_000, 4)],
  ['columns', (bytes) => bytes.writeUInt32LE(4_000_000_000, 8)],
  ['size', (bytes) => bytes.writeUInt32LE(8, 16)],
  ['order', (bytes) => bytes.writeBigInt64LE(1000n, 32)],
  ['type', (bytes) => bytes.writeUInt8(250, 32 + 8)],
  ['data offset', (bytes) => bytes.writeBigUInt64LE(1n << 60n, 32 + 32)],
  ['unaligned offset', (bytes) => bytes.writeUInt32LE(129, 32 + 32)],
  ['data bytes', (bytes) => bytes.writeUInt32LE(1, 32 + 40)],
];

for (const [what, damage] of BREAKS) {
  test(`a batch with a wrong ${what} is refused`, () => {
    const { bytes } = makeRandomBatch(new Random(SEED), 5);
    damage(bytes);
    assert.throws(() => new RowBatchReader(bytes), DecodeError);
  });
}

test('offsets that descend or pass the data are refused', () => {
  const field = makeField({ dataType: DataType.VarChar });
  for (const [index, value] of [[1, 5], [2, 99]] as const) {
    const bytes = encodeRowBatch([encodeColumn(field, ['ab', 'cd'])], 2);
    bytes.writeUInt32LE(value, 32 + 48 + 4 * index);
    assert.throws(() => new RowBatchReader(bytes), DecodeError);
  }
});
