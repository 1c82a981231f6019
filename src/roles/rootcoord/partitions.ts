// Partitions: create, and which may be dropped.

import {
  findPartition,
  type CollectionInfo,
  type PartitionInfo,
} from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import { findPartitionKeyField } from '../../model/schema.ts';
import { putCollection, requireGeneralCapacity } from './collections.ts';
import type { RootCoordState } from './state.ts';

/** Creating what exists succeeds and changes nothing. */
export async function createPartition(
  state: RootCoordState,
  info: CollectionInfo,
  name: string,
): Promise<PartitionInfo> {
  const found = findPartition(info, name);
  if (found !== undefined) return found;
  const { limits } = state.deps;
  if (info.partitions.length >= limits.maxPartitionNum) {
    throw new MilvusError('Unexpected', {
      message:
        `partition number (${info.partitions.length}) exceeds max configuration ` +
        `(${limits.maxPartitionNum}), collection: ${info.schema.name}`,
    });
  }
  requireGeneralCapacity(state, info.vchannels.length);
  const partition: PartitionInfo = {
    partitionId: await state.ids.allocate(1),
    name,
    createdTimestamp: await state.timestamps.allocate(1),
  };
  await putCollection(state, { ...info, partitions: [...info.partitions, partition] });
  return partition;
}

/**
 * The partition to drop; undefined = it is absent, and dropping it succeeds.
 * @throws MilvusError for the default partition
 */
export function findPartitionToDrop(
  state: RootCoordState,
  info: CollectionInfo,
  name: string,
): PartitionInfo | undefined {
  const { limits } = state.deps;
  const partition = findPartition(info, name);
  if (partition === undefined) return undefined;
  if (name === limits.defaultPartitionName || findPartitionKeyField(info.schema) !== undefined) {
    throw new MilvusError('ParameterInvalid', {
      message: 'default partition cannot be deleted: invalid parameter',
      fields: { partition: name },
    });
  }
  return partition;
}
