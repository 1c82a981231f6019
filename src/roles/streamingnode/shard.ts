// One shard: the single writer of its vchannel. Writes come through `WriteLine`, where they may
// wait for keys, to `ShardLog`: prepared, stamped, appended to the WAL, applied, acknowledged, in
// that order. Here is what a record does, and how the shard begins, stops and ends; what it holds
// is in its parts: growing and sealed segments, seals, deletes, checkpoint, timestamps of reads.

import { max } from '../../base/bigint.ts';
import { getErrorMessage } from '../../base/error-message.ts';
import { nextTurn, type TurnMeter } from '../../base/turns.ts';
import { toDeleteRun, type DeleteRun } from '../../codec/delete-batch.ts';
import { countKeys, decodeWalMessage, type WalMessage } from '../../codec/wal-message.ts';
import { native } from '../../index/native.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import type { GrowingSegmentInfo } from '../../model/growing-segment.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import {
  SegmentState,
  type ChannelInfo,
  type SegmentInfo,
  type SegmentStats,
} from '../../model/segment-info.ts';
import type { Keys } from '../../model/keys.ts';
import type { CallContext, ShardStats, WriteRequest } from '../../rpc/contract.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { ChannelCommits } from './channel-commits.ts';
import { Checkpoint } from './checkpoint.ts';
import { DeleteBuffer } from './delete-buffer.ts';
import type { ShardDeps } from './deps.ts';
import { GrowingSegments } from './growing-segments.ts';
import { LoadedPartitions } from './loaded-partitions.ts';
import { KEY_BYTES, ROW_BYTES } from './prepared-write.ts';
import { ReadTimestamps } from './read-timestamps.ts';
import { SealedDeletes } from './sealed-deletes.ts';
import { SealedSegments } from './sealed-segments.ts';
import { Seals } from './seals.ts';
import { SegmentIdStock } from './segment-id-stock.ts';
import { createLostLogError, createStoppedError, ShardHealth } from './shard-health.ts';
import { ShardLog } from './shard-log.ts';
import { countRows } from './stats.ts';
import { View } from './view.ts';
import { WriteLine } from './write-line.ts';

/** Deletes held in memory before they are written to a delete file. */
const PENDING_DELETE_BYTES_MAX = 8 * 1024 * 1024;

export class Shard {
  readonly deps: ShardDeps;
  readonly vchannel: string;
  readonly view = new View();
  readonly loaded = new LoadedPartitions();
  readonly sealed: SealedSegments;
  readonly timestamps: ReadTimestamps;
  info: CollectionInfo;

