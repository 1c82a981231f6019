// The pieces of a shard through which a write goes, over a log in memory, without the roles around
// it. Timestamps come when the test lets them.

import { namePchannel, nameVchannel } from '../../src/model/channel-name.ts';
import type { CollectionInfo } from '../../src/model/collection-info.ts';
import { DataType } from '../../src/model/data-type.ts';
import { DeleteBuffer } from '../../src/roles/streamingnode/delete-buffer.ts';
import { GrowingBudget } from '../../src/roles/streamingnode/growing-budget.ts';
import { GrowingSegments } from '../../src/roles/streamingnode/growing-segments.ts';
import { SealedSegments } from '../../src/roles/streamingnode/sealed-segments.ts';
import { ShardLog } from '../../src/roles/streamingnode/shard-log.ts';
import { ShardState } from '../../src/roles/streamingnode/shard-state.ts';
import { View } from '../../src/roles/streamingnode/view.ts';
import type { GrowingSegment } from '../../src/roles/streamingnode/view.ts';
import { WriteLine } from '../../src/roles/streamingnode/write-line.ts';
import type { Peers } from '../../src/rpc/contract.ts';
import { MemoryLogStore } from '../../src/wal/memory-store.ts';
import { makeField } from './codec/random-batch.ts';
import { VirtualRuntime } from './virtual-runtime.ts';

const FIELDS = [makeField({ name: 'id', dataType: DataType.Int64, isPrimaryKey: true })];

const INFO: CollectionInfo = {
  collectionId: 1n,
  dbId: 1n,
  dbName: 'default',
  schema: {
    name: 'c',
    description: '',
    fields: FIELDS,
    enableDynamicField: false,
    version: 0,
    properties: {},
  },
  vchannels: [nameVchannel({ pchannel: namePchannel(0), collectionId: 1n, shardIndex: 0 })],
  partitions: [{ partitionId: 1n, name: '_default', createdTimestamp: 0n }],
  aliases: [],
  consistencyLevel: 0,
  properties: {},
  createdTimestamp: 0n,
  schemaTimestamp: 0n,
};

/** Growing segments alone, of 100 bytes at most. */
export function makeGrowingSegments() {
  const view = new View();
  const state = new ShardState(INFO, 0);
  state.open();
  const budget = new GrowingBudget(1024 * 1024);
  let lastId = 0n;
  const takeId = (): bigint => (lastId += 1n);
  const deps = { view, state, budget, segmentBytesMax: 100, takeId, onBorn: () => undefined };
  return { view, state, budget, growing: new GrowingSegments(deps) };
}

export async function makeShardPieces(
  allowTimestamps: () => Promise<void> = async () => undefined,
) {
  const pieces = makeGrowingSegments();
  const { view, state } = pieces;
  const deletes = new DeleteBuffer([]);
  // Nothing is sealed here: it asks nobody.
  const sealed = new SealedSegments({
    ...{ peers: {} as Peers, view, deletes, state, term: 1 },
    onDeletes: () => undefined,
    onDeletesLost: () => undefined,
  });
  /** Segments of which the log has said that no row comes any more. */
  const closed: GrowingSegment[] = [];
  const log = new ShardLog({
    ...{ ...pieces, deletes, sealed },
    onSealed: (growing) => {
      growing.phase = 'sealing';
      closed.push(growing);
    },
    onBroken: (_position, error) => {
      throw error;
    },
    onApplied: async () => undefined,
  });
  const wal = await new MemoryLogStore().open(namePchannel(0), 1);
  let lastTimestamp = 0n;
  const writes = new WriteLine({
    ...{ ...pieces, wal, log, deletes, runtime: new VirtualRuntime() },
    fillIds: async () => undefined,
    takeTimestamps: async (count) => {
      await allowTimestamps();
      lastTimestamp += BigInt(count);
      return lastTimestamp - BigInt(count) + 1n;
    },
  });
  return { ...pieces, wal, log, writes, closed };
}
