// An insert's columns against the schema: which field has which data, and whether every value fits.
// What it returns is ready for build-row-batch.ts: typed arrays for fixed-width scalars,
// byte ranges for the rest. Vectors and text are looked at there, after the one copy that aligns
// them. Nullable wire data may be compact (valid rows only) or have all rows: both are accepted.

import { DataType, getDataTypeName, isVectorType } from '../../../model/data-type.ts';
import { MilvusError } from '../../../model/error.ts';
import type { CollectionSchema, FieldSchema } from '../../../model/schema.ts';
import { getFixedWidth } from '../../../model/stored-types.ts';
import { checkArrayColumn } from './check-arrays.ts';
import type { CheckedValues } from './checked-values.ts';
import { checkVectorColumn } from './check-vectors.ts';
import {
  findRow,
  refuseLongJson,
  refuseLongText,
  refuseNotFinite,
  refuseValue,
  type Place,
} from './check-error.ts';
import type { FieldDataView, ScalarColumn } from '../../../codec/field-data.ts';
import { copyFixedBytes, type FixedBytes, type Spans } from '../../../codec/wire-lists.ts';

/** Milvus' common.JSONMaxLength. */
const JSON_BYTES_MAX = 65536;
const SPACE = 0x20;
const OPEN_BRACE = 0x7b;

export interface CheckOptions {
  /** For messages. */
  readonly collectionName?: string;
  readonly numRows: number;
  /** For messages: the request's row that the columns begin with. Default 0. */
  readonly firstRow?: number;
  /** Accepts keys of the client's for an auto-id primary key (collection property, upsert). */
  readonly allowInsertAutoId?: boolean;
  /** Partial update: a field that is not in the request is left out, not an error. */
  readonly allowMissingFields?: boolean;
  readonly jsonBytesMax?: number;
}

export interface CheckedColumn {
  readonly field: FieldSchema;
  readonly values: CheckedValues;
  /** Index into the values for each row, -1 = null or default; absent = the row itself. */
  readonly physical: Int32Array | undefined;
}

export interface CheckedColumns {
  readonly collectionName: string | undefined;
  readonly rows: number;
  /** The request's row that comes first. */
  readonly firstRow: number;
  readonly columns: readonly CheckedColumn[];
}

/**
 * Matches the request's columns with the schema's fields and checks all scalar values.
 * The result refers to the request's bytes. JSON texts are not parsed (native `findInvalidJson`).
 *
 * @throws MilvusError ParameterInvalid that names field, row, expected and actual
 * @throws DecodeError when an Array's rows are not protobuf
 */
export function checkColumns(
  schema: CollectionSchema,
  fieldsData: readonly FieldDataView[],
  options: CheckOptions,
): CheckedColumns {
  const byField = matchFields(schema, fieldsData, options.collectionName);
  const columns: CheckedColumn[] = [];
  for (const field of schema.fields) {
    const view = byField.get(field.name);
    const column = view === undefined ? checkAbsent(field, options) : undefined;
    if (view !== undefined) columns.push(checkColumn(field, view, options));
    else if (column !== undefined) columns.push(column);
  }
  const { collectionName, numRows, firstRow = 0 } = options;
  return { collectionName, rows: numRows, firstRow, columns };
}

function matchFields(
  schema: CollectionSchema,
  fieldsData: readonly FieldDataView[],
  collection: string | undefined,
): Map<string, FieldDataView> {
  const byField = new Map<string, FieldDataView>();
  for (const view of fieldsData) {
    const field = schema.fields.find((each) =>
      view.isDynamic ? each.isDynamic : each.name === view.fieldName,
    );
    if (field === undefined) {
      const text = view.isDynamic
        ? 'dynamic field is not enabled'
        : `field ${view.fieldName} not exist`;
      throw refuseValue(collection, { text, field: view.fieldName });
    }
    if (byField.has(field.name)) {
      const text = `field ${field.name} is given more than once`;
      throw refuseValue(collection, { text, field: field.name });
    }
    byField.set(field.name, view);
  }
  return byField;
}

function checkAbsent(field: FieldSchema, options: CheckOptions): CheckedColumn | undefined {
  if (field.isPrimaryKey && field.autoId) {
    return { field, values: { kind: 'generated' }, physical: undefined };
  }
  if (options.allowMissingFields === true) return undefined;
  if (mayLackValues(field)) {
    return { field, values: { kind: 'absent' }, physical: undefined };
  }
  throw refuseValue(options.collectionName, {
    text: `fieldSchema(${field.name}) has no corresponding fieldData pass in`,
    field: field.name,
  });
}

