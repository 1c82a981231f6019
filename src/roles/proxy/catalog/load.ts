// Load and release, with Milvus' states and errors. Searching needs a loaded collection, although
// loading costs nothing here: clients rely on the states.

import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField, getVectorFields } from '../../../model/schema.ts';
import type { LoadStatus } from '../../../rpc/contract.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import {
  findPartitionIds,
  getDbName,
  requireCollection,
  type Proxy,
  type RequestContext,
} from '../proxy.ts';

interface LoadRequest {
  readonly db_name: string;
  readonly collection_name: string;
  readonly replica_number: number;
  readonly load_fields: readonly string[];
  readonly refresh: boolean;
  readonly resource_groups: readonly string[];
}

interface PartitionsRequest {
  readonly db_name: string;
  readonly collection_name: string;
  readonly partition_names: readonly string[];
}

/** The only one there is. */
const DEFAULT_RESOURCE_GROUP = '__default_resource_group';

/** Numbers of common.LoadState. */
const LOAD_STATE = { notExist: 0, notLoad: 1, loading: 2, loaded: 3 } as const;

export async function loadCollection(
  proxy: Proxy,
  request: LoadRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  await load(proxy, info, [], request, context);
  return OK_STATUS;
}

export async function loadPartitions(
  proxy: Proxy,
  request: LoadRequest & PartitionsRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  refusePartitionKey(info, 'load');
  if (request.partition_names.length === 0) {
    throw invalidParameter('due to no partition specified');
  }
  await load(proxy, info, findPartitionIds(info, request.partition_names), request, context);
  return OK_STATUS;
}

/** With a partition key, partitions are the server's business. */
function refusePartitionKey(info: CollectionInfo, verb: 'load' | 'release'): void {
  if (findPartitionKeyField(info.schema) === undefined) return;
  throw invalidParameter(`disable ${verb} partitions if partition key mode is used`);
}

async function load(
  proxy: Proxy,
  info: CollectionInfo,
  partitionIds: readonly bigint[],
  request: LoadRequest,
  context: RequestContext,
): Promise<void> {
  const { collectionId } = info;
  const replicaNumber = await readReplicaNumber(proxy, info, request, context);
  if (replicaNumber > 1) {
    throw new MilvusError('Unexpected', {
      message:
        `call query coordinator LoadCollection: when load ${replicaNumber} replica count: ` +
        'service resource ' +
        `insufficient[currentStreamingNode=1][expectedStreamingNode=${replicaNumber}]`,
    });
  }
  checkLoadFields(info, request.load_fields);
  await requireIndexes(proxy, info, request.load_fields, context);
  await proxy.peers.querycoord.load(
    { collectionId, partitionIds, replicaNumber, loadFields: request.load_fields },
    context,
  );
}

/** The request's own number, else the collection's, else the database's. */
async function readReplicaNumber(
  proxy: Proxy,
  { properties, dbName }: CollectionInfo,
  request: LoadRequest,
  context: RequestContext,
): Promise<number> {
  const { rootcoord } = proxy.peers;
  const database = await rootcoord.describeDatabase({ name: dbName }, context);
  const groups =
    request.resource_groups.length > 0
      ? request.resource_groups
      : (readGroups(properties['collection.resource_groups']) ??
        readGroups(database.properties['database.resource_groups']) ??
        []);
  const unknown = groups.find((name) => name !== DEFAULT_RESOURCE_GROUP);
  if (unknown !== undefined) {
    throw new MilvusError('ResourceGroupNotFound', { fields: { rg: unknown } });
  }
  const wanted =
    properties['collection.replica.number'] ?? database.properties['database.replica.number'];
  return request.replica_number || Number(wanted) || 1;
}

/** Reads a list of names with commas between; undefined when there is none. */
function readGroups(text: string | undefined): string[] | undefined {
  if (text === undefined || text.trim() === '') return undefined;
  return text.split(',').map((name) => name.trim());
}

