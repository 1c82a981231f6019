// Rows of a batch against the schema: JSON texts, which native parses faster than this side, and
// for what a write adds up to where the request alone does not say it (partial updates) lengths.
// Bounds and words are those of an insert's columns; values of fixed width and UTF-8 are checked
// where they enter (check-columns.ts).

import { native } from '../../../index/native.ts';
import { DataType } from '../../../model/data-type.ts';
import { invalidParameter } from '../../../model/error.ts';
import type { FieldSchema } from '../../../model/schema.ts';
import { forEachString, getArrayLength } from '../../../codec/array-blob.ts';
import {
  refuseLongElement,
  refuseLongJson,
  refuseLongMergedArray,
  refuseLongText,
} from './check-error.ts';
import type { RowBatchReader, RowColumn } from '../../../codec/row-batch.ts';

export interface RowCheckOptions {
  /** For messages. */
  readonly collectionName?: string | undefined;
  readonly jsonBytesMax: number;
  /** For messages: the request's row that a row of the batch belongs to. */
  readonly toRequestRow: (row: number) => number;
}

/** @throws MilvusError ParameterInvalid that names field, row, expected and actual */
export function checkRows(
  fields: readonly FieldSchema[],
  batch: RowBatchReader,
  options: RowCheckOptions,
): void {
  for (const field of fields) {
    const column = batch.findColumn(field.fieldId);
    const { dataType } = field;
    if (column?.offsets === undefined) continue;
    if (dataType === DataType.Array) checkArrays(field, column, options);
    else checkLengths(field, column, options);
  }
}

function checkLengths(field: FieldSchema, column: RowColumn, options: RowCheckOptions): void {
  const { collectionName, jsonBytesMax, toRequestRow } = options;
  const isJson = field.dataType === DataType.JSON;
  const bytesMax = isJson ? jsonBytesMax : field.maxLength;
  const offsets = column.offsets!;
  for (let row = 0; row < column.rows; row += 1) {
    const length = offsets[row + 1]! - offsets[row]!;
    if (length <= bytesMax) continue;
    throw isJson
      ? refuseLongJson(field, collectionName, toRequestRow(row), { length, bytesMax })
      : refuseLongText(field, collectionName, toRequestRow(row), length);
  }
}

function checkArrays(field: FieldSchema, column: RowColumn, options: RowCheckOptions): void {
  const { collectionName, toRequestRow } = options;
  for (let row = 0; row < column.rows; row += 1) {
    const blob = column.getBytes(row);
    const count = getArrayLength(blob, field.elementType);
    if (count > field.maxCapacity) {
      throw refuseLongMergedArray(field, collectionName, toRequestRow(row), count);
    }
    if (field.elementType !== DataType.VarChar) continue;
    let at = 0;
    forEachString(blob, (start, end) => {
      const length = end - start;
      if (length > field.maxLength) {
        throw refuseLongElement(field, collectionName, toRequestRow(row), { at, length });
      }
      at += 1;
    });
  }
}

/**
 * @param fields        those that the batch has
 * @param collection    for the message, as the next one
 * @param toRequestRow  the request's row that a row of the batch belongs to
 * @throws MilvusError ParameterInvalid for text that is not JSON
 */
export function checkJson(
  fields: readonly FieldSchema[],
  batch: Uint8Array,
  collection: string,
  toRequestRow: (row: number) => number,
): void {
  for (const field of fields) {
    if (field.dataType !== DataType.JSON) continue;
    const bad = native.findInvalidJson(batch, field.fieldId);
    if (bad < 0) continue;
    throw invalidParameter(
      `invalid JSON in field ${field.name} of collection ${collection}, row ${toRequestRow(bad)}`,
    );
  }
}
