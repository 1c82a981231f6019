// Partitions: create and drop. Dropping follows R10: marked, drained, gone, answered.

import { KEYS } from '../../meta/catalog.ts';
import {
  findPartition,
  type CollectionInfo,
  type PartitionInfo,
} from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import { findPartitionKeyField } from '../../model/schema.ts';
import { putCollection } from './collections.ts';
import type { RootCoordState } from './rootcoord.ts';

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
  const partition: PartitionInfo = {
    partitionId: await state.ids.allocate(1),
    name,
    createdTimestamp: await state.timestamps.allocate(1),
  };
  await putCollection(state, { ...info, partitions: [...info.partitions, partition] });
  return partition;
}

/**
 * Dropping an absent partition succeeds. @throws MilvusError for the default partition or while
 * loaded
 */
export async function dropPartition(
  state: RootCoordState,
  info: CollectionInfo,
  name: string,
): Promise<void> {
  const { catalog, peers, limits } = state.deps;
  const partition = findPartition(info, name);
  if (partition === undefined) return;
  if (name === limits.defaultPartitionName || findPartitionKeyField(info.schema) !== undefined) {
    throw new MilvusError('ParameterInvalid', {
      message: 'default partition cannot be deleted: invalid parameter',
      fields: { partition: name },
    });
  }
  const { collectionId } = info;
  const { partitionId } = partition;
  const mark = KEYS.dropping(collectionId, partitionId);
  await catalog.write([{ key: mark, record: { collectionId, partitionId } }]);
  await peers.streamingnode.dropPartition({ collectionId, partitionId }, {});
  await peers.querycoord.dropPartition({ collectionId, partitionId }, {});
  await peers.datacoord.dropPartition({ collectionId, partitionId }, {});
  const partitions = info.partitions.filter((other) => other.partitionId !== partitionId);
  await putCollection(state, { ...info, partitions }, [{ key: mark, record: undefined }]);
}
