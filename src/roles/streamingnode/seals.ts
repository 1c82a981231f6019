// The seals of a shard: growing segments on their way into segment files, sorted by primary key.
// Rows that were deleted before the retention horizon stay out; later deletes are applied again by
// key (R3). Invariants: what is written is closed, and the log says so; one that cannot be written
// stays readable and in the WAL, and says why. Not here: when to seal (`Sealer`, `AgeSealer`).

import assert from 'node:assert/strict';
import { createDeferred } from '../../base/deferred.ts';
import { getErrorMessage } from '../../base/error-message.ts';
import { native, type NativeSegmentWriter } from '../../index/native.ts';
import { SegmentState, type SegmentInfo } from '../../model/segment-info.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { writeSegmentFile } from '../../segment/segment-file.ts';
import type { ChannelCommits } from './channel-commits.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { ShardDeps } from './deps.ts';
import type { GrowingSegments } from './growing-segments.ts';
import type { SealedSegments } from './sealed-segments.ts';
import type { ShardHealth } from './shard-health.ts';
import type { ShardLog } from './shard-log.ts';
import type { ShardState } from './shard-state.ts';
import type { GrowingSegment } from './view.ts';

/** The pieces of the shard that a seal changes. */
export interface SealsOf {
  readonly state: ShardState;
  readonly log: ShardLog;
  readonly growing: GrowingSegments;
  readonly sealed: SealedSegments;
  readonly commits: ChannelCommits;
  readonly checkpoint: Checkpoint;
  readonly health: ShardHealth;
}

