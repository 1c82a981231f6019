// Drops of collections and partitions (R10): recorded first, then carried out by every role that
// holds something of them, then ended in one transaction. From the record on nobody finds the
// collection or the partition any more, and nothing brings it back. Every step can be repeated:
// what a failure or a crash interrupts is finished later, by a timer and by the next start.

import { getErrorMessage } from '../../base/error-message.ts';
import { KEYS, type DroppingRecord } from '../../meta/catalog.ts';
import { listCollectionPrefixes, makeGarbage } from '../../meta/garbage.ts';
import type { CollectionInfo, PartitionInfo } from '../../model/collection-info.ts';
import { askShards } from '../../rpc/shards.ts';
import type { RootCoordState } from './state.ts';

export async function dropCollection(state: RootCoordState, info: CollectionInfo): Promise<void> {
  const { collectionId } = info;
  const record: DroppingRecord = { collectionId, partitionId: 0n };
  await state.deps.catalog.write([{ key: KEYS.dropping(collectionId, 0n), record }]);
  state.names.remove(collectionId);
  state.deps.onNameGone(info.dbName, info.schema.name);
  await finishDrop(state, record);
}

export async function dropPartition(
  state: RootCoordState,
  info: CollectionInfo,
  { partitionId }: PartitionInfo,
): Promise<void> {
  const { collectionId } = info;
  const record: DroppingRecord = { collectionId, partitionId };
  const partitions = info.partitions.filter((other) => other.partitionId !== partitionId);
  const rest: CollectionInfo = { ...info, partitions };
  await state.deps.catalog.write([
    { key: KEYS.dropping(collectionId, partitionId), record },
    { key: KEYS.collection(collectionId), record: rest },
  ]);
  state.names.put(rest);
  await finishDrop(state, record);
}

/** Drops of partitions of a collection that were recorded and are not finished. */
export async function finishPartitionDrops(
  state: RootCoordState,
  { collectionId }: CollectionInfo,
): Promise<void> {
  for (const drop of await state.deps.catalog.list('dropping', collectionId)) {
    await finishDrop(state, drop);
  }
}

/** Carries out a drop that has been recorded. A failure leaves it to be finished later. */
export async function finishDrop(state: RootCoordState, drop: DroppingRecord): Promise<void> {
  const { health } = state.deps;
  const subject = `drop ${drop.collectionId}/${drop.partitionId}`;
  try {
    if (drop.partitionId === 0n) await endCollection(state, drop.collectionId);
    else await endPartition(state, drop);
    health.clear('rootcoord', subject);
  } catch (error) {
    const reason = getErrorMessage(error);
    health.report('rootcoord', subject, `${subject} is recorded and not finished: ${reason}`);
    state.onUnfinishedDrop();
    throw error;
  }
}

/** The last transaction takes every record of the collection, whoever wrote it, and its files. */
async function endCollection(state: RootCoordState, collectionId: bigint): Promise<void> {
  const { catalog, peers, runtime } = state.deps;
  const vchannels = await listShards(state, collectionId);
  await askShards(peers, vchannels, (shard, vchannel) => shard.dropShard({ vchannel }, {}));
  await peers.querycoord.dropCollection({ collectionId }, {});
  await peers.indexcoord.dropCollection({ collectionId }, {});
  await peers.datacoord.dropCollection({ collectionId }, {});
  const nouns = ['channel', 'segment', 'index', 'index-file'] as const;
  await catalog.write(
    [
      { key: KEYS.collection(collectionId), record: undefined },
      { key: KEYS.load(collectionId), record: undefined },
      { key: KEYS.dropping(collectionId, 0n), record: undefined },
      ...makeGarbage({ prefixes: listCollectionPrefixes(collectionId) }, runtime.nowMs()),
    ],
    { deletePrefixes: nouns.map((noun) => KEYS.ofCollection(noun, collectionId)) },
  );
}

async function endPartition(
  state: RootCoordState,
  { collectionId, partitionId }: DroppingRecord,
): Promise<void> {
  const { catalog, peers } = state.deps;
  const request = { collectionId, partitionId };
  const vchannels = await listShards(state, collectionId);
  await askShards(peers, vchannels, (shard, vchannel) =>
    shard.dropPartition({ vchannel, partitionId }, {}),
  );
  await peers.querycoord.dropPartition(request, {});
  await peers.datacoord.dropPartition(request, {});
  await catalog.write([{ key: KEYS.dropping(collectionId, partitionId), record: undefined }]);
}

/** Also of a collection that nobody finds any more; none when its drop has ended. */
async function listShards(
  { deps }: RootCoordState,
  collectionId: bigint,
): Promise<readonly string[]> {
  const info = await deps.catalog.find(KEYS.collection(collectionId));
  return info === undefined ? [] : (info as CollectionInfo).vchannels;
}
