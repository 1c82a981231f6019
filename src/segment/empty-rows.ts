// A row batch without rows but with its columns: what a read of nothing answers.

import { encodeRowBatch } from '../codec/row-batch-ops.ts';
import { isVariableWidth } from '../codec/row-batch.ts';
import { DataType } from '../model/data-type.ts';
import {
  findFieldById,
  getPrimaryKeyField,
  TIMESTAMP_FIELD_ID,
  type CollectionSchema,
} from '../model/schema.ts';

export function makeEmptyRows(
  schema: CollectionSchema,
  outputFieldIds: readonly bigint[],
): Uint8Array {
  const ids = new Set([getPrimaryKeyField(schema).fieldId, ...outputFieldIds]);
  const columns = [
    { fieldId: TIMESTAMP_FIELD_ID, dataType: DataType.Int64 as number, data: new Uint8Array() },
  ];
  for (const id of ids) {
    const field = findFieldById(schema, id);
    if (field === undefined) continue;
    const { fieldId, dataType, elementType, dim } = field;
    const offsets = isVariableWidth(dataType) ? { offsets: new Uint32Array(1) } : {};
    columns.push({
      fieldId,
      dataType,
      elementType,
      dim,
      data: new Uint8Array(),
      ...offsets,
    } as never);
  }
  return encodeRowBatch(columns, 0);
}
