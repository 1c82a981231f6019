// A client's collection schema → ours, checked in Milvus' order and words: counts, name, keys, then
// each field on its own (read-field.ts).

import {
  DataType,
  getDataTypeName,
  isNumericType,
  isVectorType,
} from '../../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import {
  DYNAMIC_FIELD_NAME,
  getVectorFields,
  type CollectionSchema,
  type FieldSchema,
} from '../../../model/schema.ts';
import { checkName } from '../names.ts';
import { notYet } from '../not-yet.ts';
import type { ProxyLimits } from '../proxy.ts';
import { checkType, readField } from './read-field.ts';
import { toRecord, type WireCollectionSchema, type WireFieldSchema } from './wire-types.ts';

/**
 * The schema's own `autoID` is not read, as in Milvus: the key field says it.
 * @throws MilvusError ParameterInvalid, ParameterTooLarge, CollectionIllegalSchema,
 *   CollectionVectorClusteringKeyNotAllowed, FieldInvalidName; Unimplemented for what is not there
 *   yet
 */
export function readSchema(wire: WireCollectionSchema, limits: ProxyLimits): CollectionSchema {
  if (wire.functions.length > 0) throw notYet('functions in a schema');
  if (wire.struct_array_fields.length > 0) throw notYet('struct array fields');
  if (wire.external_source !== '') throw notYet('external collections');
  checkCounts(wire.fields, limits);
  checkName('collection', wire.name, limits.maxNameLength);
  checkDescription(wire.description, limits.maxCollectionDescriptionLength);
  checkPrimaryKey(wire.fields);
  if (wire.fields.some((field) => field.is_dynamic)) {
    throw invalidParameter('cannot explicitly set a field as a dynamic field');
  }
  for (const { autoID, is_primary_key: isKey, name } of wire.fields) {
    if (autoID && !isKey) throw refuseAutoId(name);
  }
  for (const field of wire.fields) checkType(field.name, field.data_type, field.element_type);
  checkPartitionKey(wire.fields);
  checkClusteringKey(wire.fields, wire.name);
  const fields = wire.fields.map((field) => readField(field, wire.name, limits));
  checkDistinct(fields);
  const enableDynamicField = wire.enable_dynamic_field;
  return {
    name: wire.name,
    description: wire.description,
    fields: enableDynamicField ? [...fields, makeDynamicField()] : fields,
    enableDynamicField,
    version: 0,
    properties: toRecord(wire.properties),
  };
}

/**
 * Checks a field that is to be added to a schema, and returns it.
 * @throws MilvusError as readSchema
 */
export function readAddedField(
  wire: WireFieldSchema,
  schema: CollectionSchema,
  limits: ProxyLimits,
): FieldSchema {
  const { name } = wire;
  // The dynamic field is the server's own: it does not count.
  const declared = schema.fields.filter((field) => !field.isDynamic);
  if (declared.length >= limits.maxFieldNum) {
    throw invalidParameter(
      `The number of fields has reached the maximum value ${limits.maxFieldNum}`,
    );
  }
  if (declared.some((field) => field.name === name)) {
    throw invalidParameter(`duplicated field name ${name}`);
  }
  checkType(name, wire.data_type, wire.element_type);
  if (wire.is_primary_key) {
    throw invalidParameter(`not support to add pk field, field name = ${name}`);
  }
  if (wire.autoID) throw refuseAutoId(name);
  if (wire.is_partition_key) {
    throw invalidParameter(`not support to add partition key field, field name  = ${name}`);
  }
  if (wire.is_clustering_key) checkAddedClusteringKey(wire, declared);
  const vectors = getVectorFields(schema).length;
  if (isVectorType(wire.data_type) && vectors >= limits.maxVectorFieldNum) {
    throw refuseVectorCount(limits);
  }
  if (!wire.nullable) {
    throw invalidParameter(`added field must be nullable, please check it, field name = ${name}`);
  }
  return readField(wire, schema.name, limits);
}

function checkCounts(fields: readonly WireFieldSchema[], limits: ProxyLimits): void {
  if (fields.length > limits.maxFieldNum) {
    throw invalidParameter(`maximum field's number should be limited to ${limits.maxFieldNum}`);
  }
  const vectors = fields.filter((field) => isVectorType(field.data_type)).length;
  if (vectors > limits.maxVectorFieldNum) throw refuseVectorCount(limits);
  if (vectors === 0) throw invalidParameter('schema does not contain vector field');
}