/** After a failure it is tried again, later and later. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 60_000;

export class Seals {
  readonly #deps: Pick<ShardDeps, 'runtime' | 'storage' | 'onCheckpoint'>;
  readonly #of: SealsOf;
  /** Segment id → whether the first attempt has written it, and the end of the last one. */
  readonly #running = new Map<bigint, { tried: Promise<boolean>; ended: Promise<void> }>();
  /** Ends the waits of those that have failed: they try again, or give up. */
  readonly #waits = new Set<AbortController>();

  constructor(deps: Pick<ShardDeps, 'runtime' | 'storage' | 'onCheckpoint'>, of: SealsOf) {
    this.#deps = deps;
    this.#of = of;
  }

  /** Of a segment that is closed, and the log says so. */
  begin(growing: GrowingSegment): void {
    assert.equal(growing.phase, 'closed', 'a segment is closed before it is written');
    growing.phase = 'sealing';
    // A shard that ends waits for what is being written, so nothing may begin any more.
    if (!this.#of.state.isOpen) return;
    const { segmentId } = growing;
    const tried = createDeferred<boolean>();
    const ended = this.#sealUntilWritten(growing, tried.resolve).finally(() => {
      this.#running.delete(segmentId);
    });
    this.#running.set(segmentId, { tried: tried.promise, ended });
  }

  /** Resolves after the first attempt with whether it has written the segment. */
  async whenTried(segmentId: bigint): Promise<boolean> {
    return (await this.#running.get(segmentId)?.tried) ?? false;
  }

  /** Those that wait after a failure are tried again now. */
  hurry(): void {
    for (const wait of this.#waits) wait.abort();
  }

  /** Resolves when none is under way; of a shard that is not open any more. */
  async end(): Promise<void> {
    this.hurry();
    await Promise.all([...this.#running.values()].map(({ ended }) => ended));
  }

  /** Tries until it is written or no longer wanted. Never rejects. */
  async #sealUntilWritten(
    growing: GrowingSegment,
    tell: (isWritten: boolean) => void,
  ): Promise<void> {
    const { health, state } = this.#of;
    for (let delayMs = RETRY_MS; this.#isWanted(growing); ) {
      try {
        growing.failure = undefined;
        await this.#seal(growing);
        health.clearSealFailure(growing.segmentId);
        tell(true);
        return;
      } catch (error) {
        growing.deletesUpTo = undefined;
        growing.failure = getErrorMessage(error);
        health.reportSealFailure(state.info, growing.segmentId, error);
      }
      tell(false);
      await this.#wait(delayMs);
      delayMs = Math.min(2 * delayMs, RETRY_MS_MAX);
    }
    health.clearSealFailure(growing.segmentId);
    tell(false);
    // Whoever waits for it is told; without effect on one that is gone.
    growing.failure ??= 'the collection is stopped';
  }

  #isWanted(growing: GrowingSegment): boolean {
    return this.#of.state.isOpen && this.#of.growing.has(growing);
  }

  async #wait(delayMs: number): Promise<void> {
    // A shard that ends waits for this: there is no next try.
    if (!this.#of.state.isOpen) return;
    const end = new AbortController();
    this.#waits.add(end);
    await this.#deps.runtime.sleep(delayMs, end.signal).catch(() => undefined);
    this.#waits.delete(end);
  }

  async #seal(growing: GrowingSegment): Promise<void> {
    const { log, state, commits } = this.#of;
    if (growing.rows === 0) {
      this.#of.growing.free(growing);
      return;
    }
    const deletesUpTo = await this.#chooseDeletesUpTo(growing);
    if (!this.#of.growing.has(growing)) return; // Dropped meanwhile.
    const { minTimestamp, maxTimestamp } = native.segmentStats(growing.handle);
    const writer = await native.createWriter([growing.handle], deletesUpTo);
    const written = await this.#writeFile(growing, writer);
    const segment: SegmentInfo = {
      segmentId: growing.segmentId,
      collectionId: state.info.collectionId,
      partitionId: growing.partitionId,
      vchannel: state.vchannel,
      state: written.rows > 0 ? SegmentState.Flushed : SegmentState.Dropped,
      ...written,
      deletesUpTo,
      lastPosition: growing.lastPosition,
      minTimestamp,
      maxTimestamp,
      compactedFrom: [],
    };
    try {
      await log.run(() => this.#commit(growing, segment));
    } catch (error) {
      if (segment.file !== '') await commits.giveUp([segment.file]);
      throw error;
    }
  }

  /**
   * Returns the timestamp up to which the file of this segment, about to be written, leaves deleted
   * rows out.
   */
  async #chooseDeletesUpTo(growing: GrowingSegment): Promise<bigint> {
    growing.deletesUpTo = await this.#of.checkpoint.raiseHorizon();
    return growing.deletesUpTo;
  }

  /** Writes what the writer laid out; no row, no file. */
  async #writeFile(
    { segmentId }: GrowingSegment,
    writer: NativeSegmentWriter,
  ): Promise<Pick<SegmentInfo, 'rows' | 'file' | 'fileBytes' | 'crc32c'>> {
    const { commits, state } = this.#of;
    // Read now: a field may have been added before the writer took the segment's columns.
    const { schema } = state;
    try {
      const rows = native.writerRows(writer);
      if (rows === 0) return { rows, file: '', fileBytes: 0 };
      const file = await commits.beginFile(segmentId);
      try {
        const object = await this.#deps.storage.createWriter(file);
        try {
          await writeSegmentFile(schema, getNativeFields(schema), writer, object);
          const { bytes, crc32c } = await object.finish();
          return { rows, file, fileBytes: bytes, crc32c };
        } catch (error) {
          await object.abort();
          throw error;
        }
      } catch (error) {
        await commits.giveUp([file]);
        throw error;
      }
    } finally {
      native.closeWriter(writer);
    }
  }

  /**
   * Records a written segment, pending deletes and the checkpoint in one transaction (R1), then
   * shows the segment in place of the growing one. In the shard's line.
   */
  async #commit(growing: GrowingSegment, segment: SegmentInfo): Promise<void> {
    const { sealed, checkpoint, state } = this.#of;
    const isWritten = segment.state === SegmentState.Flushed;
    if (!this.#isWanted(growing)) {
      // Dropped meanwhile, or the server stops: then the next start removes the file.
      if (isWritten && !state.isClosed) await this.#of.commits.giveUp([segment.file]);
      return;
    }
    // Opened first: what the catalog lists must be readable.
    const placed = isWritten ? await sealed.open([segment]) : [];
    try {
      // No read may be older than what a file in the view has left out.
      await sealed.deliverDeletes();
      await checkpoint.commit([segment], growing);
    } catch (error) {
      await sealed.close(placed);
      throw error;
    }
    sealed.show(placed);
    this.#of.growing.free(growing);
    this.#deps.onCheckpoint();
  }
}
