// Reads of one shard: its growing segments here, its sealed ones at the query nodes that hold them,
// all at one timestamp, merged. Where a node has let go of a segment meanwhile, the view is taken
// again.

import type { NativeSegment } from '../../index/native.ts';
import { MilvusError } from '../../model/error.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import type { QueryParams, QueryReply, SearchParams, SearchReply } from '../../model/read.ts';
import type { CallContext, QueryNode, ShardReadRequest } from '../../rpc/contract.ts';
import { makeEmptyRows } from '../../segment/empty-rows.ts';
import { querySegments, searchSegments } from '../../segment/native-request.ts';
import { mergeQueries, mergeSearches } from '../../segment/reduce.ts';
import type { Shard } from './shard.ts';

/**
 * Swaps that one read may meet before it gives up; each needs a compaction to finish in between.
 */
const VIEW_RETRIES_MAX = 8;

export async function searchShard(
  shard: Shard,
  request: ShardReadRequest & { params: SearchParams },
  call: CallContext,
): Promise<SearchReply & { timestamp: bigint }> {
  const { params } = request;
  const { schema } = shard.info;
  return readView(shard, request, {
    readGrowing: (growing, timestamp) => searchSegments(growing, params, timestamp, call),
    readSealed: (node, segmentIds, readTimestamp) =>
      node.search({ segmentIds, readTimestamp, params }, call),
    merge: (replies) => mergeSearches(replies, params, getPrimaryKeyField(schema)),
    makeEmpty: () => ({
      counts: new Int32Array(params.nq),
      scores: new Float32Array(),
      rows: makeEmptyRows(schema, params.outputFieldIds),
      visibleRows: 0,
    }),
  });
}

export async function queryShard(
  shard: Shard,
  request: ShardReadRequest & { params: QueryParams },
  call: CallContext,
): Promise<QueryReply & { timestamp: bigint }> {
  const { params } = request;
  const { schema } = shard.info;
  return readView(shard, request, {
    readGrowing: (growing, timestamp) => querySegments(growing, params, timestamp, call),
    readSealed: (node, segmentIds, readTimestamp) =>
      node.query({ segmentIds, readTimestamp, params }, call),
    merge: (replies) => mergeQueries(replies, params, getPrimaryKeyField(schema)),
    makeEmpty: () => ({ count: 0, rows: makeEmptyRows(schema, params.outputFieldIds) }),
  });
}

/** What search and query do differently. */
interface Read<Reply> {
  readonly readGrowing: (segments: NativeSegment[], timestamp: bigint) => Promise<Reply>;
  readonly readSealed: (
    node: QueryNode,
    segmentIds: readonly bigint[],
    timestamp: bigint,
  ) => Promise<Reply>;
  readonly merge: (replies: readonly Reply[]) => Promise<Reply>;
  readonly makeEmpty: () => Reply;
}

/** The growing segments here and each holder's sealed ones, all at once. */
async function readView<Reply extends object>(
  shard: Shard,
  request: ShardReadRequest,
  read: Read<Reply>,
): Promise<Reply & { timestamp: bigint }> {
  const { reads, peers } = shard.deps;
  for (let attempt = 0; ; attempt++) {
    await shard.timestamps.makeReadable(request.pinnedTimestamp);
    await shard.sealed.deliverDeletes();
    // In the turn in which the view is taken: that of a shard that has ended is empty.
    shard.state.requireOpen();
    const partitionIds = shard.loaded.require(shard.info, request.partitionIds);
    const timestamp = shard.timestamps.choose(request.pinnedTimestamp);
    const growing = request.ignoreGrowing ? [] : shard.view.selectGrowing(partitionIds);
    const sealed = shard.view.selectSealed(partitionIds);
    try {
      const parts: Promise<Reply>[] = [];
      if (growing.length > 0) parts.push(reads.run(() => read.readGrowing(growing, timestamp)));
      for (const [nodeId, segmentIds] of sealed) {
        parts.push(read.readSealed(peers.querynode(nodeId), segmentIds, timestamp));
      }
      const replies = await Promise.all(parts);
      const reply =
        replies.length > 1 ? await read.merge(replies) : (replies[0] ?? read.makeEmpty());
      // Another node may have taken the shard meanwhile: then this is not the whole truth (R14).
      if (!shard.isSurelyOwned()) await shard.deps.wal.confirm();
      return { ...reply, timestamp };
    } catch (error) {
      const isStale = error instanceof MilvusError && error.errorName === 'SegmentNotFound';
      if (!isStale || attempt >= VIEW_RETRIES_MAX) throw error;
    }
  }
}
