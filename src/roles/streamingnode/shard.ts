// One shard: the single writer of its vchannel, and what it holds. Writes come through `WriteLine`
// into the log and back through `ShardLog`, which applies them; what it holds is in its parts:
// growing and sealed segments, seals, deletes, checkpoint, timestamps of reads. Here they are put
// together, and here is how the shard begins, changes, stops and ends.

import { max, min } from '../../base/bigint.ts';
import { getErrorMessage } from '../../base/error-message.ts';
import { decodeWalMessage } from '../../codec/wal-message.ts';
import { native } from '../../index/native.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import type { GrowingSegmentInfo } from '../../model/growing-segment.ts';
import {
  SegmentState,
  type ChannelInfo,
  type SegmentInfo,
} from '../../model/segment-info.ts';
import type { ShardStats } from '../../rpc/contract.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { ChannelCommits } from './channel-commits.ts';
import { Checkpoint } from './checkpoint.ts';
import { DeleteBuffer } from './delete-buffer.ts';
import type { ShardDeps } from './deps.ts';
import { GrowingSegments } from './growing-segments.ts';
import { LoadedPartitions } from './loaded-partitions.ts';
import { ReadTimestamps } from './read-timestamps.ts';
import { SealedSegments } from './sealed-segments.ts';
import { Seals } from './seals.ts';
import { SegmentIdStock } from './segment-id-stock.ts';
import { createLostLogError, ShardHealth } from './shard-health.ts';
import { ShardLog } from './shard-log.ts';
import { ShardState } from './shard-state.ts';
import { countRows } from './stats.ts';
import { View, type GrowingSegment } from './view.ts';
import { WriteLine } from './write-line.ts';

/** Deletes held in memory before they are written to a delete file. */
const PENDING_DELETE_BYTES_MAX = 8 * 1024 * 1024;

export class Shard {
  readonly deps: ShardDeps;
  readonly state: ShardState;
  readonly view = new View();
  readonly loaded = new LoadedPartitions();
  readonly writes: WriteLine;
  readonly sealed: SealedSegments;
  readonly timestamps: ReadTimestamps;

  readonly #log: ShardLog;
  readonly #growing: GrowingSegments;
  readonly #seals: Seals;
  readonly #deletes: DeleteBuffer;
  readonly #checkpoint: Checkpoint;
  readonly #health: ShardHealth;
  /** What the log has before it is in segments and delete files (R1). */
  readonly #replayFrom: bigint;
  /** At start-up what the catalog knows, tombstones too: replay skips their records (R2). */
  #known: ReadonlyMap<bigint, SegmentInfo>;
  /** From where on a restart needs the log of a shard that has stopped (R8). */
  #keepFrom: bigint | undefined;

