// One shard: the single writer of its vchannel. A write is stamped, appended to the WAL, applied,
// acknowledged, in that order and one after another; what must not interleave with writes runs in
// the same line (`#inOrder`).

import { nextTurn, TurnMeter, VALUES_PER_TURN } from '../../base/turns.ts';
import { native } from '../../index/native.ts';
import type { WalMessage } from '../../codec/wal-message.ts';
import { decodeWalMessage, encodeWalMessage } from '../../codec/wal-message.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import { composeTimestamp } from '../../model/timestamp.ts';
import type { ChannelInfo, IndexFile, SegmentInfo } from '../../model/segment-info.ts';
import { SegmentState } from '../../model/segment-info.ts';
import type {
  CallContext,
  DeleteEntry,
  GrowingSegmentInfo,
  Keys,
  ShardStats,
  WriteRequest,
} from '../../rpc/contract.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { ChannelCommits } from './channel-commits.ts';
import { DeleteBuffer, toDeleteEntry } from './delete-buffer.ts';
import type { GrowingBudget } from './growing-budget.ts';
import { loadOrRelease, loadSealed } from './load-sealed.ts';
import { LoadedPartitions } from './loaded-partitions.ts';
import type { PendingWrite } from './pending-writes.ts';
import { sealSegment } from './seal.ts';
import {
  createLostLogError,
  createStoppedError,
  getMessage,
  ShardHealth,
} from './shard-health.ts';
import { SegmentIdStock } from './segment-id-stock.ts';
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
const PENDING_DELETE_BYTES_MAX = 16 * 1024 * 1024;
/** Bytes of a record that are applied in one turn (P9), and what a row and a key add to them. */
const TURN_BYTES = 1024 * 1024;
const ROW_BYTES = 192;
const KEY_BYTES = TURN_BYTES / VALUES_PER_TURN;
/** A client's pin comes from one of our clocks; further ahead than this it is not one. */
const CLOCK_SKEW_MS_MAX = 60_000;

export class Shard {
  readonly deps: ShardDeps;
  readonly vchannel: string;
  readonly view = new View();
  readonly loaded = new LoadedPartitions();
  readonly deletes: DeleteBuffer;
  readonly commits: ChannelCommits;
  /** Timestamp of the last applied record: what a read without a pin sees (R5). */
  lastTimestamp: bigint;
  info: CollectionInfo;

  readonly #shardIndex: number;
  /** What the log has before it is in segments and delete files (R1). */
  readonly #checkpoint: bigint;
  /** Every segment that the catalog knows, tombstones too: replay skips their records (R2). */
  readonly #known: Map<bigint, SegmentInfo>;
  readonly #line: WriteLine;
  readonly #sealing = new Set<Promise<boolean>>();
  /** Partition id → the growing segment that takes its rows. */
  readonly #open = new Map<bigint, { segmentId: bigint; bytes: number }>();
  readonly #segmentIds: SegmentIdStock;
  #isPumping = false;
  #lastStamped = 0n;
  /** The largest bound up to which a file left deletes out: later files leave out no fewer. */
  #horizon = 0n;
  /** Position of the last applied record. */
  #applied = 0n;
  /** Records handed to the WAL and not yet applied. */
  #inFlight = 0;
  #inOrder: Promise<void> = Promise.resolve();
  #state: 'open' | 'dropped' | 'closed' | 'stopped' = 'open';
  /** Why it serves no more, and from where on a restart needs the log (R8). */
  #stopped: { readonly keepFrom: bigint; readonly reason: string } | undefined;
  #isRecovered = false;
  readonly #health: ShardHealth;

