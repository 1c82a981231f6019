// The options of reads, read and checked in one place: which rows are meant (partitions, the
// timestamp that an iterator pins, growing rows), which of what is found is wanted (limit, offset),
// and how a search goes about it (field, metric, range, index parameters). Options arrive as texts
// by name; Milvus' words for the same mistake differ between search, hybrid search and query.

import { findPartitions, type CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import type { ParamBag } from '../../../model/index/index-type.ts';
import { getVectorIndex } from '../../../model/index/vector-indexes.ts';
import { getMetric } from '../../../model/metric.ts';
import {
  findField,
  findPartitionKeyField,
  getVectorFields,
  type FieldSchema,
} from '../../../model/schema.ts';
import type { IndexInfo } from '../../../model/segment-info.ts';
import { notYet } from '../not-yet.ts';
import { isTrue, readInteger, type Options } from '../options.ts';
import type { Proxy, ProxyLimits } from '../proxy.ts';
import type { Filter } from './filter.ts';
import type { ReadTarget } from './read-shards.ts';
import { getPageBound, readIteratorSettings, type IteratorSettings } from './search-iterator.ts';

/** What every read is told. */
export interface ReadInput {
  readonly collectionName: string;
  /** None = all. */
  readonly partitionNames: readonly string[];
  readonly outputFields: readonly string[];
  /** Pages of an iterator are as of this; all else is met anyway. */
  readonly guaranteeTimestamp: bigint;
  readonly options: Options;
}

/** @throws MilvusError ParameterInvalid, PartitionNotFound */
export function readTarget(
  proxy: Proxy,
  info: CollectionInfo,
  input: ReadInput,
  found: {
    readonly verb: 'search' | 'query';
    readonly filter: Filter | undefined;
    readonly ignoreGrowing: boolean;
  },
): ReadTarget {
  requirePartitionKey(proxy.deps.limits, info, found.verb);
  return {
    partitionIds: selectPartitions(info, input.partitionNames, found.filter),
    ignoreGrowing: found.ignoreGrowing,
    pinnedTimestamp: getPinnedTimestamp(input),
  };
}

/** Partition names in a read may be patterns in Milvus' configuration; here they are names. */
export function selectPartitions(
  info: CollectionInfo,
  names: readonly string[],
  filter: Filter | undefined,
): readonly bigint[] {
  if (names.length > 0 && findPartitionKeyField(info.schema) !== undefined) {
    throw invalidParameter(
      'not support manually specifying the partition names if partition key mode is used',
    );
  }
  if (names.length === 0) return filter?.partitionIds ?? [];
  const ids = new Set<bigint>();
  for (const [i, partition] of findPartitions(info, names).entries()) {
    if (partition === undefined) {
      throw new MilvusError('PartitionNotFound', {
        message: `partition name ${names[i]} not found: partition not found`,
        fields: { partition: names[i]! },
      });
    }
    ids.add(partition.partitionId);
  }
  return [...ids];
}

/** @throws MilvusError ParameterInvalid where the configuration wants a partition key */
function requirePartitionKey(
  { mustUsePartitionKey }: Pick<ProxyLimits, 'mustUsePartitionKey'>,
  info: CollectionInfo,
  verb: 'search' | 'query',
): void {
  if (!mustUsePartitionKey || findPartitionKeyField(info.schema) !== undefined) return;
  throw invalidParameter(
    `must use partition key in the ${verb} request because the mustUsePartitionKey config is true`,
  );
}

/**
 * Iterators send the timestamp of their first page as the guarantee of the others: they must go on
 * in the same version of the data. Other guarantees are met anyway: what is acknowledged is visible
 * (P2).
 */
function getPinnedTimestamp({ options, guaranteeTimestamp }: ReadInput): bigint {
  const isIterator = isTrue(options['iterator']);
  // Small values are consistency codes (0 strong, 1 eventually, 2 bounded), not timestamps.
  return isIterator && guaranteeTimestamp > 1024n ? guaranteeTimestamp : 0n;
}

/** @throws MilvusError ParameterInvalid */
export function readQueryPage(
  { maxQueryResultWindow: max }: ProxyLimits,
  options: Options,
  isCount: boolean,
): { limit: number | undefined; offset: number } {
  const limit = readInteger(options, 'limit');
  const offset = readInteger(options, 'offset') ?? 0;
  const isUnlimited = limit === undefined || limit === -1;
  if (isCount && !isUnlimited)
    throw invalidParameter('count entities with pagination is not allowed');
  if (isUnlimited) return { limit: undefined, offset: 0 };
  if (limit <= 0) {
    throw invalidParameter(
      `invalid max query result window, limit [${limit}] is invalid, should be greater than 0`,
    );
  }
  if (offset < 0) {
    throw invalidParameter(
      `invalid max query result window, offset [${offset}] is invalid, should be gte than 0`,
    );
  }
  if (limit + offset > max) {
    throw invalidParameter(
      `invalid max query result window, (offset+limit) should be in range [1, ${max}], but got ` +
        `${limit + offset}`,
    );
  }
  return { limit, offset };
}

/** The hits of a hybrid search that are wanted. */
export interface HybridPage {
  readonly limit: number;
  readonly offset: number;
  readonly roundDecimal: number;
}

/** @throws MilvusError ParameterInvalid */
export function readHybridPage(
  { topK, maxQueryResultWindow }: ProxyLimits,
  options: Options,
): HybridPage {
  const limit = readInteger(options, 'limit');
  if (limit === undefined) throw invalidParameter('limit not found in rank_params');
  if (limit < 1 || limit > topK) {
    throw invalidParameter(
      `limit [${limit}] is invalid, it should be in range [1, ${topK}], but got ${limit}`,
    );
  }
  const offset = readInteger(options, 'offset') ?? 0;
  if (offset < 0 || limit + offset > maxQueryResultWindow) {
    throw refuseWindow(limit + offset, maxQueryResultWindow);
  }
  return { limit, offset, roundDecimal: readRoundDecimal(options['round_decimal']) };
}

function refuseWindow(end: number, max: number): MilvusError {
  return invalidParameter(
    `(offset+limit) [${end}] is invalid, should be in range [1, ${max}], but got ${end}`,
  );
}

export interface SearchSettings {
  readonly field: FieldSchema;
  readonly index: IndexInfo;
  readonly k: number;
  readonly offset: number;
  readonly roundDecimal: number;
  readonly ignoreGrowing: boolean;
  /** Of the index, as its type reads them. */
  readonly indexParams: ParamBag;
  readonly radius?: number;
  readonly rangeFilter?: number;
  readonly iterator?: IteratorSettings;
}

type Params = Readonly<Record<string, unknown>>;

/**
 * The options of a search: field, page, metric, range, index parameters. Some SDKs send a key flat,
 * some in the JSON under `params`, some in both.
 * @throws MilvusError ParameterInvalid, CollectionNotLoaded; Unimplemented
 */
export function readSearchSettings(
  proxy: Proxy,
  info: CollectionInfo,
  indexes: readonly IndexInfo[],
  flat: Options,
): SearchSettings {
  const { limits } = proxy.deps;
  const params: Params = { ...flat, ...parseParams(flat['params']) };
  refuseOtherFeatures(flat);
  const field = requireVectorField(info, flat['anns_field'] ?? '');
  const index = indexes.find((candidate) => candidate.fieldId === field.fieldId);
  if (index === undefined) throw refuseUnindexed(info, field, indexes);
  const { k, offset } = readSearchPage(limits, flat);
  const metric = (flat['metric_type'] ?? '').toUpperCase();
  if (metric !== '' && metric !== index.metric) {
    throw invalidParameter(
      `metric type not match: invalid parameter[expected=${index.metric}][actual=${metric}]`,
    );
  }
  const range = readRange(params, index.metric);
  const iterator = readIteratorSettings(flat, limits.topK);
  const isRange = range.radius !== undefined || iterator !== undefined;
  const indexParams = getVectorIndex(index.indexType).readSearch({
    given: params,
    k: k + offset,
    isRange,
    isIterator: iterator !== undefined,
  });
  const rangeFilter =
    iterator === undefined
      ? range.rangeFilter
      : getPageBound(iterator, index.metric, range.rangeFilter);
  return {
    field,
    index,
    k,
    offset,
    roundDecimal: readRoundDecimal(flat['round_decimal']),
    ignoreGrowing: isTrue(String(params['ignore_growing'] ?? 'false')),
    indexParams,
    ...range,
    ...(rangeFilter === undefined ? {} : { rangeFilter }),
    ...(iterator === undefined ? {} : { iterator }),
  };
}

function parseParams(text: string | undefined): Params {
  if (text === undefined || text === '') return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    throw invalidParameter(`search params is not valid JSON: ${text}`);
  }
  if (typeof parsed !== 'object' || parsed === null || Array.isArray(parsed)) {
    throw invalidParameter(`search params should be a JSON object, got ${text}`);
  }
  return parsed as Params;
}

