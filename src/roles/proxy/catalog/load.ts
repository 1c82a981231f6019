// Load and release, with Milvus' states and errors. Searching needs a loaded collection, although
// loading costs nothing here: clients rely on the states.

import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField, getVectorFields } from '../../../model/schema.ts';
import type { LoadStatus } from '../../../rpc/contract.ts';
import {
  findPartitionIds,
  requireCollection,
  type Proxy,
  type RequestContext,
} from '../proxy.ts';

interface LoadInput {
  readonly collectionName: string;
  /** 0 = what the collection or its database say. */
  readonly replicaNumber: number;
  /** None = all. */
  readonly loadFields: readonly string[];
  readonly resourceGroups: readonly string[];
}

interface PartitionsInput {
  readonly collectionName: string;
  readonly partitionNames: readonly string[];
}

/** The only one there is. */
const DEFAULT_RESOURCE_GROUP = '__default_resource_group';

export async function loadCollection(
  proxy: Proxy,
  input: LoadInput,
  context: RequestContext,
): Promise<void> {
  const info = await requireCollection(proxy, input.collectionName, context);
  await load(proxy, info, [], input, context);
}

export async function loadPartitions(
  proxy: Proxy,
  input: LoadInput & PartitionsInput,
  context: RequestContext,
): Promise<void> {
  const info = await requireCollection(proxy, input.collectionName, context);
  refusePartitionKey(info, 'load');
  if (input.partitionNames.length === 0) {
    throw invalidParameter('due to no partition specified');
  }
  await load(proxy, info, findPartitionIds(info, input.partitionNames), input, context);
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
  input: LoadInput,
  context: RequestContext,
): Promise<void> {
  const { collectionId } = info;
  const replicaNumber = await readReplicaNumber(proxy, info, input, context);
  if (replicaNumber > 1) {
    throw new MilvusError('Unexpected', {
      message:
        `call query coordinator LoadCollection: when load ${replicaNumber} replica count: ` +
        'service resource ' +
        `insufficient[currentStreamingNode=1][expectedStreamingNode=${replicaNumber}]`,
    });
  }
  checkLoadFields(info, input.loadFields);
  await requireIndexes(proxy, info, input.loadFields, context);
  await proxy.peers.querycoord.load(
    { collectionId, partitionIds, replicaNumber, loadFields: input.loadFields },
    context,
  );
}

/** The request's own number, else the collection's, else the database's. */
async function readReplicaNumber(
  proxy: Proxy,
  { properties, dbName }: CollectionInfo,
  input: LoadInput,
  context: RequestContext,
): Promise<number> {
  const { rootcoord } = proxy.peers;
  const database = await rootcoord.describeDatabase({ name: dbName }, context);
  const groups =
    input.resourceGroups.length > 0
      ? input.resourceGroups
      : (readGroups(properties['collection.resource_groups']) ??
        readGroups(database.properties['database.resource_groups']) ??
        []);
  const unknown = groups.find((name) => name !== DEFAULT_RESOURCE_GROUP);
  if (unknown !== undefined) {
    throw new MilvusError('ResourceGroupNotFound', { fields: { rg: unknown } });
  }
  const wanted =
    properties['collection.replica.number'] ?? database.properties['database.replica.number'];
  return input.replicaNumber || Number(wanted) || 1;
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
  { collectionName }: Pick<PartitionsInput, 'collectionName'>,
  context: RequestContext,
): Promise<void> {
  const { collectionId } = await requireCollection(proxy, collectionName, context);
  await proxy.peers.querycoord.release({ collectionId, partitionIds: [] }, context);
}

export async function releasePartitions(
  proxy: Proxy,
  { collectionName, partitionNames }: PartitionsInput,
  context: RequestContext,
): Promise<void> {
  const info = await requireCollection(proxy, collectionName, context);
  refusePartitionKey(info, 'release');
  const partitionIds = findPartitionIds(info, partitionNames);
  if (partitionIds.length === 0) {
    throw invalidParameter(
      'due to no partition specified: invalid parameter' +
        '[expected=any partition][actual=empty partition list]',
    );
  }
  await proxy.peers.querycoord.release({ collectionId: info.collectionId, partitionIds }, context);
}

export function isPartitionLoaded(
  { state, partitionIds }: LoadStatus,
  partitionId: bigint,
): boolean {
  if (state !== 'loaded') return false;
  return partitionIds.length === 0 || partitionIds.includes(partitionId);
}

function isLoaded(status: LoadStatus, partitionIds: readonly bigint[]): boolean {
  return status.state === 'loaded' && partitionIds.every((id) => isPartitionLoaded(status, id));
}

export async function getLoadState(
  proxy: Proxy,
  { collectionName, partitionNames }: PartitionsInput,
  context: RequestContext,
): Promise<'notExist' | 'notLoad' | 'loaded'> {
  let info: CollectionInfo;
  try {
    info = await requireCollection(proxy, collectionName, context);
  } catch (error) {
    if (!(error instanceof MilvusError) || error.errorName !== 'CollectionNotFound') throw error;
    return 'notExist';
  }
  const partitionIds = findPartitionIds(info, partitionNames);
  const { collectionId } = info;
  const status = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  return isLoaded(status, partitionIds) ? 'loaded' : 'notLoad';
}

/** Loading is immediate: what is loaded at all is loaded wholly. */
export async function requireLoaded(
  proxy: Proxy,
  { collectionName, partitionNames }: PartitionsInput,
  context: RequestContext,
): Promise<void> {
  const info = await requireCollection(proxy, collectionName, context);
  const partitionIds = findPartitionIds(info, partitionNames);
  const { collectionId } = info;
  const status = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  if (status.state === 'notLoad') {
    throw new MilvusError('CollectionNotLoaded', { fields: { collection: String(collectionId) } });
  }
  if (!isLoaded(status, partitionIds)) {
    throw new MilvusError('PartitionNotLoaded', {
      fields: { partition: partitionNames.join(',') },
    });
  }
}
