// Cuts the columns of a large insert into ranges of rows, so that each range is checked and copied
// in a turn of the event loop of its own (R17). Nothing is copied here: a slice's columns are views
// of the request's.

import { findVectorTypeOnWire } from '../model/vector-type.ts';
import type { FieldDataView, ScalarColumn, VectorColumn, VectorFieldView } from './field-data.ts';
import type { FixedBytes } from './wire-lists.ts';

/** Work of a few milliseconds. */
const SLICE_MAX = { bytes: 1024 * 1024, rows: 4096 };

export interface RowSlice {
  /** Row of the request. */
  readonly firstRow: number;
  readonly numRows: number;
  readonly fieldsData: readonly FieldDataView[];
}

export interface SliceOptions {
  readonly sliceMax?: { readonly bytes: number; readonly rows: number };
  /** Of a row, when it becomes larger than it is in the message. */
  readonly rowBytes?: number;
  /** Whether a column may have no values at all; by default none may. */
  readonly mayBeEmpty?: (view: FieldDataView) => boolean;
}

/**
 * Yields the rows in order: in one slice when they are few, or when some column does not have a
 * value for each row, which the checks then refuse.
 */
export function* sliceRows(
  fieldsData: readonly FieldDataView[],
  numRows: number,
  { sliceMax = SLICE_MAX, rowBytes = 0, mayBeEmpty = () => false }: SliceOptions = {},
): Generator<RowSlice> {
  const bytes = Math.max(1, fieldsData[0]?.message.byteLength ?? 0, numRows * rowBytes);
  const rowsByBytes = Math.floor((numRows * sliceMax.bytes) / bytes);
  const sliceRowsMax = Math.min(sliceMax.rows, Math.max(1, rowsByBytes));
  const isSmall = numRows <= sliceRowsMax;
  const cursors = isSmall
    ? []
    : fieldsData.map((view) => ColumnCursor.open(view, numRows, mayBeEmpty));
  if (isSmall || !cursors.every((cursor) => cursor !== undefined)) {
    yield { firstRow: 0, numRows, fieldsData };
    return;
  }
  for (let firstRow = 0; firstRow < numRows; firstRow += sliceRowsMax) {
    const rows = Math.min(sliceRowsMax, numRows - firstRow);
    yield {
      firstRow,
      numRows: rows,
      fieldsData: cursors.map((cursor) => cursor.take(firstRow, rows)),
    };
  }
}

/** Takes a column's rows from the first to the last. */
class ColumnCursor {
  readonly #view: FieldDataView;
  readonly #isEmpty: boolean;
  /** The wire has no values for null rows. */
  readonly #isCompact: boolean;
  #nextValue = 0;
  readonly #fixed: FixedCursor | undefined;

  /** Undefined when the column cannot be cut. */
  static open(
    view: FieldDataView,
    numRows: number,
    mayBeEmpty: (view: FieldDataView) => boolean,
  ): ColumnCursor | undefined {
    const values = countValues(view);
    const { validData } = view;
    if (values === undefined) return undefined;
    if (validData === undefined || validData.length === 0) {
      const isEmpty = values === 0 && mayBeEmpty(view);
      const isCut = isEmpty || values === numRows;
      return isCut ? new ColumnCursor(view, { isCompact: false, isEmpty }) : undefined;
    }
    if (validData.length !== numRows) return undefined;
    const isCompact = values !== numRows;
    if (isCompact && values !== countValid(validData)) return undefined;
    return new ColumnCursor(view, { isCompact, isEmpty: false });
  }

  private constructor(view: FieldDataView, form: { isCompact: boolean; isEmpty: boolean }) {
    this.#view = view;
    this.#isEmpty = form.isEmpty;
    this.#isCompact = form.isCompact;
    const column = view.vectors?.column ?? view.scalars?.column;
    const isFixed = column !== undefined && 'values' in column && 'chunks' in column.values;
    this.#fixed = isFixed ? new FixedCursor(column.values) : undefined;
  }

