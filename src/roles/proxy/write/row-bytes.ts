// What the rows of an Insert or Upsert take as row batches. A message says less than that: a field
// that is left out, or null, takes its whole width in a batch, and a default comes once for each
// row. So a few bytes can ask for many, and this is told before the first batch is made (P6).

import { encodeDefaultValue } from '../../../codec/default-value.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError } from '../../../model/error.ts';
import type { CollectionSchema, FieldSchema } from '../../../model/schema.ts';
import { getFixedWidth } from '../../../model/stored-types.ts';
import type { RequestContext } from '../proxy.ts';
import { mayLackValues } from './check-columns.ts';
import type { RowSource } from './row-source.ts';

const ROW_ID_BYTES = 8;
/** An id drawn for a key of text, in decimal. */
const DRAWN_KEY_BYTES = 20;
/** Of a value of variable width: where it ends. */
const OFFSET_BYTES = 4;
/** Batches as large as this many messages are what the gate counts anyway. */
const COUNTED_COPIES = 2;

/** Bytes of a row in a batch, without values of variable width that the source has. */
export function measureRowBytes({ fields }: CollectionSchema, source: RowSource): number {
  let bytes = ROW_ID_BYTES;
  for (const field of fields) {
    const width = getFixedWidth(field.dataType, field.dim);
    bytes += width > 0 ? width : OFFSET_BYTES + measureFallback(field, source);
  }
  return bytes;
}

/** What a row without a value of its own gets, if there is such a row. */
function measureFallback(field: FieldSchema, source: RowSource): number {
  if (field.isPrimaryKey && !source.has(field)) return DRAWN_KEY_BYTES;
  const fallback = encodeDefaultValue(field);
  return fallback === undefined || source.isComplete(field) ? 0 : fallback.byteLength;
}

/** A column of another length is refused by the checks, before anything is made of it. */
function areColumnsWhole({ fields }: CollectionSchema, source: RowSource): boolean {
  return fields.every((field) => {
    if (mayLackValues(field) || (field.isPrimaryKey && field.autoId)) return true;
    return source.isComplete(field);
  });
}

/**
 * Takes memory for batches that are much larger than the message, which is counted already.
 * @throws MilvusError ParameterTooLarge; RateLimit when no memory becomes free in time
 */
export async function reserveRows(
  { schema }: CollectionInfo,
  source: RowSource,
  rowBytes: number,
  context: RequestContext,
): Promise<void> {
  const { rowCount, byteLength } = source;
  const need = rowCount * rowBytes;
  if (need <= COUNTED_COPIES * byteLength || !areColumnsWhole(schema, source)) return;
  const limit = context.memory.replyBytesMax;
  if (need > limit) {
    throw new MilvusError('ParameterTooLarge', {
      message: 'the rows, with the nulls and defaults of what they leave out, are too large',
      fields: { collection: schema.name, rows: rowCount, need, limit },
    });
  }
  await context.memory.reserve(need, context);
}
