// A field's default value as it lies in row batches, and columns whose nulls are replaced by it.
// A field with a default never stores a null: a row without a value was written before the field
// was added, and reads as the default.

import { DataType } from '../model/data-type.ts';
import type { DefaultValue, FieldSchema } from '../model/schema.ts';
import { getFixedWidth } from '../model/stored-types.ts';
import { isVariableWidth, RowBatchBuilder, RowColumn } from './row-batch.ts';

/** Returns one value's bytes; undefined when the default is null. */
export function encodeDefaultValue(field: FieldSchema): Uint8Array | undefined {
  const value: DefaultValue | undefined =
    field.defaultValue ?? (field.isDynamic ? '{}' : undefined);
  if (value === undefined) return undefined;
  if (typeof value === 'string') return Buffer.from(value);
  const bytes = Buffer.alloc(getFixedWidth(field.dataType));
  switch (field.dataType) {
    case DataType.Int64:
      bytes.writeBigInt64LE(BigInt(value));
      return bytes;
    case DataType.Float:
      bytes.writeFloatLE(Number(value));
      return bytes;
    case DataType.Double:
      bytes.writeDoubleLE(Number(value));
      return bytes;
    default:
      bytes.writeIntLE(Number(value), 0, bytes.length);
      return bytes;
  }
}

/** Returns the column with the default in its null rows; itself when it has none. */
export function fillNulls(
  field: FieldSchema,
  column: RowColumn | undefined,
  rows: number,
): RowColumn | undefined {
  const value = encodeDefaultValue(field);
  if (value === undefined || (column !== undefined && column.validity === undefined)) return column;
  const isVariable = isVariableWidth(field.dataType);
  let dataBytes = 0;
  for (let row = 0; row < rows && isVariable; row += 1) {
    dataBytes += getValue(column, value, row).length;
  }
  const spec = { ...field, hasValidity: false, dataBytes };
  const slot = new RowBatchBuilder(rows, [spec]).slots[0]!;
  let at = 0;
  for (let row = 0; row < rows; row += 1) {
    const bytes = getValue(column, value, row);
    if (slot.offsets !== undefined) slot.offsets[row] = at;
    slot.data.set(bytes, at);
    at += bytes.length;
  }
  if (slot.offsets !== undefined) slot.offsets[rows] = at;
  return new RowColumn(spec, rows, slot);
}

function getValue(column: RowColumn | undefined, value: Uint8Array, row: number): Uint8Array {
  return column !== undefined && column.isValid(row) ? column.getBytes(row) : value;
}
