// One field of a client's schema → ours, checked: name, type, lengths, keys, default. The words are
// Milvus'. What fields must be together is in check-schema.ts.

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
import type { Options } from '../options.ts';
import type { ProxyLimits } from '../proxy.ts';
import { checkWarmupPolicy } from './properties.ts';

/** A field as a client wants it. */
export interface FieldDefinition
  extends Omit<FieldSchema, 'fieldId' | 'defaultValue' | 'dim' | 'maxLength' | 'maxCapacity'> {
  readonly defaultValue: DefaultDefinition | undefined;
}

/** A default, with the type that the client gave it; `none`: it has no value. */
export type DefaultDefinition =
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'int' | 'float' | 'double'; readonly value: number }
  | { readonly type: 'long'; readonly value: bigint }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'bytes' | 'timestamptz' | 'date' | 'time' | 'none' };

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
export function checkField(
  definition: FieldDefinition,
  collectionName: string,
  limits: ProxyLimits,
): FieldSchema {
  const { name, description, dataType, elementType, typeParams: params } = definition;
  checkName('field', name, limits.maxNameLength);
  checkType(name, dataType, elementType);
  const field: FieldSchema = {
    fieldId: 0n,
    name,
    description,
    dataType,
    elementType: dataType === DataType.Array ? elementType : 0,
    isPrimaryKey: definition.isPrimaryKey,
    autoId: definition.autoId,
    isPartitionKey: definition.isPartitionKey,
    isClusteringKey: definition.isClusteringKey,
    isDynamic: false,
    nullable: definition.nullable,
    typeParams: params,
    indexParams: definition.indexParams,
    dim: isVectorType(dataType) ? readDim(name, params, limits) : 0,
    maxLength: readMaxLength(definition, collectionName, limits),
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
  const defaultValue = readDefault(definition.defaultValue, field);
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
  params: Options,
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
  { name, dataType, elementType, typeParams }: FieldDefinition,
  collectionName: string,
  limits: ProxyLimits,
): number {
  const isText =
    dataType === DataType.VarChar ||
    (dataType === DataType.Array && elementType === DataType.VarChar);
  if (!isText) return 0;
  const text = typeParams['max_length'];
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
  params: Options,
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
  given: DefaultDefinition | undefined,
  field: FieldSchema,
): DefaultValue | undefined {
  if (given === undefined) return undefined;
  const { name, dataType } = field;
  const type = getDataTypeName(dataType);
  if (field.isPrimaryKey) {
    throw invalidParameter(`primary field not support default_value, type:${type}, name:${name}`);
  }
  if (isVectorType(dataType) || dataType === DataType.Array || dataType === DataType.JSON) {
    throw invalidParameter(`type not support default_value, type:${type}, name:${name}`);
  }
  const { title, accepts } = DEFAULT_TYPES[given.type];
  if (!accepts(dataType)) {
    throw invalidParameter(
      `type (${type}) of field (${name}) is not equal to the type(DataType_${title}) of ` +
        'default_value',
    );
  }
  switch (given.type) {
    case 'bool':
    case 'long':
      return given.value;
    case 'int':
      return checkIntDefault(given.value, dataType);
    case 'float':
    case 'double':
      return checkFloatDefault(given.value, field);
    case 'string':
      checkTextDefault(given.value, field, field.maxLength);
      return given.value;
    default:
      return undefined;
  }
}

type AcceptsType = (dataType: number) => boolean;
const only =
  (wanted: number): AcceptsType =>
  (dataType) =>
    dataType === wanted;
const noField: AcceptsType = () => false;

/** Which fields take a default of each type, and what Milvus calls it. */
const DEFAULT_TYPES: Readonly<
  Record<DefaultDefinition['type'], { readonly title: string; readonly accepts: AcceptsType }>
> = {
  bool: { title: 'Bool', accepts: only(DataType.Bool) },
  int: { title: 'Int', accepts: (type) => isIntegerType(type) && type !== DataType.Int64 },
  long: { title: 'Int64', accepts: only(DataType.Int64) },
  float: { title: 'Float', accepts: only(DataType.Float) },
  double: { title: 'Double', accepts: only(DataType.Double) },
  string: { title: 'VarChar', accepts: only(DataType.VarChar) },
  timestamptz: { title: 'Timestamptz', accepts: noField },
  date: { title: 'Date', accepts: noField },
  time: { title: 'Time', accepts: noField },
  bytes: { title: 'SJON', accepts: noField }, // Milvus' spelling.
  none: { title: 'None', accepts: () => true },
};

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
