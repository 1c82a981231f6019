// What a shard's readers see: growing segments in native memory, and sealed ones with the query
// nodes that hold them. Changed only in one synchronous step, so that no reader meets both a
// segment and its successor (R3).

import type { NativeSegment } from '../../index/native.ts';
import type { SegmentInfo } from '../../model/segment-info.ts';

/**
 * `open`: rows are assigned to it. `closing`: none any more; those that were are on their way into
 * the log. `closed`: the record of its seal is behind them. `sealing`: that is applied, and it is
 * being written.
 */
export type GrowingPhase = 'open' | 'closing' | 'closed' | 'sealing';

export interface GrowingSegment {
  readonly segmentId: bigint;
  readonly partitionId: bigint;
  readonly handle: NativeSegment;
  /**
   * Position of the record that it was born in: replay must begin there while it is not written
   * (R1). Larger than any while it has no rows.
   */
  firstPosition: bigint;
  /** Of that record: no row is older. */
  firstTimestamp: bigint;
  lastPosition: bigint;
  rows: number;
  /** Of the row batches that it took. */
  bytes: number;
  /** What native holds for it, as charged to the budget. */
  memoryBytes: number;
  phase: GrowingPhase;
  /** Why it could not be written the last time; undefined while it is being tried. */
  failure: string | undefined;
  /** Its file, which is being written, lacks the rows deleted up to here. */
  deletesUpTo: bigint | undefined;
}

/** A sealed segment with its holder. */
export interface PlacedSegment extends SegmentInfo {
  readonly nodeId: number;
}

/** Segments by the query node that holds them. */
export type IdsByNode = ReadonlyMap<number, readonly bigint[]>;

export class View {
  /** Sealed segments are in it: they are opened after the log has been read. */
  isComplete = false;
  readonly growing = new Map<bigint, GrowingSegment>();
  readonly sealed = new Map<bigint, PlacedSegment>();

  /** `partitionIds` empty = all. */
  selectGrowing(partitionIds: readonly bigint[]): NativeSegment[] {
    const handles: NativeSegment[] = [];
    for (const { partitionId, handle } of this.growing.values()) {
      if (isSelected(partitionIds, partitionId)) handles.push(handle);
    }
    return handles;
  }

  selectSealed(partitionIds: readonly bigint[]): IdsByNode {
    const selected: PlacedSegment[] = [];
    for (const segment of this.sealed.values()) {
      if (isSelected(partitionIds, segment.partitionId)) selected.push(segment);
    }
    return groupByNode(selected);
  }
}

export function groupByNode(segments: Iterable<PlacedSegment>): IdsByNode {
  const groups = new Map<number, bigint[]>();
  for (const { segmentId, nodeId } of segments) {
    const ids = groups.get(nodeId);
    if (ids === undefined) groups.set(nodeId, [segmentId]);
    else ids.push(segmentId);
  }
  return groups;
}

function isSelected(partitionIds: readonly bigint[], partitionId: bigint): boolean {
  return partitionIds.length === 0 || partitionIds.includes(partitionId);
}
