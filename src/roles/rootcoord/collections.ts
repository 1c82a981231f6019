// Collections: create, alter, rename, drop. Requests arrive checked by the proxy; what is checked
// here is what only the catalog knows (names taken, counts, current state).

import { isDeepStrictEqual } from 'node:util';
import { KEYS, type CatalogWrite } from '../../meta/catalog.ts';
import { nameVchannel } from '../../model/channel-name.ts';
import {
  MAX_COLLECTIONS,
  type CollectionInfo,
  type DatabaseInfo,
  type PartitionInfo,
} from '../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import {
  FIRST_USER_FIELD_ID,
  findField,
  findPartitionKeyField,
  type CollectionSchema,
  type FieldSchema,
} from '../../model/schema.ts';
import { askShards } from '../../rpc/shards.ts';
import { mergeProperties, requireSize } from './databases.ts';
import { dropCollection } from './drops.ts';
import { choosePchannels } from './pchannel-choice.ts';
import type { RootCoordState } from './state.ts';

type Properties = Readonly<Record<string, string>>;

interface CreateCollection {
  readonly dbName: string;
  readonly schema: CollectionSchema;
  readonly shardCount: number;
  readonly partitionCount: number;
  readonly consistencyLevel: number;
  readonly properties: Properties;
}

export async function createCollection(
  state: RootCoordState,
  request: CreateCollection,
): Promise<CollectionInfo> {
  const { names, deps } = state;
  const { dbName, schema } = request;
  const database = names.requireDatabase(dbName);
  requireSize(request.properties);
  for (const { typeParams } of schema.fields) requireSize(typeParams);
  const withIds = assignFieldIds(schema);
  const existing = names.find(dbName, schema.name);
  if (existing !== undefined && existing.schema.name !== schema.name) {
    throw new MilvusError('AliasCollectionNameConflict', {
      fields: { database: dbName, alias: schema.name },
    });
  }
  if (existing !== undefined) {
    const info = requireSameDefinition(existing, withIds, request);
    // It is open, unless an earlier request failed in between and could not be undone.
    await openShards(state, info);
    return info;
  }
  requireCapacity(state, request);

  const collectionId = await state.ids.allocate(1 + request.partitionCount);
  const timestamp = await state.timestamps.allocate(1);
  const info: CollectionInfo = {
    collectionId,
    dbId: database.dbId,
    dbName,
    schema: withIds,
    vchannels: choosePchannels(names.list(), deps.limits.pchannels, request.shardCount).map(
      (pchannel, shardIndex) => nameVchannel({ pchannel, collectionId, shardIndex }),
    ),
    partitions: nameInitialPartitions(state, request, collectionId, timestamp),
    aliases: [],
    consistencyLevel: request.consistencyLevel,
    properties: request.properties,
    createdTimestamp: timestamp,
    schemaTimestamp: timestamp,
  };
  await putCollection(state, info);
  try {
    await openShards(state, info);
  } catch (error) {
    // A collection without shards must not stay.
    await dropCollection(state, info).catch(() => undefined);
    throw error;
  }
  return info;
}

/**
 * Writes the record, and other records in the same transaction, then shows it and tells the shards.
 */
export async function putCollection(
  state: RootCoordState,
  info: CollectionInfo,
  more: readonly CatalogWrite[] = [],
): Promise<void> {
  const isNew = state.names.findById(info.collectionId) === undefined;
  await state.deps.catalog.write([
    { key: KEYS.collection(info.collectionId), record: info },
    ...more,
  ]);
  state.names.put(info);
  if (isNew) return;
  await askShards(state.deps.peers, info.vchannels, (shard, vchannel) =>
    shard.updateShard({ vchannel, info }, {}),
  );
}

async function openShards({ deps }: RootCoordState, info: CollectionInfo): Promise<void> {
  await askShards(deps.peers, info.vchannels, (shard, vchannel) =>
    shard.openShard({ vchannel, info }, {}),
  );
}

export async function renameCollection(
  state: RootCoordState,
  request: { dbName: string; name: string; newDbName: string; newName: string },
): Promise<void> {
  const { names } = state;
  const target = names.requireDatabase(request.newDbName);
  if (names.isAlias(request.dbName, request.name)) {
    throw new MilvusError('Unexpected', {
      message: `unsupported use an alias to rename collection, alias:${request.name}`,
    });
  }
  const info = names.require(request.dbName, request.name);
  const holder = names.find(request.newDbName, request.newName);
  if (holder !== undefined) {
    throw refuseNewName(holder, request);
  }
  if (request.newDbName !== request.dbName && info.aliases.length > 0) {
    throw invalidParameter(
      'fail to rename db name, must drop all aliases of this collection before rename',
    );
  }
  await putCollection(state, {
    ...info,
    dbId: target.dbId,
    dbName: request.newDbName,
    schema: { ...info.schema, name: request.newName },
  });
  state.deps.onNameGone(info.dbName, info.schema.name);
}

function refuseNewName(
  holder: CollectionInfo,
  request: { dbName: string; name: string; newDbName: string; newName: string },
): MilvusError {
  const { newDbName, newName } = request;
  if (newDbName === request.dbName && newName === request.name) {
    return invalidParameter('collection name or database name should be different');
  }
  if (holder.schema.name === newName) {
    const message =
      `duplicated new collection name ${newDbName}:${newName} ` +
      'with other collection name or alias';
    return new MilvusError('Unexpected', { message });
  }
  return new MilvusError('AliasCollectionNameConflict', {
    message:
      `cannot rename collection to an existing alias: ${newName}: ` +
      'alias and collection name conflict',
    fields: { database: newDbName, alias: newName },
  });
}

