// Row batch → schema.FieldData, the form in which search and query results leave.
// What pymilvus 2.4 to 3.0 all read: a nullable field has valid_data for every row; scalars then
// hold a zero value in null rows (JSON `null`), vectors leave null rows out. The member of the
// oneof is always there, also for zero rows. Vectors are one memory copy.

import { runNow, type Steps } from '../base/turns.ts';
import { DataType } from '../model/data-type.ts';
import { DYNAMIC_FIELD_NAME, type FieldSchema } from '../model/schema.ts';
import { getFixedWidth } from '../model/stored-types.ts';
import { findVectorType, type VectorType } from '../model/vector-type.ts';
import { forEachString } from './array-blob.ts';
import { fillNulls } from './default-value.ts';
import { projectJson } from './project-json.ts';
import type { RowBatchReader, RowColumn } from './row-batch.ts';
import { WireWriter } from './wire-writer.ts';
import { writeLongBytes, writeLongInt32s, writeLongInt64s, writeRows } from './write-steps.ts';

/** One output field of a reply. */
export interface OutputField {
  readonly field: FieldSchema;
  /** Keys of `$meta` that were asked for by name; absent = the whole object. */
  readonly dynamicKeys?: readonly string[];
}

const NULL_JSON = Buffer.from('null');

/** Members of schema.ScalarField. */
const SCALAR_MEMBER: ReadonlyMap<number, number> = new Map([
  [DataType.Bool, 1],
  [DataType.Int8, 2],
  [DataType.Int16, 2],
  [DataType.Int32, 2],
  [DataType.Int64, 3],
  [DataType.Float, 4],
  [DataType.Double, 5],
  [DataType.VarChar, 6],
  [DataType.Array, 8],
  [DataType.JSON, 9],
]);

export function encodeFieldData(output: OutputField, batch: RowBatchReader): Buffer {
  const writer = new WireWriter(estimateFieldBytes(output, batch));
  runNow(writeFieldDataBody(writer, output, batch));
  return writer.finish();
}

/** Writes `output` as field number `field` of the message that is being written. */
export function* writeFieldData(
  writer: WireWriter,
  field: number,
  from: { readonly output: OutputField; readonly batch: RowBatchReader },
): Steps<void> {
  const mark = writer.begin(field, estimateFieldBytes(from.output, from.batch));
  yield* writeFieldDataBody(writer, from.output, from.batch);
  writer.end(mark);
}

/** A column of int64 made by the server, such as `count(*)`. */
export function encodeInt64FieldData(name: string, values: BigInt64Array): Buffer {
  const writer = new WireWriter(32 + name.length + values.length * 10);
  writer.writeInt32(1, DataType.Int64);
  writer.writeString(2, name);
  const scalars = writer.begin(3);
  const longs = writer.begin(3);
  writer.writePackedInt64(1, values);
  writer.end(longs);
  writer.end(scalars);
  return writer.finish();
}

/** About as many bytes as the field takes on the wire; more for columns of short values. */
export function estimateFieldBytes(output: OutputField, batch: RowBatchReader): number {
  const column = batch.findColumn(output.field.fieldId);
  return 48 + output.field.name.length + (column?.data.length ?? 0) + 4 * batch.rows;
}

function* writeFieldDataBody(
  writer: WireWriter,
  output: OutputField,
  batch: RowBatchReader,
): Steps<void> {
  const { field } = output;
  const column = fillNulls(field, batch.findColumn(field.fieldId), batch.rows);
  writer.writeInt32(1, field.dataType);
  writer.writeString(2, field.isDynamic ? DYNAMIC_FIELD_NAME : field.name);
  const vectors = findVectorType(field.dataType);
  if (vectors !== undefined) {
    yield* writeVectors(writer, field, vectors, { column, rows: batch.rows });
  } else {
    const hint = (column?.data.length ?? 0) + batch.rows;
    const scalars = writer.begin(3, hint);
    yield* writeScalars(writer, output, { column, rows: batch.rows });
    writer.end(scalars);
  }
  writer.writeInt64(5, field.fieldId);
  writer.writeBool(6, field.isDynamic);
  if (field.nullable) yield* writeLongInt32s(writer, 7, makeValidData(column, batch.rows));
}

/** A column and its length; a field that the batch lacks is null in every row. */
interface Values {
  readonly column: RowColumn | undefined;
  readonly rows: number;
}

function makeValidData(column: RowColumn | undefined, rows: number): Uint8Array {
  const valid = new Uint8Array(rows);
  if (column === undefined) return valid;
  for (let row = 0; row < rows; row += 1) valid[row] = column.isValid(row) ? 1 : 0;
  return valid;
}

function* writeVectors(
  writer: WireWriter,
  field: FieldSchema,
  { wireField, isWireNested }: VectorType,
  { column, rows }: Values,
): Steps<void> {
  const hint = (column?.data.length ?? 0) + 16;
  const vectors = writer.begin(4, hint);
  writer.writeInt64(1, field.dim);
  const nested = isWireNested ? writer.begin(wireField, hint) : undefined;
  const bytesField = isWireNested ? 1 : wireField;
  if (column !== undefined && rows > 0) {
    if (column.validity === undefined) yield* writeLongBytes(writer, bytesField, column.data);
    else yield* writeValidVectors(writer, bytesField, column);
  }
  if (nested !== undefined) writer.end(nested);
  writer.end(vectors);
}