function checkColumn(
  field: FieldSchema,
  view: FieldDataView,
  options: CheckOptions,
): CheckedColumn {
  const collection = options.collectionName;
  if (field.isPrimaryKey && field.autoId && options.allowInsertAutoId !== true) {
    throw refuseValue(collection, {
      text:
        `field ${field.name} is an auto id primary key, its data must not be given: ` +
        'more fieldData has pass in',
      field: field.name,
    });
  }
  const values = readValues(field, view, options);
  const given = countValues(field, values);
  const mapped = mapRows(field, view, { given, options });
  if (given === 0) return { field, values: { kind: 'absent' }, physical: mapped };
  const column = { field, values, physical: mapped };
  return field.dataType === DataType.JSON ? dropEmpty(column, options) : column;
}

/** No bytes are no JSON text: some clients send them for null. */
function dropEmpty(column: CheckedColumn, options: CheckOptions): CheckedColumn {
  const { field, values, physical } = column;
  if (values.kind !== 'spans') return column;
  const { count, pairs } = values.spans;
  let at = 0;
  while (at < count && pairs[2 * at + 1]! > 0) at += 1;
  if (at === count) return column;
  const kept = physical ?? Int32Array.from({ length: options.numRows }, (_unused, row) => row);
  for (let row = 0; row < kept.length; row += 1) {
    if (kept[row]! < 0 || pairs[2 * kept[row]! + 1]! > 0) continue;
    if (!mayLackValues(field)) throw refuseNull(field, row, options);
    kept[row] = -1;
  }
  return { field, values, physical: kept };
}

function readValues(
  field: FieldSchema,
  view: FieldDataView,
  options: CheckOptions,
): CheckedValues {
  const collection = options.collectionName;
  if (isVectorType(field.dataType)) return checkVectorColumn(field, view, collection);
  const column = view.scalars?.column;
  if (column === undefined) return makeEmpty(field, view, collection);
  const values = readScalars(field, view, { column, options });
  if (values !== undefined) return values;
  throw refuseValue(collection, {
    text: `field '${field.name}' illegal, array type mismatch`,
    field: field.name,
    expected: `need ${getDataTypeName(field.dataType)} array`,
    actual: `got ${column.kind} array`,
  });
}

/** A field without data counts as zero values, unless it came as another kind of field. */
function makeEmpty(
  field: FieldSchema,
  view: FieldDataView,
  collection: string | undefined,
): CheckedValues {
  if (view.vectors === undefined && view.structArrays === undefined) return { kind: 'absent' };
  throw refuseValue(collection, {
    text: `field '${field.name}' illegal, array type mismatch`,
    field: field.name,
    expected: `need ${getDataTypeName(field.dataType)} array`,
    actual: view.vectors === undefined ? 'got struct array' : 'got vector array',
  });
}

function readScalars(
  field: FieldSchema,
  view: FieldDataView,
  given: { readonly column: ScalarColumn; readonly options: CheckOptions },
): CheckedValues | undefined {
  const { column, options } = given;
  const isCompact = countScalars(column) !== options.numRows;
  const place: Place = {
    field,
    collection: options.collectionName,
    message: view.message,
    compactRows: isCompact ? view.validData : undefined,
    firstRow: options.firstRow ?? 0,
  };
  switch (field.dataType) {
    case DataType.Bool:
      return column.kind === 'bool' ? { kind: 'fixed', values: column.values } : undefined;
    case DataType.Int8:
      return column.kind === 'int' ? narrow(place, column.values, Int8Array) : undefined;
    case DataType.Int16:
      return column.kind === 'int' ? narrow(place, column.values, Int16Array) : undefined;
    case DataType.Int32:
      return column.kind === 'int' ? { kind: 'fixed', values: column.values } : undefined;
    case DataType.Int64:
      return column.kind === 'long' ? { kind: 'fixed', values: column.values } : undefined;
    case DataType.Float:
      return column.kind === 'float' ? checkFloats(place, column.values, Float32Array) : undefined;
    case DataType.Double:
      return column.kind === 'double'
        ? checkFloats(place, column.values, Float64Array)
        : undefined;
    case DataType.VarChar:
      return column.kind === 'string' ? checkVarChar(place, column.values) : undefined;
    case DataType.JSON:
      return column.kind === 'json'
        ? checkJson(place, column.values, options.jsonBytesMax ?? JSON_BYTES_MAX)
        : undefined;
    case DataType.Array:
      return column.kind === 'array'
        ? { kind: 'spans', ...checkArrayColumn(place, column) }
        : undefined;
    default:
      return undefined;
  }
}

function narrow(
  place: Place,
  values: Int32Array,
  Narrow: Int8ArrayConstructor | Int16ArrayConstructor,
): CheckedValues {
  const max = Narrow === Int8Array ? 127 : 32767;
  const min = -max - 1;
  const narrowed = new Narrow(values.length);
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i]!;
    narrowed[i] = value;
    if (value > max || value < min) {
      const row = findRow(place, i);
      throw refuseValue(place.collection, {
        text: `the ${row}th element (${value}) out of range: [${min}, ${max}]`,
        field: place.field.name,
        row,
        expected: `${getDataTypeName(place.field.dataType)}`,
        actual: value,
      });
    }
  }
  return { kind: 'fixed', values: narrowed };
}

