// Collections as clients ask for them: checks, translation, the root coordinator.

import { DataType } from '../../../model/data-type.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { checkIndexDefinition, type IndexDefinition } from '../../../model/index/check-index.ts';
import {
  findField,
  findPartitionKeyField,
  getVectorFields,
  type CollectionSchema,
  type FieldSchema,
} from '../../../model/schema.ts';
import { checkName } from '../names.ts';
import type { Options } from '../options.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { checkTextDefault, type FieldDefinition } from './check-field.ts';
import {
  checkAddedField,
  checkDescription,
  checkSchema,
  type SchemaDefinition,
} from './check-schema.ts';
import { checkCollectionProperties, checkWarmupPolicy } from './properties.ts';

const PARTITION_KEY_PARTITIONS = 16;
/** Partitions of a partition key at most, however many a collection may have. */
const KEY_PARTITIONS_MAX = 1024;
const DEFAULT_TIMEZONE = 'UTC';

interface Named {
  readonly collectionName: string;
}

export interface CreateCollectionInput {
  readonly schema: SchemaDefinition;
  /** 0 or less = the default. */
  readonly shardCount: number;
  /** Of a collection with a partition key; 0 = the default. */
  readonly partitionCount: number;
  readonly consistencyLevel: number;
  readonly properties: Options;
}

export async function createCollection(
  proxy: Proxy,
  input: CreateCollectionInput,
  context: RequestContext,
): Promise<void> {
  const { limits } = proxy.deps;
  const { shardCount, consistencyLevel } = input;
  if (shardCount > limits.maxShardNum) {
    throw invalidParameter(`maximum shards's number should be limited to ${limits.maxShardNum}`);
  }
  const schema = checkSchema(input.schema, limits);
  if (limits.mustUsePartitionKey && findPartitionKeyField(schema) === undefined) {
    throw invalidParameter(
      'partition key must be set when creating the collection because the mustUsePartitionKey ' +
        'config is true',
    );
  }
  const partitionCount = readPartitionCount(
    schema.fields,
    input.partitionCount,
    Math.min(limits.maxPartitionNum, KEY_PARTITIONS_MAX),
  );
  checkCollectionProperties(input.properties, schema);
  // Before there is a collection that would stay behind without them.
  const definitions = readFieldIndexes(schema);
  const info = await proxy.peers.rootcoord.createCollection(
    {
      dbName: context.dbName,
      schema,
      // 0 and -1 are what SDKs send for the default.
      shardCount: shardCount <= 0 ? 1 : shardCount,
      partitionCount,
      consistencyLevel,
      properties: { timezone: DEFAULT_TIMEZONE, ...input.properties },
    },
    context,
  );
  const { collectionId } = info;
  for (const [name, definition] of definitions) {
    const { fieldId } = findField(info.schema, name)!;
    const index = { collectionId, fieldId, fieldName: name, name, ...definition };
    await proxy.peers.indexcoord.createIndex(index, context);
  }
}

/**
 * Old clients put a field's index into its schema; the collection is then complete.
 * @throws MilvusError ParameterInvalid
 */
function readFieldIndexes(schema: CollectionSchema): Map<string, IndexDefinition> {
  const definitions = new Map<string, IndexDefinition>();
  for (const field of getVectorFields(schema)) {
    const { name, indexParams } = field;
    if (indexParams['index_type'] === undefined) continue;
    definitions.set(name, checkIndexDefinition({ ...field, fieldName: name }, indexParams));
  }
  return definitions;
}

function readPartitionCount(fields: readonly FieldSchema[], asked: number, max: number): number {
  if (!fields.some((field) => field.isPartitionKey)) {
    if (asked !== 0)
      throw invalidParameter(
        'num_partitions should only be specified with partition key field enabled',
      );
    return 1;
  }
  if (asked < 0)
    throw invalidParameter(
      'the specified partitions should be greater than 0 if partition key is used',
    );
  if (asked > max) {
    throw invalidParameter(`partition number (${asked}) exceeds max configuration (${max})`);
  }
  return asked === 0 ? PARTITION_KEY_PARTITIONS : asked;
}