function checkLoadFields(info: CollectionInfo, names: readonly string[]): void {
  if (names.length === 0) return;
  for (const name of names) {
    if (info.schema.fields.some((field) => field.name === name)) continue;
    throw invalidParameter(`field ${name} not found in collection ${info.schema.name}`);
  }
  for (const field of info.schema.fields) {
    const isNeeded = field.isPrimaryKey || field.isPartitionKey || field.isClusteringKey;
    if (!isNeeded || names.includes(field.name)) continue;
    const what = field.isPrimaryKey
      ? 'primary key'
      : field.isPartitionKey
        ? 'partition key'
        : 'clustering key';
    throw invalidParameter(
      `load field list [${names.join(' ')}] does not contain ${what} field ${field.name}`,
    );
  }
}

async function requireIndexes(
  proxy: Proxy,
  info: CollectionInfo,
  loadFields: readonly string[],
  context: RequestContext,
): Promise<void> {
  const { collectionId, schema } = info;
  const { indexes } = await proxy.peers.indexcoord.listIndexes({ collectionId }, context);
  if (indexes.length === 0) {
    throw new MilvusError('IndexNotFound', { fields: { collection: schema.name } });
  }
  const missing = getVectorFields(schema)
    .filter((field) => loadFields.length === 0 || loadFields.includes(field.name))
    .filter((field) => !indexes.some((index) => index.fieldId === field.fieldId));
  if (missing.length === 0) return;
  const names = missing.map((field) => field.name).join(' ');
  throw new MilvusError('IndexNotFound', {
    message: `there is no vector index on field: [${names}], please create index firstly`,
  });
}

export async function releaseCollection(
  proxy: Proxy,
  request: { db_name: string; collection_name: string },
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  await proxy.peers.querycoord.release(
    { collectionId: info.collectionId, partitionIds: [] },
    context,
  );
  return OK_STATUS;
}

export async function releasePartitions(
  proxy: Proxy,
  request: PartitionsRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  refusePartitionKey(info, 'release');
  const partitionIds = findPartitionIds(info, request.partition_names);
  if (partitionIds.length === 0) {
    throw invalidParameter(
      'due to no partition specified: invalid parameter' +
        '[expected=any partition][actual=empty partition list]',
    );
  }
  await proxy.peers.querycoord.release({ collectionId: info.collectionId, partitionIds }, context);
  return OK_STATUS;
}

function isLoaded(status: LoadStatus, partitionIds: readonly bigint[]): boolean {
  if (status.state !== 'loaded') return false;
  return (
    status.partitionIds.length === 0 || partitionIds.every((id) => status.partitionIds.includes(id))
  );
}

export async function getLoadState(
  proxy: Proxy,
  request: PartitionsRequest,
  context: RequestContext,
): Promise<object> {
  let info: CollectionInfo;
  try {
    info = await requireCollection(
      proxy,
      getDbName(request, context),
      request.collection_name,
      context,
    );
  } catch (error) {
    if (!(error instanceof MilvusError) || error.errorName !== 'CollectionNotFound') throw error;
    return { status: OK_STATUS, state: LOAD_STATE.notExist };
  }
  const partitionIds = findPartitionIds(info, request.partition_names);
  const { collectionId } = info;
  const status = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  const state = isLoaded(status, partitionIds) ? LOAD_STATE.loaded : LOAD_STATE.notLoad;
  return { status: OK_STATUS, state };
}

export async function getLoadingProgress(
  proxy: Proxy,
  request: PartitionsRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  const partitionIds = findPartitionIds(info, request.partition_names);
  const { collectionId } = info;
  const status = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  if (status.state === 'notLoad') {
    throw new MilvusError('CollectionNotLoaded', { fields: { collection: String(collectionId) } });
  }
  if (!isLoaded(status, partitionIds)) {
    throw new MilvusError('PartitionNotLoaded', {
      fields: { partition: request.partition_names.join(',') },
    });
  }
  return { status: OK_STATUS, progress: '100', refresh_progress: '100' };
}
