// One shard: the single writer of its vchannel. Writes come through `WriteLine`, where they may
// wait for keys, to `ShardLog`: prepared, stamped, appended to the WAL, applied, acknowledged, in
// that order. Here is what a record does, how segments are sealed and swapped, and what reads may
// see.

import { nextTurn, type TurnMeter } from '../../base/turns.ts';
import type { DeleteRun } from '../../codec/delete-batch.ts';
import {
  countKeys,
  decodeWalMessage,
  type MessagePart,
  type WalMessage,
} from '../../codec/wal-message.ts';
import { native } from '../../index/native.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import type { GrowingSegmentInfo } from '../../model/growing-segment.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import { composeTimestamp } from '../../model/timestamp.ts';
import type { ChannelInfo, IndexFile, SegmentInfo } from '../../model/segment-info.ts';
import { SegmentState } from '../../model/segment-info.ts';
import type {
  CallContext,
  InsertPart,
  Keys,
  ShardStats,
  WriteRequest,
} from '../../rpc/contract.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { ChannelCommits } from './channel-commits.ts';
import { Checkpoint } from './checkpoint.ts';
import { DeleteBuffer } from './delete-buffer.ts';
import type { GrowingBudget } from './growing-budget.ts';
import { GrowingSegments } from './growing-segments.ts';
import { loadOrRelease, loadSealed } from './load-sealed.ts';
import { LoadedPartitions } from './loaded-partitions.ts';
import { KEY_BYTES, ROW_BYTES } from './prepared-write.ts';
import { sealUntilWritten } from './seal.ts';
import { SealedDeletes } from './sealed-deletes.ts';
import { SegmentIdStock } from './segment-id-stock.ts';
import {
  createLostLogError,
  createStoppedError,
  getMessage,
  ShardHealth,
} from './shard-health.ts';
import { ShardLog } from './shard-log.ts';
import { countRows } from './stats.ts';
import type { StreamingNodeDeps } from './streamingnode.ts';
import { View, type GrowingSegment } from './view.ts';
import { WriteLine } from './write-line.ts';

export interface ShardDeps extends StreamingNodeDeps {
  readonly budget: GrowingBudget;
  /** The shard needs less of the WAL than before. */
  readonly onCheckpoint: () => void;
  /** A record has been applied. */
  readonly onWritten: () => void;
  /** A growing segment has got its first record. */
  readonly onBorn: (segmentId: bigint, timestamp: bigint) => void;
  /** The shard has stopped; its collection cannot be served without it. */
  readonly onStopped: (reason: string) => void;
}

/** Deletes held in memory before they are written to a delete file. */
const PENDING_DELETE_BYTES_MAX = 8 * 1024 * 1024;
/** A client's pin comes from one of our clocks; further ahead than this it is not one. */
const CLOCK_SKEW_MS_MAX = 60_000;

export class Shard {
  readonly deps: ShardDeps;
  readonly vchannel: string;
  readonly view = new View();
  readonly growing: GrowingSegments;
  readonly loaded = new LoadedPartitions();
  readonly deletes: DeleteBuffer;
  readonly commits: ChannelCommits;
  readonly health: ShardHealth;
  info: CollectionInfo;

  readonly #line: WriteLine;
  readonly #log: ShardLog;
  readonly #sealedDeletes: SealedDeletes;
  readonly #checkpoint: Checkpoint;
  /** What the log has before it is in segments and delete files (R1). */
  readonly #replayFrom: bigint;
  /** Every segment that the catalog knows, tombstones too: replay skips their records (R2). */
  readonly #known: Map<bigint, SegmentInfo>;
  readonly #sealing = new Set<Promise<void>>();
  /** Ends the waits of seals that have failed: they try again, or give up. */
  readonly #sealWaits = new Set<AbortController>();
  #state: 'open' | 'dropped' | 'closed' | 'stopped' = 'open';
  /** Why it serves no more, and from where on a restart needs the log (R8). */
  #stopped: { readonly keepFrom: bigint; readonly reason: string } | undefined;
  #isRecovered = false;

