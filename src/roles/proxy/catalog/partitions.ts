// Partitions and row counts as clients ask for them.

import type { CollectionInfo, PartitionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField } from '../../../model/schema.ts';
import { askShards } from '../../../rpc/shards.ts';
import { checkName } from '../names.ts';
import {
  findPartitionIds,
  requireCollection,
  type Proxy,
  type RequestContext,
} from '../proxy.ts';
import { isPartitionLoaded } from './load.ts';

interface PartitionInput {
  readonly collectionName: string;
  readonly partitionName: string;
}

export async function createPartition(
  proxy: Proxy,
  input: PartitionInput,
  context: RequestContext,
): Promise<void> {
  await requirePartitionable(proxy, input, 'create', context);
  const { collectionName: name, partitionName } = input;
  const { dbName } = context;
  await proxy.peers.rootcoord.createPartition({ dbName, name, partitionName }, context);
}

export async function dropPartition(
  proxy: Proxy,
  input: PartitionInput,
  context: RequestContext,
): Promise<void> {
  const { collectionName: name, partitionName } = input;
  const info = await requirePartitionable(proxy, input, 'drop', context);
  const partition = info.partitions.find((each) => each.name === partitionName);
  if (partition !== undefined) {
    const { collectionId } = info;
    const load = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
    if (isPartitionLoaded(load, partition.partitionId)) {
      throw new MilvusError('Unexpected', {
        message: 'partition cannot be dropped, partition is loaded, please release it first',
      });
    }
  }
  const { dbName } = context;
  await proxy.peers.rootcoord.dropPartition({ dbName, name, partitionName }, context);
}

async function requirePartitionable(
  proxy: Proxy,
  { collectionName, partitionName }: PartitionInput,
  verb: 'create' | 'drop',
  context: RequestContext,
): Promise<CollectionInfo> {
  const info = await requireCollection(proxy, collectionName, context);
  checkName('partition', partitionName, proxy.deps.limits.maxNameLength);
  if (findPartitionKeyField(info.schema) !== undefined) {
    throw invalidParameter(`disable ${verb} partition if partition key mode is used`);
  }
  return info;
}

export async function hasPartition(
  proxy: Proxy,
  { collectionName, partitionName }: PartitionInput,
  context: RequestContext,
): Promise<boolean> {
  const info = await requireCollection(proxy, collectionName, context);
  checkName('partition', partitionName, proxy.deps.limits.maxNameLength);
  return info.partitions.some(({ name }) => name === partitionName);
}

interface ShowPartitionsInput {
  readonly collectionName: string;
  /** None = all. */
  readonly partitionNames: readonly string[];
  readonly onlyLoaded: boolean;
}

export async function showPartitions(
  proxy: Proxy,
  { collectionName, partitionNames, onlyLoaded }: ShowPartitionsInput,
  context: RequestContext,
): Promise<{ partitions: readonly PartitionInfo[]; onlyLoaded: boolean }> {
  const info = await requireCollection(proxy, collectionName, context);
  const wanted = new Set(findPartitionIds(info, partitionNames));
  const { collectionId } = info;
  const load = onlyLoaded
    ? await proxy.peers.querycoord.getLoadStatus({ collectionId }, context)
    : undefined;
  const partitions = info.partitions.filter(({ partitionId }) => {
    if (wanted.size > 0 && !wanted.has(partitionId)) return false;
    return load === undefined || isPartitionLoaded(load, partitionId);
  });
  return { partitions, onlyLoaded };
}

export async function countCollectionRows(
  proxy: Proxy,
  { collectionName }: { readonly collectionName: string },
  context: RequestContext,
): Promise<number> {
  const info = await requireCollection(proxy, collectionName, context);
  return countRows(proxy, info, undefined, context);
}

export async function countPartitionRows(
  proxy: Proxy,
  { collectionName, partitionName }: PartitionInput,
  context: RequestContext,
): Promise<number> {
  const info = await requireCollection(proxy, collectionName, context);
  const [partitionId] = findPartitionIds(info, [partitionName]);
  return countRows(proxy, info, partitionId, context);
}

async function countRows(
  proxy: Proxy,
  { vchannels }: CollectionInfo,
  partitionId: bigint | undefined,
  context: RequestContext,
): Promise<number> {
  const replies = await askShards(proxy.peers, vchannels, (shard, vchannel) =>
    shard.getStats({ vchannel }, context),
  );
  return replies
    .flatMap(({ partitions }) => partitions)
    .filter((stats) => partitionId === undefined || stats.partitionId === partitionId)
    .reduce((sum, stats) => sum + stats.rows, 0);
}