function refuseOtherFeatures(flat: Options): void {
  if (flat['group_by_field'] || flat['group_by_fields']) throw notYet('grouping search');
  if (flat['order_by_fields']) throw notYet('order by in search');
}

function requireVectorField(info: CollectionInfo, name: string): FieldSchema {
  const vectors = getVectorFields(info.schema);
  if (name === '') {
    if (vectors.length === 1) return vectors[0]!;
    throw invalidParameter(
      'multiple anns_fields exist, please specify a anns_field in search_params',
    );
  }
  const field = findField(info.schema, name);
  if (field === undefined) {
    throw invalidParameter(
      `failed to create query plan: failed to get field schema by name: fieldName(${name}) ` +
        'not found',
    );
  }
  if (!vectors.includes(field)) {
    throw invalidParameter(`field (${name}) to search is not of vector data type`);
  }
  return field;
}

/** A field that came after the others were indexed is not searched before the next load. */
function refuseUnindexed(
  info: CollectionInfo,
  field: FieldSchema,
  indexes: readonly IndexInfo[],
): MilvusError {
  const { name } = field;
  const isAlone = indexes.every(({ metric }) => metric === '');
  const message = `field index of the field: ${name} is not loaded, please reload the collection`;
  return new MilvusError('CollectionNotLoaded', {
    ...(isAlone ? {} : { message }),
    fields: { collection: info.schema.name, ...(isAlone ? {} : { field: name }) },
  });
}

