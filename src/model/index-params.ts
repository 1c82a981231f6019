// Index types as tables: which field types and metrics they take, which parameters with which
// ranges, and what is built for them. DescribeIndex echoes what the user asked; how it is built is
// ours. Facts: Milvus 2.6.

import { DataType, getDataTypeName, isNumericType, isVectorType } from './data-type.ts';
import { invalidParameter } from './error.ts';
import { checkJsonCast, getJsonCastType } from './json-path.ts';
import type { IndexInfo } from './segment-info.ts';

export const AUTOINDEX = 'AUTOINDEX';
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

export interface IntegerParam {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

type ParamTable = Readonly<Record<string, IntegerParam>>;

export const INT_MAX = 2147483647;
const NLIST: IntegerParam = { min: 1, max: 65536, default: 128 };
const HNSW_PARAMS: ParamTable = {
  M: { min: 2, max: 2048, default: 30 },
  efConstruction: { min: 1, max: INT_MAX, default: 360 },
};

const NBITS: IntegerParam = { min: 1, max: 24, default: 8 };
const SUBQUANTIZERS: IntegerParam = { min: 1, max: 65536, default: 0 };

/** Vector index types that can be built, with their build parameters that are integers. */
export const VECTOR_INDEXES: Readonly<Record<string, ParamTable>> = {
  FLAT: {},
  IVF_FLAT: { nlist: NLIST },
  IVF_SQ8: { nlist: NLIST },
  IVF_PQ: { nlist: NLIST, m: SUBQUANTIZERS, nbits: NBITS },
  IVF_RABITQ: { nlist: NLIST, rbq_bits: { min: 1, max: 9, default: 1 } },
  SCANN: { nlist: NLIST, sub_dim: SUBQUANTIZERS },
  HNSW: HNSW_PARAMS,
  HNSW_SQ: HNSW_PARAMS,
  HNSW_PQ: { ...HNSW_PARAMS, m: SUBQUANTIZERS, nbits: NBITS },
  HNSW_PRQ: {
    ...HNSW_PARAMS,
    m: SUBQUANTIZERS,
    nbits: NBITS,
    nrq: { min: 1, max: 16, default: 2 },
  },
  DISKANN: {
    max_degree: { min: 1, max: 2048, default: 56 },
    search_list_size: { min: 1, max: INT_MAX, default: 100 },
  },
};

/** Quantizers that must divide the vector into equal parts. */
const DIVIDES_DIM: Readonly<Record<string, readonly string[]>> = {
  IVF_PQ: ['m'],
  HNSW_PQ: ['m'],
  HNSW_PRQ: ['m'],
  SCANN: ['sub_dim'],
};
const REQUIRED_PARAMS: Readonly<Record<string, readonly string[]>> = { IVF_PQ: ['m'] };

/**
 * What is built for a type: its contract is a recall, and these two engines keep at least it, with
 * exact scores over mapped vectors. Compressed codes are not kept yet, so a quantized type saves no
 * memory.
 */
export function getEngine(indexType: string): 'FLAT' | 'IVF' | 'HNSW' {
  if (indexType === 'FLAT') return 'FLAT';
  return indexType.startsWith('IVF') || indexType === 'SCANN' ? 'IVF' : 'HNSW';
}

/** What AUTOINDEX means on float vectors: Milvus 2.6, older form. */
const AUTO_HNSW = { M: 18, efConstruction: 240 };

/** Milvus' other vector index types: named in errors as not available yet. */
export const OTHER_VECTOR_INDEXES = new Set([
  'IVF_RABITQ_FASTSCAN',
  'IVF_FLAT_CC',
  'IVF_SQ_CC',
  'AISAQ',
  'FAISS',
  'GPU_BRUTE_FORCE',
  'GPU_IVF_FLAT',
  'GPU_IVF_PQ',
  'GPU_CAGRA',
  'BIN_FLAT',
  'BIN_IVF_FLAT',
  'MINHASH_LSH',
  'SPARSE_INVERTED_INDEX',
  'SPARSE_WAND',
]);
const BINARY_INDEXES = new Set(['BIN_FLAT', 'BIN_IVF_FLAT', 'MINHASH_LSH']);
const SPARSE_INDEXES = new Set(['SPARSE_INVERTED_INDEX', 'SPARSE_WAND']);

export const FLOAT_METRICS = ['L2', 'IP', 'COSINE'] as const;
const DEFAULT_METRIC = 'COSINE';

type ScalarRule = (dataType: number, elementType: number) => boolean;
const isBitmapType: ScalarRule = (dataType) =>
  dataType === DataType.Bool ||
  dataType === DataType.VarChar ||
  (dataType >= DataType.Int8 && dataType <= DataType.Int64);
const isScalarType: ScalarRule = (dataType) => isBitmapType(dataType, 0) || isNumericType(dataType);

/**
 * Scalar index types by upper-case name: which fields they take. All share one native structure.
 */
export const SCALAR_INDEXES: Readonly<Record<string, ScalarRule>> = {
  INVERTED: (dataType, elementType) =>
    isScalarType(dataType, 0) || (dataType === DataType.Array && isScalarType(elementType, 0)),
  BITMAP: (dataType, elementType) =>
    isBitmapType(dataType, 0) || (dataType === DataType.Array && isBitmapType(elementType, 0)),
  STL_SORT: (dataType) => isNumericType(dataType) || dataType === DataType.VarChar,
  ASECENEDING: (dataType) => isNumericType(dataType) || dataType === DataType.VarChar,
  TRIE: (dataType) => dataType === DataType.VarChar,
  'MARISA-TRIE': (dataType) => dataType === DataType.VarChar,
  [AUTOINDEX]: (dataType, elementType) =>
    isScalarType(dataType, 0) || (dataType === DataType.Array && isScalarType(elementType, 0)),
};
export const OTHER_SCALAR_INDEXES = new Set(['NGRAM', 'RTREE', 'HYBRID']);

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
  readonly params: Readonly<Record<string, string>>;
  readonly isAutoIndex: boolean;
}

