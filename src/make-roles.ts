// Makes the roles of one process from the settings, and starts them in their order.

import type { ByteBudget } from './base/byte-budget.ts';
import type { Runtime } from './base/clock.ts';
import type { Health } from './base/health.ts';
import type { Logger } from './base/logger.ts';
import type { Config } from './config.ts';
import type { Catalog } from './meta/catalog.ts';
import { namePchannel } from './model/channel-name.ts';
import { DataCoordRole } from './roles/datacoord/datacoord.ts';
import { DataNodeRole } from './roles/datanode/datanode.ts';
import { IndexCoordRole } from './roles/indexcoord/indexcoord.ts';
import { IndexNodeRole } from './roles/indexnode/indexnode.ts';
import { QueryCoordRole } from './roles/querycoord/querycoord.ts';
import { QueryNodeRole } from './roles/querynode/querynode.ts';
import { RootCoordRole } from './roles/rootcoord/rootcoord.ts';
import { StreamingNodeRole } from './roles/streamingnode/streamingnode.ts';
import type { Peers } from './rpc/contract.ts';
import { ReadSlots } from './segment/read-slots.ts';
import type { ServerMetrics } from './server-metrics.ts';
import type { ObjectStorage } from './storage/object-storage.ts';
import type { LogStore } from './wal/wal.ts';

/** What roles share. */
export interface RoleParts {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  readonly logs: LogStore;
  readonly peers: Peers;
  readonly logger: Logger;
  readonly runtime: Runtime;
  readonly health: Health;
  readonly metrics: ServerMetrics;
  readonly buildMemory: ByteBudget;
}

const MIB = 1024 * 1024;

/** One log serves all shards of a process (R9), so that one fsync does. */
export const PCHANNELS = [namePchannel(0)] as const;

/** The roles besides the proxy, by name. */
export function makeRoles(config: Config, parts: RoleParts) {
  return { ...makeCoordinators(config, parts), ...makeNodes(config, parts) };
}

/** Starts the roles; `stops` gets what stops them again, to be run from its end on. */
export async function startRoles(
  roles: ReturnType<typeof makeRoles>,
  stops: (() => Promise<void>)[],
): Promise<void> {
  const { rootcoord, datacoord, indexcoord, querycoord } = roles;
  const { querynode, datanode, indexnode, streamingnode } = roles;
  await rootcoord.start();
  stops.push(() => rootcoord.stop());
  await datacoord.start();
  stops.push(() => datacoord.stop().then(() => datanode.stop()));
  await indexcoord.start();
  stops.push(async () => {
    await indexnode.stop();
    await indexcoord.stop();
  });
  stops.push(() => querynode.stop());
  // Before: a start that fails leaves logs open.
  stops.push(() => streamingnode.stop());
  await streamingnode.start();
  await querycoord.start();
  await rootcoord.finishDrops();
  await indexcoord.resume();
  datacoord.resume();
}

function makeCoordinators(config: Config, parts: RoleParts) {
  const { catalog, storage, peers, logger, runtime, health, metrics } = parts;
  const rootcoord = new RootCoordRole({
    ...{ catalog, peers, runtime, health },
    logger: logger.child({ role: 'rootcoord' }),
    onNameGone: metrics.forget,
    limits: {
      maxDatabaseNum: config['rootCoord.maxDatabaseNum'],
      maxPartitionNum: config['rootCoord.maxPartitionNum'],
      maxGeneralCapacity: config['rootCoord.maxGeneralCapacity'],
      maxCollectionNum: config['quotaAndLimits.limits.maxCollectionNum'],
      maxCollectionNumPerDb: config['quotaAndLimits.limits.maxCollectionNumPerDB'],
      defaultPartitionName: config['common.defaultPartitionName'],
      pchannels: PCHANNELS,
    },
  });
  const datacoord = new DataCoordRole({
    ...{ catalog, storage, peers, runtime },
    logger: logger.child({ role: 'datacoord' }),
    segmentBytesMax: config['dataCoord.segment.maxSize'] * MIB,
    isAutoCompactionOn: config['dataCoord.compaction.enableAutoCompaction'],
    mvccRetentionMs: config['elanus.mvccRetentionSeconds'] * 1000,
    scrubIntervalMs: config['elanus.scrubIntervalSeconds'] * 1000,
  });
  const indexcoord = new IndexCoordRole({
    ...{ catalog, peers, runtime, health },
    logger: logger.child({ role: 'indexcoord' }),
    indexRowsMin: config['rootCoord.minSegmentSizeToEnableIndex'],
  });
  return { rootcoord, datacoord, indexcoord, querycoord: new QueryCoordRole({ catalog, peers }) };
}

function makeNodes(config: Config, parts: RoleParts) {
  const { storage, logs, peers, logger, runtime, health, metrics, buildMemory } = parts;
  const { nowMs } = runtime;
  const reads = new ReadSlots(
    config['elanus.threads.search'],
    config['queryNode.scheduler.unsolvedQueueSize'],
  );
  const querynode = new QueryNodeRole({
    ...{ storage, peers, runtime, reads },
    logger: logger.child({ role: 'querynode' }),
  });
  const datanode = new DataNodeRole({ storage, buildMemory });
  const indexnode = new IndexNodeRole({
    ...{ storage, buildMemory, nowMs },
    onBuilt: metrics.observeBuild,
  });
  const streamingnode = new StreamingNodeRole({
    ...{ logs, storage, peers, runtime, health, reads },
    pchannels: PCHANNELS,
    logger: logger.child({ role: 'streamingnode' }),
    isDamageAccepted: config['elanus.wal.acceptDamage'],
    mvccRetentionMs: config['elanus.mvccRetentionSeconds'] * 1000,
    segmentBytesMax:
      config['dataCoord.segment.maxSize'] * MIB * config['dataCoord.segment.sealProportion'],
    walBytesMax: config['elanus.walBytesMax'],
    growingBytesMax: config['elanus.growingBytesMax'],
    growingLifeMsMax: config['dataCoord.segment.maxLife'] * 1000,
    onRead: metrics.observeRead,
  });
  return { querynode, datanode, indexnode, streamingnode };
}