  constructor(
    deps: ShardDeps,
    state: ShardState,
    channel: ChannelInfo,
    segments: readonly SegmentInfo[],
  ) {
    const { collectionId, vchannel, commitSeq = 0 } = channel;
    const { view } = this;
    const { peers } = deps;
    this.deps = deps;
    this.state = state;
    this.#health = new ShardHealth(deps, vchannel);
    this.#replayFrom = channel.checkpoint;
    this.#known = new Map(segments.map((segment) => [segment.segmentId, segment]));
    const deletes = new DeleteBuffer(channel.deleteFiles);
    this.#deletes = deletes;
    const ids = new SegmentIdStock(peers.rootcoord);
    const growing = new GrowingSegments({ ...deps, view, state, takeId: () => ids.take() });
    this.#growing = growing;
    const commits = new ChannelCommits({ ...deps, collectionId, vchannel, commitSeq });
    this.sealed = new SealedSegments({
      ...{ peers, view, deletes, state, term: deps.term },
      onDeletes: () => commits.reportDeletes(),
      onDeletesLost: (error) =>
        this.stop(`deletes before record ${this.#log.applied + 1n}: ${getErrorMessage(error)}`),
    });
    const held = { state, view, growing, deletes, sealed: this.sealed, commits };
    this.#log = new ShardLog({
      ...held,
      onSealed: (segment) => this.#seals.begin(segment),
      onBroken: (position, error) =>
        this.stop(`record ${position}: ${getErrorMessage(error)}`, position),
      onApplied: () => this.#afterApply(),
    });
    const log = this.#log;
    this.#checkpoint = new Checkpoint(deps, { ...held, log });
    const checkpoint = this.#checkpoint;
    this.#seals = new Seals(deps, { ...held, log, checkpoint, health: this.#health });
    this.writes = new WriteLine({
      ...{ ...deps, ...held, log },
      fillIds: (parts) => ids.fill(parts),
      takeTimestamps: async (count) =>
        (await peers.rootcoord.allocateTimestamps({ count }, {})).first,
    });
    this.timestamps = new ReadTimestamps({ ...held, peers, log, checkpoint, writes: this.writes });
    let last = max(state.info.createdTimestamp, deletes.lastFileTimestamp());
    for (const { maxTimestamp, deletesUpTo } of segments) {
      last = max(last, maxTimestamp);
      checkpoint.horizon = max(checkpoint.horizon, deletesUpTo);
    }
    log.moveTo(0n, last);
  }

  get vchannel(): string {
    return this.state.vchannel;
  }

  get info(): CollectionInfo {
    return this.state.info;
  }

  /** Timestamp of the last applied record. */
  get lastTimestamp(): bigint {
    return this.#log.lastTimestamp;
  }

  /**
   * After a schema change new rows go to new segments: a segment's columns are fixed when it is
   * born. Resolves when the older ones read added fields as their defaults (R25).
   */
  async update(info: CollectionInfo): Promise<void> {
    const { schema } = info;
    const isNewSchema = schema.version !== this.info.schema.version;
    this.state.info = info;
    if (!isNewSchema) return;
    const segments = [...this.view.growing.values()];
    for (const { handle } of segments) native.updateSchema(handle, getNativeFields(schema));
    this.#sealInBackground(segments);
    // After the segments that are just being opened with the schema before.
    await this.#log.run(() => this.sealed.updateSchema(schema));
  }

  // --- start-up ---

  /**
   * Applies a record of the WAL's tail, in the log's order, before anything else happens. One that
   * cannot be applied stops this collection, not the server (R8).
   */
  replay(record: Uint8Array, position: bigint, place: string): void {
    if (this.#keepFrom !== undefined) return;
    try {
      const message = decodeWalMessage(record);
      this.#log.moveTo(position, message.timestamp);
      // The log is cut by whole files: older records are in segments by now, or gone for good (P3).
      if (position < this.#replayFrom) return;
      this.#log.replay(message, position, (segmentId) => this.#known.has(segmentId));
    } catch (error) {
      if (position >= this.#replayFrom) this.stop(`${place}: ${getErrorMessage(error)}`, position);
    }
  }

  /** The log has lost records, `to` the last of them: without them the shard would lie (R9). */
  replayDamage(to: bigint, reason: string): void {
    if (this.#replayFrom <= to) this.stop(reason);
  }

  /**
   * Opens the sealed segments, with every delete that they lack. After replay; from then on it
   * serves. A file that cannot be opened stops this collection, not the server (R8).
   */
  async openSealed(): Promise<void> {
    if (!this.state.isOpening) return;
    const segments = [...this.#known.values()].filter((s) => s.state === SegmentState.Flushed);
    try {
      if (segments.length > 0) this.sealed.show(await this.sealed.open(segments));
      this.view.isComplete = true;
      await this.#requireOwnLog();
      this.#known = new Map();
      this.state.open();
    } catch (error) {
      this.stop(getErrorMessage(error));
    }
  }

  /** Goes on with the seals that the log has told of. When others serve, too. */
  resumeSeals(): void {
    for (const growing of this.view.growing.values()) {
      if (growing.phase === 'closed') this.#seals.begin(growing);
    }
  }

  /** A log that ends before the checkpoint is another one: its next records must count. */
  async #requireOwnLog(): Promise<void> {
    const last = this.deps.wal.lastPosition();
    if (this.#replayFrom <= last + 1n) return;
    const error = createLostLogError(last, this.#replayFrom);
    if (!this.deps.isDamageAccepted) throw error;
    this.deps.logger.warn({ vchannel: this.vchannel, error }, 'damage accepted by setting');
    await this.skipLog();
  }

  /** Records that nothing of the log up to now is this shard's. Before its first write. */
  skipLog(): Promise<void> {
    return this.#log.run(async () => {
      this.#log.moveTo(this.deps.wal.lastPosition(), this.lastTimestamp);
      await this.#checkpoint.commit([], undefined);
    });
  }

  // --- sealing, flush, checkpoint ---

  async #afterApply(): Promise<void> {
    if (this.sealed.hasManyDeletes) await this.sealed.deliverDeletes().catch(() => undefined);
    if (this.#deletes.bytes > PENDING_DELETE_BYTES_MAX) await this.#checkpoint.writeDeletes();
    this.#sealInBackground(this.#growing.takeFull());
    this.deps.onWritten();
  }

  #sealInBackground(segments: readonly GrowingSegment[]): void {
    if (segments.length === 0) return;
    this.writes.seal(segments).catch((error: unknown) => {
      this.deps.logger.warn({ vchannel: this.vchannel, error }, 'a seal is not in the log');
    });
  }

  /**
   * Closes every growing segment to inserts and writes it out in the background, which the log says
   * when this resolves. Returns their ids.
   */
  async flush(): Promise<bigint[]> {
    // Everything stamped or acknowledged before this call is in a segment.
    await this.writes.settle();
    await this.sealed.deliverDeletes();
    this.state.requireOpen();
    const segments = this.#growing.list();
    this.#seals.hurry();
    await this.writes.seal(segments);
    return segments.map(({ segmentId }) => segmentId);
  }

  /** Tries to write a growing segment out; resolves with whether this call has done so. */
  async seal(segmentId: bigint): Promise<boolean> {
    const growing = this.view.growing.get(segmentId);
    if (growing?.phase !== 'open' || !this.state.isOpen) return false;
    // Written nevertheless when the log does not take the seal.
    await this.writes.seal([growing]).catch(() => undefined);
    return this.#seals.whenTried(segmentId);
  }

  /** Writes out what needs its oldest part of the log; whether that is not needed any more. */
  async writeOldest(): Promise<boolean> {
    const needed = this.neededFrom();
    const oldest = this.#growing.list().filter(({ firstPosition }) => firstPosition === needed);
    await Promise.all(oldest.map(({ segmentId }) => this.seal(segmentId)));
    if (this.#deletes.firstPosition() === needed) await this.writeDeletes();
    return this.neededFrom() > needed;
  }

  /** First WAL position that a restart must see (R1). */
  neededFrom(): bigint {
    return this.#keepFrom ?? this.#checkpoint.neededFrom();
  }

  /** Resolves when the deletes applied so far are in files, or when they could not be written. */
  async writeDeletes(): Promise<void> {
    if (!this.#deletes.isEmpty) await this.#log.run(() => this.#checkpoint.writeDeletes());
  }

  // --- compaction, drop, end ---

  /** In one step for readers (R3). Repeating it changes nothing, also after a restart. */
  async replaceSegments(
    made: readonly SegmentInfo[],
    removed: readonly bigint[],
  ): Promise<void> {
    await this.#log.run(async () => {
      if (!this.state.isOpen) return;
      // A partition that was dropped during the merge must not come back with its output (P3).
      const wanted = made.filter(({ partitionId }) => this.state.hasPartition(partitionId));
      const added = await this.sealed.openOutputs(wanted, removed);
      // No output is left to say which versions are gone (R5).
      if (added.length === 0 && removed.some((id) => this.view.sealed.has(id))) {
        await this.#checkpoint.raiseHorizon();
      }
      // No read may be older than what a file in the view has left out.
      await this.sealed.deliverDeletes();
      await this.sealed.swap(added, removed);
    });
  }

  async dropPartition(partitionId: bigint): Promise<void> {
    // Refused from this turn on (R10): what is stamped later would be applied after the drop.
    const partitions = this.info.partitions.filter((p) => p.partitionId !== partitionId);
    this.state.info = { ...this.info, partitions };
    await this.writes.settle();
    await this.#log.run(async () => {
      for (const growing of [...this.view.growing.values()]) {
        if (growing.partitionId === partitionId) this.#growing.free(growing);
      }
      await this.sealed.drop([partitionId]);
    });
  }

  /**
   * Refuses reads and writes from now on, with this reason, and frees the memory. The log is kept
   * from where a restart needs it, at the latest from `position`, the record that failed. What is
   * wrong may be mended and the server started again, or the collection dropped (R8).
   */
  stop(reason: string, position?: bigint): void {
    if (!this.state.isOpen && !this.state.isOpening) return;
    const needed = this.state.isOpening ? this.#replayFrom : this.neededFrom();
    this.#keepFrom = position === undefined ? needed : min(needed, position);
    this.state.stop(reason);
    this.#health.reportStopped(this.info, reason);
    this.deps.onStopped(reason);
    this.#release().catch((error: unknown) => this.#health.reportReleaseFailure(error));
  }

  /** Refuses everything from now on, after what is in flight; frees the memory (R10). */
  async drop(): Promise<void> {
    this.state.end('dropped');
    this.#health.clear();
    await this.#release();
  }

  /** Stops without writing anything: the WAL has it all. */
  async close(): Promise<void> {
    this.state.end('closed');
    await this.#release();
  }

  async #release(): Promise<void> {
    this.writes.close();
    await this.#seals.end();
    await this.writes.settle();
    await this.#log.run(async () => {
      for (const growing of [...this.view.growing.values()]) this.#growing.free(growing);
      this.#deletes.clear();
      await this.sealed.dropAll();
    });
  }

  // --- what others ask ---

  /** Live rows per partition: equals count(*). */
  async getStats(): Promise<ShardStats[]> {
    await this.sealed.deliverDeletes();
    this.state.requireOpen();
    return countRows(this.view, () => this.sealed.getStats(0n));
  }

  listGrowing(): GrowingSegmentInfo[] {
    return this.#growing.describe(this.vchannel);
  }

  /** Whether no other node can have written to it by now. */
  isSurelyOwned(): boolean {
    const { wal, runtime } = this.deps;
    return runtime.monotonicMs() < wal.confirmedUntilMs();
  }
}
