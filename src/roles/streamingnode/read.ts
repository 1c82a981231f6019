// Reads of one shard: its growing segments here, its sealed ones at the query node, both at one
// timestamp, merged. A view that changed under the query node's feet is taken again.

import { MilvusError } from '../../model/error.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import type { QueryParams, QueryReply, SearchParams, SearchReply } from '../../model/read.ts';
import type { CallContext, ShardReadRequest } from '../../rpc/contract.ts';
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
  const keyType = getPrimaryKeyField(shard.info.schema);
  return readView(shard, request, async (growing, segmentIds, readTimestamp) => {
    const parts: Promise<SearchReply>[] = [];
    if (growing.length > 0) {
      const read = () => searchSegments(growing, params, readTimestamp, call);
      parts.push(shard.deps.reads.run(read));
    }
    if (segmentIds.length > 0) {
      parts.push(shard.deps.peers.querynode.search({ segmentIds, readTimestamp, params }, call));
    }
    const replies = await Promise.all(parts);
    if (replies.length === 0) {
      const rows = makeEmptyRows(shard.info.schema, params.outputFieldIds);
      return {
        counts: new Int32Array(params.nq),
        scores: new Float32Array(),
        rows,
        visibleRows: 0,
      };
    }
    return replies.length === 1 ? replies[0]! : mergeSearches(replies, params, keyType);
  });
}

export async function queryShard(
  shard: Shard,
  request: ShardReadRequest & { params: QueryParams },
  call: CallContext,
): Promise<QueryReply & { timestamp: bigint }> {
  const { params } = request;
  const keyType = getPrimaryKeyField(shard.info.schema);
  return readView(shard, request, async (growing, segmentIds, readTimestamp) => {
    const parts: Promise<QueryReply>[] = [];
    if (growing.length > 0) {
      const read = () => querySegments(growing, params, readTimestamp, call);
      parts.push(shard.deps.reads.run(read));
    }
    if (segmentIds.length > 0) {
      parts.push(shard.deps.peers.querynode.query({ segmentIds, readTimestamp, params }, call));
    }
    const replies = await Promise.all(parts);
    if (replies.length === 0) {
      return { count: 0, rows: makeEmptyRows(shard.info.schema, params.outputFieldIds) };
    }
    return replies.length === 1 ? replies[0]! : mergeQueries(replies, params, keyType);
  });
}

type Growing = ReturnType<Shard['view']['selectGrowing']>;

async function readView<Reply extends object>(
  shard: Shard,
  request: ShardReadRequest,
  read: (growing: Growing, segmentIds: bigint[], readTimestamp: bigint) => Promise<Reply>,
): Promise<Reply & { timestamp: bigint }> {
  for (let attempt = 0; ; attempt++) {
    await shard.timestamps.makeReadable(request.pinnedTimestamp);
    await shard.sealed.deliverDeletes();
    // In the turn in which the view is taken: that of a shard that has ended is empty.
    shard.state.requireOpen();
    const partitionIds = shard.loaded.require(shard.info, request.partitionIds);
    const timestamp = shard.timestamps.choose(request.pinnedTimestamp);
    const growing = request.ignoreGrowing ? [] : shard.view.selectGrowing(partitionIds);
    const segmentIds = shard.view.selectSealed(partitionIds);
    try {
      const reply = await read(growing, segmentIds, timestamp);
      // Another node may have taken the shard meanwhile: then this is not the whole truth (R14).
      if (!shard.isSurelyOwned()) await shard.deps.wal.confirm();
      return { ...reply, timestamp };
    } catch (error) {
      const isStale = error instanceof MilvusError && error.errorName === 'SegmentNotFound';
      if (!isStale || attempt >= VIEW_RETRIES_MAX) throw error;
    }
  }
}
