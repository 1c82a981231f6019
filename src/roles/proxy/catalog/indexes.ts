// Indexes as clients ask for them: create, describe, alter, drop, progress.

import { isDeepStrictEqual } from 'node:util';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { checkIndexDefinition, INDEX_PROPERTIES } from '../../../model/index/check-index.ts';
import { DataType, isVectorType } from '../../../model/data-type.ts';
import { parseJsonPath } from '../../../model/json-path.ts';
import { findDynamicField, findField, type FieldSchema } from '../../../model/schema.ts';
import type { IndexStatus } from '../../../rpc/contract.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { checkName } from '../names.ts';
import { checkWarmupPolicy } from './properties.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { toRecord, type KeyValuePair } from '../api/wire-types.ts';

interface IndexRequest {
  readonly db_name: string;
  readonly collection_name: string;
  readonly field_name: string;
  readonly index_name: string;
}

export async function createIndex(
  proxy: Proxy,
  request: IndexRequest & { extra_params: readonly KeyValuePair[] },
  context: RequestContext,
): Promise<object> {
  const { limits } = proxy.deps;
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  checkName('index', request.index_name, limits.maxNameLength);
  const bytes = request.extra_params.reduce(
    (sum, { key, value }) => sum + Buffer.byteLength(key + value),
    0,
  );
  if (bytes > limits.maxIndexParamsSize) {
    throw invalidParameter(
      `index params are too large: ${bytes} bytes, at most ${limits.maxIndexParamsSize}`,
    );
  }
  // An unknown name may be a key of the dynamic field.
  const field = findField(info.schema, request.field_name) ?? findDynamicField(info.schema);
  if (field === undefined) {
    throw new MilvusError('Unexpected', {
      message: `cannot create index on non-exist field: ${request.field_name}`,
    });
  }
  const params = flattenParams(request.extra_params);
  checkWarmupPolicy(params['warmup']);
  const definition = checkIndexDefinition({ ...field, fieldName: request.field_name }, params);
  const json =
    field.dataType === DataType.JSON
      ? readJsonTarget(field, request.field_name, definition.params)
      : undefined;
  const name =
    request.index_name !== ''
      ? request.index_name
      : await chooseName(proxy, info, field, json, context);
  await proxy.peers.indexcoord.createIndex(
    {
      collectionId: info.collectionId,
      fieldId: field.fieldId,
      fieldName: request.field_name,
      name,
      ...definition,
      ...(json === undefined ? {} : { params: json.params, jsonPath: json.jsonPath }),
    },
    context,
  );
  return OK_STATUS;
}

/** The name of the index that is there already, so that asking for it again finds it the same. */
async function chooseName(
  proxy: Proxy,
  { collectionId }: CollectionInfo,
  field: FieldSchema,
  json: JsonTarget | undefined,
  context: RequestContext,
): Promise<string> {
  const { indexes } = await proxy.peers.indexcoord.listIndexes({ collectionId }, context);
  const [existing, other] = indexes.filter(
    ({ fieldId, jsonPath }) =>
      fieldId === field.fieldId && isDeepStrictEqual(jsonPath, json?.jsonPath),
  );
  if (existing !== undefined && other === undefined) return existing.name;
  return json?.name ?? field.name;
}

interface JsonTarget {
  readonly name: string;
  readonly jsonPath: readonly (string | number)[];
  readonly params: Record<string, string>;
}

/** Where in a JSON field an index looks; its default name spells the path. */
function readJsonTarget(
  field: FieldSchema,
  fieldName: string,
  params: Readonly<Record<string, string>>,
): JsonTarget {
  const text = params['json_path'] ?? fieldName;
  const { root, steps } = parseJsonPath(text);
  const jsonPath = field.isDynamic && root !== field.name ? [root, ...steps] : steps;
  return {
    name: [field.name, ...jsonPath].join('/'),
    jsonPath,
    params: { ...params, json_path: text },
  };
}

/**
 * Parameters arrive flat, as JSON under `params`, or both. The flat form has them all; the JSON
 * stays beside it, because DescribeIndex gives each back as it came.
 */
function flattenParams(pairs: readonly KeyValuePair[]): Record<string, string> {
  const { params = '', ...flat } = toRecord(pairs);
  const inner = parseParams(params);
  const echoed = Object.keys(inner).length === 0 ? {} : { params };
  return { ...inner, ...flat, ...echoed };
}

function parseParams(params: string): Record<string, string> {
  if (params === '') return {};
  let parsed: unknown;
  try {
    parsed = JSON.parse(params);
  } catch {
    throw invalidParameter(`index params is not valid JSON: ${params}`);
  }
  if (typeof parsed !== 'object' || parsed === null) return {};
  // SDKs send null for a parameter that was left at None: its default.
  const given = Object.entries(parsed).filter(([, value]) => value !== null);
  return Object.fromEntries(
    given.map(([key, value]) => [key, typeof value === 'string' ? value : JSON.stringify(value)]),
  );
}

