// What the rows of an Insert or Upsert take as row batches. A message says less than that: a field
// that is left out, or null, takes its whole width in a batch, and a default comes once for each
// row. So a few bytes can ask for many, and this is told before the first batch is made (P6).

import { mayLackValues } from './check-columns.ts';
import { encodeDefaultValue } from '../../../codec/default-value.ts';
import type { FieldDataView } from '../../../codec/field-data.ts';
import type { InsertRequest } from '../../../codec/insert-request.ts';
import { countValues } from '../../../codec/row-slices.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError } from '../../../model/error.ts';
import type { CollectionSchema, FieldSchema } from '../../../model/schema.ts';
import { getFixedWidth } from '../../../model/stored-types.ts';
import type { RequestContext } from '../proxy.ts';

const ROW_ID_BYTES = 8;
/** An id drawn for a key of text, in decimal. */
const DRAWN_KEY_BYTES = 20;
/** Of a value of variable width: where it ends. */
const OFFSET_BYTES = 4;
/** Batches as large as this many messages are what the gate counts anyway. */
const COUNTED_COPIES = 2;

/** Bytes of a row in a batch, without values of variable width that the message has. */
export function measureRowBytes(
  { fields }: CollectionSchema,
  fieldsData: readonly FieldDataView[],
): number {
  let bytes = ROW_ID_BYTES;
  for (const field of fields) {
    const width = getFixedWidth(field.dataType, field.dim);
    bytes += width > 0 ? width : OFFSET_BYTES + measureFallback(field, fieldsData);
  }
  return bytes;
}

/** What a row without a value of its own gets, if there is such a row. */
function measureFallback(field: FieldSchema, fieldsData: readonly FieldDataView[]): number {
  const view = findView(field, fieldsData);
  if (view === undefined && field.isPrimaryKey) return DRAWN_KEY_BYTES;
  const fallback = encodeDefaultValue(field);
  if (fallback === undefined) return 0;
  const isGiven = view?.scalars?.column !== undefined && view.validData?.includes(0) !== true;
  return isGiven ? 0 : fallback.byteLength;
}

function findView(
  field: FieldSchema,
  fieldsData: readonly FieldDataView[],
): FieldDataView | undefined {
  return fieldsData.find(({ fieldName, isDynamic }) =>
    isDynamic ? field.isDynamic : fieldName === field.name,
  );
}

/** A column of another length is refused by the checks, before anything is made of it. */
function areColumnsWhole({ fields }: CollectionSchema, request: InsertRequest): boolean {
  return fields.every((field) => {
    if (mayLackValues(field) || (field.isPrimaryKey && field.autoId)) return true;
    const view = findView(field, request.fieldsData);
    return view !== undefined && countValues(view) === request.numRows;
  });
}

/**
 * Takes memory for batches that are much larger than the message, which is counted already.
 * @throws MilvusError ParameterTooLarge; RateLimit when no memory becomes free in time
 */
export async function reserveRows(
  { schema }: CollectionInfo,
  request: InsertRequest,
  rowBytes: number,
  context: RequestContext,
): Promise<void> {
  const { numRows, byteLength } = request;
  const need = numRows * rowBytes;
  if (need <= COUNTED_COPIES * byteLength || !areColumnsWhole(schema, request)) return;
  const limit = context.memory.replyBytesMax;
  if (need > limit) {
    throw new MilvusError('ParameterTooLarge', {
      message: 'the rows, with the nulls and defaults of what they leave out, are too large',
      fields: { collection: schema.name, rows: numRows, need, limit },
    });
  }
  await context.memory.reserve(need, context);
}
