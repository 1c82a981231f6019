// Checks what a user asks of CreateIndex and fills in defaults. DescribeIndex echoes what the user
// asked; how it is built is ours. Facts: Milvus 2.6.

import { DataType, getDataTypeName, isVectorType } from '../data-type.ts';
import { invalidParameter } from '../error.ts';
import { checkJsonCast } from '../json-path.ts';
import { getVectorType } from '../vector-type.ts';
import { checkBuildInteger } from './check-params.ts';
import type { TextParams, VectorIndexType } from './index-type.ts';
import { OTHER_SCALAR_INDEXES, refuseScalarField, SCALAR_INDEXES } from './scalar-indexes.ts';
import {
  AUTOINDEX,
  OTHER_VECTOR_INDEXES,
  OTHER_VECTORS_INDEXES,
  VECTOR_INDEXES,
} from './vector-indexes.ts';

/** What AlterIndex changes: indexes that differ in nothing else are the same. */
export const INDEX_PROPERTIES: ReadonlySet<string> = new Set([
  'mmap.enabled',
  'indexoffsetcache.enabled',
  'warmup',
]);
/** Parameters that are about the index, not for its builder. */
const PROPERTY_KEYS = new Set([
  ...INDEX_PROPERTIES,
  'index_type',
  'metric_type',
  'params',
  'dim',
  'offset_cache.enabled',
  'index_name',
]);

export interface IndexTarget {
  readonly fieldName: string;
  readonly dataType: number;
  readonly elementType: number;
  readonly isPrimaryKey: boolean;
  readonly dim: number;
}

export interface IndexDefinition {
  readonly indexType: string;
  readonly metric: string;
  readonly params: TextParams;
  readonly isAutoIndex: boolean;
}

/**
 * Checks what a user asks for and fills in defaults.
 * @param given  flat parameters: `index_type`, `metric_type`, and those of the type
 * @throws MilvusError ParameterInvalid with Milvus' text
 */
export function checkIndexDefinition(
  target: IndexTarget,
  given: TextParams,
): IndexDefinition {
  return isVectorType(target.dataType)
    ? checkVectorIndex(target, given)
    : checkScalarIndex(target, given);
}

function checkVectorIndex(target: IndexTarget, given: TextParams): IndexDefinition {
  const asked = given['index_type'] ?? '';
  const indexType = asked === '' ? AUTOINDEX : asked.toUpperCase();
  const isAutoIndex = indexType === AUTOINDEX;
  const entry = VECTOR_INDEXES[indexType];
  if (!isAutoIndex && entry === undefined) throw refuseIndexType(target, asked, indexType);
  const vectors = getVectorType(target.dataType);
  const metric = (given['metric_type'] ?? '').toUpperCase();
  if (metric !== '' && !vectors.metrics.includes(metric)) {
    throw invalidParameter(`${vectors.label} vector index does not support metric type: ${metric}`);
  }
  if (entry !== undefined) checkParams(indexType, entry, target.dim, given);
  else if (Object.keys(given).some((key) => !PROPERTY_KEYS.has(key))) {
    throw invalidParameter('only metric type can be passed when use AutoIndex');
  }
  const params = pickParams(given);
  return { indexType, metric: metric || vectors.defaultMetric, params, isAutoIndex };
}

function checkParams(
  indexType: string,
  entry: VectorIndexType,
  dim: number,
  given: TextParams,
): void {
  for (const [key, range] of Object.entries(entry.params)) {
    const value = given[key];
    if (value !== undefined) checkBuildInteger(key, value, range);
  }
  for (const key of entry.required ?? []) {
    if (given[key] === undefined) {
      throw invalidParameter(`invalid parameter[expected=${key}][actual=missing] of ${indexType}`);
    }
  }
  for (const key of entry.dividesDim ?? []) {
    const value = given[key];
    if (value === undefined || dim % Number(value) === 0) continue;
    throw invalidParameter(
      'The dimension of the vector (dim) should be a multiple of the number of subquantizers ' +
        `(${key}). ` +
        `Dimension:${dim}, ${key}:${value}`,
    );
  }
  checkCodes(entry, given);
}

