// Flush, its state, compaction, and what clients ask about segments.

import { invalidParameter, MilvusError } from '../../../model/error.ts';
import { SegmentState } from '../../../model/segment-info.ts';
import type { FlushReply, LoadStatus } from '../../../rpc/contract.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';

const MS_PER_SECOND = 1000;
const MIB = 1024 * 1024;

export async function flush(
  proxy: Proxy,
  request: { db_name: string; collection_names: readonly string[] },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  if (request.collection_names.length === 0)
    throw invalidParameter('collection names should not be empty');
  const infos = await Promise.all(
    request.collection_names.map((name) => requireCollection(proxy, dbName, name, context)),
  );
  const replies: [string, FlushReply][] = [];
  for (const [i, { collectionId }] of infos.entries()) {
    const reply = await proxy.peers.datacoord.flush({ collectionId }, context);
    replies.push([request.collection_names[i]!, reply]);
  }
  const toMap = (pick: (reply: FlushReply) => unknown): object =>
    Object.fromEntries(replies.map(([name, reply]) => [name, pick(reply)]));
  return {
    status: OK_STATUS,
    db_name: dbName,
    coll_segIDs: toMap((reply) => ({ data: reply.segmentIds.map(String) })),
    flush_coll_segIDs: toMap((reply) => ({ data: reply.flushedSegmentIds.map(String) })),
    coll_seal_times: toMap(() => String(Math.floor(proxy.deps.runtime.nowMs() / MS_PER_SECOND))),
    coll_flush_ts: toMap((reply) => String(reply.timestamp)),
  };
}

export async function getFlushState(
  proxy: Proxy,
  request: {
    db_name: string;
    collection_name: string;
    segmentIDs: readonly string[];
    flush_ts: string;
  },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  if (request.collection_name === '') return { status: OK_STATUS, flushed: true };
  const { collectionId } = await requireCollection(proxy, dbName, request.collection_name, context);
  const { flushed } = await proxy.peers.datacoord.getFlushState(
    {
      collectionId,
      segmentIds: request.segmentIDs.map(BigInt),
      timestamp: BigInt(request.flush_ts),
    },
    context,
  );
  return { status: OK_STATUS, flushed };
}

export async function flushAll(
  proxy: Proxy,
  _request: object,
  context: RequestContext,
): Promise<object> {
  const { rootcoord, datacoord } = proxy.peers;
  // First: what is written while the collections are flushed is not promised.
  const { first } = await rootcoord.allocateTimestamps({ count: 1 }, context);
  const { collections } = await rootcoord.listCollections({}, context);
  const failures: unknown[] = [];
  for (const { collectionId } of collections) {
    // A collection that is stopped must not keep the others from being flushed.
    await datacoord.flush({ collectionId }, context).catch((error) => failures.push(error));
  }
  if (failures.length > 0) throw failures[0];
  return { status: OK_STATUS, flush_all_ts: String(first), flush_results: [] };
}

/**
 * True when no row of the time before the FlushAll is in memory only, whatever was tried.
 * @throws MilvusError ServiceInternal while a segment with such rows cannot be written,
 *   ChannelNotAvailable when a collection has stopped
 */
export async function getFlushAllState(
  proxy: Proxy,
  request: { flush_all_ts: string },
  context: RequestContext,
): Promise<object> {
  const before = BigInt(request.flush_all_ts);
  const { rootcoord, streamingnode } = proxy.peers;
  const { collections } = await rootcoord.listCollections({}, context);
  for (const { collectionId } of collections) {
    const request = { collectionId, mustServe: true };
    const { segments } = await streamingnode.listGrowing(request, context);
    const left = segments.filter(
      ({ firstTimestamp }) => before === 0n || firstTimestamp <= before,
    );
    for (const { segmentId, failure } of left) {
      if (failure === undefined) continue;
      throw new MilvusError('ServiceInternal', {
        message: 'segment not written',
        fields: { segment: segmentId, reason: failure },
      });
    }
    if (left.length === 0) continue;
    return { status: OK_STATUS, flushed: false };
  }
  return { status: OK_STATUS, flushed: true };
}