export async function dropCollection(
  proxy: Proxy,
  { collectionName: name }: Named,
  context: RequestContext,
): Promise<void> {
  try {
    await proxy.peers.rootcoord.dropCollection({ dbName: context.dbName, name }, context);
  } catch (error) {
    // What is not there has been dropped: also under a name, or in a database, that cannot be.
    if (!(error instanceof MilvusError) || error.errorName !== 'DatabaseNotFound') throw error;
  }
}

export async function hasCollection(
  proxy: Proxy,
  { collectionName }: Named,
  context: RequestContext,
): Promise<boolean> {
  try {
    await requireCollection(proxy, collectionName, context);
    return true;
  } catch (error) {
    if (error instanceof MilvusError && error.errorName === 'CollectionNotFound') return false;
    throw error;
  }
}

/** By its name, or where that is '' by its id. */
export async function describeCollection(
  proxy: Proxy,
  { collectionName, collectionId }: Named & { readonly collectionId: bigint },
  context: RequestContext,
): Promise<CollectionInfo> {
  const { dbName } = context;
  try {
    return collectionName === '' && collectionId !== 0n
      ? await proxy.peers.rootcoord.describeCollection({ dbName, collectionId }, context)
      : await requireCollection(proxy, collectionName, context);
  } catch (error) {
    if (!(error instanceof MilvusError) || error.errorName !== 'CollectionNotFound') throw error;
    const fields = { database: dbName, collection: collectionName || String(collectionId) };
    throw new MilvusError('CollectionNotFound', { message: "can't find collection", fields });
  }
}

interface ShowCollectionsInput {
  /** None = all. */
  readonly collectionNames: readonly string[];
  readonly onlyLoaded: boolean;
}

export async function showCollections(
  proxy: Proxy,
  { collectionNames, onlyLoaded }: ShowCollectionsInput,
  context: RequestContext,
): Promise<{ collections: readonly CollectionInfo[]; onlyLoaded: boolean }> {
  const { dbName } = context;
  const all = await proxy.peers.rootcoord.listCollections({ dbName }, context);
  const collections: CollectionInfo[] = [];
  for (const info of all.collections) {
    if (collectionNames.length > 0 && !collectionNames.includes(info.schema.name)) continue;
    const { collectionId } = info;
    const load = onlyLoaded
      ? await proxy.peers.querycoord.getLoadStatus({ collectionId }, context)
      : undefined;
    if (load === undefined || load.state === 'loaded') collections.push(info);
  }
  return { collections, onlyLoaded };
}

interface RenameInput {
  readonly oldName: string;
  readonly newName: string;
  /** '' = the one that it is in. */
  readonly newDbName: string;
}

export async function renameCollection(
  proxy: Proxy,
  { oldName, newName, newDbName }: RenameInput,
  context: RequestContext,
): Promise<void> {
  const { maxNameLength } = proxy.deps.limits;
  checkName('collection', oldName, maxNameLength);
  checkName('collection', newName, maxNameLength);
  const { dbName } = context;
  await proxy.peers.rootcoord.renameCollection(
    { dbName, name: oldName, newDbName: newDbName || dbName, newName },
    context,
  );
}

interface Change {
  readonly properties: Options;
  readonly deleteKeys: readonly string[];
}

/** Properties that change only while a collection is released. */
const OF_RELEASED = [
  { what: 'mmap', keys: /^(?:mmap|lazyload)\.enabled$/ },
  { what: 'warmup', keys: /^warmup\./ },
];

export async function alterCollection(
  proxy: Proxy,
  { collectionName: name, properties, deleteKeys }: Named & Change,
  context: RequestContext,
): Promise<void> {
  const isSetting = Object.keys(properties).length > 0;
  if (isSetting && deleteKeys.length > 0) {
    throw invalidParameter('cannot provide both DeleteKeys and ExtraParams');
  }
  if (!isSetting && deleteKeys.length === 0) {
    throw invalidParameter('no properties or delete keys provided');
  }
  const info = await requireCollection(proxy, name, context);
  checkCollectionProperties(properties, info.schema);
  const { maxCollectionDescriptionLength } = proxy.deps.limits;
  checkDescription(properties['collection.description'] ?? '', maxCollectionDescriptionLength);
  if (deleteKeys.includes('dynamicfield.enabled')) {
    throw invalidParameter('cannot delete key dynamicfield.enabled');
  }
  for (const { what, keys } of OF_RELEASED) {
    const isDeleted = deleteKeys.some((key) => keys.test(key));
    if (!isDeleted && !Object.keys(properties).some((key) => keys.test(key))) continue;
    const verb = isDeleted ? 'delete' : 'alter';
    const message = `can not ${verb} ${what} properties if collection loaded`;
    await refuseWhenLoaded(proxy, info, message, context);
  }
  const { dbName } = context;
  await proxy.peers.rootcoord.alterCollection({ dbName, name, properties, deleteKeys }, context);
}

