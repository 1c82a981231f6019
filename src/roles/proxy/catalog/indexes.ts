// Indexes as clients ask for them: create, describe, alter, drop, progress.

import { isDeepStrictEqual } from 'node:util';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { checkIndexDefinition, INDEX_PROPERTIES } from '../../../model/index/check-index.ts';
import { DataType, isVectorType } from '../../../model/data-type.ts';
import { parseJsonPath } from '../../../model/json-path.ts';
import { findDynamicField, findField, type FieldSchema } from '../../../model/schema.ts';
import type { IndexStatus } from '../../../rpc/contract.ts';
import { checkName } from '../names.ts';
import type { Options } from '../options.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { checkWarmupPolicy } from './properties.ts';

interface IndexInput {
  readonly collectionName: string;
  readonly fieldName: string;
  readonly indexName: string;
}

export async function createIndex(
  proxy: Proxy,
  input: IndexInput & { readonly params: Options },
  context: RequestContext,
): Promise<void> {
  const { limits } = proxy.deps;
  const info = await requireCollection(proxy, input.collectionName, context);
  checkName('index', input.indexName, limits.maxNameLength);
  const bytes = Object.entries(input.params).reduce(
    (sum, [key, value]) => sum + Buffer.byteLength(key + value),
    0,
  );
  if (bytes > limits.maxIndexParamsSize) {
    throw invalidParameter(
      `index params are too large: ${bytes} bytes, at most ${limits.maxIndexParamsSize}`,
    );
  }
  // An unknown name may be a key of the dynamic field.
  const field = findField(info.schema, input.fieldName) ?? findDynamicField(info.schema);
  if (field === undefined) {
    throw new MilvusError('Unexpected', {
      message: `cannot create index on non-exist field: ${input.fieldName}`,
    });
  }
  const params = flattenParams(input.params);
  checkWarmupPolicy(params['warmup']);
  const definition = checkIndexDefinition({ ...field, fieldName: input.fieldName }, params);
  const json =
    field.dataType === DataType.JSON
      ? readJsonTarget(field, input.fieldName, definition.params)
      : undefined;
  const name =
    input.indexName !== ''
      ? input.indexName
      : await chooseName(proxy, info, field, json, context);
  await proxy.peers.indexcoord.createIndex(
    {
      collectionId: info.collectionId,
      fieldId: field.fieldId,
      fieldName: input.fieldName,
      name,
      ...definition,
      ...(json === undefined ? {} : { params: json.params, jsonPath: json.jsonPath }),
    },
    context,
  );
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
function flattenParams({ params = '', ...flat }: Options): Record<string, string> {
  const inner = parseParams(params);
  const echoed = Object.keys(inner).length === 0 ? {} : { params };
  return { ...inner, ...flat, ...echoed };
}

/** The parameters in the JSON under `params`. */
export function parseParams(params: string): Record<string, string> {
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

/** @throws MilvusError IndexNotFound when there is none that is meant */
export async function describeIndexes(
  proxy: Proxy,
  input: IndexInput,
  context: RequestContext,
): Promise<readonly IndexStatus[]> {
  const info = await requireCollection(proxy, input.collectionName, context);
  const { collectionId } = info;
  const name = input.indexName;
  const { indexes } = await proxy.peers.indexcoord.describeIndexes(
    name === '' ? { collectionId } : { collectionId, name },
    context,
  );
  const wanted = indexes.filter(
    ({ index }) =>
      input.fieldName === '' || name !== '' || index.fieldName === input.fieldName,
  );
  if (wanted.length === 0) {
    throw new MilvusError('IndexNotFound', {
      fields: name === '' ? { collection: input.collectionName } : { index: name },
    });
  }
  return wanted;
}

export async function dropIndex(
  proxy: Proxy,
  input: IndexInput,
  context: RequestContext,
): Promise<void> {
  const info = await requireCollection(proxy, input.collectionName, context);
  const { collectionId } = info;
  const { indexes } = await proxy.peers.indexcoord.listIndexes({ collectionId }, context);
  const { state } = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  const dropped = indexes.filter((index) =>
    input.indexName === ''
      ? input.fieldName === '' || index.fieldName === input.fieldName
      : index.name === input.indexName,
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
    { collectionId, name: input.indexName, fieldName: input.fieldName },
    context,
  );
}

export async function alterIndex(
  proxy: Proxy,
  input: IndexInput & { readonly properties: Options; readonly deleteKeys: readonly string[] },
  context: RequestContext,
): Promise<void> {
  const { properties } = input;
  const isSetting = Object.keys(properties).length > 0;
  if (isSetting && input.deleteKeys.length > 0) {
    throw invalidParameter('cannot provide both DeleteKeys and ExtraParams');
  }
  if (!isSetting && input.deleteKeys.length === 0) {
    throw invalidParameter('no provided params to alter');
  }
  for (const key of [...Object.keys(properties), ...input.deleteKeys]) {
    if (INDEX_PROPERTIES.has(key)) continue;
    throw invalidParameter(`${key} is not a configable index property`);
  }
  const mmap = properties['mmap.enabled'];
  if (mmap !== undefined && !/^(true|false)$/i.test(mmap)) {
    throw invalidParameter(`invalid mmap.enabled value: ${mmap}, expected: true, false`);
  }
  checkWarmupPolicy(properties['warmup']);
  const info = await requireCollection(proxy, input.collectionName, context);
  const { collectionId } = info;
  const { state } = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  if (state !== 'notLoad') {
    throw new MilvusError('CollectionLoaded', {
      message:
        "can't alter index on loaded collection, please release the collection first: " +
        'collection already loaded',
      fields: { collection: input.collectionName },
    });
  }
  await proxy.peers.indexcoord.alterIndex(
    { collectionId, name: input.indexName, properties, deleteKeys: input.deleteKeys },
    context,
  );
}
