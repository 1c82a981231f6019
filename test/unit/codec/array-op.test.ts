// Elements of arrays appended, or removed by value.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { applyArrayOp } from '../../../src/codec/array-op.ts';
import { encodeRowBatch } from '../../../src/codec/row-batch-ops.ts';
import { RowBatchReader, type RowColumn } from '../../../src/codec/row-batch.ts';
import { DataType } from '../../../src/model/data-type.ts';
import type { FieldSchema } from '../../../src/model/schema.ts';

const FIELD: FieldSchema = {
  fieldId: 101n,
  name: 'tags',
  description: '',
  dataType: DataType.Array,
  elementType: DataType.Int64,
  isPrimaryKey: false,
  autoId: false,
  isPartitionKey: false,
  isClusteringKey: false,
  isDynamic: false,
  nullable: false,
  typeParams: {},
  indexParams: {},
  dim: 0,
  maxLength: 0,
  maxCapacity: 4096,
};

function makeColumn(rows: readonly BigInt64Array[]): RowColumn {
  const offsets = new Uint32Array(rows.length + 1);
  rows.forEach((row, i) => {
    offsets[i + 1] = offsets[i]! + row.byteLength;
  });
  const data = Buffer.concat(rows.map((row) => Buffer.from(row.buffer)));
  const { fieldId, dataType, elementType } = FIELD;
  const column = { fieldId, dataType, elementType, offsets, data };
  return new RowBatchReader(encodeRowBatch([column], rows.length)).findColumn(fieldId)!;
}

const range = (first: number, count: number): BigInt64Array =>
  BigInt64Array.from({ length: count }, (_unused, i) => BigInt(first + i));

test('P9 long lists are removed from long arrays in the time that reading them takes', () => {
  const rows = Array.from({ length: 40 }, () => range(0, 4096));
  const removed = rows.map(() => range(1, 4096).reverse());
  const started = performance.now();
  const { data } = applyArrayOp(FIELD, makeColumn(rows), makeColumn(removed), false);
  const took = performance.now() - started;
  assert.equal(data.byteLength, 8 * rows.length);
  const kept = new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  assert.ok(kept.every((byte) => byte === 0), 'the element 0 of each row');
  assert.ok(took < 1000, `${took} ms`);
});
