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
import { getPhysicalMs } from '../../../model/timestamp.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { checkName } from '../names.ts';
import { checkCollectionProperties, checkWarmupPolicy } from './properties.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { checkTextDefault } from '../api/read-field.ts';
import { checkDescription, readAddedField, readSchema } from '../api/read-schema.ts';
import {
  toPairs,
  toRecord,
  type KeyValuePair,
  type WireCollectionSchema,
  type WireFieldSchema,
} from '../api/wire-types.ts';

const SCHEMA_PACKAGE = 'milvus.proto.schema';
const PARTITION_KEY_PARTITIONS = 16;
/** Partitions of a partition key at most, however many a collection may have. */
const KEY_PARTITIONS_MAX = 1024;
const DEFAULT_TIMEZONE = 'UTC';

interface Named {
  readonly db_name: string;
  readonly collection_name: string;
}

export async function createCollection(
  proxy: Proxy,
  request: Named & {
    schema: Buffer;
    shards_num: number;
    consistency_level: number;
    properties: readonly KeyValuePair[];
    num_partitions: string;
  },
  context: RequestContext,
): Promise<object> {
  const { limits } = proxy.deps;
  const wire = decodeSchema<WireCollectionSchema>(proxy, 'CollectionSchema', request.schema);
  if (request.shards_num > limits.maxShardNum) {
    throw invalidParameter(`maximum shards's number should be limited to ${limits.maxShardNum}`);
  }
  // 0 and -1 are what SDKs send for the default.
  const shardCount = request.shards_num <= 0 ? 1 : request.shards_num;
  const schema = readSchema({ ...wire, name: request.collection_name || wire.name }, limits);
  if (limits.mustUsePartitionKey && findPartitionKeyField(schema) === undefined) {
    throw invalidParameter(
      'partition key must be set when creating the collection because the mustUsePartitionKey ' +
        'config is true',
    );
  }
  const partitionCount = readPartitionCount(
    schema.fields,
    Number(request.num_partitions),
    Math.min(limits.maxPartitionNum, KEY_PARTITIONS_MAX),
  );
  const properties = toRecord(request.properties);
  checkCollectionProperties(properties, schema);
  // Before there is a collection that would stay behind without them.
  const definitions = readFieldIndexes(schema);
  const info = await proxy.peers.rootcoord.createCollection(
    {
      dbName: getDbName(request, context),
      schema,
      shardCount,
      partitionCount,
      consistencyLevel: request.consistency_level,
      properties: { timezone: DEFAULT_TIMEZONE, ...properties },
    },
    context,
  );
  const { collectionId } = info;
  for (const [name, definition] of definitions) {
    const { fieldId } = findField(info.schema, name)!;
    const index = { collectionId, fieldId, fieldName: name, name, ...definition };
    await proxy.peers.indexcoord.createIndex(index, context);
  }
  return OK_STATUS;
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

function decodeSchema<T extends object>(proxy: Proxy, message: string, bytes: Uint8Array): T {
  try {
    return proxy.deps.decodeMessage(`${SCHEMA_PACKAGE}.${message}`, bytes) as T;
  } catch (error) {
    throw invalidParameter(`schema is not a ${message} message: ${(error as Error).message}`);
  }
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
  request: Named,
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  try {
    await proxy.peers.rootcoord.dropCollection({ dbName, name: request.collection_name }, context);
  } catch (error) {
    // What is not there has been dropped: also under a name, or in a database, that cannot be.
    if (!(error instanceof MilvusError) || error.errorName !== 'DatabaseNotFound') throw error;
  }
  return OK_STATUS;
}

export async function hasCollection(
  proxy: Proxy,
  request: Named,
  context: RequestContext,
): Promise<object> {
  try {
    await requireCollection(proxy, getDbName(request, context), request.collection_name, context);
    return { status: OK_STATUS, value: true };
  } catch (error) {
    if (error instanceof MilvusError && error.errorName === 'CollectionNotFound') {
      return { status: OK_STATUS, value: false };
    }
    throw error;
  }
}

export async function describeCollection(
  proxy: Proxy,
  request: Named & { collectionID: string },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  let info: CollectionInfo;
  try {
    info =
      request.collection_name === '' && request.collectionID !== '0'
        ? await proxy.peers.rootcoord.describeCollection(
            { dbName, collectionId: BigInt(request.collectionID) },
            context,
          )
        : await requireCollection(proxy, dbName, request.collection_name, context);
  } catch (error) {
    if (!(error instanceof MilvusError) || error.errorName !== 'CollectionNotFound') throw error;
    const fields = {
      database: dbName,
      collection: request.collection_name || request.collectionID,
    };
    throw new MilvusError('CollectionNotFound', { message: "can't find collection", fields });
  }
  return toDescription(info);
}

function toDescription(info: CollectionInfo): object {
  const { schema, vchannels } = info;
  return {
    status: OK_STATUS,
    schema: {
      name: schema.name,
      description: schema.description,
      autoID: schema.fields.some((field) => field.isPrimaryKey && field.autoId),
      fields: schema.fields.filter((field) => !field.isDynamic).map(toWireField),
      enable_dynamic_field: schema.enableDynamicField,
      properties: toPairs(schema.properties),
      dbName: info.dbName,
      version: schema.version,
    },
    collectionID: String(info.collectionId),
    virtual_channel_names: vchannels,
    physical_channel_names: vchannels.map((name) => name.slice(0, name.lastIndexOf('_'))),
    created_timestamp: String(info.createdTimestamp),
    created_utc_timestamp: String(getPhysicalMs(info.createdTimestamp)),
    update_timestamp: String(info.schemaTimestamp),
    update_timestamp_str: String(info.schemaTimestamp),
    shards_num: vchannels.length,
    aliases: info.aliases,
    start_positions: [],
    consistency_level: info.consistencyLevel,
    collection_name: schema.name,
    properties: toPairs(info.properties),
    db_name: info.dbName,
    dbId: String(info.dbId),
    num_partitions: String(info.partitions.length),
  };
}

function toWireField(field: FieldSchema): object {
  return {
    fieldID: String(field.fieldId),
    name: field.name,
    description: field.description,
    data_type: field.dataType,
    element_type: field.elementType,
    is_primary_key: field.isPrimaryKey,
    autoID: field.autoId,
    is_partition_key: field.isPartitionKey,
    is_clustering_key: field.isClusteringKey,
    is_dynamic: field.isDynamic,
    nullable: field.nullable,
    type_params: toPairs(field.typeParams),
    index_params: toPairs(field.indexParams),
    ...(field.defaultValue === undefined ? {} : { default_value: toWireDefault(field) }),
  };
}

function toWireDefault({ dataType, defaultValue }: FieldSchema): object {
  switch (dataType) {
    case DataType.Bool:
      return { bool_data: defaultValue };
    case DataType.Int64:
      return { long_data: String(defaultValue) };
    case DataType.Float:
      return { float_data: defaultValue };
    case DataType.Double:
      return { double_data: defaultValue };
    case DataType.VarChar:
      return { string_data: defaultValue };
    default:
      return { int_data: defaultValue };
  }
}

export async function showCollections(
  proxy: Proxy,
  request: { db_name: string; type: number; collection_names: readonly string[] },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const { collections } = await proxy.peers.rootcoord.listCollections({ dbName }, context);
  const wanted = request.collection_names;
  const isInMemory = request.type === 1;
  const shown: CollectionInfo[] = [];
  for (const info of collections) {
    if (wanted.length > 0 && !wanted.includes(info.schema.name)) continue;
    const { collectionId } = info;
    const load = isInMemory
      ? await proxy.peers.querycoord.getLoadStatus({ collectionId }, context)
      : undefined;
    if (load === undefined || load.state === 'loaded') shown.push(info);
  }
  return {
    status: OK_STATUS,
    collection_names: shown.map((info) => info.schema.name),
    collection_ids: shown.map((info) => String(info.collectionId)),
    created_timestamps: shown.map((info) => String(info.createdTimestamp)),
    created_utc_timestamps: shown.map((info) => String(getPhysicalMs(info.createdTimestamp))),
    inMemory_percentages: isInMemory ? shown.map(() => '100') : [],
    query_service_available: isInMemory ? shown.map(() => true) : [],
    shards_num: shown.map((info) => info.vchannels.length),
  };
}

export async function renameCollection(
  proxy: Proxy,
  request: { db_name: string; oldName: string; newName: string; newDBName: string },
  context: RequestContext,
): Promise<object> {
  const { maxNameLength } = proxy.deps.limits;
  checkName('collection', request.oldName, maxNameLength);
  checkName('collection', request.newName, maxNameLength);
  const dbName = getDbName(request, context);
  await proxy.peers.rootcoord.renameCollection(
    {
      dbName,
      name: request.oldName,
      newDbName: request.newDBName || dbName,
      newName: request.newName,
    },
    context,
  );
  return OK_STATUS;
}

interface Alter {
  readonly properties: readonly KeyValuePair[];
  readonly delete_keys: readonly string[];
}

/** Properties that change only while a collection is released. */
const OF_RELEASED = [
  { what: 'mmap', keys: /^(?:mmap|lazyload)\.enabled$/ },
  { what: 'warmup', keys: /^warmup\./ },
];

export async function alterCollection(
  proxy: Proxy,
  request: Named & Alter,
  context: RequestContext,
): Promise<object> {
  const properties = toRecord(request.properties);
  if (request.properties.length > 0 && request.delete_keys.length > 0) {
    throw invalidParameter('cannot provide both DeleteKeys and ExtraParams');
  }
  if (request.properties.length === 0 && request.delete_keys.length === 0) {
    throw invalidParameter('no properties or delete keys provided');
  }
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collection_name, context);
  checkCollectionProperties(properties, info.schema);
  const { maxCollectionDescriptionLength } = proxy.deps.limits;
  checkDescription(properties['collection.description'] ?? '', maxCollectionDescriptionLength);
  if (request.delete_keys.includes('dynamicfield.enabled')) {
    throw invalidParameter('cannot delete key dynamicfield.enabled');
  }
  for (const { what, keys } of OF_RELEASED) {
    const isDeleted = request.delete_keys.some((key) => keys.test(key));
    if (!isDeleted && !Object.keys(properties).some((key) => keys.test(key))) continue;
    const verb = isDeleted ? 'delete' : 'alter';
    const message = `can not ${verb} ${what} properties if collection loaded`;
    await refuseWhenLoaded(proxy, info, message, context);
  }
  await proxy.peers.rootcoord.alterCollection(
    { dbName, name: request.collection_name, properties, deleteKeys: request.delete_keys },
    context,
  );
  return OK_STATUS;
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
  request: Named & Alter & { field_name: string },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collection_name, context);
  const properties = toRecord(request.properties);
  const field = info.schema.fields.find((candidate) => candidate.name === request.field_name);
  if (field === undefined) {
    throw invalidParameter(
      `field ${request.field_name} does not exist in collection ${request.collection_name}`,
    );
  }
  for (const key of [...Object.keys(properties), ...request.delete_keys]) {
    if (!FIELD_PROPERTIES.has(key)) {
      throw invalidParameter(`${key} does not allow update in collection field param`);
    }
  }
  checkFieldProperties(proxy, field, properties);
  const isTouched = (key: string): boolean =>
    properties[key] !== undefined || request.delete_keys.includes(key);
  if (isTouched('mmap.enabled')) {
    const message = 'can not alter collection field properties if collection loaded';
    await refuseWhenLoaded(proxy, info, message, context);
  }
  if (isTouched('warmup')) {
    await refuseWhenLoaded(proxy, info, 'can not alter warmup if collection loaded', context);
  }
  await proxy.peers.rootcoord.alterCollectionField(
    {
      dbName,
      name: request.collection_name,
      fieldName: request.field_name,
      properties,
      deleteKeys: request.delete_keys,
    },
    context,
  );
  return OK_STATUS;
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
  request: Named & { schema: Buffer },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collection_name, context);
  const wire = decodeSchema<WireFieldSchema>(proxy, 'FieldSchema', request.schema);
  const field = readAddedField(wire, info.schema, proxy.deps.limits);
  await proxy.peers.rootcoord.addCollectionField(
    { dbName, name: request.collection_name, field },
    context,
  );
  return OK_STATUS;
}
