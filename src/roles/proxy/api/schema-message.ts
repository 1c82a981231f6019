// schema.CollectionSchema and schema.FieldSchema as the protobuf library makes them ↔ what the
// proxy works with. Field names as in the protocol, int64 as decimal strings, enums as numbers,
// absent fields as defaults; only what the proxy reads is named.

import { DataType } from '../../../model/data-type.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { invalidParameter } from '../../../model/error.ts';
import type { FieldSchema } from '../../../model/schema.ts';
import type { DefaultDefinition, FieldDefinition } from '../catalog/check-field.ts';
import type { SchemaDefinition } from '../catalog/check-schema.ts';
import { notYet } from '../not-yet.ts';
import { toPairs, toRecord, type KeyValuePair } from './pairs.ts';
import type { DecodeNested } from './rpc.ts';

interface ValueFieldMessage {
  readonly bool_data?: boolean;
  readonly int_data?: number;
  readonly long_data?: string;
  readonly float_data?: number;
  readonly double_data?: number;
  readonly string_data?: string;
  readonly bytes_data?: Uint8Array;
  readonly timestamptz_data?: string;
  readonly date_data?: number;
  readonly time_data?: string;
}

interface FieldMessage {
  readonly name: string;
  readonly is_primary_key: boolean;
  readonly description: string;
  readonly data_type: number;
  readonly type_params: readonly KeyValuePair[];
  readonly index_params: readonly KeyValuePair[];
  readonly autoID: boolean;
  readonly element_type: number;
  readonly default_value: ValueFieldMessage | null;
  readonly is_dynamic: boolean;
  readonly is_partition_key: boolean;
  readonly is_clustering_key: boolean;
  readonly nullable: boolean;
}

interface SchemaMessage {
  readonly name: string;
  readonly description: string;
  readonly fields: readonly FieldMessage[];
  readonly enable_dynamic_field: boolean;
  readonly properties: readonly KeyValuePair[];
  readonly functions: readonly object[];
  readonly struct_array_fields: readonly object[];
  readonly external_source: string;
}

/**
 * The schema's own `autoID` is not read, as in Milvus: the key field says it.
 * @param name  of the collection, where the schema does not say it
 * @throws MilvusError ParameterInvalid; Unimplemented for what is not there yet
 */
export function readSchemaMessage(
  bytes: Uint8Array,
  name: string,
  decodeNested: DecodeNested,
): SchemaDefinition {
  const message = decode<SchemaMessage>('CollectionSchema', bytes, decodeNested);
  if (message.functions.length > 0) throw notYet('functions in a schema');
  if (message.struct_array_fields.length > 0) throw notYet('struct array fields');
  if (message.external_source !== '') throw notYet('external collections');
  return {
    name: name || message.name,
    description: message.description,
    fields: message.fields.map(toDefinition),
    enableDynamicField: message.enable_dynamic_field,
    properties: toRecord(message.properties),
  };
}

/** @throws MilvusError ParameterInvalid */
export function readFieldMessage(bytes: Uint8Array, decodeNested: DecodeNested): FieldDefinition {
  return toDefinition(decode<FieldMessage>('FieldSchema', bytes, decodeNested));
}

function decode<T extends object>(
  message: string,
  bytes: Uint8Array,
  decodeNested: DecodeNested,
): T {
  try {
    return decodeNested(`milvus.proto.schema.${message}`, bytes) as T;
  } catch (error) {
    throw invalidParameter(`schema is not a ${message} message: ${(error as Error).message}`);
  }
}

function toDefinition(field: FieldMessage): FieldDefinition {
  return {
    name: field.name,
    description: field.description,
    dataType: field.data_type,
    elementType: field.element_type,
    isPrimaryKey: field.is_primary_key,
    autoId: field.autoID,
    isPartitionKey: field.is_partition_key,
    isClusteringKey: field.is_clustering_key,
    isDynamic: field.is_dynamic,
    nullable: field.nullable,
    typeParams: toRecord(field.type_params),
    indexParams: toRecord(field.index_params),
    defaultValue: readDefault(field.default_value),
  };
}

/** Its members are a oneof: none or one is there. */
function readDefault(value: ValueFieldMessage | null): DefaultDefinition | undefined {
  if (value === null) return undefined;
  if (value.bool_data !== undefined) return { type: 'bool', value: value.bool_data };
  if (value.int_data !== undefined) return { type: 'int', value: value.int_data };
  if (value.long_data !== undefined) return { type: 'long', value: BigInt(value.long_data) };
  if (value.float_data !== undefined) return { type: 'float', value: value.float_data };
  if (value.double_data !== undefined) return { type: 'double', value: value.double_data };
  if (value.string_data !== undefined) return { type: 'string', value: value.string_data };
  if (value.timestamptz_data !== undefined) return { type: 'timestamptz' };
  if (value.date_data !== undefined) return { type: 'date' };
  if (value.time_data !== undefined) return { type: 'time' };
  if (value.bytes_data !== undefined) return { type: 'bytes' };
  return { type: 'none' };
}

export function toSchemaMessage({ schema, dbName }: CollectionInfo): object {
  return {
    name: schema.name,
    description: schema.description,
    autoID: schema.fields.some((field) => field.isPrimaryKey && field.autoId),
    fields: schema.fields.filter((field) => !field.isDynamic).map(toFieldMessage),
    enable_dynamic_field: schema.enableDynamicField,
    properties: toPairs(schema.properties),
    dbName,
    version: schema.version,
  };
}

function toFieldMessage(field: FieldSchema): object {
  return {
    fieldID: String(field.fieldId),
    name: field.name,
    description: field.description,
    data_type: field.dataType,
    element_type: field.elementType,
    is_primary_key: field.isPrimaryKey,
    autoID: field.autoId,
    is_partition_key: field.isPartitionKey,
    is_clustering_key: field.isClusteringKey,
    is_dynamic: field.isDynamic,
    nullable: field.nullable,
    type_params: toPairs(field.typeParams),
    index_params: toPairs(field.indexParams),
    ...(field.defaultValue === undefined ? {} : { default_value: toValueField(field) }),
  };
}

function toValueField({ dataType, defaultValue }: FieldSchema): object {
  switch (dataType) {
    case DataType.Bool:
      return { bool_data: defaultValue };
    case DataType.Int64:
      return { long_data: String(defaultValue) };
    case DataType.Float:
      return { float_data: defaultValue };
    case DataType.Double:
      return { double_data: defaultValue };
    case DataType.VarChar:
      return { string_data: defaultValue };
    default:
      return { int_data: defaultValue };
  }
}