  readonly #line: WriteLine;
  readonly #log: ShardLog;
  readonly #growing: GrowingSegments;
  readonly #seals: Seals;
  readonly #deletes: DeleteBuffer;
  readonly #sealedDeletes: SealedDeletes;
  readonly #commits: ChannelCommits;
  readonly #checkpoint: Checkpoint;
  readonly #health: ShardHealth;
  /** What the log has before it is in segments and delete files (R1). */
  readonly #replayFrom: bigint;
  /** At start-up what the catalog knows, tombstones too: replay skips their records (R2). */
  #known: ReadonlyMap<bigint, SegmentInfo>;
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
    this.#health = new ShardHealth(deps, vchannel);
    this.#replayFrom = channel.checkpoint;
    this.#deletes = new DeleteBuffer(channel.deleteFiles);
    this.#known = new Map(segments.map((segment) => [segment.segmentId, segment]));
    const segmentIds = new SegmentIdStock(deps.peers.rootcoord);
    this.#growing = new GrowingSegments({
      ...{ view, budget: deps.budget, segmentBytesMax: deps.segmentBytesMax },
      takeId: () => segmentIds.take(),
      getSchema: () => this.info.schema,
      onBorn: deps.onBorn,
    });
    this.#commits = new ChannelCommits({ ...deps, collectionId, vchannel, commitSeq });
    const held = { peers: deps.peers, view, deletes: this.#deletes };
    this.sealed = new SealedSegments({ ...held, getInfo: () => this.info });
    this.#sealedDeletes = new SealedDeletes((deletes) => this.sealed.applyDeletes(deletes));
    this.#checkpoint = new Checkpoint(deps, { ...held, commits: this.#commits });
    this.#line = new WriteLine(deps.runtime, () => this.#log.pump());
    this.#log = this.#makeLog(shardIndex, segmentIds);
    this.#seals = this.#makeSeals();
    const line = { log: this.#log, sealedDeletes: this.#sealedDeletes };
    this.timestamps = new ReadTimestamps({ ...held, ...line, checkpoint: this.#checkpoint });
    let last = max(info.createdTimestamp, this.#deletes.lastFileTimestamp());
    for (const { maxTimestamp, deletesUpTo } of segments) {
      last = max(last, maxTimestamp);
      this.#checkpoint.horizon = max(this.#checkpoint.horizon, deletesUpTo);
    }
    this.#log.lastTimestamp = last;
  }

  #makeLog(shardIndex: number, segmentIds: SegmentIdStock): ShardLog {
    const { wal, budget, peers } = this.deps;
    const targets = {
      ...{ budget, deletes: this.#deletes, getSchema: () => this.info.schema },
      segments: this.#growing,
    };
    return new ShardLog({
      ...{ wal, shardIndex, targets, source: this.#line },
      collectionId: this.info.collectionId,
      fillIds: (parts) => segmentIds.fill(parts),
      takeTimestamps: async (count) =>
        (await peers.rootcoord.allocateTimestamps({ count }, {})).first,
      check: (request) => this.#checkWritable(request),
      apply: (message, position, turn) => this.#apply(message, position, turn),
      requireWhole: () => {
        if (this.#stopped !== undefined) this.requireOpen();
      },
      onBreak: (position, error) =>
        this.stop(`record ${position}: ${getErrorMessage(error)}`, position),
      onApplied: () => this.#afterApply(),
    });
  }

  #makeSeals(): Seals {
    return new Seals(this.deps, {
      ...{ vchannel: this.vchannel, view: this.view, growing: this.#growing, log: this.#log },
      ...{ sealed: this.sealed, commits: this.#commits, checkpoint: this.#checkpoint },
      health: this.#health,
      getInfo: () => this.info,
      isOpen: () => this.#state === 'open',
      isClosed: () => this.#state === 'closed',
      deliverDeletes: () => this.deliverDeletes(),
    });
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
    this.info = info;
    if (!isNewSchema) return;
    for (const growing of this.view.growing.values()) {
      native.updateSchema(growing.handle, getNativeFields(schema));
      this.#seals.begin(growing);
    }
    // After the segments that are just being opened with the schema before.
    await this.#log.run(() => this.sealed.updateSchema(schema));
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
      if (position >= this.#replayFrom) this.stop(`${place}: ${getErrorMessage(error)}`, position);
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
      if (part.kind === 'delete') this.#applyDelete(toDeleteRun(part, message.timestamp), position);
    }
    for (const part of message.parts) {
      if (part.kind !== 'insert' || this.#known.has(part.segmentId)) continue;
      if (!this.#hasPartition(part.partitionId)) continue;
      this.#growing.replay(part, message.timestamp, position);
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
      if (segments.length > 0) this.sealed.show(await this.sealed.open(segments));
      await this.#requireOwnLog();
      this.#known = new Map();
      this.#isRecovered = true;
    } catch (error) {
      this.stop(getErrorMessage(error));
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
    return this.#log.run(() => {
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
    await this.#log.run(async () => undefined);
    return { token };
  }

  unlockKeys(token: bigint): void {
    this.#line.unlock(token);
  }

  /**
   * Refuses reads and writes from now on, with this reason, and frees the memory. The log is kept
   * from where a restart needs it, at the latest from `position`, the record that failed. What is
   * wrong may be mended and the server started again, or the collection dropped (R8).
   */
  stop(reason: string, position?: bigint): void {
    if (this.#state !== 'open') return;
    const needed = this.#isRecovered ? this.neededFrom() : this.#replayFrom;
    const keepFrom = position === undefined || needed < position ? needed : position;
    this.#stopped = { keepFrom, reason };
    this.#state = 'stopped';
    this.#health.reportStopped(this.info, reason);
    this.deps.onStopped(reason);
    this.#release().catch((error: unknown) => this.#health.reportReleaseFailure(error));
  }

  /** Large records take several turns of the event loop. */
  async #apply(message: WalMessage, position: bigint, turn: TurnMeter): Promise<void> {
    const { parts, timestamp } = message;
    for (const part of parts) {
      if (part.kind !== 'delete') continue;
      if (turn.isOver(KEY_BYTES * countKeys(part.keys))) await nextTurn();
      this.#applyDelete(toDeleteRun(part, timestamp), position);
    }
    for (const part of parts) {
      if (part.kind !== 'insert') continue;
      if (turn.isOver(part.batch.byteLength + ROW_BYTES * part.rows)) await nextTurn();
      this.#growing.append(part, timestamp, position);
    }
  }

  /** To growing rows at once; segments that are opened later get it from the buffer (R3). */
  #applyDelete(run: DeleteRun, position: bigint): void {
    this.#growing.delete(run);
    this.#deletes.push(run, position);
    if (this.view.sealed.size === 0) return;
    this.#sealedDeletes.push(run);
    this.#commits.reportDeletes();
  }

  /** Resolves when all deletes applied so far have reached the sealed rows. */
  async deliverDeletes(): Promise<void> {
    if (this.#sealedDeletes.first() === undefined) return;
    this.requireOpen();
    try {
      await this.#sealedDeletes.deliver();
    } catch (error) {
      // Acknowledged and not applied: what readers would see is not what the log says.
      this.stop(`deletes before record ${this.#log.applied + 1n}: ${getErrorMessage(error)}`);
      throw error;
    }
  }

  async #afterApply(): Promise<void> {
    if (this.#sealedDeletes.isFull) await this.deliverDeletes().catch(() => undefined);
    if (this.#deletes.bytes > PENDING_DELETE_BYTES_MAX) await this.#checkpointDeletes();
    for (const growing of this.#growing.takeFull()) this.#seals.begin(growing);
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
    // Everything acknowledged before this call is in a segment.
    await this.#log.run(async () => undefined);
    await this.deliverDeletes();
    this.requireOpen();
    const segments = this.#growing.list();
    this.#seals.hurry();
    for (const growing of segments) this.#seals.begin(growing);
    return segments.map(({ segmentId }) => segmentId);
  }

  /** Tries to write a growing segment out; resolves with whether this call has done so. */
  seal(segmentId: bigint): Promise<boolean> {
    const growing = this.view.growing.get(segmentId);
    return new Promise((resolve) => {
      if (growing === undefined || !this.#seals.begin(growing, resolve)) resolve(false);
    });
  }

  /** Writes out what needs its oldest part of the log; whether that is not needed any more. */
  async writeOldest(): Promise<boolean> {
    const low = this.neededFrom();
    const pinning = this.#growing.list().filter(({ firstPosition }) => firstPosition === low);
    await Promise.all(pinning.map(({ segmentId }) => this.seal(segmentId)));
    const isDue = this.#deletes.firstPosition() === low && this.#checkpoint.isDue();
    if (isDue) await this.#log.run(() => this.#checkpointDeletes());
    return this.neededFrom() > low;
  }

  /** First WAL position that a restart must see (R1). */
  neededFrom(): bigint {
    if (this.#stopped !== undefined) return this.#stopped.keepFrom;
    let low = this.#deletes.firstPosition();
    const inFlight = this.#log.firstInFlight();
    if (inFlight !== undefined && inFlight < low) low = inFlight;
    for (const { firstPosition } of this.view.growing.values()) {
      if (firstPosition < low) low = firstPosition;
    }
    return low;
  }

  async #checkpointDeletes(): Promise<void> {
    if (this.#state !== 'open' || this.#deletes.isEmpty || !this.#checkpoint.isDue()) return;
    try {
      await this.#checkpoint.commit([], undefined, this.#log.applied);
      this.deps.onCheckpoint();
    } catch (error) {
      // They are in the WAL; a later write tries again.
      this.deps.logger.error({ vchannel: this.vchannel, error }, 'deletes not written');
    }
  }

  // --- compaction, drop, statistics ---

  /** In one step for readers (R3). Repeating it changes nothing, also after a restart. */
  async replaceSegments(
    made: readonly SegmentInfo[],
    removed: readonly bigint[],
  ): Promise<void> {
    await this.#log.run(async () => {
      if (this.#state !== 'open') return;
      // A partition that was dropped during the merge must not come back with its output (P3).
      const wanted = made.filter(({ partitionId }) => this.#hasPartition(partitionId));
      const added = await this.sealed.openOutputs(wanted, removed);
      // No output is left to say which versions are gone (R5).
      if (added.length === 0 && removed.some((id) => this.view.sealed.has(id))) {
        await this.#checkpoint.raiseHorizon(this.lastTimestamp);
      }
      // No read may be older than what a file in the view has left out.
      await this.deliverDeletes();
      await this.sealed.swap(added, removed);
    });
  }

  async dropPartition(partitionId: bigint): Promise<void> {
    // Refused from this turn on (R10): what is stamped later would be applied after the drop.
    const partitions = this.info.partitions.filter((p) => p.partitionId !== partitionId);
    this.info = { ...this.info, partitions };
    await this.#log.settle();
    await this.#log.run(async () => {
      for (const growing of [...this.view.growing.values()]) {
        if (growing.partitionId === partitionId) this.#growing.forget(growing);
      }
      await this.sealed.drop([partitionId]);
    });
  }

  /** Refuses everything from now on, after what is in flight; frees the memory (R10). */
  async drop(): Promise<void> {
    this.#state = 'dropped';
    this.#health.clear();
    await this.#release();
  }

  /** Stops without writing anything: the WAL has it all. */
  async close(): Promise<void> {
    this.#state = 'closed';
    await this.#release();
  }

  async #release(): Promise<void> {
    this.#line.close();
    await this.#seals.end();
    await this.#log.settle();
    await this.#log.run(async () => {
      for (const growing of [...this.view.growing.values()]) this.#growing.forget(growing);
      this.#deletes.clear();
      this.#sealedDeletes.clear();
      await this.sealed.drop([]);
    });
  }

  /** Live rows per partition: equals count(*). */
  async getStats(): Promise<ShardStats[]> {
    await this.deliverDeletes();
    this.requireOpen();
    return countRows(this.view, () => this.sealed.getStats(0n));
  }

  /** The sealed segments that readers see; `droppableRows` are those deleted up to `horizon`. */
  async listSealed(horizon: bigint): Promise<SegmentStats[]> {
    await this.deliverDeletes();
    return this.sealed.getStats(horizon);
  }

  /** Resolves when the deletes applied so far are in files, or when they could not be written. */
  async writeDeletes(): Promise<void> {
    if (!this.#deletes.isEmpty) await this.#log.run(() => this.#checkpointDeletes());
  }

  listGrowing(): GrowingSegmentInfo[] {
    return this.#growing.describe(this.vchannel);
  }

  // --- reads ---

  /** Whether no other node can have written to it by now. */
  isSurelyOwned(): boolean {
    const { wal, runtime } = this.deps;
    return runtime.monotonicMs() < wal.confirmedUntilMs();
  }

  requireOpen(): void {
    if (this.#state === 'open') return;
    if (this.#state === 'stopped') throw createStoppedError(this.info, this.#stopped!.reason);
    const { name } = this.info.schema;
    throw new MilvusError('CollectionNotFound', {
      fields: { database: this.info.dbName, collection: name },
    });
  }
}
