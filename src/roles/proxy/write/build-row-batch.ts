// Checked columns of an insert → row batch, for all rows or for those of one shard and partition.
// Vectors are copied once, at memory speed, straight from the request into the batch; what needs
// aligned or gathered bytes is checked there (finite floats, UTF-8), before any batch is handed on.
// The batch owns its memory: nothing in it refers to the request.

import assert from 'node:assert/strict';
import { isUtf8 } from 'node:buffer';
import { DataType } from '../../../model/data-type.ts';
import { ROW_ID_FIELD_ID, type DefaultValue, type FieldSchema } from '../../../model/schema.ts';
import type { CheckedColumn, CheckedColumns } from './check-columns.ts';
import { refuseNotFinite, refuseValue } from './check-error.ts';
import { encodeDefaultValue } from '../../../codec/default-value.ts';
import { isVariableWidth, RowBatchBuilder, type ColumnSlot } from '../../../codec/row-batch.ts';
import type { Keys } from '../../../model/keys.ts';
import { getFixedWidth } from '../../../model/stored-types.ts';
import { getVectorType } from '../../../model/vector-type.ts';
import { copyFixedBytes, decodeStrings, joinFixedBytes } from '../../../codec/wire-lists.ts';
import { asBuffer } from '../../../codec/wire.ts';

const FROM_FALLBACK = 0xffffffff;

/** What every column of one batch needs to know. */
interface Selection {
  readonly rowIds: BigInt64Array;
  /** Rows of the checked columns, in the order of the batch; undefined = all. */
  readonly rows: Uint32Array | undefined;
  readonly count: number;
  /** For messages: the request's row that row 0 is. */
  readonly firstRow: number;
  readonly collectionName: string | undefined;
}

/**
 * Builds a row batch (docs/formats/row-batch.md) with the row id column and all checked columns.
 *
 * @param rowIds  one per checked row; also the keys of an auto-id primary key
 * @param rows    checked rows to take, in this order; all when left out
 * @throws MilvusError ParameterInvalid for NaN, infinity, text that is not UTF-8
 * Cost: one copy of the data and one pass over vectors and text.
 */
export function buildRowBatch(
  checked: CheckedColumns,
  rowIds: BigInt64Array,
  rows?: Uint32Array,
): Buffer {
  const selection: Selection = {
    rowIds,
    rows,
    count: rows?.length ?? checked.rows,
    firstRow: checked.firstRow,
    collectionName: checked.collectionName,
  };
  const sources = checked.columns.map((column) => makeSource(column, selection));
  const builder = new RowBatchBuilder(selection.count, [
    { fieldId: ROW_ID_FIELD_ID, dataType: DataType.Int64, hasValidity: false },
    ...sources.map((source) => source.spec),
  ]);
  fillRowIds(builder.slots[0]!, selection);
  sources.forEach((source, i) => source.fill(builder.slots[i + 1]!));
  return builder.bytes;
}

/**
 * Returns the values of a key field (primary or partition key) for all checked rows: generated,
 * given, or the field's default where a row has none.
 */
export function readKeys(column: CheckedColumn, rowIds: BigInt64Array): Keys {
  const { values, field, physical } = column;
  const isInt64 = field.dataType === DataType.Int64;
  if (values.kind === 'generated') {
    return isInt64
      ? { kind: 'int64', values: rowIds }
      : { kind: 'string', values: Array.from(rowIds, String) };
  }
  const rows = rowIds.length;
  if (values.kind === 'absent') {
    return isInt64
      ? { kind: 'int64', values: new BigInt64Array(rows).fill(BigInt(requireDefault(field))) }
      : { kind: 'string', values: Array<string>(rows).fill(String(requireDefault(field))) };
  }
  if (values.kind === 'fixed' && values.values instanceof BigInt64Array) {
    const given = values.values;
    if (physical === undefined) return { kind: 'int64', values: given };
    const keyOf = (at: number): bigint => (at < 0 ? BigInt(requireDefault(field)) : given[at]!);
    return { kind: 'int64', values: BigInt64Array.from(physical, keyOf) };
  }
  assert.ok(values.kind === 'spans', `field ${field.name} is a key`);
  const given = decodeStrings(asBuffer(values.bytes), values.spans);
  if (physical === undefined) return { kind: 'string', values: given };
  const keyOf = (at: number): string => (at < 0 ? String(requireDefault(field)) : given[at]!);
  return { kind: 'string', values: Array.from(physical, keyOf) };
}

