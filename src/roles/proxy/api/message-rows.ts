// The columns of an InsertRequest or UpsertRequest as a source of rows: ranges of the message's
// bytes, which are checked slice by slice.

import type { FieldDataView } from '../../../codec/field-data.ts';
import type { InsertRequest } from '../../../codec/insert-request.ts';
import { countValues, sliceRows } from '../../../codec/row-slices.ts';
import type { CollectionSchema, FieldSchema } from '../../../model/schema.ts';
import { checkColumns, mayLackValues } from '../write/check-columns.ts';
import type { RowSlice, RowSource } from '../write/row-source.ts';

/** Good for as long as the message: see codec/field-data.ts. */
export class MessageRows implements RowSource {
  readonly rowCount: number;
  readonly byteLength: number;
  readonly #views: readonly FieldDataView[];

  constructor({
    numRows,
    byteLength,
    fieldsData,
  }: Pick<InsertRequest, 'numRows' | 'byteLength' | 'fieldsData'>) {
    this.rowCount = numRows;
    this.byteLength = byteLength;
    this.#views = fieldsData;
  }

  has(field: FieldSchema): boolean {
    return this.#find(field) !== undefined;
  }

  isComplete(field: FieldSchema): boolean {
    const view = this.#find(field);
    if (view === undefined || view.validData?.includes(0) === true) return false;
    return countValues(view) === this.rowCount;
  }

  *cut(schema: CollectionSchema, rowBytes: number): Generator<RowSlice> {
    const mayBeEmpty = (view: FieldDataView): boolean => {
      const field = schema.fields.find((each) => isOf(view, each));
      return field !== undefined && mayLackValues(field);
    };
    const slices = sliceRows(this.#views, this.rowCount, { rowBytes, mayBeEmpty });
    for (const { firstRow, numRows, fieldsData } of slices) {
      yield {
        firstRow,
        rowCount: numRows,
        check: (options) => checkColumns(schema, fieldsData, options),
      };
    }
  }

  #find(field: FieldSchema): FieldDataView | undefined {
    return this.#views.find((view) => isOf(view, field));
  }
}

function isOf({ isDynamic, fieldName }: FieldDataView, field: FieldSchema): boolean {
  return isDynamic ? field.isDynamic : fieldName === field.name;
}
