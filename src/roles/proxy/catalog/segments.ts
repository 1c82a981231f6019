// Flush, its state, compaction, and what clients ask about segments.

import { invalidParameter, MilvusError } from '../../../model/error.ts';
import type { SegmentInfo } from '../../../model/segment-info.ts';
import type { CompactionStatus, FlushReply } from '../../../rpc/contract.ts';
import { listGrowing } from '../../../rpc/shards.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { isPartitionLoaded } from './load.ts';

export interface CollectionFlush extends FlushReply {
  readonly collectionName: string;
  readonly sealedMs: number;
}

/** Answers when the segments are sealed; they are written later. */
export async function flush(
  proxy: Proxy,
  { collectionNames }: { readonly collectionNames: readonly string[] },
  context: RequestContext,
): Promise<readonly CollectionFlush[]> {
  if (collectionNames.length === 0)
    throw invalidParameter('collection names should not be empty');
  const infos = await Promise.all(
    collectionNames.map((name) => requireCollection(proxy, name, context)),
  );
  const flushes: CollectionFlush[] = [];
  for (const [i, { collectionId }] of infos.entries()) {
    const reply = await proxy.peers.datacoord.flush({ collectionId }, context);
    const sealedMs = proxy.deps.runtime.nowMs();
    flushes.push({ ...reply, collectionName: collectionNames[i]!, sealedMs });
  }
  return flushes;
}

interface FlushStateInput {
  /** '' = there is nothing to ask about. */
  readonly collectionName: string;
  readonly segmentIds: readonly bigint[];
  readonly timestamp: bigint;
}

export async function getFlushState(
  proxy: Proxy,
  { collectionName, segmentIds, timestamp }: FlushStateInput,
  context: RequestContext,
): Promise<boolean> {
  if (collectionName === '') return true;
  const { collectionId } = await requireCollection(proxy, collectionName, context);
  const request = { collectionId, segmentIds, timestamp };
  return (await proxy.peers.datacoord.getFlushState(request, context)).flushed;
}

/** Returns the timestamp up to which everything is flushed. */
export async function flushAll(
  proxy: Proxy,
  _input: object,
  context: RequestContext,
): Promise<bigint> {
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
  return first;
}

/**
 * True when no row of the time before the FlushAll is in memory only, whatever was tried.
 * @param before  timestamp of the FlushAll; 0 = now
 * @throws MilvusError ServiceInternal while a segment with such rows cannot be written,
 *   ChannelNotAvailable when a collection has stopped
 */
export async function getFlushAllState(
  proxy: Proxy,
  { before }: { readonly before: bigint },
  context: RequestContext,
): Promise<boolean> {
  const { rootcoord } = proxy.peers;
  const { collections } = await rootcoord.listCollections({}, context);
  for (const { collectionId } of collections) {
    const options = { mustServe: true, call: context };
    const segments = await listGrowing(proxy.peers, collectionId, options);
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
    return false;
  }
  return true;
}

interface CompactInput {
  /** By its name, or where that is '' by its id. */
  readonly collectionName: string;
  readonly collectionId: bigint;
  /** Of the segments that are made; undefined = as the server sees fit. */
  readonly targetBytes: number | undefined;
}

export async function compact(
  proxy: Proxy,
  { collectionName, collectionId: id, targetBytes }: CompactInput,
  context: RequestContext,
): Promise<{ compactionId: bigint; planCount: number }> {
  const { dbName } = context;
  const ref =
    collectionName === '' ? { dbName, collectionId: id } : { dbName, name: collectionName };
  const { collectionId } = await proxy.peers.rootcoord.describeCollection(ref, context);
  return proxy.peers.datacoord.compact(
    targetBytes === undefined ? { collectionId } : { collectionId, targetBytes },
    context,
  );
}

export async function getCompactionState(
  proxy: Proxy,
  { compactionId }: { readonly compactionId: bigint },
  context: RequestContext,
): Promise<CompactionStatus> {
  return proxy.peers.datacoord.getCompactionState({ compactionId }, context);
}

/** Sealed segments in storage; growing ones exist in the WAL only. */
export async function listStoredSegments(
  proxy: Proxy,
  { collectionName }: { readonly collectionName: string },
  context: RequestContext,
): Promise<readonly SegmentInfo[]> {
  const { collectionId } = await requireCollection(proxy, collectionName, context);
  return (await proxy.peers.datacoord.listSegments({ collectionId }, context)).segments;
}

/**
 * What is loaded for reading and written: as in Milvus growing segments are not listed, and nothing
 * of a collection or partition that is released.
 */
export async function listLoadedSegments(
  proxy: Proxy,
  { collectionName }: { readonly collectionName: string },
  context: RequestContext,
): Promise<readonly SegmentInfo[]> {
  const { collectionId } = await requireCollection(proxy, collectionName, context);
  const load = await proxy.peers.querycoord.getLoadStatus({ collectionId }, context);
  const { segments } = await proxy.peers.datacoord.listSegments({ collectionId }, context);
  return segments.filter(({ partitionId }) => isPartitionLoaded(load, partitionId));
}