  constructor(
    deps: ShardDeps,
    info: CollectionInfo,
    shardIndex: number,
    channel: ChannelInfo,
    segments: readonly SegmentInfo[],
  ) {
    const { collectionId, vchannel, commitSeq = 0 } = channel;
    const { view } = this;
    this.deps = deps;
    this.info = info;
    this.vchannel = vchannel;
    this.health = new ShardHealth(deps, vchannel);
    this.#replayFrom = channel.checkpoint;
    this.deletes = new DeleteBuffer(channel.deleteFiles);
    this.#known = new Map(segments.map((segment) => [segment.segmentId, segment]));
    const segmentIds = new SegmentIdStock(deps.peers.rootcoord);
    this.growing = new GrowingSegments({
      ...{ view, budget: deps.budget, segmentBytesMax: deps.segmentBytesMax },
      takeId: () => segmentIds.take(),
      getSchema: () => this.info.schema,
      onBorn: deps.onBorn,
    });
    this.commits = new ChannelCommits({ ...deps, collectionId, vchannel, commitSeq });
    const of = { view, deletes: this.deletes, commits: this.commits };
    this.#checkpoint = new Checkpoint(deps, of);
    this.#line = new WriteLine(deps.runtime, () => this.#log.pump());
    this.#log = this.#makeLog(shardIndex, segmentIds);
    this.#sealedDeletes = new SealedDeletes(async (deletes) => {
      const segmentIds = [...this.view.sealed.keys()];
      await deps.peers.querynode.applyDeletes({ segmentIds, deletes }, {});
    });
    let last = max(info.createdTimestamp, this.deletes.lastFileTimestamp());
    for (const { maxTimestamp, deletesUpTo } of segments) {
      last = max(last, maxTimestamp);
      this.#checkpoint.horizon = max(this.#checkpoint.horizon, deletesUpTo);
    }
    this.#log.lastTimestamp = last;
  }

  #makeLog(shardIndex: number, segmentIds: SegmentIdStock): ShardLog {
    const { wal, budget, peers } = this.deps;
    const targets = {
      ...{ budget, deletes: this.deletes, getSchema: () => this.info.schema },
      assign: (part: InsertPart) => this.growing.assign(part),
    };
    return new ShardLog({
      ...{ wal, shardIndex, targets, source: this.#line },
      vchannel: this.vchannel,
      fillIds: (parts) => segmentIds.fill(parts),
      takeTimestamps: async (count) =>
        (await peers.rootcoord.allocateTimestamps({ count }, {})).first,
      check: (request) => this.#checkWritable(request),
      apply: (message, position, turn) => this.#apply(message, position, turn),
      requireWhole: () => {
        if (this.#stopped !== undefined) this.requireOpen();
      },
      onBreak: (position, error) => this.stop(`record ${position}: ${getMessage(error)}`, position),
      onApplied: () => this.#afterApply(),
    });
  }

  /** Timestamp of the last applied record. */
  get lastTimestamp(): bigint {
    return this.#log.lastTimestamp;
  }

  /**
   * What a read without a pin sees (R5): all that is applied, but for deletes that have not reached
   * the sealed rows.
   */
  get #visibleTimestamp(): bigint {
    const first = this.#sealedDeletes.first();
    return first === undefined || first > this.lastTimestamp ? this.lastTimestamp : first - 1n;
  }

  /**
   * After a schema change new rows go to new segments: a segment's columns are fixed when it is
   * born. Resolves when the older ones read added fields as their defaults (R25).
   */
  async update(info: CollectionInfo): Promise<void> {
    const { schema } = info;
    const isNewSchema = schema.version !== this.info.schema.version;
    this.info = info;
    if (!isNewSchema) return;
    for (const growing of this.view.growing.values()) {
      native.updateSchema(growing.handle, getNativeFields(schema));
      this.#seal(growing);
    }
    // After the segments that are just being opened with the schema before.
    await this.run(async () => {
      const segmentIds = [...this.view.sealed.keys()];
      if (segmentIds.length > 0)
        await this.deps.peers.querynode.updateSchema({ segmentIds, schema }, {});
    });
  }

  // --- start-up ---

  /**
   * Applies a record of the WAL's tail, in the log's order, before anything else happens. One that
   * cannot be applied stops this collection, not the server (R8).
   */
  replay(record: Uint8Array, position: bigint, place: string): void {
    if (this.#stopped !== undefined) return;
    try {
      this.#replay(decodeWalMessage(record), position);
    } catch (error) {
      if (position >= this.#replayFrom) this.stop(`${place}: ${getMessage(error)}`, position);
    }
  }

  /** The log has lost records, `to` the last of them: without them the shard would lie (R9). */
  replayDamage(to: bigint, reason: string): void {
    if (this.#replayFrom <= to) this.stop(reason);
  }

  #replay(message: WalMessage, position: bigint): void {
    this.#log.lastTimestamp = max(this.lastTimestamp, message.timestamp);
    this.#log.applied = position;
    // The log is cut by whole files: older records are in segments by now, or gone for good (P3).
    if (position < this.#replayFrom) return;
    for (const part of message.parts) {
      if (part.kind === 'delete') this.#applyDelete(toRun(part, message.timestamp), position);
    }
    for (const part of message.parts) {
      if (part.kind !== 'insert' || this.#known.has(part.segmentId)) continue;
      if (!this.#hasPartition(part.partitionId)) continue;
      this.growing.replay(part, message.timestamp, position);
    }
  }

  /**
   * Opens the sealed segments, with every delete that they lack. After replay. A file that cannot
   * be opened stops this collection, not the server (R8).
   */
  async openSealed(): Promise<void> {
    if (this.#stopped !== undefined) return;
    const segments = [...this.#known.values()].filter((s) => s.state === SegmentState.Flushed);
    try {
      if (segments.length > 0) await loadSealed(this, segments, []);
      for (const segment of segments) this.view.sealed.set(segment.segmentId, segment);
      await this.#requireOwnLog();
      this.#isRecovered = true;
    } catch (error) {
      this.stop(getMessage(error));
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
    return this.run(() => {
      this.#log.applied = this.deps.wal.lastPosition();
      return this.#checkpoint.commit([], undefined, this.#log.applied);
    });
  }

  // --- writes ---

  write(request: WriteRequest, call: CallContext): Promise<{ timestamp: bigint }> {
    return this.#line.write(request, getPrimaryKeyField(this.info.schema), call);
  }

  /** From the answer on a read sees every earlier write of the keys, and no later one comes. */
  async lockKeys(keys: Keys, call: CallContext): Promise<{ token: bigint }> {
    this.requireOpen();
    const token = await this.#line.lock(keys, call);
    await this.run(async () => undefined);
    return { token };
  }

  unlockKeys(token: bigint): void {
    this.#line.unlock(token);
  }

  /** Runs after everything appended so far has been applied, and before anything appended later. */
  run<T>(task: () => Promise<T>): Promise<T> {
    return this.#log.run(task);
  }

  /** Resolves when all that is assigned to a segment so far has been applied. */
  settle(): Promise<void> {
    return this.#log.settle();
  }

  /**
   * Refuses reads and writes from now on, with this reason, and frees the memory. The log is kept
   * from where a restart needs it, at the latest from `position`, the record that failed. What is
   * wrong may be mended and the server started again, or the collection dropped (R8).
   */
  stop(reason: string, position?: bigint): void {
    if (this.#state !== 'open') return;
    const needed = this.#isRecovered ? this.lowWater() : this.#replayFrom;
    const keepFrom = position === undefined || needed < position ? needed : position;
    this.#stopped = { keepFrom, reason };
    this.#state = 'stopped';
    this.health.reportStopped(this.info, reason);
    this.deps.onStopped(reason);
    this.#release().catch((error: unknown) => this.health.reportReleaseFailure(error));
  }

  /** Large records take several turns of the event loop. */
  async #apply(message: WalMessage, position: bigint, turn: TurnMeter): Promise<void> {
    const { parts, timestamp } = message;
    for (const part of parts) {
      if (part.kind !== 'delete') continue;
      if (turn.isOver(KEY_BYTES * countKeys(part.keys))) await nextTurn();
      this.#applyDelete(toRun(part, timestamp), position);
    }
    for (const part of parts) {
      if (part.kind !== 'insert') continue;
      if (turn.isOver(part.batch.byteLength + ROW_BYTES * part.rows)) await nextTurn();
      this.growing.append(part, timestamp, position);
    }
  }

  /** To growing rows at once; segments that are opened later get it from the buffer (R3). */
  #applyDelete(run: DeleteRun, position: bigint): void {
    this.growing.delete(run);
    this.deletes.push(run, position);
    if (this.view.sealed.size === 0) return;
    this.#sealedDeletes.push(run);
    this.commits.reportDeletes();
  }

  /** Resolves when all deletes applied so far have reached the sealed rows. */
  async deliverDeletes(): Promise<void> {
    if (this.#sealedDeletes.first() === undefined) return;
    this.requireOpen();
    try {
      await this.#sealedDeletes.deliver();
    } catch (error) {
      // Acknowledged and not applied: what readers would see is not what the log says.
      this.stop(`deletes before record ${this.#log.applied + 1n}: ${getMessage(error)}`);
      throw error;
    }
  }

  async #afterApply(): Promise<void> {
    if (this.#sealedDeletes.isFull) await this.deliverDeletes().catch(() => undefined);
    if (this.deletes.bytes > PENDING_DELETE_BYTES_MAX) await this.#checkpointDeletes();
    for (const growing of this.growing.takeFull()) this.#seal(growing);
    this.deps.onWritten();
  }

  #checkWritable(request: WriteRequest): void {
    this.requireOpen();
    if (request.schemaVersion !== this.info.schema.version) {
      throw new MilvusError('CollectionSchemaMismatch', {
        fields: { got: request.schemaVersion, expected: this.info.schema.version },
        isUnexecuted: true,
      });
    }
    for (const { partitionId } of request.parts) {
      if (partitionId !== 0n && !this.#hasPartition(partitionId)) {
        throw new MilvusError('PartitionNotFound', { fields: { partition: String(partitionId) } });
      }
    }
  }

  #hasPartition(partitionId: bigint): boolean {
    return this.info.partitions.some((partition) => partition.partitionId === partitionId);
  }

  // --- sealing, flush, checkpoint ---

  /**
   * Closes every growing segment to inserts and writes it out in the background. Returns their ids.
   */
  async flush(): Promise<bigint[]> {
    this.requireOpen();
    // Everything acknowledged before this call is in a segment.
    await this.run(async () => undefined);
    await this.deliverDeletes();
    const segments = this.growing.list();
    this.#endSealWaits();
    for (const growing of segments) this.#seal(growing);
    return segments.map(({ segmentId }) => segmentId);
  }

  /** Tries to write a growing segment out; resolves with whether this call has done so. */
  seal(segmentId: bigint): Promise<boolean> {
    const growing = this.view.growing.get(segmentId);
    return new Promise((resolve) => {
      if (growing === undefined || !this.#seal(growing, resolve)) resolve(false);
    });
  }

  /** Writes out what pins the oldest part of the WAL; whether it does so no more. */
  async relieve(): Promise<boolean> {
    const low = this.lowWater();
    const pinning = this.growing.list().filter(({ firstPosition }) => firstPosition === low);
    await Promise.all(pinning.map(({ segmentId }) => this.seal(segmentId)));
    const isDue = this.deletes.firstPosition() === low && this.#checkpoint.isDue();
    if (isDue) await this.run(() => this.#checkpointDeletes());
    return this.lowWater() > low;
  }

  /** First WAL position that a restart must see (R1). */
  lowWater(): bigint {
    if (this.#stopped !== undefined) return this.#stopped.keepFrom;
    let low = this.deletes.firstPosition();
    const inFlight = this.#log.firstInFlight();
    if (inFlight !== undefined && inFlight < low) low = inFlight;
    for (const { firstPosition } of this.view.growing.values()) {
      if (firstPosition < low) low = firstPosition;
    }
    return low;
  }

  /** Whether it has begun; `tell` is called after the first attempt. */
  #seal(growing: GrowingSegment, tell?: (isWritten: boolean) => void): boolean {
    // A shard that closes waits for what is being written, so nothing may begin any more.
    if (growing.isSealing || this.#state !== 'open') return false;
    growing.isSealing = true;
    this.growing.close(growing);
    const sealing = sealUntilWritten(this, growing, tell).finally(() => this.#sealing.delete(sealing));
    this.#sealing.add(sealing);
    return true;
  }

  /** Whether a growing segment of this shard is to be written still. */
  isWanted(growing: GrowingSegment): boolean {
    return this.#state === 'open' && this.view.growing.has(growing.segmentId);
  }

  /** Waits before a seal is tried again; a flush and the shard's end cut it short. */
  async waitForSeal(delayMs: number): Promise<void> {
    const end = new AbortController();
    this.#sealWaits.add(end);
    await this.deps.runtime.sleep(delayMs, end.signal).catch(() => undefined);
    this.#sealWaits.delete(end);
  }

  #endSealWaits(): void {
    for (const end of this.#sealWaits) end.abort();
  }

  /**
   * Records a written segment, pending deletes and the checkpoint in one transaction (R1), then
   * shows the segment in place of the growing one. Inside `run`.
   */
  async commitSealed(growing: GrowingSegment, segment: SegmentInfo): Promise<void> {
    const isWritten = segment.state === SegmentState.Flushed;
    if (this.#state !== 'open' || !this.view.growing.has(growing.segmentId)) {
      // Dropped meanwhile, or the server stops: then the next start does the same.
      if (isWritten && this.#state !== 'closed') await this.commits.giveUp([segment.file]);
      return;
    }
    // Opened first: what the catalog lists must be readable.
    if (isWritten) await loadOrRelease(this, [segment], []);
    try {
      // No read may be older than what a file in the view has left out.
      await this.deliverDeletes();
      await this.#checkpoint.commit([segment], growing.segmentId, this.#log.applied);
    } catch (error) {
      const { querynode } = this.deps.peers;
      await querynode.releaseSegments({ segmentIds: [segment.segmentId] }, {});
      throw error;
    }
    this.#known.set(segment.segmentId, segment);
    if (isWritten) this.view.sealed.set(segment.segmentId, segment);
    this.growing.forget(growing);
    this.deps.onCheckpoint();
  }

  async #checkpointDeletes(): Promise<void> {
    if (this.#state !== 'open' || this.deletes.isEmpty || !this.#checkpoint.isDue()) return;
    try {
      await this.#checkpoint.commit([], undefined, this.#log.applied);
      this.deps.onCheckpoint();
    } catch (error) {
      // They are in the WAL; a later write tries again.
      this.deps.logger.error({ vchannel: this.vchannel, error }, 'deletes not written');
    }
  }

  /**
   * Returns the timestamp up to which the file of this segment, about to be written, leaves deleted
   * rows out.
   */
  async chooseDeletesUpTo(growing: GrowingSegment): Promise<bigint> {
    growing.deletesUpTo = await this.#checkpoint.raiseHorizon(this.lastTimestamp);
    return growing.deletesUpTo;
  }

  // --- compaction, drop, statistics ---

  /** In one step for readers (R3). Repeating it changes nothing, also after a restart. */
  async replaceSegments(
    made: readonly SegmentInfo[],
    removed: readonly bigint[],
    indexFiles: readonly IndexFile[],
  ): Promise<void> {
    await this.run(async () => {
      if (this.#state !== 'open') return;
      const { querynode } = this.deps.peers;
      const { sealed } = this.view;
      // A partition that was dropped during the merge must not come back with its output (P3).
      const added = made.filter(
        ({ partitionId, segmentId }) => this.#hasPartition(partitionId) && !sealed.has(segmentId),
      );
      // The output beside something that it was made of would count rows twice.
      const isWhole = added.length === 0 || removed.every((id) => sealed.has(id));
      if (!isWhole) {
        throw new MilvusError('SegmentNotFound', { fields: { segments: `${removed}` } });
      }
      for (const segment of added) this.#known.set(segment.segmentId, segment);
      for (const id of removed) {
        const known = this.#known.get(id);
        if (known !== undefined)
          this.#known.set(id, { ...known, state: SegmentState.Dropped, file: '' });
      }
      if (added.length > 0) await loadOrRelease(this, added, indexFiles);
      // No output is left to say which versions are gone (R5).
      else if (removed.some((id) => sealed.has(id))) {
        await this.#checkpoint.raiseHorizon(this.lastTimestamp);
      }
      await this.deliverDeletes(); // As in `commitSealed`.
      for (const id of removed) sealed.delete(id);
      for (const segment of added) sealed.set(segment.segmentId, segment);
      await querynode.releaseSegments({ segmentIds: removed }, {});
    });
  }

  async dropPartition(partitionId: bigint): Promise<void> {
    // Refused from this turn on (R10): what is stamped later would be applied after the drop.
    const partitions = this.info.partitions.filter((p) => p.partitionId !== partitionId);
    this.info = { ...this.info, partitions };
    await this.settle();
    await this.run(async () => {
      const released = this.view.selectSealed([partitionId]);
      for (const id of released) this.view.sealed.delete(id);
      for (const growing of [...this.view.growing.values()]) {
        if (growing.partitionId === partitionId) this.growing.forget(growing);
      }
      if (released.length > 0) {
        await this.deps.peers.querynode.releaseSegments({ segmentIds: released }, {});
      }
    });
  }

  /** Refuses everything from now on, after what is in flight; frees the memory (R10). */
  async drop(): Promise<void> {
    this.#state = 'dropped';
    this.health.clear();
    await this.#release();
  }

  /** Stops without writing anything: the WAL has it all. */
  async close(): Promise<void> {
    this.#state = 'closed';
    await this.#release();
  }

  async #release(): Promise<void> {
    this.#line.close();
    this.#endSealWaits();
    await Promise.all(this.#sealing);
    await this.settle();
    await this.run(async () => {
      const segmentIds = [...this.view.sealed.keys()];
      this.view.sealed.clear();
      for (const growing of [...this.view.growing.values()]) this.growing.forget(growing);
      this.deletes.clear();
      this.#sealedDeletes.clear();
      if (segmentIds.length > 0)
        await this.deps.peers.querynode.releaseSegments({ segmentIds }, {});
    });
  }

  /** Live rows per partition: equals count(*). */
  async getStats(): Promise<ShardStats[]> {
    this.requireOpen();
    await this.deliverDeletes();
    return countRows(this.view, this.deps.peers.querynode);
  }

  /** Resolves when the deletes applied so far are in files, or when they could not be written. */
  async writeDeletes(): Promise<void> {
    if (!this.deletes.isEmpty) await this.run(() => this.#checkpointDeletes());
  }

  listGrowing(): GrowingSegmentInfo[] {
    return this.growing.describe(this.vchannel);
  }

  // --- reads ---

  requireOpen(): void {
    if (this.#state === 'open') return;
    if (this.#state === 'stopped') throw createStoppedError(this.info, this.#stopped!.reason);
    const { name } = this.info.schema;
    throw new MilvusError('CollectionNotFound', {
      fields: { database: this.info.dbName, collection: name },
    });
  }

  /**
   * Makes a pin from another shard readable here: waits for what is under way at or before it, and
   * stamps nothing at or before it from now on (R5).
   * @throws MilvusError ParameterInvalid for a pin from the future
   */
  async admitPin(pinned: bigint): Promise<void> {
    if (pinned <= this.lastTimestamp) return;
    const { first: now } = await this.deps.peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    if (pinned > now + composeTimestamp(CLOCK_SKEW_MS_MAX)) {
      throw new MilvusError('ParameterInvalid', {
        message: 'the read timestamp lies in the future',
        fields: { got: pinned },
      });
    }
    this.#log.raise(pinned);
    await this.run(async () => undefined);
  }

  /**
   * Returns the timestamp to read at: the client's pin, once admitted, or everything acknowledged
   * before the deletes were delivered.
   * @throws MilvusError ParameterInvalid for a pin older than what compaction has kept
   */
  chooseReadTimestamp(pinned: bigint): bigint {
    const visible = this.#visibleTimestamp;
    if (pinned === 0n || pinned === visible) return visible;
    let keptFrom = this.#checkpoint.horizon;
    for (const { deletesUpTo } of this.view.sealed.values()) keptFrom = max(keptFrom, deletesUpTo);
    if (pinned >= keptFrom) return pinned;
    throw new MilvusError('ParameterInvalid', {
      message: 'the read timestamp is older than the versions kept',
      fields: { got: pinned, expected: `>= ${keptFrom}` },
    });
  }
}

type DeleteMessagePart = Extract<MessagePart, { kind: 'delete' }>;

/** What a delete of a record, stamped with `timestamp`, does to rows. */
function toRun({ partitionId, killsUpTo, keys }: DeleteMessagePart, timestamp: bigint): DeleteRun {
  return {
    keys,
    timestamp,
    killsUpTo: killsUpTo === 0n ? timestamp - 1n : killsUpTo,
    partitionId,
  };
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
