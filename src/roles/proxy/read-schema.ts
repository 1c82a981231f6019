// A client's collection schema → ours, checked: names, types, keys, limits. The words are Milvus'.

import { DataType, getDataTypeName, isIntegerType, isVectorType } from '../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import {
  DYNAMIC_FIELD_NAME,
  type CollectionSchema,
  type DefaultValue,
  type FieldSchema,
} from '../../model/schema.ts';
import { checkName } from './names.ts';
import type { ProxyLimits } from './proxy.ts';
import { toRecord, type WireCollectionSchema, type WireFieldSchema } from './wire-types.ts';

/** Types of the protocol that cannot be stored yet. */
export const NOT_YET = new Set<number>([
  DataType.Geometry,
  DataType.Text,
  DataType.Timestamptz,
  DataType.BinaryVector,
  DataType.Float16Vector,
  DataType.BFloat16Vector,
  DataType.SparseFloatVector,
  DataType.Int8Vector,
  DataType.ArrayOfVector,
  DataType.ArrayOfStruct,
  DataType.Struct,
]);

/** Types that a field may have. */
export const STORED = new Set<number>([
  DataType.Bool,
  DataType.Int8,
  DataType.Int16,
  DataType.Int32,
  DataType.Int64,
  DataType.Float,
  DataType.Double,
  DataType.VarChar,
  DataType.Array,
  DataType.JSON,
  DataType.FloatVector,
]);

/** Types that an Array's elements may have. */
export const ELEMENTS = new Set<number>([
  DataType.Bool,
  DataType.Int8,
  DataType.Int16,
  DataType.Int32,
  DataType.Int64,
  DataType.Float,
  DataType.Double,
  DataType.VarChar,
]);

/** @throws MilvusError ParameterInvalid, or Unimplemented for a type that cannot be stored yet */
export function readSchema(wire: WireCollectionSchema, limits: ProxyLimits): CollectionSchema {
  checkName('collection', wire.name, limits.maxNameLength);
  if (Buffer.byteLength(wire.description) > limits.maxCollectionDescriptionLength) {
    throw new MilvusError('ParameterTooLarge', {
      message: `collection description is too long`,
      fields: {
        got: Buffer.byteLength(wire.description),
        expected: limits.maxCollectionDescriptionLength,
      },
    });
  }
  if (wire.functions.length > 0) throw notYet('functions in a schema');
  if (wire.struct_array_fields.length > 0) throw notYet('struct array fields');
  if (wire.external_source !== '') throw notYet('external collections');
  const declared = wire.fields.filter((field) => !field.is_dynamic);
  checkCounts(declared, limits);
  const fields = declared.map((field) => readField(field, wire.name, limits));
  checkKeys(fields, wire.autoID);
  const withAutoId = fields.map((field) =>
    field.isPrimaryKey && wire.autoID ? { ...field, autoId: true } : field,
  );
  const enableDynamicField = wire.enable_dynamic_field;
  return {
    name: wire.name,
    description: wire.description,
    fields: enableDynamicField ? [...withAutoId, makeDynamicField()] : withAutoId,
    enableDynamicField,
    version: 0,
    properties: toRecord(wire.properties),
  };
}

/** Checks one field on its own, as `AddCollectionField` gives it too. */
export function readField(
  wire: WireFieldSchema,
  collectionName: string,
  limits: ProxyLimits,
): FieldSchema {
  const { name } = wire;
  checkName('field', name, limits.maxNameLength);
  const params = toRecord(wire.type_params);
  const dataType = wire.data_type;
  checkType(name, dataType, wire.element_type);
  const field: FieldSchema = {
    fieldId: 0n,
    name,
    description: wire.description,
    dataType,
    elementType: dataType === DataType.Array ? wire.element_type : 0,
    isPrimaryKey: wire.is_primary_key,
    autoId: wire.autoID,
    isPartitionKey: wire.is_partition_key,
    isClusteringKey: wire.is_clustering_key,
    isDynamic: false,
    nullable: wire.nullable,
    typeParams: params,
    indexParams: toRecord(wire.index_params),
    dim: dataType === DataType.FloatVector ? readDim(name, params, limits) : 0,
    maxLength: readMaxLength(wire, collectionName, params, limits),
    maxCapacity:
      dataType === DataType.Array ? readMaxCapacity(name, collectionName, params, limits) : 0,
  };
  checkRoles(field);
  const defaultValue = readDefault(wire, field);
  return defaultValue === undefined ? field : { ...field, defaultValue };
}

