// A shard's growing segments: which one takes the rows of a partition, and what happens to them. A
// segment is made when the first write is assigned to it, and born when the first record is applied
// (R2); before that it has no rows and readers find nothing in it.

import assert from 'node:assert/strict';
import type { DeleteRun } from '../../codec/delete-batch.ts';
import { native } from '../../index/native.ts';
import type { GrowingSegmentInfo } from '../../model/growing-segment.ts';
import type { InsertPart } from '../../rpc/contract.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import type { GrowingBudget } from './growing-budget.ts';
import type { ShardState } from './shard-state.ts';
import type { GrowingSegment, View } from './view.ts';

const NONE: readonly GrowingSegment[] = [];
/** Of a segment without rows: larger than any. */
const NO_POSITION = 2n ** 62n;

export interface GrowingSegmentsDeps {
  readonly view: View;
  readonly budget: GrowingBudget;
  /** A segment takes no more rows at this size. */
  readonly segmentBytesMax: number;
  readonly takeId: () => bigint;
  readonly state: ShardState;
  /** A segment has got its first record. */
  readonly onBorn: (segmentId: bigint, timestamp: bigint) => void;
}

/** Rows of a record for one segment. */
export interface AssignedRows {
  readonly partitionId: bigint;
  readonly segmentId: bigint;
  readonly rows: number;
  readonly batch: Uint8Array;
}

export class GrowingSegments {
  readonly #deps: GrowingSegmentsDeps;
  /** Partition id → the segment that takes its rows, and the bytes assigned to it. */
  readonly #open = new Map<bigint, { readonly growing: GrowingSegment; bytes: number }>();

  readonly #full = new Set<GrowingSegment>();

  constructor(deps: GrowingSegmentsDeps) {
    this.#deps = deps;
  }

  /** Returns the segment that will take the rows. */
  assign({ partitionId, batch }: InsertPart): GrowingSegment {
    let open = this.#open.get(partitionId);
    if (open === undefined || open.bytes >= this.#deps.segmentBytesMax) {
      open = { growing: this.#add(this.#deps.takeId(), partitionId), bytes: 0 };
      this.#open.set(partitionId, open);
    }
    open.bytes += batch.byteLength;
    return open.growing;
  }

  /** Rows that were assigned to it will not come. */
  unassign(growing: GrowingSegment, batch: Uint8Array): void {
    const open = this.#open.get(growing.partitionId);
    if (open?.growing === growing) open.bytes -= batch.byteLength;
    // It was closed for them, and would stay as it is, with few rows or none.
    else if (growing.phase === 'open') this.#full.add(growing);
  }

  append(part: AssignedRows, timestamp: bigint, position: bigint): GrowingSegment {
    const { segmentId, partitionId, rows, batch } = part;
    const growing = this.#deps.view.growing.get(segmentId) ?? this.#add(segmentId, partitionId);
    assert(growing.phase !== 'sealing', 'no row is applied behind the seal of its segment');
    const memoryBytes = native.appendRows(growing.handle, batch, timestamp);
    this.#deps.budget.charge(memoryBytes - growing.memoryBytes);
    growing.memoryBytes = memoryBytes;
    assert(growing.rows === 0 || position >= growing.lastPosition, 'positions never fall');
    if (growing.rows === 0) {
      growing.firstPosition = position;
      growing.firstTimestamp = timestamp;
      this.#deps.onBorn(segmentId, timestamp);
    }
    growing.rows += rows;
    growing.bytes += batch.byteLength;
    growing.lastPosition = position;
    if (growing.bytes >= this.#deps.segmentBytesMax) this.#full.add(growing);
    return growing;
  }

  /** The same for a record of the log's tail: the segment goes on taking rows. */
  replay(part: AssignedRows, timestamp: bigint, position: bigint): void {
    const growing = this.append(part, timestamp, position);
    assert.equal(growing.phase, 'open', 'no row is read behind the seal of its segment');
    this.#open.set(part.partitionId, { growing, bytes: growing.bytes });
  }

  /** The log says that no row comes behind. Of no effect on a segment that is written, or gone. */
  replaySeal(segmentId: bigint): void {
    const growing = this.#deps.view.growing.get(segmentId);
    if (growing === undefined) return;
    this.#unlist(growing);
    growing.phase = 'closed';
  }

  delete({ keys, timestamp, killsUpTo, partitionId }: DeleteRun): void {
    const handles = this.#deps.view.selectGrowing(partitionId === 0n ? [] : [partitionId]);
    if (handles.length > 0) native.deleteKeys(handles, keys, timestamp, killsUpTo);
  }

  /** Those that have become full since the last call. */
  takeFull(): readonly GrowingSegment[] {
    if (this.#full.size === 0) return NONE;
    const full = [...this.#full];
    this.#full.clear();
    return full;
  }

  /** No further rows are assigned to it. */
  close(growing: GrowingSegment): void {
    assert.equal(growing.phase, 'open');
    growing.phase = 'closing';
    this.#unlist(growing);
  }

  /** Takes it out of the view and frees it. */
  free(growing: GrowingSegment): void {
    this.#unlist(growing);
    this.#deps.view.growing.delete(growing.segmentId);
    this.#full.delete(growing);
    this.#deps.budget.release(growing.memoryBytes);
    native.closeSegment(growing.handle);
  }

  has(growing: GrowingSegment): boolean {
    return this.#deps.view.growing.has(growing.segmentId);
  }

  /** Those that have rows. */
  list(): GrowingSegment[] {
    return [...this.#deps.view.growing.values()].filter(({ rows }) => rows > 0);
  }

  describe(vchannel: string): GrowingSegmentInfo[] {
    return this.list().map((growing) => ({
      segmentId: growing.segmentId,
      partitionId: growing.partitionId,
      vchannel,
      firstTimestamp: growing.firstTimestamp,
      rows: growing.rows,
      bytes: growing.bytes,
      isSealing: growing.phase !== 'open',
      ...(growing.failure !== undefined && { failure: growing.failure }),
    }));
  }

  #unlist(growing: GrowingSegment): void {
    const { partitionId } = growing;
    if (this.#open.get(partitionId)?.growing === growing) this.#open.delete(partitionId);
  }

  #add(segmentId: bigint, partitionId: bigint): GrowingSegment {
    const growing: GrowingSegment = {
      segmentId,
      partitionId,
      handle: native.createGrowing(getNativeFields(this.#deps.state.schema)),
      firstPosition: NO_POSITION,
      firstTimestamp: 0n,
      lastPosition: NO_POSITION,
      rows: 0,
      bytes: 0,
      memoryBytes: 0,
      phase: 'open',
      failure: undefined,
      deletesUpTo: undefined,
    };
    this.#deps.view.growing.set(segmentId, growing);
    return growing;
  }
}
