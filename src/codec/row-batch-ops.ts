// Whole-batch operations: encode from arrays, select or reorder rows, concatenate.
// Results are new batches; inputs stay as they are.

import assert from 'node:assert/strict';
import { getFixedWidth } from '../model/data-type.ts';
import {
  isVariableWidth,
  RowBatchBuilder,
  type ColumnSlot,
  type ColumnSpec,
  type RowBatchReader,
  type RowColumn,
} from './row-batch.ts';

/** A column's values. `data` holds what the format says, in an array of any element type. */
export interface ColumnInput {
  readonly fieldId: bigint;
  readonly dataType: number;
  readonly elementType?: number;
  readonly dim?: number;
  /** Bitmap as in the format; absent = every row has a value. */
  readonly validity?: Uint8Array | undefined;
  /** rows + 1, for VarChar, JSON and Array. */
  readonly offsets?: Uint32Array | undefined;
  readonly data: ArrayBufferView;
}

export function encodeRowBatch(columns: readonly ColumnInput[], rows: number): Buffer {
  const builder = new RowBatchBuilder(
    rows,
    columns.map((column) => ({
      ...column,
      hasValidity: column.validity !== undefined,
      dataBytes: column.data.byteLength,
    })),
  );
  columns.forEach((column, i) => {
    const { data, validity, offsets } = column;
    const slot = builder.slots[i]!;
    assert.equal(data.byteLength, slot.data.length, 'column has one value per row');
    assert.equal(offsets?.length, slot.offsets?.length, 'column has rows + 1 offsets');
    slot.data.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    if (validity !== undefined) slot.validity!.set(validity.subarray(0, slot.validity!.length));
    if (offsets !== undefined) slot.offsets!.set(offsets);
  });
  return builder.bytes;
}

/** Returns the rows with these numbers, in this order; a row may come more than once. */
export function takeRows(batch: RowBatchReader, rowIndexes: ArrayLike<number>): Buffer {
  const rows = rowIndexes.length;
  for (let i = 0; i < rows; i += 1) assert.ok(rowIndexes[i]! < batch.rows);
  const specs = batch.columns.map((column): ColumnSpec => {
    let dataBytes = 0;
    const { offsets } = column;
    if (offsets !== undefined) {
      for (let i = 0; i < rows; i += 1) {
        dataBytes += offsets[rowIndexes[i]! + 1]! - offsets[rowIndexes[i]!]!;
      }
    }
    return { ...getShape(column), hasValidity: column.validity !== undefined, dataBytes };
  });
  const builder = new RowBatchBuilder(rows, specs);
  batch.columns.forEach((column, i) => {
    const slot = builder.slots[i]!;
    takeValidity(column, slot, rowIndexes);
    if (slot.offsets !== undefined) takeVariable(column, slot, rowIndexes);
    else takeFixed(column, slot, rowIndexes);
  });
  return builder.bytes;
}

function takeValidity(column: RowColumn, slot: ColumnSlot, rowIndexes: ArrayLike<number>): void {
  const { validity } = slot;
  if (validity === undefined) return;
  for (let i = 0; i < rowIndexes.length; i += 1) {
    if (column.isValid(rowIndexes[i]!)) validity[i >> 3]! |= 1 << (i & 7);
  }
}

function takeVariable(column: RowColumn, slot: ColumnSlot, rowIndexes: ArrayLike<number>): void {
  const offsets = slot.offsets!;
  let at = 0;
  for (let i = 0; i < rowIndexes.length; i += 1) {
    offsets[i] = at;
    const value = column.getBytes(rowIndexes[i]!);
    slot.data.set(value, at);
    at += value.length;
  }
  offsets[rowIndexes.length] = at;
}

function takeFixed(column: RowColumn, slot: ColumnSlot, rowIndexes: ArrayLike<number>): void {
  const width = getFixedWidth(column.dataType, column.dim);
  const { data } = column;
  if (width > 8) {
    for (let i = 0; i < rowIndexes.length; i += 1) {
      const start = rowIndexes[i]! * width;
      slot.data.set(data.subarray(start, start + width), i * width);
    }
    return;
  }
  for (let i = 0; i < rowIndexes.length; i += 1) {
    const start = rowIndexes[i]! * width;
    for (let byte = 0; byte < width; byte += 1) {
      slot.data[i * width + byte] = data[start + byte]!;
    }
  }
}

/** Returns the rows of all batches, in order. A column that one batch lacks is null in its rows. */
export function concatRows(batches: readonly RowBatchReader[]): Buffer {
  const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
  const specs = new Map<bigint, ColumnSpec>();
  for (const batch of batches) {
    for (const column of batch.columns) {
      const known = specs.get(column.fieldId);
      assert.ok(known === undefined || known.dataType === column.dataType);
      specs.set(column.fieldId, {
        ...getShape(column),
        hasValidity: batches.some((each) => mayHaveNulls(each, column.fieldId)),
        dataBytes: (known?.dataBytes ?? 0) + getUsedBytes(column),
      });
    }
  }
  const builder = new RowBatchBuilder(rows, [...specs.values()]);
  [...specs.keys()].forEach((fieldId, i) => concatColumn(batches, fieldId, builder.slots[i]!));
  return builder.bytes;
}

function concatColumn(
  batches: readonly RowBatchReader[],
  fieldId: bigint,
  slot: ColumnSlot,
): void {
  const fixedWidth = getConcatWidth(batches, fieldId);
  let row = 0;
  let at = 0;
  for (const batch of batches) {
    const column = batch.findColumn(fieldId);
    const base = column?.offsets?.[0] ?? 0;
    const used = column === undefined ? fixedWidth * batch.rows : getUsedBytes(column);
    if (column === undefined) slot.data.fill(0, at, at + used);
    else slot.data.set(column.data.subarray(base, base + used), at);
    for (let i = 0; i < batch.rows; i += 1, row += 1) {
      if (slot.offsets !== undefined) {
        slot.offsets[row] = at + (column === undefined ? 0 : column.offsets![i]! - base);
      }
      if (slot.validity !== undefined && column !== undefined && column.isValid(i)) {
        slot.validity[row >> 3]! |= 1 << (row & 7);
      }
    }
    at += used;
  }
  if (slot.offsets !== undefined) slot.offsets[row] = at;
}

function getConcatWidth(batches: readonly RowBatchReader[], fieldId: bigint): number {
  for (const batch of batches) {
    const column = batch.findColumn(fieldId);
    if (column !== undefined) return getFixedWidth(column.dataType, column.dim);
  }
  return 0;
}

function mayHaveNulls(batch: RowBatchReader, fieldId: bigint): boolean {
  const column = batch.findColumn(fieldId);
  return column === undefined ? batch.rows > 0 : column.validity !== undefined;
}

/** Bytes from the first row's value to the end of the last one's. */
function getUsedBytes(column: RowColumn): number {
  const { offsets } = column;
  return isVariableWidth(column.dataType)
    ? offsets![column.rows]! - offsets![0]!
    : column.data.length;
}

function getShape(column: RowColumn): Omit<ColumnSpec, 'hasValidity'> {
  const { fieldId, dataType, elementType, dim } = column;
  return { fieldId, dataType, elementType, dim };
}