function checkCounts(fields: readonly WireFieldSchema[], limits: ProxyLimits): void {
  if (fields.length > limits.maxFieldNum) {
    throw invalidParameter(`maximum field's number should be limited to ${limits.maxFieldNum}`);
  }
  const vectors = fields.filter((field) => isVectorType(field.data_type)).length;
  if (vectors > limits.maxVectorFieldNum) {
    throw invalidParameter(
      `maximum vector field's number should be limited to ${limits.maxVectorFieldNum}`,
    );
  }
  const names = new Set<string>();
  for (const { name } of fields) {
    if (names.has(name)) throw invalidParameter(`duplicated field name ${name} found`);
    names.add(name);
  }
  if (vectors === 0) {
    throw invalidParameter('schema does not contain vector field');
  }
}

function checkKeys(fields: readonly FieldSchema[], autoId: boolean): void {
  const primary = fields.filter((field) => field.isPrimaryKey);
  if (primary.length === 0) throw invalidParameter('primary key is not specified');
  if (primary.length > 1) {
    throw invalidParameter(
      `there are more than one primary key, field name = ${primary[0]!.name}, ${primary[1]!.name}`,
    );
  }
  for (const field of fields) {
    if (field.autoId && !field.isPrimaryKey) {
      throw invalidParameter(
        'only primary field can speficy AutoID with true, field name = ' + field.name,
      );
    }
  }
  const keys = fields.filter((field) => field.isPartitionKey);
  if (keys.length > 1) {
    throw invalidParameter(
      `there are more than one partition key, field name = ${keys[0]!.name}, ${keys[1]!.name}`,
    );
  }
  const clustering = fields.filter((field) => field.isClusteringKey);
  if (clustering.length > 1) {
    throw invalidParameter(
      `there are more than one clustering key, field name = ${clustering[0]!.name}, ` +
        `${clustering[1]!.name}`,
    );
  }
  void autoId;
}

function checkType(name: string, dataType: number, elementType: number): void {
  if (dataType === DataType.String) {
    throw invalidParameter(`string data type not supported yet, please use VarChar type instead`);
  }
  if (NOT_YET.has(dataType)) {
    throw notYet(`data type ${getDataTypeName(dataType)} (field ${name})`);
  }
  if (!STORED.has(dataType))
    throw invalidParameter(`Invalid data type: ${dataType}, field name = ${name}`);
  if (dataType === DataType.Array && !ELEMENTS.has(elementType)) {
    throw invalidParameter(`element type ${getDataTypeName(elementType)} is not supported`);
  }
}

function checkRoles(field: FieldSchema): void {
  const { name, dataType } = field;
  const isKeyType = dataType === DataType.Int64 || dataType === DataType.VarChar;
  if (field.isPrimaryKey) {
    if (!isKeyType)
      throw invalidParameter('the data type of primary key should be Int64 or VarChar');
    if (field.nullable) {
      throw invalidParameter(`primary field not support null`);
    }
    if (field.isPartitionKey) {
      throw invalidParameter(`the partition key field must not be primary field`);
    }
  }
  if (field.isPartitionKey) {
    if (!isKeyType)
      throw invalidParameter('the data type of partition key should be Int64 or VarChar');
    if (field.nullable) throw invalidParameter('partition key field not support nullable');
  }
  if (
    field.isClusteringKey &&
    (isVectorType(dataType) ||
      dataType === DataType.Bool ||
      dataType === DataType.JSON ||
      dataType === DataType.Array)
  ) {
    throw invalidParameter(`clustering key field ${name} must be of a scalar data type`);
  }
}

function readDim(
  name: string,
  params: Readonly<Record<string, string>>,
  limits: ProxyLimits,
): number {
  const text = params['dim'];
  if (text === undefined) {
    throw invalidParameter(
      `dimension is not defined in field type params of field ${name}, ` +
        'check type param `dim` for vector field',
    );
  }
  const dim = Number(text);
  if (!Number.isInteger(dim))
    throw invalidParameter(`invalid dimension: ${text}, field ${name}. should be an integer`);
  if (dim <= 1 || dim > limits.maxDimension) {
    throw invalidParameter(
      `invalid dimension: ${dim} of field ${name}. float vector dimension should be in range 2 ` +
        `~ ${limits.maxDimension}`,
    );
  }
  return dim;
}

