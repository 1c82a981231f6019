// Live rows of one shard, by partition.

import { native } from '../../index/native.ts';
import type { SegmentStats } from '../../model/segment-info.ts';
import type { ShardStats } from '../../rpc/contract.ts';
import type { View } from './view.ts';

interface Counts {
  rows: number;
  growingRows: number;
  growingBytes: number;
}

/** Counts what the view holds when it is called: the sealed part comes from the query nodes. */
export async function countRows(
  view: View,
  getSealed: () => Promise<readonly SegmentStats[]>,
): Promise<ShardStats[]> {
  const partitionOf = new Map(
    [...view.sealed.values()].map((segment) => [segment.segmentId, segment.partitionId]),
  );
  const counts = new Map<bigint, Counts>();
  const countOf = (partitionId: bigint): Counts => {
    const found = counts.get(partitionId) ?? { rows: 0, growingRows: 0, growingBytes: 0 };
    counts.set(partitionId, found);
    return found;
  };
  for (const { handle, partitionId, bytes } of view.growing.values()) {
    const { rows, deletedRows } = native.segmentStats(handle);
    const count = countOf(partitionId);
    count.rows += rows - deletedRows;
    count.growingRows += rows;
    count.growingBytes += bytes;
  }
  for (const { segmentId, rows, deletedRows } of await getSealed()) {
    countOf(partitionOf.get(segmentId) ?? 0n).rows += rows - deletedRows;
  }
  return [...counts].map(([partitionId, count]) => ({ partitionId, ...count }));
}