function requireDefault(field: FieldSchema): DefaultValue {
  assert.ok(field.defaultValue !== undefined, `field ${field.name} has a value in each row`);
  return field.defaultValue;
}

interface Source {
  readonly spec: {
    readonly fieldId: bigint;
    readonly dataType: number;
    readonly elementType: number;
    readonly dim: number;
    readonly hasValidity: boolean;
    readonly dataBytes: number;
  };
  readonly fill: (slot: ColumnSlot) => void;
}

function makeSource(column: CheckedColumn, selection: Selection): Source {
  const { field } = column;
  const isVariable = isVariableWidth(field.dataType);
  const places = isVariable ? gatherSpans(column, selection) : undefined;
  const fallback = encodeDefaultValue(field);
  const hasNulls =
    fallback === undefined &&
    (column.values.kind === 'absent' || column.physical !== undefined);
  return {
    spec: {
      fieldId: field.fieldId,
      dataType: field.dataType,
      elementType: field.elementType,
      dim: field.dim,
      hasValidity: hasNulls,
      dataBytes: places?.dataBytes ?? 0,
    },
    fill: (slot) => {
      if (hasNulls) fillValidity(slot.validity!, column, selection);
      if (places !== undefined) fillVariable(slot, places, { field, selection });
      else if (column.values.kind === 'vector') fillVectors(slot, column, selection);
      else fillFixed(slot, column, { selection, fallback });
    },
  };
}

function fillRowIds(slot: ColumnSlot, selection: Selection): void {
  const { rowIds, rows, count } = selection;
  const target = new BigInt64Array(slot.data.buffer, slot.data.byteOffset, count);
  if (rows === undefined) target.set(rowIds.subarray(0, count));
  else for (let i = 0; i < count; i += 1) target[i] = rowIds[rows[i]!]!;
}

/** Returns the index of the value of the batch's row i; -1 = none. */
function getIndex(column: CheckedColumn, rows: Uint32Array | undefined, i: number): number {
  const row = rows === undefined ? i : rows[i]!;
  return column.physical === undefined ? row : column.physical[row]!;
}

function fillValidity(validity: Uint8Array, column: CheckedColumn, selection: Selection): void {
  if (column.values.kind === 'absent') return;
  for (let i = 0; i < selection.count; i += 1) {
    if (getIndex(column, selection.rows, i) >= 0) validity[i >> 3]! |= 1 << (i & 7);
  }
}

function fillFixed(
  slot: ColumnSlot,
  column: CheckedColumn,
  from: { readonly selection: Selection; readonly fallback: Uint8Array | undefined },
): void {
  const { selection, fallback } = from;
  const { values, field } = column;
  const width = getFixedWidth(field.dataType, field.dim);
  if (values.kind === 'generated') {
    fillRowIds(slot, selection);
    return;
  }
  if (values.kind !== 'fixed') {
    slot.data.fill(0);
    if (fallback === undefined) return;
    for (let i = 0; i < selection.count; i += 1) slot.data.set(fallback, i * width);
    return;
  }
  const { buffer, byteOffset, byteLength } = values.values;
  const source = new Uint8Array(buffer, byteOffset, byteLength);
  if (selection.rows === undefined && column.physical === undefined) {
    slot.data.set(source);
    return;
  }
  for (let i = 0; i < selection.count; i += 1) {
    const index = getIndex(column, selection.rows, i);
    for (let byte = 0; byte < width; byte += 1) {
      slot.data[i * width + byte] =
        index < 0 ? (fallback?.[byte] ?? 0) : source[index * width + byte]!;
    }
  }
}

function fillVectors(slot: ColumnSlot, column: CheckedColumn, selection: Selection): void {
  if (column.values.kind !== 'vector') return;
  const { bytes, values } = column.values;
  if (selection.rows === undefined && column.physical === undefined) {
    copyFixedBytes(bytes, values, slot.data);
  } else {
    const source = joinFixedBytes(bytes, values);
    const width = getFixedWidth(column.field.dataType, column.field.dim);
    for (let i = 0; i < selection.count; i += 1) {
      const at = getIndex(column, selection.rows, i) * width;
      if (at < 0) slot.data.fill(0, i * width, (i + 1) * width);
      else slot.data.set(source.subarray(at, at + width), i * width);
    }
  }
  checkVectors(slot.data, column.field, selection);
}