function readMaxLength(
  wire: WireFieldSchema,
  collectionName: string,
  params: Readonly<Record<string, string>>,
  limits: ProxyLimits,
): number {
  const { name, data_type: dataType, element_type: elementType } = wire;
  const isText =
    dataType === DataType.VarChar ||
    (dataType === DataType.Array && elementType === DataType.VarChar);
  if (!isText) return 0;
  const text = params['max_length'];
  if (text === undefined) {
    throw invalidParameter(
      `type param(max_length) should be specified for the field(${name}) of collection ` +
        collectionName,
    );
  }
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1 || value > limits.maxVarCharLength) {
    throw invalidParameter(
      `the maximum length specified for the field(${name}) should be in ` +
        `(0, ${limits.maxVarCharLength}], but got ${text} instead`,
    );
  }
  return value;
}

function readMaxCapacity(
  name: string,
  collectionName: string,
  params: Readonly<Record<string, string>>,
  limits: ProxyLimits,
): number {
  const text = params['max_capacity'];
  if (text === undefined) {
    throw invalidParameter(
      `type param(max_capacity) should be specified for array field ${name} of collection ` +
        collectionName,
    );
  }
  const value = Number(text);
  if (text.trim() === '' || !Number.isInteger(value)) {
    throw invalidParameter(`the value for max_capacity of field ${name} must be an integer`);
  }
  if (value <= 0 || value > limits.maxArrayCapacity) {
    throw invalidParameter(
      `the maximum capacity specified for a Array should be in (0, ${limits.maxArrayCapacity}]`,
    );
  }
  return value;
}

function readDefault(wire: WireFieldSchema, field: FieldSchema): DefaultValue | undefined {
  const value = wire.default_value;
  if (value === null || value === undefined) return undefined;
  const { name, dataType } = field;
  const mismatch = (got: string): MilvusError =>
    invalidParameter(
      `type (${getDataTypeName(dataType)}) of field (${name}) is not equal to the ` +
        `type(DataType_${got}) of default_value`,
    );
  if (field.isPrimaryKey) throw invalidParameter('primary field not support default_value');
  if (dataType === DataType.Array || dataType === DataType.JSON || isVectorType(dataType)) {
    throw invalidParameter(
      `type not support default_value, type:${getDataTypeName(dataType)}, name:${name}`,
    );
  }
  if (value.bool_data !== undefined) {
    if (dataType !== DataType.Bool) throw mismatch('Bool');
    return value.bool_data;
  }
  if (value.int_data !== undefined) {
    if (!isIntegerType(dataType) || dataType === DataType.Int64) throw mismatch('Int');
    const bits = dataType === DataType.Int8 ? 7 : dataType === DataType.Int16 ? 15 : 31;
    const limit = 2 ** bits;
    if (value.int_data < -limit || value.int_data >= limit) {
      throw invalidParameter(
        `[${-limit} <= ${value.int_data} <= ${limit - 1}] value out of range of field ${name}`,
      );
    }
    return value.int_data;
  }
  if (value.long_data !== undefined) {
    if (dataType !== DataType.Int64) throw mismatch('Int64');
    return BigInt(value.long_data);
  }
  if (value.float_data !== undefined) {
    if (dataType !== DataType.Float) throw mismatch('Float');
    return value.float_data;
  }
  if (value.double_data !== undefined) {
    if (dataType !== DataType.Double) throw mismatch('Double');
    return value.double_data;
  }
  if (value.string_data !== undefined) {
    if (dataType !== DataType.VarChar) throw mismatch('VarChar');
    const bytes = Buffer.byteLength(value.string_data);
    if (bytes > field.maxLength) {
      throw invalidParameter(
        `the length (${bytes}) of string exceeds max length (${field.maxLength}): invalid ` +
          'parameter[expected=valid length string][actual=string length exceeds max length]' +
          `[field=${name}]`,
      );
    }
    return value.string_data;
  }
  return undefined;
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

export function notYet(what: string): MilvusError {
  return new MilvusError('Unimplemented', { message: `${what} is not available yet` });
}