export async function alterCollection(
  state: RootCoordState,
  info: CollectionInfo,
  request: { properties: Properties; deleteKeys: readonly string[] },
): Promise<void> {
  const { 'collection.description': description, ...properties } = request.properties;
  await putCollection(state, {
    ...info,
    schema: { ...info.schema, description: description ?? info.schema.description },
    properties: mergeProperties(info.properties, properties, request.deleteKeys),
  });
}

export async function alterCollectionField(
  state: RootCoordState,
  info: CollectionInfo,
  request: { fieldName: string; properties: Properties; deleteKeys: readonly string[] },
): Promise<void> {
  const field = findField(info.schema, request.fieldName);
  if (field === undefined) {
    throw invalidParameter(
      `field ${request.fieldName} does not exist in collection ${info.schema.name}`,
    );
  }
  const { 'field.description': description, ...params } = request.properties;
  const typeParams = mergeProperties(field.typeParams, params, request.deleteKeys);
  const changed: FieldSchema = {
    ...field,
    description: description ?? field.description,
    typeParams,
    maxLength: Number(typeParams['max_length'] ?? field.maxLength),
    maxCapacity: Number(typeParams['max_capacity'] ?? field.maxCapacity),
  };
  const fields = info.schema.fields.map((other) => (other === field ? changed : other));
  await putNewSchema(state, info, fields);
}

export async function addCollectionField(
  state: RootCoordState,
  info: CollectionInfo,
  field: FieldSchema,
): Promise<void> {
  const { schema } = info;
  if (findField(schema, field.name) !== undefined) {
    throw invalidParameter(`duplicated field name: ${field.name}`);
  }
  const ids = schema.fields.map((other) => other.fieldId);
  const fieldId = ids.reduce((max, id) => (id > max ? id : max), FIRST_USER_FIELD_ID) + 1n;
  const added = { ...field, fieldId };
  const dynamic = schema.fields.filter((other) => other.isDynamic);
  const declared = schema.fields.filter((other) => !other.isDynamic);
  await putNewSchema(state, info, [...declared, added, ...dynamic]);
}

async function putNewSchema(
  state: RootCoordState,
  info: CollectionInfo,
  fields: readonly FieldSchema[],
): Promise<void> {
  await putCollection(state, {
    ...info,
    schema: { ...info.schema, fields, version: info.schema.version + 1 },
    schemaTimestamp: await state.timestamps.allocate(1),
  });
}

function assignFieldIds(schema: CollectionSchema): CollectionSchema {
  const fields = schema.fields.map((field, i) => ({
    ...field,
    fieldId: FIRST_USER_FIELD_ID + BigInt(i),
  }));
  return { ...schema, fields };
}

function requireSameDefinition(
  existing: CollectionInfo,
  schema: CollectionSchema,
  request: CreateCollection,
): CollectionInfo {
  const isSame =
    existing.schema.description === schema.description &&
    isDeepStrictEqual(existing.schema.fields, schema.fields) &&
    existing.vchannels.length === request.shardCount;
  if (isSame) return existing;
  throw invalidParameter(
    `create duplicate collection with different parameters, collection: ${schema.name}`,
  );
}

function requireCapacity({ names, deps }: RootCoordState, request: CreateCollection): void {
  const { limits } = deps;
  const { dbName } = request;
  const refuseCount = (setting: string, limit: number): MilvusError =>
    new MilvusError('CollectionNumLimitExceeded', {
      message:
        `failed to create collection, ${setting}=${limit}, ` +
        'exceeded the limit number of collections',
      fields: { db: dbName, limit },
    });
  const own = readMaxCollections(names.requireDatabase(dbName));
  const perDatabase = own ?? limits.maxCollectionNumPerDb;
  if (names.list(dbName).length >= perDatabase) {
    throw refuseCount(own === undefined ? 'maxCollectionNumPerDB' : MAX_COLLECTIONS, perDatabase);
  }
  if (names.list().length >= limits.maxCollectionNum) {
    throw refuseCount('maxCollectionNum', limits.maxCollectionNum);
  }
  requireGeneralCapacity({ names, deps }, request.shardCount * Math.max(1, request.partitionCount));
}

/**
 * @param wanted  partitions, times the shards of their collection
 * @throws MilvusError GeneralCapacityExceeded
 */
export function requireGeneralCapacity(
  { names, deps }: Pick<RootCoordState, 'names' | 'deps'>,
  wanted: number,
): void {
  const limit = deps.limits.maxGeneralCapacity;
  const got = names
    .list()
    .reduce((sum, info) => sum + info.partitions.length * info.vchannels.length, wanted);
  if (got > limit) throw new MilvusError('GeneralCapacityExceeded', { fields: { got, limit } });
}

/** The database's own limit goes before the configuration's, also when it is larger. */
function readMaxCollections({ properties }: DatabaseInfo): number | undefined {
  const value = properties[MAX_COLLECTIONS];
  if (value === undefined || value === '') return undefined;
  if (/^\d+$/.test(value)) return Number(value);
  throw new MilvusError('ServiceInternal', {
    message: `parse value of property fail, key:${MAX_COLLECTIONS}, value:${value}`,
  });
}

function nameInitialPartitions(
  { deps }: RootCoordState,
  request: CreateCollection,
  collectionId: bigint,
  createdTimestamp: bigint,
): PartitionInfo[] {
  const name = deps.limits.defaultPartitionName;
  const isKeyed = findPartitionKeyField(request.schema) !== undefined;
  return Array.from({ length: request.partitionCount }, (_unused, i) => ({
    partitionId: collectionId + 1n + BigInt(i),
    name: isKeyed ? `${name}_${i}` : name,
    createdTimestamp,
  }));
}