function readSearchPage(
  { topK, maxQueryResultWindow }: ProxyLimits,
  flat: Options,
): { k: number; offset: number } {
  const text = flat['topk'] ?? flat['limit'] ?? '';
  const k = Number(text);
  if (text === '' || !Number.isInteger(k)) {
    throw invalidParameter(`topk [${text}] is invalid`);
  }
  if (k < 1 || k > topK) {
    throw invalidParameter(
      `topk [${k}] is invalid, it should be in range [1, ${topK}], but got ${k}`,
    );
  }
  const offsetText = flat['offset'] ?? '0';
  const offset = Number(offsetText === '' ? '0' : offsetText);
  if (!Number.isInteger(offset)) throw invalidParameter(`offset [${offsetText}] is invalid`);
  if (offset < 0 || offset > topK) {
    throw invalidParameter(
      `offset [${offset}] is invalid, it should be in range [1, ${topK}], but got ${offset}`,
    );
  }
  if (k + offset > maxQueryResultWindow) throw refuseWindow(k + offset, maxQueryResultWindow);
  return { k, offset };
}

/** @throws MilvusError ParameterInvalid */
function readRoundDecimal(text = '-1'): number {
  const value = text === '' ? Number.NaN : Number(text);
  if (!Number.isInteger(value) || value < -1 || value > 6) {
    throw invalidParameter(
      `round_decimal [${text}] is invalid, it should be -1 or an integer in range [0, 6].`,
    );
  }
  return value;
}

function readRange(params: Params, metric: string): { radius?: number; rangeFilter?: number } {
  const read = (key: string): number | undefined => {
    const value = params[key];
    if (value === undefined || value === null || value === '') return undefined;
    const number = Number(value);
    if (Number.isNaN(number) || typeof value === 'boolean' || Array.isArray(value)) {
      throw invalidParameter(
        `Type conflict in json: param '${key}' (${JSON.stringify(value)}) should be a number`,
      );
    }
    return number;
  };
  const radius = read('radius');
  const rangeFilter = read('range_filter');
  if (radius === undefined) {
    if (rangeFilter !== undefined) throw invalidParameter('range_filter requires radius to be set');
    return {};
  }
  if (rangeFilter === undefined) return { radius };
  const { isHigherBetter } = getMetric(metric);
  if (isHigherBetter ? rangeFilter <= radius : rangeFilter >= radius) {
    const sign = isHigherBetter ? 'greater' : 'less';
    throw invalidParameter(
      `metric type ${metric}, range_filter(${rangeFilter}) must be ${sign} than radius(${radius})`,
    );
  }
  return { radius, rangeFilter };
}
