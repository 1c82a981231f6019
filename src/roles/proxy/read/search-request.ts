// A search request's parameters, read and checked: field, k, offset, metric, range, index
// parameters. pymilvus sends some keys flat, some in the JSON under `params`, some in both.

import { copyPlaceholderValues, decodePlaceholderGroup } from '../../../codec/placeholder-group.ts';
import type { KeyValue } from '../../../codec/request-parts.ts';
import type { SearchRequest } from '../../../codec/search-request.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import type { ParamBag } from '../../../model/index/index-type.ts';
import { getVectorIndex } from '../../../model/index/vector-indexes.ts';
import { getMetric } from '../../../model/metric.ts';
import { findField, getVectorFields, type FieldSchema } from '../../../model/schema.ts';
import type { IndexInfo } from '../../../model/segment-info.ts';
import { getFixedWidth } from '../../../model/stored-types.ts';
import { getVectorType } from '../../../model/vector-type.ts';
import { notYet } from '../not-yet.ts';
import type { Proxy } from '../proxy.ts';
import { isTrue } from './read-target.ts';
import { getPageBound, readIteratorSettings, type IteratorSettings } from './search-iterator.ts';

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

export function readSearchSettings(
  proxy: Proxy,
  info: CollectionInfo,
  indexes: readonly IndexInfo[],
  pairs: readonly KeyValue[],
): SearchSettings {
  const flat: Record<string, string> = Object.fromEntries(
    pairs.map(({ key, value }) => [key, value]),
  );
  const params: Params = { ...flat, ...parseParams(flat['params']) };
  refuseOtherFeatures(flat);
  const field = requireVectorField(info, flat['anns_field'] ?? '');
  const index = indexes.find((candidate) => candidate.fieldId === field.fieldId);
  if (index === undefined) throw refuseUnindexed(info, field, indexes);
  const { k, offset } = readWindow(proxy, flat);
  const metric = (flat['metric_type'] ?? '').toUpperCase();
  if (metric !== '' && metric !== index.metric) {
    throw invalidParameter(
      `metric type not match: invalid parameter[expected=${index.metric}][actual=${metric}]`,
    );
  }
  const range = readRange(params, index.metric);
  const iterator = readIteratorSettings(flat, proxy.deps.limits.topK);
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

function refuseOtherFeatures(flat: Readonly<Record<string, string>>): void {
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

function readWindow(
  proxy: Proxy,
  flat: Readonly<Record<string, string>>,
): { k: number; offset: number } {
  const { topK, maxQueryResultWindow } = proxy.deps.limits;
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
  if (k + offset > maxQueryResultWindow) {
    throw invalidParameter(
      `(offset+limit) [${k + offset}] is invalid, should be in range [1, ` +
        `${maxQueryResultWindow}], but got ${k + offset}`,
    );
  }
  return { k, offset };
}

/** @throws MilvusError ParameterInvalid */
export function readRoundDecimal(text = '-1'): number {
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

/**
 * Copies the query vectors out of the request.
 * @throws MilvusError ParameterInvalid: wrong type, wrong dimension, too many
 */
export function readQueryVectors(
  proxy: Proxy,
  request: Pick<SearchRequest, 'placeholderGroup' | 'nq'>,
  field: FieldSchema,
): { nq: number; queries: Uint8Array } {
  const placeholders = decodePlaceholderGroup(request.placeholderGroup ?? new Uint8Array());
  const [placeholder] = placeholders;
  if (placeholder === undefined || placeholders.length !== 1) {
    throw invalidParameter(
      'invalid placeholder group: one placeholder with the query vectors is needed',
    );
  }
  const { placeholderType, placeholderName, findBadElement } = getVectorType(field.dataType);
  if (placeholder.type !== placeholderType) {
    throw invalidParameter(
      `vector type must be the same, field ${field.name} - type ${placeholderName}, search info ` +
        `type ${placeholder.type}`,
    );
  }
  const nq = placeholder.values.count;
  const max = proxy.deps.limits.nq;
  if (nq < 1 || nq > max) {
    throw invalidParameter(
      `nq [${nq}] is invalid, nq (number of search vector per search request) should be in ` +
        `range [1, ${max}], but got ${nq}`,
    );
  }
  const width = getFixedWidth(field.dataType, field.dim);
  for (let i = 0; i < nq; i++) {
    const bytes = placeholder.values.pairs[2 * i + 1]!;
    if (bytes !== width) {
      throw invalidParameter(
        `vector dimension mismatch, expected vector size(byte) ${width}, actual ${bytes}.`,
      );
    }
  }
  const queries = copyPlaceholderValues(placeholder);
  if (findBadElement(queries) >= 0) {
    throw invalidParameter(`query vector of field ${field.name} has NaN or infinity`);
  }
  return { nq, queries };
}