function checkFloats(
  place: Place,
  fixed: FixedBytes,
  Wide: Float32ArrayConstructor | Float64ArrayConstructor,
): CheckedValues {
  const values = new Wide(fixed.byteLength / Wide.BYTES_PER_ELEMENT);
  copyFixedBytes(place.message, fixed, new Uint8Array(values.buffer));
  for (let i = 0; i < values.length; i += 1) {
    if (!Number.isFinite(values[i]!)) {
      throw refuseNotFinite(place, values[i]!, findRow(place, i));
    }
  }
  return { kind: 'fixed', values };
}

function checkVarChar(place: Place, spans: Spans): CheckedValues {
  const { field, message, collection } = place;
  for (let i = 0; i < spans.count; i += 1) {
    const length = spans.pairs[2 * i + 1]!;
    if (length <= field.maxLength) continue;
    throw refuseLongText(field, collection, findRow(place, i), length);
  }
  return { kind: 'spans', bytes: message, spans };
}

function checkJson(place: Place, spans: Spans, bytesMax: number): CheckedValues {
  const { field, message, collection } = place;
  for (let i = 0; i < spans.count; i += 1) {
    const length = spans.pairs[2 * i + 1]!;
    if (length > bytesMax) {
      throw refuseLongJson(field, collection, findRow(place, i), { length, bytesMax });
    }
    if (field.isDynamic && !beginsObject(message, spans.pairs[2 * i]!, length)) {
      throw refuseValue(collection, {
        text: `the dynamic field ${field.name} is not a JSON object`,
        field: field.name,
        row: findRow(place, i),
      });
    }
  }
  return { kind: 'spans', bytes: message, spans };
}

/** Whether the text can be an object; no text is null. */
function beginsObject(message: Uint8Array, start: number, length: number): boolean {
  let at = 0;
  while (at < length && message[start + at]! <= SPACE) at += 1;
  return at === length || message[start + at] === OPEN_BRACE;
}

function countScalars(column: ScalarColumn): number {
  switch (column.kind) {
    case 'float':
    case 'double':
      return column.values.byteLength / column.values.width;
    case 'string':
    case 'bytes':
    case 'json':
    case 'array':
      return column.values.count;
    case 'other':
      return 0;
    default:
      return column.values.length;
  }
}

function countValues(field: FieldSchema, values: CheckedValues): number {
  if (values.kind === 'fixed') return values.values.length;
  if (values.kind === 'spans') return values.spans.count;
  if (values.kind !== 'vector') return 0;
  return values.values.byteLength / getFixedWidth(field.dataType, field.dim);
}

/** Returns the map from rows to values, after checking their numbers; undefined = identity. */
function mapRows(
  field: FieldSchema,
  view: FieldDataView,
  counted: { readonly given: number; readonly options: CheckOptions },
): Int32Array | undefined {
  const { given, options } = counted;
  const { numRows, collectionName } = options;
  const { validData } = view;
  const mayMiss = mayLackValues(field);
  if (validData === undefined || validData.length === 0) {
    if (given === numRows || (given === 0 && mayMiss)) return undefined;
    throw refuseRowCount(field, given, options);
  }
  if (validData.length !== numRows) {
    throw refuseValue(collectionName, {
      text: `the length of valid_data of field(${field.name}) is wrong`,
      field: field.name,
      expected: numRows,
      actual: validData.length,
    });
  }
  const validRows = validData.reduce((sum, valid) => sum + valid, 0);
  if (given !== numRows && given !== validRows) throw refuseRowCount(field, given, options);
  if (validRows === numRows) return undefined;
  if (!mayMiss) throw refuseNull(field, validData.indexOf(0), options);
  const physical = new Int32Array(numRows);
  const isCompact = given !== numRows;
  let next = 0;
  for (let row = 0; row < numRows; row += 1) {
    physical[row] = validData[row] === 0 ? -1 : isCompact ? next++ : row;
  }
  return physical;
}

/** Whether a row may come without a value: it gets the default, or null. */
export function mayLackValues(field: FieldSchema): boolean {
  return field.nullable || field.defaultValue !== undefined || field.isDynamic;
}

/** @param row  of the columns that are checked */
function refuseNull(field: FieldSchema, row: number, options: CheckOptions): MilvusError {
  return refuseValue(options.collectionName, {
    text: `field ${field.name} is not nullable and has no default value, but has null values`,
    field: field.name,
    row: (options.firstRow ?? 0) + row,
    expected: getDataTypeName(field.dataType),
    actual: 'null',
  });
}

function refuseRowCount(field: FieldSchema, given: number, options: CheckOptions): MilvusError {
  return refuseValue(options.collectionName, {
    text:
      `the num_rows (${given}) of field (${field.name}) ` +
      `is not equal to passed num_rows (${options.numRows})`,
    field: field.name,
    expected: options.numRows,
    actual: given,
  });
}
