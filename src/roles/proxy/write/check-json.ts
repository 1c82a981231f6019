// JSON texts of rows on their way in: parsed by native, which is faster than this side.

import { native } from '../../../index/native.ts';
import { DataType } from '../../../model/data-type.ts';
import { invalidParameter } from '../../../model/error.ts';
import type { FieldSchema } from '../../../model/schema.ts';

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
