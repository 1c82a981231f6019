// One row of the bad-input tables, and the builders of requests that the rows are written with.
// Values are as protobufjs takes them: proto field names, enums as numbers.

import { DataType } from '../../../src/model/data-type.ts';
import { getMessageType } from '../../support/codec/milvus-proto.ts';

export type Plain = Readonly<Record<string, unknown>>;

/** A request that must be refused: by what code, and in words that hold these fragments. */
export interface BadRequest {
  readonly title: string;
  readonly method: string;
  readonly request: Plain;
  readonly code: number;
  readonly says: readonly string[];
}

type Row = readonly [title: string, request: Plain, ...says: string[]];

/** Rows of one method that are all refused with one code. */
export function refuse(method: string, code: number, rows: readonly Row[]): BadRequest[] {
  return rows.map(([title, request, ...says]) => ({ title, method, request, code, says }));
}

export const LONG_NAME = 'n'.repeat(256);

export function toPairs(values: Plain): { key: string; value: string }[] {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === 'string' ? value : JSON.stringify(value),
  }));
}

function encodeMessage(type: string, message: Plain): Buffer {
  const messageType = getMessageType(type);
  return Buffer.from(messageType.encode(messageType.fromObject(message)).finish());
}

// Schemas

export type Field = Plain;

export function makeField(name: string, type: number, more: Plain = {}, params: Plain = {}): Field {
  return { name, data_type: type, type_params: toPairs(params), ...more };
}

export function makeKey(more: Plain = {}): Field {
  return makeField('id', DataType.Int64, { is_primary_key: true, ...more });
}

export function makeVector(name = 'vec', dim: unknown = 4): Field {
  return makeField(name, DataType.FloatVector, {}, { dim });
}

export function makeText(name: string, maxLength: unknown, more: Plain = {}): Field {
  const params = maxLength === undefined ? {} : { max_length: maxLength };
  return makeField(name, DataType.VarChar, more, params);
}

export function makeArray(name: string, elementType: number, params: Plain): Field {
  return makeField(name, DataType.Array, { element_type: elementType }, params);
}

/** `more.schema` is about the schema, the rest about the request. */
export function makeCreate(fields: readonly Field[], more: Plain = {}, name = 'created'): Plain {
  const { schema: schemaMore = {}, ...requestMore } = more;
  const schema = encodeMessage('milvus.proto.schema.CollectionSchema', {
    name,
    fields,
    ...(schemaMore as Plain),
  });
  return { collection_name: name, schema, shards_num: 1, ...requestMore };
}

export function makeAddField(field: Field, collection = 'plain'): Plain {
  const schema = encodeMessage('milvus.proto.schema.FieldSchema', field);
  return { collection_name: collection, schema };
}

// Rows

export type Columns = Readonly<Record<string, Plain | undefined>>;

export const int64Data = (data: readonly number[]): Plain => ({
  type: DataType.Int64,
  scalars: { long_data: { data } },
});
export const intData = (type: number, data: readonly number[]): Plain => ({
  type,
  scalars: { int_data: { data } },
});
export const floatData = (data: readonly number[]): Plain => ({
  type: DataType.Float,
  scalars: { float_data: { data } },
});
export const doubleData = (data: readonly number[]): Plain => ({
  type: DataType.Double,
  scalars: { double_data: { data } },
});
export const boolData = (data: readonly boolean[]): Plain => ({
  type: DataType.Bool,
  scalars: { bool_data: { data } },
});
export const textData = (data: readonly string[]): Plain => ({
  type: DataType.VarChar,
  scalars: { string_data: { data } },
});
export const jsonData = (texts: readonly string[]): Plain => ({
  type: DataType.JSON,
  scalars: { json_data: { data: texts.map((text) => Buffer.from(text)) } },
});
export const arrayData = (elementType: number, data: readonly Plain[]): Plain => ({
  type: DataType.Array,
  scalars: { array_data: { data, element_type: elementType } },
});
export const vectorData = (dim: number, data: readonly number[]): Plain => ({
  type: DataType.FloatVector,
  vectors: { dim, float_vector: { data } },
});

/** Turns columns into an Insert, Upsert request; `undefined` columns are left out. */
export function makeWrite(collection: string, columns: Columns, more: Plain = {}): Plain {
  const given = Object.entries(columns).filter(([, data]) => data !== undefined);
  return {
    collection_name: collection,
    fields_data: given.map(([name, data]) => ({ field_name: name, ...data })),
    num_rows: 2,
    ...more,
  };
}

// Reads

export interface SearchParts {
  readonly collection?: string;
  readonly vectors?: readonly (readonly number[])[];
  /** Number of common.PlaceholderType; 101 = float vector. */
  readonly vectorType?: number;
  /** Flat search parameters; `undefined` takes one of the usual away. */
  readonly params?: Plain;
  /** The JSON under `params`. */
  readonly inner?: Plain | string;
  readonly filter?: string;
  readonly more?: Plain;
}

const FLOAT_VECTOR_PLACEHOLDER = 101;

/** A good search of `plain` but for what is given. */
export function makeSearch(parts: SearchParts = {}): Plain {
  const { collection = 'plain', vectors = [[1, 0, 0, 0]], params = {}, inner = {} } = parts;
  const values = vectors.map((vector) => Buffer.from(Float32Array.from(vector).buffer));
  const flat = { anns_field: 'vec', topk: '3', params: inner, ...params };
  const kept = Object.entries(flat).filter(([, value]) => value !== undefined);
  return {
    collection_name: collection,
    dsl: parts.filter ?? '',
    dsl_type: 1,
    nq: vectors.length,
    placeholder_group: encodeMessage('milvus.proto.common.PlaceholderGroup', {
      placeholders: [{ tag: '$0', type: parts.vectorType ?? FLOAT_VECTOR_PLACEHOLDER, values }],
    }),
    search_params: toPairs(Object.fromEntries(kept)),
    ...parts.more,
  };
}

export function makeQuery(filter: string, params: Plain = {}, more: Plain = {}): Plain {
  return { collection_name: 'plain', expr: filter, query_params: toPairs(params), ...more };
}