export async function describeIndex(
  proxy: Proxy,
  request: IndexRequest,
  context: RequestContext,
): Promise<object> {
  const { indexes } = await requireIndexes(proxy, request, context);
  return {
    status: OK_STATUS,
    index_descriptions: indexes.map(toDescription),
  };
}

async function requireIndexes(
  proxy: Proxy,
  request: IndexRequest,
  context: RequestContext,
): Promise<{ indexes: readonly IndexStatus[] }> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  const { collectionId } = info;
  const name = request.index_name;
  const { indexes } = await proxy.peers.indexcoord.describeIndexes(
    name === '' ? { collectionId } : { collectionId, name },
    context,
  );
  const wanted = indexes.filter(
    ({ index }) =>
      request.field_name === '' || name !== '' || index.fieldName === request.field_name,
  );
  if (wanted.length === 0) {
    throw new MilvusError('IndexNotFound', {
      fields: name === '' ? { collection: request.collection_name } : { index: name },
    });
  }
  return { indexes: wanted };
}

function toDescription(status: IndexStatus): object {
  const { index } = status;
  const params: KeyValuePair[] = [{ key: 'index_type', value: index.indexType }];
  if (index.metric !== '') params.push({ key: 'metric_type', value: index.metric });
  const inJson = parseParams(index.params['params'] ?? '');
  for (const [key, value] of Object.entries(index.params)) {
    if (inJson[key] !== value) params.push({ key, value });
  }
  return {
    index_name: index.name,
    indexID: String(index.indexId),
    field_name: index.fieldName,
    params,
    indexed_rows: String(status.indexedRows),
    total_rows: String(status.totalRows),
    pending_index_rows: String(status.pendingRows),
    state: status.state,
    index_state_fail_reason: status.failReason,
    min_index_version: 0,
    max_index_version: 0,
  };
}

export async function getIndexState(
  proxy: Proxy,
  request: IndexRequest,
  context: RequestContext,
): Promise<object> {
  const { indexes } = await requireIndexes(proxy, request, context);
  const worst = indexes.find(({ state }) => state !== 3) ?? indexes[0]!;
  return { status: OK_STATUS, state: worst.state, fail_reason: worst.failReason };
}

export async function getIndexBuildProgress(
  proxy: Proxy,
  request: IndexRequest,
  context: RequestContext,
): Promise<object> {
  const { indexes } = await requireIndexes(proxy, request, context);
  const [{ indexedRows, totalRows }] = indexes as [IndexStatus];
  return { status: OK_STATUS, indexed_rows: String(indexedRows), total_rows: String(totalRows) };
}

export async function getIndexStatistics(
  proxy: Proxy,
  request: IndexRequest,
  context: RequestContext,
): Promise<object> {
  return describeIndex(proxy, { ...request, field_name: '' }, context);
}

export async function dropIndex(
  proxy: Proxy,
  request: IndexRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  const { collectionId } = info;
  const { indexes } = await proxy.peers.indexcoord.listIndexes({ collectionId }, context);
  const { state } = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  const dropped = indexes.filter((index) =>
    request.index_name === ''
      ? request.field_name === '' || index.fieldName === request.field_name
      : index.name === request.index_name,
  );
  for (const index of dropped) {
    const field = findField(info.schema, index.fieldName);
    if (state !== 'notLoad' && field !== undefined && isVectorType(field.dataType)) {
      throw invalidParameter(
        `vector index cannot be dropped on loaded collection: ${collectionId}`,
      );
    }
  }
  await proxy.peers.indexcoord.dropIndex(
    { collectionId, name: request.index_name, fieldName: request.field_name },
    context,
  );
  return OK_STATUS;
}

export async function alterIndex(
  proxy: Proxy,
  request: IndexRequest & { extra_params: readonly KeyValuePair[]; delete_keys: readonly string[] },
  context: RequestContext,
): Promise<object> {
  const properties = toRecord(request.extra_params);
  if (request.extra_params.length > 0 && request.delete_keys.length > 0) {
    throw invalidParameter('cannot provide both DeleteKeys and ExtraParams');
  }
  if (request.extra_params.length === 0 && request.delete_keys.length === 0) {
    throw invalidParameter('no provided params to alter');
  }
  for (const key of [...Object.keys(properties), ...request.delete_keys]) {
    if (INDEX_PROPERTIES.has(key)) continue;
    throw invalidParameter(`${key} is not a configable index property`);
  }
  const mmap = properties['mmap.enabled'];
  if (mmap !== undefined && !/^(true|false)$/i.test(mmap)) {
    throw invalidParameter(`invalid mmap.enabled value: ${mmap}, expected: true, false`);
  }
  checkWarmupPolicy(properties['warmup']);
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  const { collectionId } = info;
  const { state } = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  if (state !== 'notLoad') {
    throw new MilvusError('CollectionLoaded', {
      message:
        "can't alter index on loaded collection, please release the collection first: " +
        'collection already loaded',
      fields: { collection: request.collection_name },
    });
  }
  await proxy.peers.indexcoord.alterIndex(
    { collectionId, name: request.index_name, properties, deleteKeys: request.delete_keys },
    context,
  );
  return OK_STATUS;
}
