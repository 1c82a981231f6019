// A client's collection schema → ours, checked in Milvus' order and words: counts, name, keys, then
// each field on its own (check-field.ts).

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
import type { Options } from '../options.ts';
import type { ProxyLimits } from '../proxy.ts';
import { checkField, checkType, type FieldDefinition } from './check-field.ts';

/** A collection as a client wants it. */
export interface SchemaDefinition {
  readonly name: string;
  readonly description: string;
  readonly fields: readonly FieldDefinition[];
  readonly enableDynamicField: boolean;
  readonly properties: Options;
}

/**
 * @throws MilvusError ParameterInvalid, ParameterTooLarge, CollectionIllegalSchema,
 *   CollectionVectorClusteringKeyNotAllowed, FieldInvalidName; Unimplemented for what is not there
 *   yet
 */
export function checkSchema(
  { name, description, fields, enableDynamicField, properties }: SchemaDefinition,
  limits: ProxyLimits,
): CollectionSchema {
  checkCounts(fields, limits);
  checkName('collection', name, limits.maxNameLength);
  checkDescription(description, limits.maxCollectionDescriptionLength);
  checkPrimaryKey(fields);
  if (fields.some((field) => field.isDynamic)) {
    throw invalidParameter('cannot explicitly set a field as a dynamic field');
  }
  const drawn = fields.find(({ autoId, isPrimaryKey }) => autoId && !isPrimaryKey);
  if (drawn !== undefined) throw refuseAutoId(drawn.name);
  for (const field of fields) checkType(field.name, field.dataType, field.elementType);
  checkPartitionKey(fields);
  checkClusteringKey(fields, name);
  const checked = fields.map((field) => checkField(field, name, limits));
  checkDistinct(checked);
  return {
    name,
    description,
    fields: enableDynamicField ? [...checked, makeDynamicField()] : checked,
    enableDynamicField,
    version: 0,
    properties,
  };
}

/**
 * Checks a field that is to be added to a schema, and returns it.
 * @throws MilvusError as checkSchema
 */
export function checkAddedField(
  definition: FieldDefinition,
  schema: CollectionSchema,
  limits: ProxyLimits,
): FieldSchema {
  const { name, dataType } = definition;
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
  checkType(name, dataType, definition.elementType);
  if (definition.isPrimaryKey) {
    throw invalidParameter(`not support to add pk field, field name = ${name}`);
  }
  if (definition.autoId) throw refuseAutoId(name);
  if (definition.isPartitionKey) {
    throw invalidParameter(`not support to add partition key field, field name  = ${name}`);
  }
  if (definition.isClusteringKey) checkAddedClusteringKey(definition, declared);
  const vectors = getVectorFields(schema).length;
  if (isVectorType(dataType) && vectors >= limits.maxVectorFieldNum) {
    throw refuseVectorCount(limits);
  }
  if (!definition.nullable) {
    throw invalidParameter(`added field must be nullable, please check it, field name = ${name}`);
  }
  return checkField(definition, schema.name, limits);
}

function checkCounts(fields: readonly FieldDefinition[], limits: ProxyLimits): void {
  if (fields.length > limits.maxFieldNum) {
    throw invalidParameter(`maximum field's number should be limited to ${limits.maxFieldNum}`);
  }
  const vectors = fields.filter((field) => isVectorType(field.dataType)).length;
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

function checkPrimaryKey(fields: readonly FieldDefinition[]): void {
  const [key, other] = fields.filter((field) => field.isPrimaryKey);
  if (key === undefined) throw invalidParameter('primary key is not specified');
  if (other !== undefined) {
    throw invalidParameter(
      `there are more than one primary key, field name = ${key.name}, ${other.name}`,
    );
  }
  if (!isKeyType(key.dataType)) {
    throw invalidParameter('the data type of primary key should be Int64 or VarChar');
  }
}

function isKeyType(dataType: number): boolean {
  return dataType === DataType.Int64 || dataType === DataType.VarChar;
}

function refuseAutoId(name: string): MilvusError {
  return invalidParameter(`only primary field can speficy AutoID with true, field name = ${name}`);
}

function checkPartitionKey(fields: readonly FieldDefinition[]): void {
  const [key, other] = fields.filter((field) => field.isPartitionKey);
  if (key === undefined) return;
  if (other !== undefined) {
    throw invalidParameter(
      `there are more than one partition key, field name = ${key.name}, ${other.name}`,
    );
  }
  if (key.isPrimaryKey) {
    throw invalidParameter(`the partition key field must not be primary field`);
  }
  if (key.nullable) throw invalidParameter('partition key field not support nullable');
  if (!isKeyType(key.dataType)) {
    throw invalidParameter('the data type of partition key should be Int64 or VarChar');
  }
}

function checkClusteringKey(fields: readonly FieldDefinition[], collectionName: string): void {
  const keys = fields.filter((field) => field.isClusteringKey);
  for (const { name, dataType } of keys) {
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
  { name, dataType }: FieldDefinition,
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