/**
 * Checks what a user asks for and fills in defaults.
 * @param given  flat parameters: `index_type`, `metric_type`, and those of the type
 * @throws MilvusError ParameterInvalid with Milvus' text
 */
export function checkIndexDefinition(
  target: IndexTarget,
  given: Readonly<Record<string, string>>,
): IndexDefinition {
  return isVectorType(target.dataType)
    ? checkVectorIndex(target, given)
    : checkScalarIndex(target, given);
}

function checkVectorIndex(
  target: IndexTarget,
  given: Readonly<Record<string, string>>,
): IndexDefinition {
  const asked = given['index_type'] ?? '';
  const indexType = asked === '' ? AUTOINDEX : asked.toUpperCase();
  const metric = (given['metric_type'] ?? '').toUpperCase();
  const isAutoIndex = indexType === AUTOINDEX;
  if (!isAutoIndex && VECTOR_INDEXES[indexType] === undefined) {
    throw refuseIndexType(target, asked, indexType);
  }
  if (metric !== '' && !(FLOAT_METRICS as readonly string[]).includes(metric)) {
    throw invalidParameter(`float vector index does not support metric type: ${metric}`);
  }
  if (isAutoIndex) {
    const extra = Object.keys(given).filter((key) => !PROPERTY_KEYS.has(key));
    if (extra.length > 0)
      throw invalidParameter('only metric type can be passed when use AutoIndex');
    return { indexType, metric: metric || DEFAULT_METRIC, params: pickParams(given), isAutoIndex };
  }
  const table = VECTOR_INDEXES[indexType] ?? {};
  for (const [key, range] of Object.entries(table)) {
    const value = given[key];
    if (value !== undefined) checkInteger(key, value, range);
  }
  checkQuantizer(indexType, target.dim, given);
  checkCodes(indexType, given);
  return { indexType, metric: metric || DEFAULT_METRIC, params: pickParams(given), isAutoIndex };
}

function checkQuantizer(
  indexType: string,
  dim: number,
  given: Readonly<Record<string, string>>,
): void {
  for (const key of REQUIRED_PARAMS[indexType] ?? []) {
    if (given[key] === undefined) {
      throw invalidParameter(`invalid parameter[expected=${key}][actual=missing] of ${indexType}`);
    }
  }
  for (const key of DIVIDES_DIM[indexType] ?? []) {
    const value = given[key];
    if (value === undefined || dim % Number(value) === 0) continue;
    throw invalidParameter(
      'The dimension of the vector (dim) should be a multiple of the number of subquantizers ' +
        `(${key}). ` +
        `Dimension:${dim}, ${key}:${value}`,
    );
  }
}

const HNSW_QUANTIZERS = ['sq4u', 'sq6', 'sq8', 'bf16', 'fp16'];
const IVF_REFINE_TYPES = ['sq6', 'sq8', 'fp16', 'bf16', 'fp32', 'flat'];
const HNSW_REFINE_TYPES = ['sq4u', ...IVF_REFINE_TYPES];

/** Scalar quantizers by index type. */
const SQ_TYPES: Readonly<Record<string, readonly string[]>> = {
  HNSW_SQ: HNSW_QUANTIZERS,
  IVF_SQ8: ['sq4', 'sq6', 'sq8'],
};

