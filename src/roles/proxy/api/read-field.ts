// One field of a client's schema → ours, checked: name, type, lengths, keys, default. The words are
// Milvus'. What fields must be together is in read-schema.ts.

import { refuseNotFinite } from '../write/check-error.ts';
import {
  DataType,
  SCALAR_TYPES,
  getDataTypeName,
  isIntegerType,
  isVectorType,
} from '../../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import type { DefaultValue, FieldSchema } from '../../../model/schema.ts';
import { STORED_TYPES } from '../../../model/stored-types.ts';
import { checkName } from '../names.ts';
import { notYet } from '../not-yet.ts';
import { checkWarmupPolicy } from '../catalog/properties.ts';
import type { ProxyLimits } from '../proxy.ts';
import { toRecord, type WireFieldSchema, type WireValueField } from './wire-types.ts';

/** Types of the protocol that cannot be stored yet. */
export const NOT_YET = new Set<number>([
  DataType.Geometry,
  DataType.Text,
  DataType.Timestamptz,
  ...Object.values(DataType).filter((type) => isVectorType(type) && !STORED_TYPES.has(type)),
  DataType.ArrayOfStruct,
  DataType.Struct,
]);

const ELEMENTS = new Set<number>(SCALAR_TYPES);

const ANALYZER_KEYS = [
  'enable_analyzer',
  'enable_match',
  'analyzer_params',
  'multi_analyzer_params',
];

/**
 * Checks one field on its own, as AddCollectionField gives it too.
 * @throws MilvusError ParameterInvalid, FieldInvalidName; Unimplemented for what is not there yet
 */
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
    dim: isVectorType(dataType) ? readDim(name, params, limits) : 0,
    maxLength: readMaxLength(wire, collectionName, params, limits),
    maxCapacity:
      dataType === DataType.Array ? readMaxCapacity(name, collectionName, params, limits) : 0,
  };
  refuseAnalyzer(field);
  checkWarmupPolicy(params['warmup']);
  if (field.isPrimaryKey && field.nullable) {
    throw invalidParameter(
      `primary field not support null, type:${getDataTypeName(dataType)}, name:${name}`,
    );
  }
  const defaultValue = readDefault(wire.default_value, field);
  return defaultValue === undefined ? field : { ...field, defaultValue };
}

/** @throws MilvusError ParameterInvalid, Unimplemented for a type that cannot be stored yet */
export function checkType(name: string, dataType: number, elementType: number): void {
  if (dataType === DataType.String) {
    throw invalidParameter(`string data type not supported yet, please use VarChar type instead`);
  }
  if (NOT_YET.has(dataType)) {
    throw notYet(`data type ${getDataTypeName(dataType)} (field ${name})`);
  }
  if (!STORED_TYPES.has(dataType))
    throw invalidParameter(`Invalid data type: ${dataType}, field name = ${name}`);
  if (dataType === DataType.Array && !ELEMENTS.has(elementType)) {
    throw invalidParameter(`element type ${getDataTypeName(elementType)} is not supported`);
  }
}

/** Nothing reads texts word by word yet: a setting for it would be kept and change nothing. */
function refuseAnalyzer({ name, typeParams }: FieldSchema): void {
  for (const key of ANALYZER_KEYS) {
    const value = typeParams[key] ?? '';
    if (value !== '' && value.toLowerCase() !== 'false') {
      throw notYet(`the analyzer of a field (${key} of field ${name})`);
    }
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

/** Checks as an insert does: rows get the default unchecked. */
function readDefault(
  value: WireValueField | null | undefined,
  field: FieldSchema,
): DefaultValue | undefined {
  if (value === null || value === undefined) return undefined;
  const { name, dataType } = field;
  const type = getDataTypeName(dataType);
  if (field.isPrimaryKey) {
    throw invalidParameter(`primary field not support default_value, type:${type}, name:${name}`);
  }
  if (isVectorType(dataType) || dataType === DataType.Array || dataType === DataType.JSON) {
    throw invalidParameter(`type not support default_value, type:${type}, name:${name}`);
  }
  const requireType = (isRight: boolean, got: string): void => {
    if (isRight) return;
    throw invalidParameter(
      `type (${type}) of field (${name}) is not equal to the type(DataType_${got}) of ` +
        'default_value',
    );
  };
  if (value.bool_data !== undefined) {
    requireType(dataType === DataType.Bool, 'Bool');
    return value.bool_data;
  }
  if (value.int_data !== undefined) {
    requireType(isIntegerType(dataType) && dataType !== DataType.Int64, 'Int');
    return checkIntDefault(value.int_data, dataType);
  }
  if (value.long_data !== undefined) {
    requireType(dataType === DataType.Int64, 'Int64');
    return BigInt(value.long_data);
  }
  if (value.float_data !== undefined) {
    requireType(dataType === DataType.Float, 'Float');
    return checkFloatDefault(value.float_data, field);
  }
  if (value.double_data !== undefined) {
    requireType(dataType === DataType.Double, 'Double');
    return checkFloatDefault(value.double_data, field);
  }
  if (value.string_data !== undefined) {
    requireType(dataType === DataType.VarChar, 'VarChar');
    checkTextDefault(value.string_data, field, field.maxLength);
    return value.string_data;
  }
  requireType(value.timestamptz_data === undefined, 'Timestamptz');
  requireType(value.date_data === undefined, 'Date');
  requireType(value.time_data === undefined, 'Time');
  requireType(value.bytes_data === undefined, 'SJON'); // Milvus' spelling.
  return undefined;
}

function checkIntDefault(value: number, dataType: number): number {
  const limit = 2 ** (dataType === DataType.Int8 ? 7 : dataType === DataType.Int16 ? 15 : 31);
  if (value >= -limit && value < limit) return value;
  throw new MilvusError('ParameterInvalid', {
    message:
      'default value out of range: invalid parameter' +
      `[${value} out of range ${-limit} <= value <= ${limit - 1}]`,
  });
}

function checkFloatDefault(value: number, field: FieldSchema): number {
  if (!Number.isFinite(value)) throw refuseNotFinite({ field, collection: undefined }, value);
  return value;
}

/** @throws MilvusError ParameterInvalid when the text is longer than `maxLength` bytes */
export function checkTextDefault(text: string, field: FieldSchema, maxLength: number): void {
  const bytes = Buffer.byteLength(text);
  if (bytes <= maxLength) return;
  throw invalidParameter(
    `the length (${bytes}) of string exceeds max length (${maxLength}): invalid ` +
      'parameter[expected=valid length string][actual=string length exceeds max length]' +
      `[field=${field.name}]`,
  );
}
