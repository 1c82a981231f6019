// The rows of an Insert or Upsert as the verb gets them, whatever protocol brings them: cut into
// slices, each of which becomes columns that have been checked against the schema (R17). Nothing is
// checked or copied before a slice is asked for.

import type { CollectionSchema, FieldSchema } from '../../../model/schema.ts';
import type { CheckedColumns, CheckOptions } from './check-columns.ts';

export interface RowSource {
  readonly rowCount: number;
  /** Of what it was made from, which the gate has counted. */
  readonly byteLength: number;
  /** Whether there is data for the field. */
  has(field: FieldSchema): boolean;
  /** Whether each row has a value of the field that is not null. */
  isComplete(field: FieldSchema): boolean;
  /**
   * Yields all rows in their order, few enough at a time for a turn of the event loop.
   * @param rowBytes  of a row in a batch, where that is more than it is here
   */
  cut(schema: CollectionSchema, rowBytes: number): Iterable<RowSlice>;
}

export interface RowSlice {
  readonly firstRow: number;
  readonly rowCount: number;
  /** @throws MilvusError ParameterInvalid that names field, row, expected and actual */
  check(options: CheckOptions): CheckedColumns;
}