  take(firstRow: number, rows: number): FieldDataView {
    const view = this.#view;
    if (this.#isEmpty) return view;
    const validData = view.validData?.subarray(firstRow, firstRow + rows);
    const count = this.#isCompact ? countValid(validData!) : rows;
    const from = this.#nextValue;
    this.#nextValue += count;
    const { scalars, vectors } = view;
    return {
      ...view,
      validData,
      scalars:
        scalars?.column === undefined
          ? scalars
          : { ...scalars, column: this.#cutScalars(scalars.column, from, count) },
      vectors:
        vectors?.column === undefined
          ? vectors
          : {
              ...vectors,
              column: this.#cutVectors(vectors, vectors.column, count),
            },
    };
  }

  #cutVectors({ dim }: VectorFieldView, column: VectorColumn, count: number): VectorColumn {
    const { elementBytes } = findVectorTypeOnWire(column.kind)!;
    const bytes = count * dim * elementBytes;
    return { ...column, values: this.#fixed!.takeBytes(bytes) } as VectorColumn;
  }

  #cutScalars(column: ScalarColumn, from: number, count: number): ScalarColumn {
    switch (column.kind) {
      case 'bool':
        return { ...column, values: column.values.subarray(from, from + count) };
      case 'int':
        return { ...column, values: column.values.subarray(from, from + count) };
      case 'long':
        return { ...column, values: column.values.subarray(from, from + count) };
      case 'float':
      case 'double':
        return { ...column, values: this.#fixed!.take(count) };
      case 'other':
        return column;
      default: {
        const pairs = column.values.pairs.subarray(2 * from, 2 * (from + count));
        return { ...column, values: { count, pairs } };
      }
    }
  }
}

/** Takes fixed-width values, which may lie in many chunks, from the first to the last. */
class FixedCursor {
  readonly #fixed: FixedBytes;
  #chunk = 0;
  /** Bytes of that chunk which are taken. */
  #taken = 0;

  constructor(fixed: FixedBytes) {
    this.#fixed = fixed;
  }

  take(count: number): FixedBytes {
    return this.takeBytes(count * this.#fixed.width);
  }

  takeBytes(byteLength: number): FixedBytes {
    const { width, chunks } = this.#fixed;
    const pairs: number[] = [];
    for (let missing = byteLength; missing > 0; ) {
      const start = chunks.pairs[2 * this.#chunk]! + this.#taken;
      const left = chunks.pairs[2 * this.#chunk + 1]! - this.#taken;
      const length = Math.min(left, missing);
      pairs.push(start, length);
      missing -= length;
      this.#taken += length;
      if (length === left) {
        this.#chunk += 1;
        this.#taken = 0;
      }
    }
    const taken = { count: pairs.length / 2, pairs: Uint32Array.from(pairs) };
    return { width, byteLength, chunks: taken };
  }
}

/** Returns how many rows' values a column has; undefined when that cannot be told. */
export function countValues(view: FieldDataView): number | undefined {
  const { scalars, vectors } = view;
  if (view.structArrays !== undefined) return undefined;
  if (vectors !== undefined) {
    if (vectors.column === undefined) return 0;
    return countVectors(vectors, vectors.column);
  }
  const column = scalars?.column;
  if (column === undefined) return 0;
  switch (column.kind) {
    case 'bool':
    case 'int':
    case 'long':
      return column.values.length;
    case 'float':
    case 'double':
      return column.values.byteLength / column.values.width;
    case 'other':
      return undefined;
    default:
      return column.values.count;
  }
}

function countVectors({ dim }: VectorFieldView, column: VectorColumn): number | undefined {
  const type = findVectorTypeOnWire(column.kind);
  const hasBytes = 'values' in column && 'byteLength' in column.values;
  if (type === undefined || !hasBytes || dim <= 0) return undefined;
  const rows = column.values.byteLength / type.elementBytes / dim;
  return Number.isInteger(rows) ? rows : undefined;
}

function countValid(validData: Uint8Array): number {
  let count = 0;
  for (const valid of validData) count += valid;
  return count;
}