function checkVectors(data: Uint8Array, field: FieldSchema, selection: Selection): void {
  const { findBadElement, readElement } = getVectorType(field.dataType);
  const at = findBadElement(data);
  if (at < 0) return;
  const row = Math.floor(at / field.dim);
  throw refuseNotFinite(
    { field, collection: selection.collectionName },
    readElement(data, at),
    selection.firstRow + (selection.rows?.[row] ?? row),
  );
}

/** Where each row's bytes lie. */
interface GatheredSpans {
  readonly bytes: Uint8Array;
  /** What rows without a value of their own get: the default, or nothing. */
  readonly fallback: Uint8Array;
  /** Start and length per row of the batch; start FROM_FALLBACK for a fallback. */
  readonly pairs: Uint32Array;
  readonly dataBytes: number;
}

function gatherSpans(column: CheckedColumn, selection: Selection): GatheredSpans {
  const { count, rows } = selection;
  const { values, field } = column;
  if (values.kind === 'generated') return gatherDecimals(selection);
  const fallback = encodeDefaultValue(field) ?? new Uint8Array(0);
  const pairs = new Uint32Array(2 * count);
  if (values.kind !== 'spans') {
    for (let i = 0; i < count; i += 1) pairs[2 * i + 1] = fallback.length;
    return { bytes: fallback, fallback, pairs, dataBytes: fallback.length * count };
  }
  const source = values.spans.pairs;
  let dataBytes = 0;
  for (let i = 0; i < count; i += 1) {
    const index = getIndex(column, rows, i);
    const length = index < 0 ? fallback.length : source[2 * index + 1]!;
    pairs[2 * i] = index < 0 ? FROM_FALLBACK : source[2 * index]!;
    pairs[2 * i + 1] = length;
    dataBytes += length;
  }
  return { bytes: values.bytes, fallback, pairs, dataBytes };
}

function gatherDecimals(selection: Selection): GatheredSpans {
  const { count, rows, rowIds } = selection;
  const pairs = new Uint32Array(2 * count);
  const texts: string[] = [];
  let dataBytes = 0;
  for (let i = 0; i < count; i += 1) {
    const text = String(rowIds[rows === undefined ? i : rows[i]!]!);
    texts.push(text);
    pairs[2 * i] = dataBytes;
    pairs[2 * i + 1] = text.length;
    dataBytes += text.length;
  }
  const bytes = Buffer.from(texts.join(''), 'latin1');
  return { bytes, fallback: bytes, pairs, dataBytes };
}

function fillVariable(
  slot: ColumnSlot,
  places: GatheredSpans,
  where: { readonly field: FieldSchema; readonly selection: Selection },
): void {
  const { pairs, fallback } = places;
  const { data } = slot;
  const offsets = slot.offsets!;
  const count = offsets.length - 1;
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    offsets[i] = at;
    const isFallback = pairs[2 * i] === FROM_FALLBACK;
    const bytes = isFallback ? fallback : places.bytes;
    const start = isFallback ? 0 : pairs[2 * i]!;
    const length = pairs[2 * i + 1]!;
    if (length > 24) data.set(bytes.subarray(start, start + length), at);
    else for (let k = 0; k < length; k += 1) data[at + k] = bytes[start + k]!;
    at += length;
  }
  offsets[count] = at;
  if (where.field.dataType !== DataType.Array) checkUtf8(slot, where);
}

/** All of it is UTF-8 and no row begins inside a character: then every row is UTF-8. */
function checkUtf8(
  slot: ColumnSlot,
  where: { readonly field: FieldSchema; readonly selection: Selection },
): void {
  const { data } = slot;
  const offsets = slot.offsets!;
  let isGood = isUtf8(data);
  for (let i = 0; i < offsets.length && isGood; i += 1) {
    isGood = (data[offsets[i]!] ?? 0) >> 6 !== 2;
  }
  if (isGood) return;
  const { field, selection } = where;
  for (let i = 0; i + 1 < offsets.length; i += 1) {
    if (isUtf8(data.subarray(offsets[i]!, offsets[i + 1]!))) continue;
    throw refuseValue(selection.collectionName, {
      text: `text of field ${field.name} is not UTF-8`,
      field: field.name,
      row: selection.firstRow + (selection.rows?.[i] ?? i),
      expected: 'UTF-8',
      actual: 'other bytes',
    });
  }
}