function checkCodes({ quantizers, refineTypes }: VectorIndexType, given: TextParams): void {
  const { sq_type: quantizer, refine, refine_type: refineType } = given;
  if (quantizers !== undefined && quantizer !== undefined) {
    if (!quantizers.includes(quantizer.toLowerCase())) {
      throw invalidParameter('invalid scalar quantizer type');
    }
  }
  if (refineTypes === undefined) return;
  if (refine !== undefined && !/^(?:true|false)$/i.test(refine)) {
    throw invalidParameter(
      `Type conflict in json: param 'refine' (${JSON.stringify(refine)}) should be a boolean`,
    );
  }
  if (refineType !== undefined && !refineTypes.includes(refineType.toLowerCase())) {
    throw invalidParameter(
      `invalid refine type : ${refineType}, optional types are [${refineTypes.join(', ')}]`,
    );
  }
}

function refuseIndexType(target: IndexTarget, asked: string, indexType: string): Error {
  if (OTHER_VECTORS_INDEXES.has(indexType)) {
    const type = getDataTypeName(target.dataType);
    return invalidParameter(`data type ${type} can't build with this index ${indexType}`);
  }
  if (OTHER_VECTOR_INDEXES.has(indexType)) {
    return invalidParameter(
      `index type ${indexType} is not available yet; use one of ` +
        `${Object.keys(VECTOR_INDEXES).join(', ')}, AUTOINDEX`,
    );
  }
  return invalidParameter(
    `invalid parameter[expected=valid index][actual=invalid index type: ${asked}]`,
  );
}

function checkScalarIndex(
  target: IndexTarget,
  given: TextParams,
): IndexDefinition {
  const asked = given['index_type'] ?? '';
  const indexType = asked === '' ? AUTOINDEX : asked;
  const name = indexType.toUpperCase();
  const isAutoIndex = name === AUTOINDEX;
  const type = getDataTypeName(target.dataType);
  if (VECTOR_INDEXES[name] !== undefined || OTHER_VECTOR_INDEXES.has(name)) {
    throw invalidParameter(`invalid index type: ${asked}, index on ${type} field not supported`);
  }
  if (OTHER_SCALAR_INDEXES.has(name)) {
    throw invalidParameter(`index type ${name} is not available yet; use INVERTED or AUTOINDEX`);
  }
  const rule = SCALAR_INDEXES[name];
  if (rule === undefined) {
    throw invalidParameter(`invalid index type: ${asked}`);
  }
  if (target.dataType === DataType.JSON) {
    if (name === 'TRIE' || name === 'MARISA-TRIE') throw refuseScalarField(name, type);
    checkJsonCast(name, given['json_cast_type']);
    return { indexType, metric: '', params: pickScalarParams(given, isAutoIndex), isAutoIndex };
  }
  if (name === 'BITMAP' && target.isPrimaryKey) {
    throw invalidParameter('create bitmap index on primary key not supported');
  }
  if (!rule(target.dataType, target.elementType)) throw refuseScalarField(name, type);
  return { indexType, metric: '', params: pickScalarParams(given, isAutoIndex), isAutoIndex };
}

function pickParams(given: TextParams): Record<string, string> {
  const { index_type: _type, metric_type: _metric, ...params } = given;
  return params;
}

/** AUTOINDEX gives back the metric that it was asked with, though a scalar index has none. */
function pickScalarParams(
  given: TextParams,
  isAutoIndex: boolean,
): Record<string, string> {
  const { metric_type: metric = '' } = given;
  const params = pickParams(given);
  return isAutoIndex && metric !== '' ? { ...params, metric_type: metric } : params;
}