/** Types that may score the best hits again by finer codes: with which codes. */
export const REFINE_TYPES: Readonly<Record<string, readonly string[]>> = {
  HNSW_SQ: HNSW_REFINE_TYPES,
  HNSW_PQ: HNSW_REFINE_TYPES,
  HNSW_PRQ: HNSW_REFINE_TYPES,
  IVF_PQ: IVF_REFINE_TYPES,
  IVF_SQ8: IVF_REFINE_TYPES,
  IVF_RABITQ: IVF_REFINE_TYPES,
};

function checkCodes(indexType: string, given: Readonly<Record<string, string>>): void {
  const { sq_type: quantizer, refine, refine_type: refineType } = given;
  const quantizers = SQ_TYPES[indexType];
  if (quantizers !== undefined && quantizer !== undefined) {
    if (!quantizers.includes(quantizer.toLowerCase())) {
      throw invalidParameter('invalid scalar quantizer type');
    }
  }
  const refineTypes = REFINE_TYPES[indexType];
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
  if (BINARY_INDEXES.has(indexType) || SPARSE_INDEXES.has(indexType)) {
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
  given: Readonly<Record<string, string>>,
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

function refuseScalarField(name: string, type: string): Error {
  switch (name) {
    case 'BITMAP':
      return invalidParameter('bitmap index are only supported on bool, int, string');
    case 'STL_SORT':
    case 'ASECENEDING':
      return invalidParameter(
        'STL_SORT are only supported on numeric, varchar or timestamptz field',
      );
    case 'TRIE':
    case 'MARISA-TRIE':
      return invalidParameter('TRIE are only supported on varchar field');
    case AUTOINDEX:
      return invalidParameter(`create auto index on type:${type} is not supported`);
    default:
      return invalidParameter(`${name} are not supported on ${type} field`);
  }
}

function pickParams(given: Readonly<Record<string, string>>): Record<string, string> {
  const { index_type: _type, metric_type: _metric, ...params } = given;
  return params;
}

/** AUTOINDEX gives back the metric that it was asked with, though a scalar index has none. */
function pickScalarParams(
  given: Readonly<Record<string, string>>,
  isAutoIndex: boolean,
): Record<string, string> {
  const { metric_type: metric = '' } = given;
  const params = pickParams(given);
  return isAutoIndex && metric !== '' ? { ...params, metric_type: metric } : params;
}

/** Returns the value. @throws MilvusError ParameterInvalid with Milvus' text */
function checkInteger(key: string, text: string, range: IntegerParam): number {
  if (!/^[+-]?\d+$/.test(text.trim())) {
    throw invalidParameter(`invalid integer value, key: '${key}', value: '${text}'`);
  }
  const value = Number(text);
  if (value < range.min || value > range.max) {
    throw invalidParameter(
      `Out of range in json: param '${key}' (${text}) should be in range [${range.min}, ` +
        `${range.max}]`,
    );
  }
  return value;
}

export interface PhysicalIndex {
  readonly kind: string;
  readonly metric: string;
  readonly M: number;
  readonly efConstruction: number;
  readonly nlist: number;
  readonly jsonPath?: readonly (string | number)[];
  readonly jsonCastType?: number;
}

/** What the index node builds; undefined for one that needs no file. */
export function getPhysicalIndex(
  index: Pick<IndexInfo, 'indexType' | 'metric' | 'params' | 'jsonPath'>,
  rows: number,
): PhysicalIndex | undefined {
  const { metric, params } = index;
  const read = (key: string, fallback: number): number => Number(params[key] ?? fallback);
  const base = { metric, M: 0, efConstruction: 0, nlist: 0 };
  if (index.jsonPath !== undefined) {
    const jsonCastType = getJsonCastType(params['json_cast_type']);
    if (jsonCastType === undefined) return undefined;
    return { ...base, kind: 'SCALAR', jsonPath: index.jsonPath, jsonCastType };
  }
  if (metric === '') return { ...base, kind: 'SCALAR' };
  if (index.indexType === AUTOINDEX || index.indexType === '') {
    return { ...base, kind: 'HNSW', ...AUTO_HNSW };
  }
  const engine = getEngine(index.indexType);
  if (engine === 'FLAT') return undefined;
  if (engine === 'IVF') {
    return { ...base, kind: 'IVF_FLAT', nlist: Math.min(rows, read('nlist', NLIST.default)) };
  }
  if (index.indexType === 'DISKANN') {
    const degree = read('max_degree', DISKANN_DEGREE);
    return { ...base, kind: 'HNSW', M: Math.max(2, degree >> 1), efConstruction: DISKANN_EF };
  }
  const { M, efConstruction } = HNSW_PARAMS;
  return {
    ...base,
    kind: 'HNSW',
    M: read('M', M!.default),
    efConstruction: read('efConstruction', efConstruction!.default),
  };
}

const DISKANN_DEGREE = 56;
const DISKANN_EF = 200;
