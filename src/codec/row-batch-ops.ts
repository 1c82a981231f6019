// Whole-batch operations: encode from arrays, select or reorder rows, concatenate.
// Results are new batches; inputs stay as they are.

import assert from 'node:assert/strict';
import { BYTES_PER_TURN, runNow, type Steps } from '../base/turns.ts';
import { getFixedWidth } from '../model/stored-types.ts';
import {
  isVariableWidth,
  RowBatchBuilder,
  type ColumnSlot,
  type ColumnSpec,
  type RowBatchReader,
  type RowColumn,
} from './row-batch.ts';

const STEP_BYTES = BYTES_PER_TURN / 4;
/** A row takes as long as so many bytes, besides its own. */
const ROW_WORK = 32;

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
  return runNow(takeRowsOf([batch], rowIndexes));
}

/**
 * Returns rows of several batches, in steps. Rows are numbered through all batches, in order: the
 * first of a batch comes after the last of the batch before. A column that a batch lacks is null in
 * its rows. Reads each value once: nothing is joined first.
 */
export function* takeRowsOf(
  batches: readonly RowBatchReader[],
  rowIndexes: ArrayLike<number>,
): Steps<Buffer> {
  const rows = rowIndexes.length;
  const places = locateRows(batches, rowIndexes);
  const fieldIds = new Set(batches.flatMap(({ columns }) => columns.map((one) => one.fieldId)));
  const sources = [...fieldIds].map((id) => batches.map((batch) => batch.findColumn(id)));
  const specs = sources.map((columns): ColumnSpec => {
    const shape = getShape(columns.find((column) => column !== undefined)!);
    for (const column of columns) {
      assert.ok(column === undefined || column.dataType === shape.dataType);
    }
    return {
      ...shape,
      hasValidity: columns.some(
        (column, i) => column?.validity !== undefined || (column === undefined && rowsOf(i) > 0),
      ),
      dataBytes: isVariableWidth(shape.dataType) ? addLengths(columns, places) : 0,
    };
  });
  const builder = new RowBatchBuilder(rows, specs);
  for (const [i, columns] of sources.entries()) {
    const slot = builder.slots[i]!;
    takeValidity(columns, slot, places);
    if (slot.offsets !== undefined) yield* takeVariable(columns, slot, places);
    else yield* takeFixed(columns, slot, places, getFixedWidth(specs[i]!.dataType, specs[i]!.dim));
  }
  return builder.bytes;

  function rowsOf(i: number): number {
    return batches[i]!.rows;
  }
}

/** Where each row is: its batch, and its number there. */
interface Places {
  readonly batch: Uint32Array;
  readonly row: Uint32Array;
}

function locateRows(batches: readonly RowBatchReader[], rowIndexes: ArrayLike<number>): Places {
  const length = rowIndexes.length;
  const places = { batch: new Uint32Array(length), row: new Uint32Array(length) };
  const ends: number[] = [];
  batches.reduce((at, batch) => (ends.push(at + batch.rows), at + batch.rows), 0);
  for (let i = 0; i < length; i += 1) {
    const wanted = rowIndexes[i]!;
    let batch = 0;
    while (wanted >= ends[batch]!) batch += 1;
    assert.ok(batch < batches.length);
    places.batch[i] = batch;
    places.row[i] = batch === 0 ? wanted : wanted - ends[batch - 1]!;
  }
  return places;
}

type Columns = readonly (RowColumn | undefined)[];

function addLengths(columns: Columns, { batch, row }: Places): number {
  let bytes = 0;
  for (let i = 0; i < row.length; i += 1) {
    const offsets = columns[batch[i]!]?.offsets;
    if (offsets !== undefined) bytes += offsets[row[i]! + 1]! - offsets[row[i]!]!;
  }
  return bytes;
}

function takeValidity(columns: Columns, slot: ColumnSlot, { batch, row }: Places): void {
  const { validity } = slot;
  if (validity === undefined) return;
  for (let i = 0; i < row.length; i += 1) {
    if (columns[batch[i]!]?.isValid(row[i]!) === true) validity[i >> 3]! |= 1 << (i & 7);
  }
}

function* takeVariable(columns: Columns, slot: ColumnSlot, { batch, row }: Places): Steps<void> {
  const offsets = slot.offsets!;
  let at = 0;
  let before = 0;
  for (let i = 0; i < row.length; i += 1) {
    offsets[i] = at;
    const value = columns[batch[i]!]?.getBytes(row[i]!);
    if (value === undefined) continue;
    slot.data.set(value, at);
    at += value.length;
    const work = at + ROW_WORK * i - before;
    if (work < STEP_BYTES) continue;
    before += work;
    yield work;
  }
  offsets[row.length] = at;
}

function* takeFixed(
  columns: Columns,
  slot: ColumnSlot,
  { batch, row }: Places,
  width: number,
): Steps<void> {
  const rowsPerStep = Math.ceil(STEP_BYTES / (width + ROW_WORK));
  for (let i = 0; i < row.length; i += 1) {
    const data = columns[batch[i]!]?.data;
    const start = row[i]! * width;
    if (data === undefined) slot.data.fill(0, i * width, (i + 1) * width);
    else if (width > 8) slot.data.set(data.subarray(start, start + width), i * width);
    else {
      for (let byte = 0; byte < width; byte += 1) {
        slot.data[i * width + byte] = data[start + byte]!;
      }
    }
    if ((i + 1) % rowsPerStep === 0) yield STEP_BYTES;
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
