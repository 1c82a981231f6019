// Partitions and row counts as clients ask for them.

import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField } from '../../../model/schema.ts';
import { getPhysicalMs } from '../../../model/timestamp.ts';
import { askShards } from '../../../rpc/shards.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { checkName } from '../names.ts';
import {
  findPartitionIds,
  getDbName,
  requireCollection,
  type Proxy,
  type RequestContext,
} from '../proxy.ts';
import type { KeyValuePair } from '../api/wire-types.ts';

interface Named {
  readonly db_name: string;
  readonly collection_name: string;
}

type PartitionRequest = Named & { partition_name: string };

export async function createPartition(
  proxy: Proxy,
  request: PartitionRequest,
  context: RequestContext,
): Promise<object> {
  await requirePartitionable(proxy, request, 'create', context);
  const dbName = getDbName(request, context);
  await proxy.peers.rootcoord.createPartition(
    { dbName, name: request.collection_name, partitionName: request.partition_name },
    context,
  );
  return OK_STATUS;
}

export async function dropPartition(
  proxy: Proxy,
  request: PartitionRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requirePartitionable(proxy, request, 'drop', context);
  const partition = info.partitions.find(({ name }) => name === request.partition_name);
  if (partition !== undefined) {
    const { collectionId } = info;
    const load = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
    const isLoaded =
      load.state === 'loaded' &&
      (load.partitionIds.length === 0 || load.partitionIds.includes(partition.partitionId));
    if (isLoaded) {
      throw new MilvusError('Unexpected', {
        message: 'partition cannot be dropped, partition is loaded, please release it first',
      });
    }
  }
  await proxy.peers.rootcoord.dropPartition(
    {
      dbName: getDbName(request, context),
      name: request.collection_name,
      partitionName: request.partition_name,
    },
    context,
  );
  return OK_STATUS;
}

async function requirePartitionable(
  proxy: Proxy,
  request: PartitionRequest,
  verb: 'create' | 'drop',
  context: RequestContext,
): Promise<CollectionInfo> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collection_name, context);
  checkName('partition', request.partition_name, proxy.deps.limits.maxNameLength);
  if (findPartitionKeyField(info.schema) !== undefined) {
    throw invalidParameter(`disable ${verb} partition if partition key mode is used`);
  }
  return info;
}

export async function hasPartition(
  proxy: Proxy,
  request: PartitionRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  checkName('partition', request.partition_name, proxy.deps.limits.maxNameLength);
  const value = info.partitions.some(({ name }) => name === request.partition_name);
  return { status: OK_STATUS, value };
}

export async function showPartitions(
  proxy: Proxy,
  request: Named & { collectionID: string; type: number; partition_names: readonly string[] },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collection_name, context);
  const wanted = new Set(findPartitionIds(info, request.partition_names));
  const isInMemory = request.type === 1;
  const { collectionId } = info;
  const load = isInMemory
    ? await proxy.peers.querycoord.getLoadStatus({ collectionId }, context)
    : undefined;
  const shown = info.partitions.filter(({ partitionId }) => {
    if (wanted.size > 0 && !wanted.has(partitionId)) return false;
    if (load === undefined) return true;
    return (
      load.state === 'loaded' &&
      (load.partitionIds.length === 0 || load.partitionIds.includes(partitionId))
    );
  });
  return {
    status: OK_STATUS,
    partition_names: shown.map(({ name }) => name),
    partitionIDs: shown.map(({ partitionId }) => String(partitionId)),
    created_timestamps: shown.map(({ createdTimestamp }) => String(createdTimestamp)),
    created_utc_timestamps: shown.map(({ createdTimestamp }) =>
      String(getPhysicalMs(createdTimestamp)),
    ),
    inMemory_percentages: isInMemory ? shown.map(() => '100') : [],
  };
}

export async function getCollectionStatistics(
  proxy: Proxy,
  request: Named,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  return { status: OK_STATUS, stats: await countRows(proxy, info, undefined, context) };
}

export async function getPartitionStatistics(
  proxy: Proxy,
  request: PartitionRequest,
  context: RequestContext,
): Promise<object> {
  const info = await requireCollection(
    proxy,
    getDbName(request, context),
    request.collection_name,
    context,
  );
  const [partitionId] = findPartitionIds(info, [request.partition_name]);
  return { status: OK_STATUS, stats: await countRows(proxy, info, partitionId, context) };
}

async function countRows(
  proxy: Proxy,
  info: CollectionInfo,
  partitionId: bigint | undefined,
  context: RequestContext,
): Promise<KeyValuePair[]> {
  const replies = await askShards(proxy.peers, info.vchannels, (shard, vchannel) =>
    shard.getStats({ vchannel }, context),
  );
  const rows = replies
    .flatMap(({ partitions }) => partitions)
    .filter((stats) => partitionId === undefined || stats.partitionId === partitionId)
    .reduce((sum, stats) => sum + stats.rows, 0);
  return [{ key: 'row_count', value: String(rows) }];
}
