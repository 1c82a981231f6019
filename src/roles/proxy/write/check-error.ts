// How a refused value is reported: code 1100, Milvus' words where they are known, then which
// collection, field and row, what was expected and what came.

import { MilvusError } from '../../../model/error.ts';
import type { FieldSchema } from '../../../model/schema.ts';

/** The column that is being checked. */
export interface Place {
  readonly field: FieldSchema;
  readonly collection: string | undefined;
  /** The bytes that the column's ranges refer to. */
  readonly message: Uint8Array;
  /** One byte per row, 0 = null, when the wire leaves out the values of null rows. */
  readonly compactRows: Uint8Array | undefined;
  /** The request's row that the column begins with. */
  readonly firstRow: number;
}

/** Returns the request's row of value number `at`. */
export function findRow(place: Place, at: number): number {
  const { compactRows, firstRow } = place;
  if (compactRows === undefined) return firstRow + at;
  let seen = -1;
  for (let row = 0; row < compactRows.length; row += 1) {
    seen += compactRows[row]!;
    if (seen === at) return firstRow + row;
  }
  return firstRow + at;
}

export interface ValueProblem {
  /** Text without the closing `invalid parameter`. */
  readonly text: string;
  readonly field: string;
  /** Row of the request, from 0. */
  readonly row?: number;
  readonly expected?: string | number | bigint;
  readonly actual?: string | number | bigint;
}

export function refuseValue(collection: string | undefined, problem: ValueProblem): MilvusError {
  const { text, field, row, expected, actual } = problem;
  return new MilvusError('ParameterInvalid', {
    message: `${text}: invalid parameter`,
    fields: {
      ...(collection === undefined ? {} : { collection }),
      field,
      ...(row === undefined ? {} : { row }),
      ...(expected === undefined ? {} : { expected }),
      ...(actual === undefined ? {} : { actual }),
    },
  });
}

/** As Milvus prints them. */
export function formatNotFinite(value: number): string {
  return Number.isNaN(value) ? 'NaN' : value > 0 ? '+Inf' : '-Inf';
}

export function refuseNotFinite(
  place: Pick<Place, 'field' | 'collection'>,
  value: number,
  row?: number,
): MilvusError {
  return refuseValue(place.collection, {
    text: `value '${formatNotFinite(value)}' is not a number or infinity`,
    field: place.field.name,
    ...(row === undefined ? {} : { row }),
    expected: 'a finite number',
    actual: formatNotFinite(value),
  });
}

export function refuseLongText(
  field: FieldSchema,
  collection: string | undefined,
  row: number,
  length: number,
): MilvusError {
  return refuseValue(collection, {
    text:
      `length of varchar field ${field.name} exceeds max length, ` +
      `row number: ${row}, length: ${length}, max length: ${field.maxLength}`,
    field: field.name,
    row,
    expected: `at most ${field.maxLength} bytes`,
    actual: length,
  });
}

export function refuseLongJson(
  field: FieldSchema,
  collection: string | undefined,
  row: number,
  { length, bytesMax }: { readonly length: number; readonly bytesMax: number },
): MilvusError {
  return refuseValue(collection, {
    text: `the length (${length}) of json field (${field.name}) exceeds max length (${bytesMax})`,
    field: field.name,
    row,
    expected: `at most ${bytesMax} bytes`,
    actual: length,
  });
}

export function refuseLongArray(
  field: FieldSchema,
  collection: string | undefined,
  row: number,
  count: number,
  text = `the length (${count}) of ${row}th array exceeds max capacity (${field.maxCapacity})`,
): MilvusError {
  return refuseValue(collection, {
    text,
    field: field.name,
    row,
    expected: `at most ${field.maxCapacity} elements`,
    actual: count,
  });
}

/** Of an array that an update results in: Milvus has other words for it. */
export function refuseLongMergedArray(
  field: FieldSchema,
  collection: string | undefined,
  row: number,
  count: number,
): MilvusError {
  const text = `array length ${count} exceeds max_capacity ${field.maxCapacity}`;
  return refuseLongArray(field, collection, row, count, text);
}

/** @param element  position in the array, and its bytes */
export function refuseLongElement(
  field: FieldSchema,
  collection: string | undefined,
  row: number,
  element: { readonly at: number; readonly length: number },
): MilvusError {
  const { at, length } = element;
  return refuseValue(collection, {
    text:
      `length of Array array field "${field.name}" exceeds max length, ` +
      `row number: ${row}, length: ${length}, max length: ${field.maxLength}`,
    field: field.name,
    row,
    expected: `at most ${field.maxLength} bytes`,
    actual: `${length} at element ${at}`,
  });
}
