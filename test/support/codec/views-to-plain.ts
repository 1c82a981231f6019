// Decoded requests in the plain form of milvus-proto.ts. Parts that the hand codec leaves as bytes
// are decoded by the twin; template values are compared as the values that they stand for.

import type { FieldDataView, ScalarFieldView } from '../../../src/codec/field-data.ts';
import type { Ids } from '../../../src/codec/ids.ts';
import type { Placeholder } from '../../../src/codec/placeholder-group.ts';
import type { KeyValue, MsgBase } from '../../../src/codec/request-parts.ts';
import type { TemplateValue, TemplateValues } from '../../../src/model/template-value.ts';
import { joinFixedBytes, type FixedBytes, type Spans } from '../../../src/codec/wire-lists.ts';
import { decodeWithTwin, dropDefaults, getMessageType, type Plain } from './milvus-proto.ts';

const SCHEMA = 'milvus.proto.schema.';
const COMMON = 'milvus.proto.common.';

/** Names of the members that are left undecoded in schema.ScalarField, by number. */
function viewOther(fieldNumber: number, bytes: Uint8Array): Plain {
  const field = getMessageType(`${SCHEMA}ScalarField`).fieldsById[fieldNumber]!;
  return { [field.name]: decodeWithTwin(field.resolvedType as never, bytes) };
}

export function viewFieldData(view: FieldDataView): Plain {
  const plain: Plain = {
    type: view.type,
    field_name: view.fieldName,
    field_id: view.fieldId,
    is_dynamic: view.isDynamic,
    valid_data: toBools(view.validData),
  };
  if (view.scalars !== undefined) plain.scalars = viewScalars(view.scalars, view.message);
  if (view.vectors !== undefined) plain.vectors = viewVectors(view);
  if (view.structArrays !== undefined) {
    plain.struct_arrays = raw(`${SCHEMA}StructArrayField`, view.structArrays);
  }
  return dropDefaults(getMessageType(`${SCHEMA}FieldData`), plain);
}

function viewScalars(scalars: ScalarFieldView, message: Uint8Array): Plain {
  const { column } = scalars;
  const plain: Plain = { valid_data: toBools(scalars.validData) };
  if (column?.kind === 'other') Object.assign(plain, viewOther(column.fieldNumber, column.bytes));
  else if (column?.kind === 'array') {
    const type = getMessageType(`${SCHEMA}ScalarField`);
    const rows = readSpans(message, column.values).map((bytes) => decodeWithTwin(type, bytes));
    plain.array_data = dropDefaults(getMessageType(`${SCHEMA}ArrayArray`), {
      data: rows,
      element_type: column.elementType,
    });
  } else if (column !== undefined) {
    const data = readColumn(column, message);
    plain[`${column.kind}_data`] = data.length === 0 ? {} : { data };
  }
  return dropDefaults(getMessageType(`${SCHEMA}ScalarField`), plain);
}

type Simple = Exclude<ScalarFieldView['column'], undefined | { kind: 'other' } | { kind: 'array' }>;

function readColumn(column: Simple, message: Uint8Array): readonly unknown[] {
  switch (column.kind) {
    case 'bool':
      return Array.from(column.values, (bit) => bit === 1);
    case 'int':
    case 'long':
      return Array.from<unknown>(column.values);
    case 'float':
    case 'double':
      return readFixed(message, column.values);
    case 'string':
      return readSpans(message, column.values).map(String);
    default:
      return readSpans(message, column.values).map((bytes) => bytes.toString('hex'));
  }
}

function viewVectors(view: FieldDataView): Plain {
  const { dim, column, validData } = view.vectors!;
  const plain: Plain = { dim: BigInt(dim), valid_data: toBools(validData) };
  if (column?.kind === 'float') {
    const data = readFixed(view.message, column.values);
    plain.float_vector = data.length === 0 ? {} : { data };
  } else if (column?.kind === 'sparse') {
    const contents = readSpans(view.message, column.values).map((bytes) => bytes.toString('hex'));
    const sparse = { contents, dim: BigInt(column.dim) };
    const type = getMessageType(`${SCHEMA}SparseFloatArray`);
    plain.sparse_float_vector = dropDefaults(type, sparse);
  } else if (column?.kind === 'array') {
    plain.vector_array = raw(`${SCHEMA}VectorArray`, column.bytes);
  } else if (column !== undefined) {
    const bytes = joinFixedBytes(view.message, column.values);
    plain[`${column.kind}_vector`] = Buffer.from(bytes).toString('hex');
  }
  return dropDefaults(getMessageType(`${SCHEMA}VectorField`), plain);
}