export async function manualCompaction(
  proxy: Proxy,
  request: {
    db_name: string;
    collection_name: string;
    collectionID: string;
    major_compaction: boolean;
    target_size: string;
  },
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const ref =
    request.collection_name === ''
      ? { dbName, collectionId: BigInt(request.collectionID) }
      : { dbName, name: request.collection_name };
  const { collectionId } = await proxy.peers.rootcoord.describeCollection(ref, context);
  const targetBytes = readTargetBytes(request.target_size);
  const { compactionId, planCount } = await proxy.peers.datacoord.compact(
    targetBytes === undefined ? { collectionId } : { collectionId, targetBytes },
    context,
  );
  return { status: OK_STATUS, compactionID: String(compactionId), compactionPlanCount: planCount };
}

/** MiB; 0 and the largest int64 leave the size to the server. */
function readTargetBytes(targetSize: string): number | undefined {
  const size = BigInt(targetSize);
  return size === 0n || size === 2n ** 63n - 1n ? undefined : Number(size) * MIB;
}

/** Numbers of common.CompactionState. */
const COMPACTION_STATE = { executing: 1, completed: 2 } as const;

export async function getCompactionState(
  proxy: Proxy,
  request: { compactionID: string },
  context: RequestContext,
): Promise<object> {
  const status = await proxy.peers.datacoord.getCompactionState(
    { compactionId: BigInt(request.compactionID) },
    context,
  );
  return {
    status: OK_STATUS,
    state: COMPACTION_STATE[status.state],
    executingPlanNo: String(status.executing),
    timeoutPlanNo: '0',
    completedPlanNo: String(status.completed),
    failedPlanNo: String(status.failed),
  };
}

export async function getCompactionStateWithPlans(
  proxy: Proxy,
  request: { compactionID: string },
  context: RequestContext,
): Promise<object> {
  const status = await proxy.peers.datacoord.getCompactionState(
    { compactionId: BigInt(request.compactionID) },
    context,
  );
  return {
    status: OK_STATUS,
    state: COMPACTION_STATE[status.state],
    mergeInfos: status.plans.map(({ inputs, target }) => ({
      sources: inputs.map(String),
      target: String(target),
    })),
  };
}

interface SegmentsRequest {
  readonly dbName: string;
  readonly collectionName: string;
}

/** Sealed segments in storage; growing ones exist in the WAL only. */
export async function getPersistentSegmentInfo(
  proxy: Proxy,
  request: SegmentsRequest,
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const { collectionId } = await requireCollection(proxy, dbName, request.collectionName, context);
  const { segments } = await proxy.peers.datacoord.listSegments({ collectionId }, context);
  return {
    status: OK_STATUS,
    infos: segments.map((segment) => ({
      segmentID: String(segment.segmentId),
      collectionID: String(collectionId),
      partitionID: String(segment.partitionId),
      num_rows: String(segment.rows),
      state: SegmentState.Flushed,
      level: 2,
      is_sorted: true,
    })),
  };
}

/**
 * What is loaded for reading and written: as in Milvus growing segments are not listed, and nothing
 * of a collection or partition that is released.
 */
export async function getQuerySegmentInfo(
  proxy: Proxy,
  request: SegmentsRequest,
  context: RequestContext,
): Promise<object> {
  const dbName = getDbName(request, context);
  const { collectionId } = await requireCollection(proxy, dbName, request.collectionName, context);
  const load = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  const { segments } = await proxy.peers.datacoord.listSegments({ collectionId }, context);
  const loaded = segments.filter(({ partitionId }) => isPartitionLoaded(load, partitionId));
  return {
    status: OK_STATUS,
    infos: loaded.map((segment) => ({
      segmentID: String(segment.segmentId),
      collectionID: String(collectionId),
      partitionID: String(segment.partitionId),
      mem_size: String(segment.fileBytes),
      num_rows: String(segment.rows),
      state: SegmentState.Sealed,
      nodeID: '1',
      nodeIds: ['1'],
      level: 2,
      is_sorted: true,
    })),
  };
}

function isPartitionLoaded({ state, partitionIds }: LoadStatus, partitionId: bigint): boolean {
  if (state !== 'loaded') return false;
  return partitionIds.length === 0 || partitionIds.includes(partitionId);
}