function refuseVectorCount({ maxVectorFieldNum }: ProxyLimits): MilvusError {
  return invalidParameter(
    `maximum vector field's number should be limited to ${maxVectorFieldNum}`,
  );
}

/** @throws MilvusError ParameterTooLarge */
export function checkDescription(description: string, bytesMax: number): void {
  const got = Buffer.byteLength(description);
  if (got <= bytesMax) return;
  throw new MilvusError('ParameterTooLarge', {
    message: `collection description is too long`,
    fields: { got, expected: bytesMax },
  });
}

function checkPrimaryKey(fields: readonly WireFieldSchema[]): void {
  const [key, other] = fields.filter((field) => field.is_primary_key);
  if (key === undefined) throw invalidParameter('primary key is not specified');
  if (other !== undefined) {
    throw invalidParameter(
      `there are more than one primary key, field name = ${key.name}, ${other.name}`,
    );
  }
  if (!isKeyType(key.data_type)) {
    throw invalidParameter('the data type of primary key should be Int64 or VarChar');
  }
}

function isKeyType(dataType: number): boolean {
  return dataType === DataType.Int64 || dataType === DataType.VarChar;
}

function refuseAutoId(name: string): MilvusError {
  return invalidParameter(`only primary field can speficy AutoID with true, field name = ${name}`);
}

function checkPartitionKey(fields: readonly WireFieldSchema[]): void {
  const [key, other] = fields.filter((field) => field.is_partition_key);
  if (key === undefined) return;
  if (other !== undefined) {
    throw invalidParameter(
      `there are more than one partition key, field name = ${key.name}, ${other.name}`,
    );
  }
  if (key.is_primary_key) {
    throw invalidParameter(`the partition key field must not be primary field`);
  }
  if (key.nullable) throw invalidParameter('partition key field not support nullable');
  if (!isKeyType(key.data_type)) {
    throw invalidParameter('the data type of partition key should be Int64 or VarChar');
  }
}

function checkClusteringKey(fields: readonly WireFieldSchema[], collectionName: string): void {
  const keys = fields.filter((field) => field.is_clustering_key);
  for (const { name, data_type: dataType } of keys) {
    if (isVectorType(dataType)) {
      throw new MilvusError('CollectionVectorClusteringKeyNotAllowed', {
        fields: { collectionName },
      });
    }
    if (!isClusteringType(dataType)) {
      throw refuseClustering(collectionName, describeClusteringType(name, dataType));
    }
  }
  if (keys.length > 1) {
    throw refuseClustering(
      collectionName,
      `there are more than one clustering key, field name = ${keys[0]!.name}, ${keys[1]!.name}`,
    );
  }
}

function refuseClustering(collectionName: string, problem: string): MilvusError {
  return new MilvusError('CollectionIllegalSchema', {
    message: `${problem}: illegal collection schema`,
    fields: { collectionName },
  });
}

function checkAddedClusteringKey(
  { name, data_type: dataType }: WireFieldSchema,
  fields: readonly FieldSchema[],
): void {
  if (!isClusteringType(dataType)) throw invalidParameter(describeClusteringType(name, dataType));
  if (fields.some((field) => field.isClusteringKey)) {
    throw invalidParameter(`already has another clustering key field, field name: ${name}`);
  }
}

function isClusteringType(dataType: number): boolean {
  return isNumericType(dataType) || dataType === DataType.VarChar;
}

function describeClusteringType(name: string, dataType: number): string {
  return `clustering key field ${name} has unsupported data type ${getDataTypeName(dataType)}`;
}

function checkDistinct(fields: readonly FieldSchema[]): void {
  const names = new Set<string>();
  for (const { name } of fields) {
    if (names.has(name)) throw invalidParameter(`duplicated field name ${name} found`);
    names.add(name);
  }
}

function makeDynamicField(): FieldSchema {
  return {
    fieldId: 0n,
    name: DYNAMIC_FIELD_NAME,
    description: 'dynamic schema',
    dataType: DataType.JSON,
    elementType: 0,
    isPrimaryKey: false,
    autoId: false,
    isPartitionKey: false,
    isClusteringKey: false,
    isDynamic: true,
    nullable: false,
    defaultValue: '{}',
    typeParams: {},
    indexParams: {},
    dim: 0,
    maxLength: 0,
    maxCapacity: 0,
  };
}