async function refuseWhenLoaded(
  proxy: Proxy,
  info: CollectionInfo,
  message: string,
  context: RequestContext,
): Promise<void> {
  const { collectionId } = info;
  const { state } = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  if (state !== 'notLoad')
    throw new MilvusError('CollectionLoaded', {
      message,
      fields: { collection: info.schema.name },
    });
}

const FIELD_PROPERTIES = new Set([
  'max_length',
  'max_capacity',
  'mmap.enabled',
  'warmup',
  'field.description',
]);

export async function alterCollectionField(
  proxy: Proxy,
  input: Named & Change & { readonly fieldName: string },
  context: RequestContext,
): Promise<void> {
  const { collectionName: name, fieldName, properties, deleteKeys } = input;
  const info = await requireCollection(proxy, name, context);
  const field = info.schema.fields.find((candidate) => candidate.name === fieldName);
  if (field === undefined) {
    throw invalidParameter(`field ${fieldName} does not exist in collection ${name}`);
  }
  for (const key of [...Object.keys(properties), ...deleteKeys]) {
    if (!FIELD_PROPERTIES.has(key)) {
      throw invalidParameter(`${key} does not allow update in collection field param`);
    }
  }
  checkFieldProperties(proxy, field, properties);
  const isTouched = (key: string): boolean =>
    properties[key] !== undefined || deleteKeys.includes(key);
  if (isTouched('mmap.enabled')) {
    const message = 'can not alter collection field properties if collection loaded';
    await refuseWhenLoaded(proxy, info, message, context);
  }
  if (isTouched('warmup')) {
    await refuseWhenLoaded(proxy, info, 'can not alter warmup if collection loaded', context);
  }
  await proxy.peers.rootcoord.alterCollectionField(
    { dbName: context.dbName, name, fieldName, properties, deleteKeys },
    context,
  );
}

function checkFieldProperties(
  proxy: Proxy,
  field: FieldSchema,
  properties: Readonly<Record<string, string>>,
): void {
  const { maxVarCharLength, maxArrayCapacity } = proxy.deps.limits;
  checkWarmupPolicy(properties['warmup']);
  const maxLength = properties['max_length'];
  if (maxLength !== undefined) {
    if (field.maxLength === 0)
      throw invalidParameter('can not modify the maxlength for non-string types');
    const value = Number(maxLength);
    if (!Number.isInteger(value) || value < 1 || value > maxVarCharLength) {
      throw invalidParameter(
        `the maximum length specified for the field(${field.name}) should be in (0, ` +
          `${maxVarCharLength}], but got ${maxLength} instead`,
      );
    }
    if (typeof field.defaultValue === 'string' && field.dataType === DataType.VarChar) {
      checkTextDefault(field.defaultValue, field, value);
    }
  }
  const capacity = properties['max_capacity'];
  if (capacity === undefined) return;
  if (field.dataType !== DataType.Array)
    throw invalidParameter(`field ${field.name} can not alter max_capacity: it is not an Array`);
  const value = Number(capacity);
  if (!Number.isInteger(value) || value < 1 || value > maxArrayCapacity) {
    throw invalidParameter(
      `the maximum capacity specified for a Array should be in (0, ${maxArrayCapacity}]`,
    );
  }
}

export async function addCollectionField(
  proxy: Proxy,
  { collectionName: name, field: definition }: Named & { readonly field: FieldDefinition },
  context: RequestContext,
): Promise<void> {
  const info = await requireCollection(proxy, name, context);
  const field = checkAddedField(definition, info.schema, proxy.deps.limits);
  const { dbName } = context;
  await proxy.peers.rootcoord.addCollectionField({ dbName, name, field }, context);
}
