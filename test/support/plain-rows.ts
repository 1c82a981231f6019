// A source of rows for Insert and Upsert without any protocol: columns of plain values, as whatever
// calls the verbs itself would bring them.

import { DataType } from '../../src/model/data-type.ts';
import type { CollectionSchema, FieldSchema } from '../../src/model/schema.ts';
import type { CheckedColumn, CheckedColumns } from '../../src/roles/proxy/write/check-columns.ts';
import type { CheckedValues } from '../../src/roles/proxy/write/checked-values.ts';
import type { RowSlice, RowSource } from '../../src/roles/proxy/write/row-source.ts';

/** By field: int64, vectors of the field's dimension one after another, texts. */
export type PlainColumns = Readonly<Record<string, BigInt64Array | Float32Array | string[]>>;

export class PlainRows implements RowSource {
  readonly rowCount: number;
  readonly byteLength: number;
  readonly #columns: PlainColumns;
  readonly #sliceRows: number;
  /** How many slices have been asked for. */
  slices = 0;

  constructor(columns: PlainColumns, rowCount: number, sliceRows = rowCount) {
    this.#columns = columns;
    this.rowCount = rowCount;
    this.#sliceRows = sliceRows;
    this.byteLength = 16 * rowCount;
  }

  has({ name }: FieldSchema): boolean {
    return this.#columns[name] !== undefined;
  }

  isComplete(field: FieldSchema): boolean {
    return this.has(field);
  }

  *cut({ fields }: CollectionSchema): Generator<RowSlice> {
    for (let firstRow = 0; firstRow < this.rowCount; firstRow += this.#sliceRows) {
      const rows = Math.min(this.#sliceRows, this.rowCount - firstRow);
      const columns = fields.flatMap((field): CheckedColumn[] => {
        const values = this.#take(field, firstRow, rows);
        return values === undefined ? [] : [{ field, values, physical: undefined }];
      });
      this.slices += 1;
      yield {
        firstRow,
        rowCount: rows,
        check: ({ collectionName }): CheckedColumns => ({
          collectionName,
          rows,
          firstRow,
          columns,
        }),
      };
    }
  }

  #take(field: FieldSchema, firstRow: number, rows: number): CheckedValues | undefined {
    const column = this.#columns[field.name];
    const end = firstRow + rows;
    if (column === undefined) return undefined;
    if (column instanceof BigInt64Array) {
      return { kind: 'fixed', values: column.subarray(firstRow, end) };
    }
    if (field.dataType === DataType.VarChar) {
      const texts = (column as string[]).slice(firstRow, end).map((text) => Buffer.from(text));
      let at = 0;
      const pairs = texts.flatMap(({ length }) => [(at += length) - length, length]);
      const spans = { count: rows, pairs: Uint32Array.from(pairs) };
      return { kind: 'spans', bytes: Buffer.concat(texts), spans };
    }
    const vectors = (column as Float32Array).slice(firstRow * field.dim, end * field.dim);
    const bytes = new Uint8Array(vectors.buffer);
    const chunks = { count: 1, pairs: Uint32Array.of(0, bytes.length) };
    const values = { width: 4 as const, byteLength: bytes.length, chunks };
    return { kind: 'vector', bytes, values };
  }
}
