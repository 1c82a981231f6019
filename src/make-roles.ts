// Makes the roles of a system from their settings, and starts and stops them in their order: one
// node has all of them in a server, tests make several. The only place that knows both what roles
// need and who gives it.

import { ByteBudget } from './base/byte-budget.ts';
import type { Runtime } from './base/clock.ts';
import type { Health } from './base/health.ts';
import type { Logger } from './base/logger.ts';
import type { Config } from './config.ts';
import type { Catalog } from './meta/catalog.ts';
import { namePchannel } from './model/channel-name.ts';
import { MilvusError } from './model/error.ts';
import { DataCoordRole } from './roles/datacoord/datacoord.ts';
import { DataNodeRole } from './roles/datanode/datanode.ts';
import { IndexCoordRole } from './roles/indexcoord/indexcoord.ts';
import { IndexNodeRole } from './roles/indexnode/indexnode.ts';
import { QueryCoordRole } from './roles/querycoord/querycoord.ts';
import { QueryNodeRole } from './roles/querynode/querynode.ts';
import { RootCoordRole } from './roles/rootcoord/rootcoord.ts';
import type { RootCoordLimits } from './roles/rootcoord/state.ts';
import type { StreamingNodeDeps } from './roles/streamingnode/deps.ts';
import { StreamingNodeRole } from './roles/streamingnode/streamingnode.ts';
import type { RoleSet } from './role-set.ts';
import type { Peers } from './rpc/contract.ts';
import { Directory } from './rpc/directory.ts';
import { ReadSlots } from './segment/read-slots.ts';
import type { ObjectStorage } from './storage/object-storage.ts';
import type { LogStore } from './wal/wal.ts';

/** Numbers that roles obey; see the settings of the same names. */
export interface RoleSettings {
  readonly limits: RootCoordLimits;
  /** Of a merged segment. */
  readonly segmentBytesMax: number;
  readonly growingSegmentBytesMax: number;
  readonly isAutoCompactionOn: boolean;
  readonly mvccRetentionMs: number;
  readonly scrubIntervalMs: number;
  readonly indexRowsMin: number;
  readonly searchThreads: number;
  readonly waitingReadsMax: number;
  readonly isDamageAccepted: boolean;
  readonly walBytesMax: number;
  readonly growingBytesMax: number;
  readonly growingLifeMsMax: number;
  readonly buildBytesMax: number;
}

/** What roles share. */
export interface RoleParts {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  readonly logs: LogStore;
  readonly peers: Peers;
  readonly directory: Directory;
  readonly logger: Logger;
  readonly runtime: Runtime;
  readonly health: Health;
  /** Listeners for metrics. */
  readonly onNameGone: (dbName: string, name: string) => void;
  readonly onBuilt: (milliseconds: number) => void;
  readonly onRead: StreamingNodeDeps['onRead'];
}

const MIB = 1024 * 1024;
const BUILDS_WAITING_MAX = 64;

/** One log serves all shards of a process (R9), so that one fsync does. */
export const PCHANNELS = [namePchannel(0)] as const;

export function readRoleSettings(config: Config): RoleSettings {
  const segmentBytesMax = config['dataCoord.segment.maxSize'] * MIB;
  return {
    limits: {
      maxDatabaseNum: config['rootCoord.maxDatabaseNum'],
      maxPartitionNum: config['rootCoord.maxPartitionNum'],
      maxGeneralCapacity: config['rootCoord.maxGeneralCapacity'],
      maxCollectionNum: config['quotaAndLimits.limits.maxCollectionNum'],
      maxCollectionNumPerDb: config['quotaAndLimits.limits.maxCollectionNumPerDB'],
      defaultPartitionName: config['common.defaultPartitionName'],
      pchannels: PCHANNELS,
    },
    segmentBytesMax,
    growingSegmentBytesMax: segmentBytesMax * config['dataCoord.segment.sealProportion'],
    isAutoCompactionOn: config['dataCoord.compaction.enableAutoCompaction'],
    mvccRetentionMs: config['elanus.mvccRetentionSeconds'] * 1000,
    scrubIntervalMs: config['elanus.scrubIntervalSeconds'] * 1000,
    indexRowsMin: config['rootCoord.minSegmentSizeToEnableIndex'],
    searchThreads: config['elanus.threads.search'],
    waitingReadsMax: config['queryNode.scheduler.unsolvedQueueSize'],
    isDamageAccepted: config['elanus.wal.acceptDamage'],
    walBytesMax: config['elanus.walBytesMax'],
    growingBytesMax: config['elanus.growingBytesMax'],
    growingLifeMsMax: config['dataCoord.segment.maxLife'] * 1000,
    buildBytesMax: config['elanus.build.memoryBytesMax'],
  };
}

/** A node: a process, or in tests a part of one. */
export interface NodePlan {
  readonly nodeId: number;
  /** That its streaming node owns; none = it has no such role. */
  readonly pchannels: readonly string[];
  readonly hasQueryNode: boolean;
}

interface Node {
  readonly nodeId: number;
  readonly querynode?: QueryNodeRole;
  readonly streamingnode?: StreamingNodeRole;
}

/** All roles of a system, but for the proxy. */
export interface System {
  readonly coordinators: ReturnType<typeof makeCoordinators>;
  readonly workers: ReturnType<typeof makeWorkers>;
  readonly buildMemory: ByteBudget;
  readonly nodes: readonly Node[];
}

