// The RPCs about segments, flushing and compaction, and those about the server itself.

import { SegmentState, type SegmentInfo } from '../../../model/segment-info.ts';
import type { CompactionStatus } from '../../../rpc/contract.ts';
import * as segments from '../catalog/segments.ts';
import * as serverInfo from '../catalog/server-info.ts';
import { cold, readNothing, type Rpc } from './rpc.ts';

const MS_PER_SECOND = 1000;
const MIB = 1024 * 1024;
/** Numbers of common.CompactionState. */
const COMPACTION_STATE = { executing: 1, completed: 2 } as const;
/** Milvus' node id in a standalone. */
const NODE_ID = '1';

interface CompactionMessage {
  readonly compactionID: string;
}
interface SegmentsMessage {
  readonly collectionName: string;
}

const readCompaction = ({ compactionID }: CompactionMessage) => ({
  compactionId: BigInt(compactionID),
});
const readSegments = ({ collectionName }: SegmentsMessage) => ({ collectionName });
const replyTimestamp = (timestamp: bigint): object => ({ timestamp: String(timestamp) });
const replyFlushed = (flushed: boolean): object => ({ flushed });

export const SERVER_RPCS: Readonly<Record<string, Rpc>> = {
  Flush: cold({
    access: 'flush',
    read: ({ collection_names }: { readonly collection_names: readonly string[] }) => ({
      collectionNames: collection_names,
    }),
    run: segments.flush,
    reply: (flushes, { dbName }) => {
      const byName = (pick: (flush: segments.CollectionFlush) => unknown): object =>
        Object.fromEntries(flushes.map((each) => [each.collectionName, pick(each)]));
      return {
        db_name: dbName,
        coll_segIDs: byName((each) => ({ data: each.segmentIds.map(String) })),
        flush_coll_segIDs: byName((each) => ({ data: each.flushedSegmentIds.map(String) })),
        coll_seal_times: byName((each) => String(Math.floor(each.sealedMs / MS_PER_SECOND))),
        coll_flush_ts: byName((each) => String(each.timestamp)),
      };
    },
  }),
  FlushAll: cold({
    read: readNothing,
    run: segments.flushAll,
    reply: (timestamp) => ({ flush_all_ts: String(timestamp), flush_results: [] }),
  }),
  GetFlushState: cold({
    read: (message: {
      readonly collection_name: string;
      readonly segmentIDs: readonly string[];
      readonly flush_ts: string;
    }) => ({
      collectionName: message.collection_name,
      segmentIds: message.segmentIDs.map(BigInt),
      timestamp: BigInt(message.flush_ts),
    }),
    run: segments.getFlushState,
    reply: replyFlushed,
  }),
  GetFlushAllState: cold({
    read: ({ flush_all_ts }: { readonly flush_all_ts: string }) => ({
      before: BigInt(flush_all_ts),
    }),
    run: segments.getFlushAllState,
    reply: replyFlushed,
  }),
  ManualCompaction: cold({
    access: 'compaction',
    read: (message: {
      readonly collection_name: string;
      readonly collectionID: string;
      readonly target_size: string;
    }) => ({
      collectionName: message.collection_name,
      collectionId: BigInt(message.collectionID),
      targetBytes: readTargetBytes(message.target_size),
    }),
    run: segments.compact,
    reply: ({ compactionId, planCount }) => ({
      compactionID: String(compactionId),
      compactionPlanCount: planCount,
    }),
  }),
  GetCompactionState: cold({
    read: readCompaction,
    run: segments.getCompactionState,
    reply: (status: CompactionStatus) => ({
      state: COMPACTION_STATE[status.state],
      executingPlanNo: String(status.executing),
      timeoutPlanNo: '0',
      completedPlanNo: String(status.completed),
      failedPlanNo: String(status.failed),
    }),
  }),
  GetCompactionStateWithPlans: cold({
    read: readCompaction,
    run: segments.getCompactionState,
    reply: (status: CompactionStatus) => ({
      state: COMPACTION_STATE[status.state],
      mergeInfos: status.plans.map(({ inputs, target }) => ({
        sources: inputs.map(String),
        target: String(target),
      })),
    }),
  }),
  GetPersistentSegmentInfo: cold({
    read: readSegments,
    run: segments.listStoredSegments,
    reply: (listed) => ({
      infos: listed.map((each) => ({ ...describeSegment(each), state: SegmentState.Flushed })),
    }),
  }),
  GetQuerySegmentInfo: cold({
    read: readSegments,
    run: segments.listLoadedSegments,
    reply: (listed) => ({
      infos: listed.map((each) => ({
        ...describeSegment(each),
        mem_size: String(each.fileBytes),
        state: SegmentState.Sealed,
        nodeID: NODE_ID,
        nodeIds: [NODE_ID],
      })),
    }),
  }),

  Connect: cold({
    read: readNothing,
    run: serverInfo.connect,
    reply: ({ identifier, version, buildTime }) => ({
      identifier: String(identifier),
      server_info: {
        build_tags: version,
        build_time: buildTime,
        git_commit: '',
        go_version: '',
        deploy_mode: 'STANDALONE',
        reserved: {},
      },
    }),
  }),
  GetVersion: cold({
    read: readNothing,
    run: serverInfo.getVersion,
    reply: (version) => ({ version }),
  }),
  AllocTimestamp: cold({
    read: readNothing,
    run: serverInfo.allocateTimestamp,
    reply: replyTimestamp,
  }),
  CheckHealth: cold({
    read: readNothing,
    run: serverInfo.listProblems,
    reply: (reasons) => ({ isHealthy: reasons.length === 0, reasons, quota_states: [] }),
  }),
  GetComponentStates: cold({
    read: readNothing,
    run: serverInfo.listComponentStates,
    reply: (listed) => {
      const components = listed.map(({ name, code, reasons = [] }) => ({
        nodeID: NODE_ID,
        role: name,
        state_code: code,
        extra_info: reasons.map((value) => ({ key: 'reason', value })),
      }));
      const { state_code } = components[0]!;
      const state = { nodeID: NODE_ID, role: 'standalone', state_code, extra_info: [] };
      return { state, subcomponent_states: components };
    },
  }),
  // SDKs report how they are used. Without commands in the answer they do nothing more about it.
  ClientHeartbeat: cold({
    read: readNothing,
    run: serverInfo.getTimeMs,
    reply: (nowMs) => ({ server_timestamp: String(nowMs), commands: [] }),
  }),
};

/** MiB; 0 and the largest int64 leave the size to the server. */
function readTargetBytes(targetSize: string): number | undefined {
  const size = BigInt(targetSize);
  return size === 0n || size === 2n ** 63n - 1n ? undefined : Number(size) * MIB;
}

function describeSegment(segment: SegmentInfo): object {
  return {
    segmentID: String(segment.segmentId),
    collectionID: String(segment.collectionId),
    partitionID: String(segment.partitionId),
    num_rows: String(segment.rows),
    level: 2,
    is_sorted: true,
  };
}