export function viewBase(base: MsgBase): Plain {
  return dropDefaults(getMessageType(`${COMMON}MsgBase`), {
    msg_type: base.msgType,
    msgID: base.msgId,
    timestamp: base.timestamp,
    sourceID: base.sourceId,
    targetID: base.targetId,
    properties: Object.fromEntries(base.properties),
    replicateInfo: base.replicateInfo && raw(`${COMMON}ReplicateInfo`, base.replicateInfo),
  });
}

export function viewIds(ids: Ids): Plain {
  const values =
    ids.kind === 'uuid'
      ? ids.values.map((each) => Buffer.from(each).toString('hex'))
      : Array.from<unknown>(ids.values);
  const member = ids.kind === 'string' ? 'str_id' : `${ids.kind}_id`;
  return { [member]: values.length === 0 ? {} : { data: values } };
}

export function viewPairs(pairs: readonly KeyValue[]): readonly Plain[] {
  const type = getMessageType(`${COMMON}KeyValuePair`);
  return pairs.map((pair) => dropDefaults(type, { ...pair }));
}

export function viewPlaceholder(placeholder: Placeholder): Plain {
  const { message, values } = placeholder;
  return dropDefaults(getMessageType(`${COMMON}PlaceholderValue`), {
    tag: placeholder.tag,
    type: placeholder.type,
    values: readSpans(message, values).map((bytes) => bytes.toString('hex')),
    element_level: placeholder.elementLevel,
  });
}

/** The values of a plain `map<string, TemplateValue>`; entries without a value are left out. */
export function readPlainTemplates(map: Plain | undefined): Plain | undefined {
  const entries = Object.entries(map ?? {})
    .filter(([, value]) => Object.keys(value as Plain).length > 0)
    .map(([key, value]) => [key, readPlainTemplate(value as Plain)]);
  return entries.length === 0 ? undefined : Object.fromEntries(entries);
}

function readPlainTemplate(value: Plain): unknown {
  const [name, member] = Object.entries(value)[0]!;
  return name === 'array_val' ? readPlainArray(member as Plain) : member;
}

function readPlainArray(array: Plain): unknown {
  const [name, member] = Object.entries(array)[0] ?? ['', {}];
  const data = ((member as Plain).data ?? []) as unknown[];
  if (name === 'array_data') return data.map((each) => readPlainArray(each as Plain));
  if (name !== 'json_data') return data;
  return data.map((hex) => {
    const value = JSON.parse(Buffer.from(hex as string, 'hex').toString()) as unknown;
    return Number.isSafeInteger(value) ? BigInt(value as number) : value;
  });
}

export function viewTemplates(values: TemplateValues): Plain | undefined {
  if (values.size === 0) return undefined;
  return Object.fromEntries([...values].map(([name, value]) => [name, toPlainTemplate(value)]));
}

function toPlainTemplate(value: TemplateValue): unknown {
  if (value instanceof BigInt64Array) return [...value];
  return Array.isArray(value) ? value.map(toPlainTemplate) : value;
}

/** Bytes that stay undecoded in the views, decoded by the twin. */
export function raw(typeName: string, bytes: Uint8Array): Plain {
  return decodeWithTwin(getMessageType(typeName), bytes);
}

function toBools(bytes: Uint8Array | undefined): readonly boolean[] | undefined {
  return bytes === undefined ? undefined : Array.from(bytes, (bit) => bit === 1);
}

function readSpans(message: Uint8Array, spans: Spans): Buffer[] {
  return Array.from({ length: spans.count }, (_, i) => {
    const start = spans.pairs[2 * i]!;
    return Buffer.from(message.subarray(start, start + spans.pairs[2 * i + 1]!));
  });
}

function readFixed(message: Uint8Array, fixed: FixedBytes): readonly number[] {
  const bytes = joinFixedBytes(message, fixed);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: fixed.byteLength / fixed.width }, (_, i) =>
    fixed.width === 4 ? view.getFloat32(4 * i, true) : view.getFloat64(8 * i, true),
  );
}