  constructor(
    deps: ShardDeps,
    info: CollectionInfo,
    shardIndex: number,
    channel: ChannelInfo,
    segments: readonly SegmentInfo[],
  ) {
    this.deps = deps;
    this.info = info;
    this.vchannel = channel.vchannel;
    this.#health = new ShardHealth(deps, channel.vchannel);
    this.#shardIndex = shardIndex;
    this.#segmentIds = new SegmentIdStock(deps.peers.rootcoord);
    this.#checkpoint = channel.checkpoint;
    this.deletes = new DeleteBuffer(channel.deleteFiles);
    const { collectionId, vchannel, commitSeq = 0 } = channel;
    this.commits = new ChannelCommits({ ...deps, collectionId, vchannel, commitSeq });
    this.#known = new Map(segments.map((segment) => [segment.segmentId, segment]));
    this.lastTimestamp = info.createdTimestamp;
    for (const segment of segments) {
      this.lastTimestamp = max(this.lastTimestamp, segment.maxTimestamp);
      this.#horizon = max(this.#horizon, segment.deletesUpTo);
    }
    this.lastTimestamp = max(this.lastTimestamp, this.deletes.lastFileTimestamp());
    this.#line = new WriteLine(deps.runtime, () => {
      if (!this.#isPumping) void this.#pump();
    });
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
      void this.#seal(growing);
    }
    this.#open.clear();
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
      if (position >= this.#checkpoint) this.stop(`${place}: ${getMessage(error)}`, position);
    }
  }

  /** The log has lost records, `to` the last of them: without them the shard would lie (R9). */
  replayDamage(to: bigint, reason: string): void {
    if (this.#checkpoint <= to) this.stop(reason);
  }

  #replay(message: WalMessage, position: bigint): void {
    this.lastTimestamp = max(this.lastTimestamp, message.timestamp);
    this.#applied = position;
    // The log is cut by whole files: older records are in segments by now, or gone for good (P3).
    if (position < this.#checkpoint) return;
    for (const part of message.parts) {
      if (part.kind === 'delete') {
        this.#applyDeleteToGrowing(toDeleteEntry(part, message.timestamp), position);
      }
    }
    for (const part of message.parts) {
      if (part.kind !== 'insert' || this.#known.has(part.segmentId)) continue;
      if (!this.#hasPartition(part.partitionId)) continue;
      const { bytes } = this.#appendToGrowing(part, message.timestamp, position);
      this.#open.set(part.partitionId, { segmentId: part.segmentId, bytes });
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
    if (this.#checkpoint <= last + 1n) return;
    const error = createLostLogError(last, this.#checkpoint);
    if (!this.deps.isDamageAccepted) throw error;
    this.deps.logger.warn({ vchannel: this.vchannel, error }, 'damage accepted by setting');
    await this.skipLog();
  }

  /** Records that nothing of the log up to now is this shard's. Before its first write. */
  skipLog(): Promise<void> {
    return this.run(() => {
      this.#applied = this.deps.wal.lastPosition();
      return this.#commit([], undefined);
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

  /** Stamps and appends what waits, in arrival order. */
  async #pump(): Promise<void> {
    this.#isPumping = true;
    while (this.#line.count > 0) {
      const writes = this.#line.takeAll();
      try {
        const parts = writes.reduce((sum, { request }) => sum + request.parts.length, 0);
        await this.#segmentIds.fill(parts);
        const count = writes.length;
        const { first } = await this.deps.peers.rootcoord.allocateTimestamps({ count }, {});
        let timestamp = max(first, max(this.#lastStamped, this.lastTimestamp) + 1n);
        for (const write of writes) this.#append(write, timestamp++);
      } catch (error) {
        for (const write of writes) write.reject(error);
      }
      this.#line.release(writes);
    }
    this.#isPumping = false;
  }

  /**
   * One turn: check, reserve, stamp, hand to the WAL. Nothing can fail after the append (R8, R10).
   */
  #append(write: PendingWrite, timestamp: bigint): void {
    let bytes = 0;
    let message: WalMessage;
    try {
      this.#checkWritable(write.request);
      bytes = this.deps.budget.reserveFor(write.request.parts, this.info.schema);
      message = this.#toMessage(write.request, timestamp);
    } catch (error) {
      this.deps.budget.release(bytes);
      write.reject(error);
      return;
    }
    this.#lastStamped = timestamp;
    const durable = this.deps.wal.append(this.vchannel, encodeWalMessage(message));
    durable.catch(() => undefined); // Reported below, in order.
    this.#inFlight += 1;
    this.#run(async () => {
      let position: bigint | undefined;
      try {
        position = await durable;
        // What follows a record that was not applied waits for the restart too.
        if (this.#stopped !== undefined) this.requireOpen();
        await this.#apply(message, position);
        write.resolve({ timestamp });
      } catch (error) {
        // Durable but not applied: what memory holds is no longer what the log says.
        if (position !== undefined) this.stop(`record ${position}: ${getMessage(error)}`, position);
        write.reject(error);
      } finally {
        this.#inFlight -= 1;
        this.deps.budget.release(bytes); // What its rows really hold has been charged.
      }
    });
  }

  /**
   * Refuses reads and writes from now on, with this reason, and frees the memory. The log is kept
   * from where a restart needs it, at the latest from `position`, the record that failed. What is
   * wrong may be mended and the server started again, or the collection dropped (R8).
   */
  stop(reason: string, position?: bigint): void {
    if (this.#state !== 'open') return;
    const needed = this.#isRecovered ? this.lowWater() : this.#checkpoint;
    const keepFrom = position === undefined || needed < position ? needed : position;
    this.#stopped = { keepFrom, reason };
    this.#state = 'stopped';
    this.#health.reportStopped(this.info, reason);
    this.deps.onStopped(reason);
    this.#release().catch((error: unknown) => this.#health.reportReleaseFailure(error));
  }

  /**
   * Large records take several turns of the event loop. No read sees a part: reads are at
   * `lastTimestamp` or before.
   */
  async #apply(message: WalMessage, position: bigint): Promise<void> {
    const entries: DeleteEntry[] = [];
    const turn = new TurnMeter(TURN_BYTES);
    for (const part of message.parts) {
      if (part.kind !== 'delete') continue;
      if (turn.isOver(KEY_BYTES * part.keys.values.length)) await nextTurn();
      const entry = toDeleteEntry(part, message.timestamp);
      this.#applyDeleteToGrowing(entry, position);
      entries.push(entry);
    }
    if (entries.length > 0 && this.view.sealed.size > 0) {
      const segmentIds = [...this.view.sealed.keys()];
      await this.deps.peers.querynode.applyDeletes({ segmentIds, entries }, {});
      this.commits.reportDeletes();
    }
    for (const part of message.parts) {
      if (part.kind !== 'insert') continue;
      if (turn.isOver(part.batch.byteLength + ROW_BYTES * part.rows)) await nextTurn();
      this.#appendToGrowing(part, message.timestamp, position);
    }
    this.lastTimestamp = message.timestamp;
    this.#applied = position;
    if (this.deletes.bytes > PENDING_DELETE_BYTES_MAX) await this.#checkpointDeletes();
    for (const part of message.parts) {
      const growing = part.kind === 'insert' ? this.view.growing.get(part.segmentId) : undefined;
      if ((growing?.bytes ?? 0) >= this.deps.segmentBytesMax) void this.#seal(growing!);
    }
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

  #toMessage(request: WriteRequest, timestamp: bigint): WalMessage {
    const parts = request.parts.map((part) =>
      part.kind === 'delete'
        ? part
        : { ...part, segmentId: this.#assignSegment(part.partitionId, part.batch.byteLength) },
    );
    const { collectionId, schemaVersion } = request;
    return { collectionId, timestamp, schemaVersion, shardIndex: this.#shardIndex, parts };
  }

  /** A growing segment is born in its first record; no metadata is written for it (R2). */
  #assignSegment(partitionId: bigint, bytes: number): bigint {
    let open = this.#open.get(partitionId);
    if (open === undefined || open.bytes >= this.deps.segmentBytesMax) {
      open = { segmentId: this.#segmentIds.take(), bytes: 0 };
      this.#open.set(partitionId, open);
    }
    open.bytes += bytes;
    return open.segmentId;
  }

  #appendToGrowing(
    part: { partitionId: bigint; segmentId: bigint; rows: number; batch: Uint8Array },
    timestamp: bigint,
    position: bigint,
  ): GrowingSegment {
    let growing = this.view.growing.get(part.segmentId);
    if (growing === undefined) {
      growing = {
        segmentId: part.segmentId,
        partitionId: part.partitionId,
        handle: native.createGrowing(getNativeFields(this.info.schema)),
        firstPosition: position,
        firstTimestamp: timestamp,
        lastPosition: position,
        rows: 0,
        bytes: 0,
        memoryBytes: 0,
        isSealing: false,
        deletesUpTo: undefined,
      };
      this.view.growing.set(part.segmentId, growing);
      this.deps.onBorn(part.segmentId, timestamp);
    }
    const memoryBytes = native.appendRows(growing.handle, part.batch, timestamp);
    this.deps.budget.charge(memoryBytes - growing.memoryBytes);
    growing.memoryBytes = memoryBytes;
    growing.rows += part.rows;
    growing.bytes += part.batch.byteLength;
    growing.lastPosition = position;
    return growing;
  }

  #applyDeleteToGrowing(entry: DeleteEntry, position: bigint): void {
    for (const growing of this.view.growing.values()) {
      if (entry.partitionId !== 0n && entry.partitionId !== growing.partitionId) continue;
      native.deleteKeys(growing.handle, entry.keys.values, entry.timestamp, entry.killsUpTo);
    }
    this.deletes.push(entry, position);
  }

  // --- sealing, flush, checkpoint ---

  /**
   * Closes every growing segment to inserts and writes it out in the background. Returns their ids.
   */
  async flush(): Promise<bigint[]> {
    this.requireOpen();
    // Everything acknowledged before this call is in a segment.
    await this.run(async () => undefined);
    const ids = [...this.view.growing.keys()];
    for (const growing of this.view.growing.values()) void this.#seal(growing);
    return ids;
  }

  /** Closes one growing segment to inserts and writes it out; whether this call has done so. */
  async seal(segmentId: bigint): Promise<boolean> {
    const growing = this.view.growing.get(segmentId);
    return growing !== undefined && this.#seal(growing);
  }

  /** Writes out what pins the oldest part of the WAL; whether it does so no more. */
  async relieve(): Promise<boolean> {
    const low = this.lowWater();
    const sealed: Promise<boolean>[] = [];
    for (const growing of this.view.growing.values()) {
      if (growing.firstPosition === low) sealed.push(this.#seal(growing));
    }
    await Promise.all(sealed);
    if (this.deletes.firstPosition() === low) await this.run(() => this.#checkpointDeletes());
    return this.lowWater() > low;
  }

  /** First WAL position that a restart must see (R1). */
  lowWater(): bigint {
    if (this.#stopped !== undefined) return this.#stopped.keepFrom;
    let low = this.deletes.firstPosition();
    if (this.#inFlight > 0 && this.#applied < low) low = this.#applied + 1n;
    for (const { firstPosition } of this.view.growing.values()) {
      if (firstPosition < low) low = firstPosition;
    }
    return low;
  }

  /** Resolves, when it is over, with whether this call has written the segment. */
  async #seal(growing: GrowingSegment): Promise<boolean> {
    // A shard that closes waits for what is being written, so nothing may begin any more.
    if (growing.isSealing || this.#state !== 'open') return false;
    growing.isSealing = true;
    if (this.#open.get(growing.partitionId)?.segmentId === growing.segmentId) {
      this.#open.delete(growing.partitionId);
    }
    const sealing = sealSegment(this, growing)
      .then(() => this.#health.clearSealFailure())
      .then(() => true)
      .catch((error: unknown) => {
        // Still readable and still in the WAL; the next flush or the next full segment tries again.
        growing.isSealing = false;
        growing.deletesUpTo = undefined;
        this.#health.reportSealFailure(this.info, growing.segmentId, error);
        return false;
      })
      .finally(() => this.#sealing.delete(sealing));
    this.#sealing.add(sealing);
    return sealing;
  }

  /** Runs after everything appended so far has been applied, and before anything appended later. */
  run<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#run(() => task().then(resolve, reject));
    });
  }

  #run(task: () => Promise<void>): void {
    this.#inOrder = this.#inOrder.then(task);
  }

  /**
   * Records written segments, pending deletes and the checkpoint in one transaction (R1), then
   * shows the segments in place of the growing ones. Inside `run`.
   */
  async commitSealed(growing: GrowingSegment, segment: SegmentInfo): Promise<void> {
    const { peers } = this.deps;
    const isWritten = segment.state === SegmentState.Flushed;
    if (this.#state !== 'open' || !this.view.growing.has(growing.segmentId)) {
      // Dropped meanwhile, or the server stops: then the next start does the same.
      if (isWritten && this.#state !== 'closed') await this.commits.giveUp([segment.file]);
      return;
    }
    // Opened first: what the catalog lists must be readable.
    if (isWritten) await loadOrRelease(this, [segment], []);
    try {
      await this.#commit([segment], growing.segmentId);
    } catch (error) {
      await peers.querynode.releaseSegments({ segmentIds: [segment.segmentId] }, {});
      throw error;
    }
    this.#known.set(segment.segmentId, segment);
    if (isWritten) this.view.sealed.set(segment.segmentId, segment);
    this.view.growing.delete(growing.segmentId);
    native.closeSegment(growing.handle);
    this.deps.budget.release(growing.memoryBytes);
    this.deps.onCheckpoint();
  }

  async #checkpointDeletes(): Promise<void> {
    if (this.#state !== 'open') return;
    try {
      await this.#commit([], undefined);
      this.deps.onCheckpoint();
    } catch (error) {
      // They are in the WAL; the next checkpoint tries again.
      this.deps.logger.error({ vchannel: this.vchannel, error }, 'deletes not written');
    }
  }

  /**
   * Returns the timestamp up to which the file of this segment, about to be written, leaves deleted
   * rows out: the retention's horizon, but not past what has been applied, because a delete that is
   * still under way may be older.
   */
  async chooseDeletesUpTo(growing: GrowingSegment): Promise<bigint> {
    await this.#raiseHorizon();
    growing.deletesUpTo = this.#horizon;
    return this.#horizon;
  }

  async #raiseHorizon(): Promise<void> {
    const { peers, mvccRetentionMs } = this.deps;
    const { first: now } = await peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    const horizon = now - composeTimestamp(mvccRetentionMs);
    this.#horizon = max(this.#horizon, horizon < this.lastTimestamp ? horizon : this.lastTimestamp);
  }

  async #commit(segments: readonly SegmentInfo[], written: bigint | undefined): Promise<void> {
    const pending = this.deletes.takePending();
    const horizon = this.#oldestDeletesUpTo(segments, written);
    const { storage } = this.deps;
    const before = this.deletes.files;
    const deleteFiles = await this.deletes.writeFiles(storage, this.commits, pending, horizon);
    // Records appended but not yet applied belong to what comes after this turn.
    let checkpoint = this.#applied + 1n;
    for (const other of this.view.growing.values()) {
      if (other.segmentId !== written && other.firstPosition < checkpoint) {
        checkpoint = other.firstPosition;
      }
    }
    try {
      await this.commits.commit({ segments, deleteFiles, checkpoint });
    } catch (error) {
      const fresh = deleteFiles.filter((file) => !before.includes(file));
      await this.commits.giveUp(fresh.map(({ file }) => file));
      throw error;
    }
    this.deletes.setFiles(deleteFiles, pending.length);
  }

  /** A file, written or still to be written, may lack the deletes after it; undefined = no file. */
  #oldestDeletesUpTo(
    added: readonly SegmentInfo[],
    written: bigint | undefined,
  ): bigint | undefined {
    const bounds: bigint[] = [];
    for (const { file, deletesUpTo } of [...this.view.sealed.values(), ...added]) {
      if (file !== '') bounds.push(deletesUpTo);
    }
    for (const { segmentId, deletesUpTo } of this.view.growing.values()) {
      if (segmentId !== written) bounds.push(deletesUpTo ?? this.#horizon);
    }
    if (bounds.length === 0) return undefined;
    return bounds.reduce((least, bound) => (bound < least ? bound : least));
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
      else if (removed.some((id) => sealed.has(id))) await this.#raiseHorizon();
      for (const id of removed) sealed.delete(id);
      for (const segment of added) sealed.set(segment.segmentId, segment);
      await querynode.releaseSegments({ segmentIds: removed }, {});
    });
  }

  async dropPartition(partitionId: bigint): Promise<void> {
    // Refused from this turn on (R10): what is stamped later would be applied after the drop.
    const partitions = this.info.partitions.filter((p) => p.partitionId !== partitionId);
    this.info = { ...this.info, partitions };
    await this.run(async () => {
      this.#open.delete(partitionId);
      const released = this.view.selectSealed([partitionId]);
      for (const id of released) this.view.sealed.delete(id);
      for (const growing of [...this.view.growing.values()]) {
        if (growing.partitionId === partitionId) this.#forgetGrowing(growing);
      }
      if (released.length > 0) {
        await this.deps.peers.querynode.releaseSegments({ segmentIds: released }, {});
      }
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
    await Promise.all(this.#sealing);
    await this.run(async () => {
      const segmentIds = [...this.view.sealed.keys()];
      this.view.sealed.clear();
      for (const growing of [...this.view.growing.values()]) this.#forgetGrowing(growing);
      this.deletes.clear();
      if (segmentIds.length > 0)
        await this.deps.peers.querynode.releaseSegments({ segmentIds }, {});
    });
  }

  #forgetGrowing(growing: GrowingSegment): void {
    this.view.growing.delete(growing.segmentId);
    this.deps.budget.release(growing.memoryBytes);
    native.closeSegment(growing.handle);
  }

  /** Live rows per partition: equals count(*). */
  getStats(): Promise<ShardStats[]> {
    this.requireOpen();
    return countRows(this.view, this.deps.peers.querynode);
  }

  /** Resolves when the deletes applied so far are in files, or when they could not be written. */
  async writeDeletes(): Promise<void> {
    if (this.deletes.bytes > 0) await this.run(() => this.#checkpointDeletes());
  }

  listGrowing(): GrowingSegmentInfo[] {
    return this.view.listGrowing(this.vchannel);
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
    this.#lastStamped = max(this.#lastStamped, pinned);
    await this.run(async () => undefined);
  }

  /**
   * Returns the timestamp to read at: the client's pin, once admitted, or everything acknowledged.
   * @throws MilvusError ParameterInvalid for a pin older than what compaction has kept
   */
  chooseReadTimestamp(pinned: bigint): bigint {
    if (pinned === 0n || pinned === this.lastTimestamp) return this.lastTimestamp;
    let keptFrom = this.#horizon;
    for (const { deletesUpTo } of this.view.sealed.values()) keptFrom = max(keptFrom, deletesUpTo);
    if (pinned >= keptFrom) return pinned;
    throw new MilvusError('ParameterInvalid', {
      message: 'the read timestamp is older than the versions kept',
      fields: { got: pinned, expected: `>= ${keptFrom}` },
    });
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