export function makeDirectory(plans: readonly NodePlan[]): Directory {
  return new Directory({
    owners: plans.flatMap(({ nodeId, pchannels }) =>
      pchannels.map((pchannel) => [pchannel, nodeId] as const),
    ),
    queryNodes: plans.filter(({ hasQueryNode }) => hasQueryNode).map(({ nodeId }) => nodeId),
  });
}

export function makeSystem(
  settings: RoleSettings,
  parts: RoleParts,
  plans: readonly NodePlan[],
): System {
  const buildMemory = makeBuildBudget(settings, parts.runtime);
  return {
    coordinators: makeCoordinators(settings, parts),
    workers: makeWorkers(parts, buildMemory),
    buildMemory,
    nodes: plans.map((plan) => makeNode(settings, parts, plan)),
  };
}

/** Roles are found through it from here on; coordinators and workers are the first node's. */
export function addToRoleSet(roleSet: RoleSet, { coordinators, workers, nodes }: System): void {
  for (const [i, { nodeId, ...roles }] of nodes.entries()) {
    roleSet.add(nodeId, i === 0 ? { ...coordinators, ...workers, ...roles } : roles);
  }
}

/** The coordinators, of which there is one each. */
function makeCoordinators(settings: RoleSettings, parts: RoleParts) {
  const { catalog, storage, peers, logger, runtime, health, directory, onNameGone } = parts;
  const { limits, segmentBytesMax, isAutoCompactionOn, mvccRetentionMs } = settings;
  const rootcoord = new RootCoordRole({
    ...{ catalog, peers, runtime, health, limits, onNameGone },
    logger: logger.child({ role: 'rootcoord' }),
  });
  const datacoord = new DataCoordRole({
    ...{ catalog, storage, peers, runtime },
    logger: logger.child({ role: 'datacoord' }),
    ...{ segmentBytesMax, isAutoCompactionOn, mvccRetentionMs },
    scrubIntervalMs: settings.scrubIntervalMs,
  });
  const indexcoord = new IndexCoordRole({
    ...{ catalog, peers, runtime, health },
    logger: logger.child({ role: 'indexcoord' }),
    indexRowsMin: settings.indexRowsMin,
  });
  const { queryNodes } = directory;
  const querycoord = new QueryCoordRole({ catalog, peers, queryNodes });
  return { rootcoord, datacoord, indexcoord, querycoord };
}

/** Builds and merges wait for each other as long as it takes; few are under way at a time. */
function makeBuildBudget({ buildBytesMax }: RoleSettings, runtime: Runtime): ByteBudget {
  return new ByteBudget({
    bytesMax: buildBytesMax,
    waitingMax: BUILDS_WAITING_MAX,
    waitMs: Infinity,
    sleep: (delayMs, signal) => runtime.sleep(delayMs, signal),
    refuse: ({ need, have, limit }) =>
      new MilvusError('TooManyRequests', { fields: { need, have, limit } }),
  });
}

/** What builds and merges. */
function makeWorkers({ storage, runtime, onBuilt }: RoleParts, buildMemory: ByteBudget) {
  const nowMs = (): number => runtime.nowMs();
  return {
    datanode: new DataNodeRole({ storage, buildMemory }),
    indexnode: new IndexNodeRole({ storage, buildMemory, nowMs, onBuilt }),
  };
}

export function makeNode(settings: RoleSettings, parts: RoleParts, plan: NodePlan): Node {
  const { storage, logs, peers, runtime, health, logger, onRead } = parts;
  const { nodeId, pchannels, hasQueryNode } = plan;
  // A streaming node and a query node of one process read with the same threads.
  const reads = new ReadSlots(settings.searchThreads, settings.waitingReadsMax);
  const node: { -readonly [Name in keyof Node]: Node[Name] } = { nodeId };
  if (hasQueryNode) {
    node.querynode = new QueryNodeRole({
      ...{ storage, peers, runtime, reads },
      logger: logger.child({ role: 'querynode' }),
    });
  }
  if (pchannels.length === 0) return node;
  const { isDamageAccepted, mvccRetentionMs, walBytesMax, growingBytesMax } = settings;
  node.streamingnode = new StreamingNodeRole({
    ...{ logs, pchannels, storage, peers, runtime, health, reads, onRead },
    logger: logger.child({ role: 'streamingnode' }),
    ...{ isDamageAccepted, mvccRetentionMs, walBytesMax, growingBytesMax },
    segmentBytesMax: settings.growingSegmentBytesMax,
    growingLifeMsMax: settings.growingLifeMsMax,
  });
  return node;
}

/** Starts the roles; `stops` gets what stops them again, to be run from its end on. */
export async function startRoles(
  { coordinators, workers, nodes }: System,
  stops: (() => Promise<void>)[],
): Promise<void> {
  const { rootcoord, datacoord, indexcoord, querycoord } = coordinators;
  const { datanode, indexnode } = workers;
  await rootcoord.start();
  stops.push(() => rootcoord.stop());
  await datacoord.start();
  stops.push(() => datacoord.stop().then(() => datanode.stop()));
  await indexcoord.start();
  stops.push(async () => {
    await indexnode.stop();
    await indexcoord.stop();
  });
  for (const { querynode } of nodes) if (querynode) stops.push(() => querynode.stop());
  for (const { streamingnode } of nodes) {
    if (streamingnode === undefined) continue;
    // Before: a start that fails leaves logs open.
    stops.push(() => streamingnode.stop());
    await streamingnode.start();
  }
  await querycoord.start();
  await rootcoord.finishDrops();
  indexcoord.resume();
  datacoord.resume();
  for (const { streamingnode } of nodes) streamingnode?.resume();
}