function* writeValidVectors(writer: WireWriter, field: number, column: RowColumn): Steps<void> {
  const packed = writer.begin(field, column.data.length);
  yield* writeRows(writer, column.rows, (row) => {
    if (column.isValid(row)) writer.appendRaw(column.getBytes(row));
  });
  writer.end(packed);
}

function* writeScalars(writer: WireWriter, output: OutputField, values: Values): Steps<void> {
  const { field } = output;
  const member = SCALAR_MEMBER.get(field.dataType);
  if (member === undefined) throw new Error(`no wire form for data type ${field.dataType}`);
  const list = writer.begin(member, (values.column?.data.length ?? 0) + values.rows);
  switch (field.dataType) {
    case DataType.VarChar:
      yield* writeStrings(writer, values);
      break;
    case DataType.JSON:
      yield* writeJson(writer, output, values);
      break;
    case DataType.Array:
      yield* writeArrays(writer, field, values);
      break;
    default: {
      const data = values.column?.data ?? makeZeros(field, values.rows);
      yield* writeFixed(writer, field.dataType, data);
    }
  }
  writer.end(list);
}

function makeZeros(field: FieldSchema, rows: number): Uint8Array {
  return new Uint8Array(rows * getFixedWidth(field.dataType));
}

/** Fixed-width values as a packed field 1; nothing when there are none. */
function* writeFixed(writer: WireWriter, dataType: number, data: Uint8Array): Steps<void> {
  const values = viewFixed(dataType, data);
  if (values instanceof BigInt64Array) yield* writeLongInt64s(writer, 1, values);
  else if (values !== undefined) yield* writeLongInt32s(writer, 1, values);
  else if (data.length > 0) yield* writeLongBytes(writer, 1, data);
}

/** What is written as varints; undefined for what goes as it is. Unaligned data is copied. */
function viewFixed(
  dataType: number,
  data: Uint8Array,
): Uint8Array | Int8Array | Int16Array | Int32Array | BigInt64Array | undefined {
  if (dataType === DataType.Float || dataType === DataType.Double) return undefined;
  const aligned = data.byteOffset % 8 === 0 ? data : new Uint8Array(data);
  const { buffer, byteOffset, byteLength } = aligned;
  switch (dataType) {
    case DataType.Bool:
      return aligned;
    case DataType.Int8:
      return new Int8Array(buffer, byteOffset, byteLength);
    case DataType.Int16:
      return new Int16Array(buffer, byteOffset, byteLength / 2);
    case DataType.Int32:
      return new Int32Array(buffer, byteOffset, byteLength / 4);
    default:
      return new BigInt64Array(buffer, byteOffset, byteLength / 8);
  }
}

function* writeStrings(writer: WireWriter, { column, rows }: Values): Steps<void> {
  yield* writeRows(writer, rows, (row) => {
    if (column === undefined) writer.appendString(1, '');
    else {
      writer.appendBytesRange(1, column.data, column.offsets![row]!, column.offsets![row + 1]!);
    }
  });
}

function* writeJson(
  writer: WireWriter,
  { dynamicKeys }: OutputField,
  { column, rows }: Values,
): Steps<void> {
  const keys = dynamicKeys === undefined ? undefined : new Set(dynamicKeys);
  yield* writeRows(writer, rows, (row) => {
    if (column === undefined || !column.isValid(row)) writer.appendBytes(1, NULL_JSON);
    else if (keys !== undefined) writer.appendBytes(1, projectJson(column.getBytes(row), keys));
    else writer.appendBytesRange(1, column.data, column.offsets![row]!, column.offsets![row + 1]!);
  });
}

/** ArrayArray: a schema.ScalarField per row, then the element type. */
function* writeArrays(
  writer: WireWriter,
  field: FieldSchema,
  { column, rows }: Values,
): Steps<void> {
  const member = SCALAR_MEMBER.get(field.elementType);
  if (member === undefined) throw new Error(`no wire form for elements ${field.elementType}`);
  yield* writeRows(writer, rows, (row) => {
    const array = writer.begin(1);
    const list = writer.begin(member);
    const blob = column?.getBytes(row);
    if (blob !== undefined && blob.length > 0) writeElements(writer, field.elementType, blob);
    writer.end(list);
    writer.end(array);
  });
  writer.writeInt32(2, field.elementType);
}

function writeElements(writer: WireWriter, elementType: number, blob: Uint8Array): void {
  if (elementType !== DataType.VarChar) {
    const values = viewFixed(elementType, blob);
    if (values instanceof BigInt64Array) writer.writePackedInt64(1, values);
    else if (values !== undefined) writer.writePackedInt32(1, values);
    else writer.writeBytes(1, blob);
    return;
  }
  forEachString(blob, (start, end) => writer.appendBytesRange(1, blob, start, end));
}
