// Writes on their way into a shard's log. One waits while others are updating its keys (R6); then
// those that wait are taken together, prepared, stamped and appended, in arrival order. Seals of
// growing segments go the same way, behind the rows that were assigned to them. Bounded (R24).
// Invariant: timestamps only rise, and nothing is refused once it has been appended (R8).

import assert from 'node:assert/strict';
import { max } from '../../base/bigint.ts';
import type { Runtime } from '../../base/clock.ts';
import { createDeferred, type Deferred } from '../../base/deferred.ts';
import { encodeWalMessage, type MessagePart, type WalMessage } from '../../codec/wal-message.ts';
import type { Keys } from '../../model/keys.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import type { CallContext, WriteRequest } from '../../rpc/contract.ts';
import type { Wal } from '../../wal/wal.ts';
import { KeyLocks, listKeys } from './key-locks.ts';
import { countBytes, PendingWrites, type PendingWrite } from './pending-writes.ts';
import { PreparedWrite, type WriteTargets } from './prepared-write.ts';
import type { RecordOwner, ShardLog } from './shard-log.ts';
import type { ShardState } from './shard-state.ts';
import type { GrowingSegment } from './view.ts';

const BOUNDS = { countMax: 4096, bytesMax: 256 * 1024 * 1024 };
/** So long a proxy that has died keeps others from rows that it was updating. */
const LEASE_MS = 30_000;

export interface WriteLineDeps extends WriteTargets {
  readonly runtime: Runtime;
  readonly wal: Pick<Wal, 'append'>;
  readonly state: ShardState;
  readonly log: ShardLog;
  /** Makes sure that this many parts get a segment without waiting. */
  readonly fillIds: (parts: number) => Promise<void>;
  /** Returns the first of `count` timestamps. */
  readonly takeTimestamps: (count: number) => Promise<bigint>;
}

type Written = Promise<{ timestamp: bigint }>;

export class WriteLine {
  readonly #deps: WriteLineDeps;
  readonly #locks: KeyLocks;
  readonly #writes = new PendingWrites(BOUNDS);
  /** Segments that take no more rows, until the log says so. */
  readonly #unrecorded = new Map<GrowingSegment, Promise<void>>();
  /** Those of them whose seals wait to be stamped. */
  #closing: { readonly growing: readonly GrowingSegment[]; readonly done: Deferred<void> }[] = [];
  #isAppending = false;
  /** Resolves when the writes that are being prepared have been appended or refused. */
  #appended: Promise<void> = Promise.resolve();
  #lastStamped = 0n;

  constructor(deps: WriteLineDeps) {
    this.#deps = deps;
    this.#locks = new KeyLocks({ runtime: deps.runtime, ...BOUNDS, leaseMs: LEASE_MS });
  }

  /** Settles when it is applied, or refused. With a token its lock ends then. */
  async write(request: WriteRequest, call: CallContext): Written {
    const { token, parts } = request;
    if (token !== undefined) {
      const unlock = this.#locks.use(token);
      return this.#queue(request).finally(unlock);
    }
    if (this.#locks.isIdle) return this.#queue(request);
    const key = getPrimaryKeyField(this.#deps.state.schema);
    const lists = parts.map((part) => listKeys(part, key));
    return this.#locks.pass(lists, countBytes(parts), call, () => this.#queue(request));
  }

  /**
   * Resolves with a token when the keys are the caller's and what was queued before is applied, or
   * refused: each write, because a later one may be refused before an earlier one is appended.
   */
  async lock(keys: Keys, call: CallContext): Promise<bigint> {
    this.#deps.state.requireOpen();
    const token = await this.#locks.lock(keys.values, 0, call);
    await this.#writes.whenReleased();
    if (call.signal?.aborted === true) {
      // Nobody will hear of the token.
      this.#locks.unlock(token);
      throw call.signal.reason;
    }
    await this.#deps.log.whenApplied();
    return token;
  }

  unlock(token: bigint): void {
    this.#locks.unlock(token);
  }

  /**
   * Assigns no more rows to open segments, from this turn on, and has the log say so. Resolves when
   * it does: from then on they are being written, also after a restart. Rejects when it does not;
   * they are being written nevertheless.
   */
  seal(segments: readonly GrowingSegment[]): Promise<unknown> {
    const growing = segments.filter(({ phase }) => phase === 'open');
    if (growing.length > 0) this.#close(growing);
    return Promise.all(segments.map((each) => this.#unrecorded.get(each)));
  }

  #close(growing: readonly GrowingSegment[]): void {
    const done = createDeferred<void>();
    for (const each of growing) {
      this.#deps.growing.close(each);
      this.#unrecorded.set(each, done.promise);
    }
    const forget = (): void => growing.forEach((each) => this.#unrecorded.delete(each));
    done.promise.then(forget, forget);
    this.#closing.push({ growing, done });
    this.#startAppending();
  }

  /** Nothing is stamped at or before it from now on (R5). */
  raise(timestamp: bigint): void {
    this.#lastStamped = max(this.#lastStamped, timestamp);
  }

  /** Resolves when all that is being prepared or appended now has been applied or refused. */
  async settle(): Promise<void> {
    await this.#appended;
    await this.#deps.log.whenApplied();
  }

  /** Nobody waits for keys any more: what comes is queued, and refused. */
  close(): void {
    this.#locks.close();
  }

  #queue(request: WriteRequest): Written {
    return new Promise((resolve, reject) => {
      this.#writes.push({ request, resolve, reject }); // Throws, and so rejects, when full.
      this.#startAppending();
    });
  }

  #startAppending(): void {
    if (!this.#isAppending) void this.#appendWaiting();
  }

  /** Stamps and appends what waits, and what comes meanwhile. */
  async #appendWaiting(): Promise<void> {
    this.#isAppending = true;
    while (this.#writes.waitingCount > 0 || this.#closing.length > 0) {
      const writes = this.#writes.takeAll();
      this.#appended = this.#appendAll(writes);
      await this.#appended;
      this.#writes.release(writes);
    }
    this.#isAppending = false;
  }

  async #appendAll(writes: readonly PendingWrite[]): Promise<void> {
    const { fillIds, takeTimestamps, log } = this.#deps;
    const prepared: PreparedWrite[] = [];
    try {
      await fillIds(writes.reduce((sum, { request }) => sum + request.parts.length, 0));
      for (const write of writes) {
        const made = await this.#prepare(write);
        if (made !== undefined) prepared.push(made);
      }
      const isSealing = this.#closing.length > 0;
      if (prepared.length === 0 && !isSealing) return;
      const first = await takeTimestamps(prepared.length + (isSealing ? 1 : 0));
      let timestamp = max(first, max(this.#lastStamped, log.lastTimestamp) + 1n);
      for (const each of prepared.splice(0)) this.#append(each, timestamp++);
      if (isSealing) this.#appendSeals(timestamp);
    } catch (error) {
      for (const each of prepared) each.giveUp();
      for (const write of writes) write.reject(error);
      this.#refuseSeals(error);
    }
  }

  /** Rejects the write and returns undefined when it cannot be carried out. */
  async #prepare(write: PendingWrite): Promise<PreparedWrite | undefined> {
    try {
      this.#deps.state.requireWritable(write.request);
      return await PreparedWrite.make(write, this.#deps);
    } catch (error) {
      write.reject(error);
      return undefined;
    }
  }

  /** One turn: check, stamp, hand to the WAL. Nothing can fail after the append (R8, R10). */
  #append(prepared: PreparedWrite, timestamp: bigint): void {
    try {
      // What holds may have changed while the write was being prepared.
      this.#deps.state.requireWritable(prepared.write.request);
    } catch (error) {
      prepared.refuse(error);
      return;
    }
    prepared.requireUnsealed();
    this.#appendParts(prepared.parts, timestamp, prepared);
  }

  /** Everything that was assigned to the segments has been appended. */
  #appendSeals(timestamp: bigint): void {
    const { parts, owner } = this.#takeSeals();
    this.#appendParts(parts, timestamp, owner);
  }

  /** In the log's order nevertheless: rows of the segments may be on their way. */
  #refuseSeals(error: unknown): void {
    const { parts, owner } = this.#takeSeals();
    if (parts.length === 0) return;
    this.#deps.log.push(this.#makeMessage(parts, 0n), Promise.reject(error), owner);
  }

  #takeSeals(): { readonly parts: readonly MessagePart[]; readonly owner: RecordOwner } {
    const closing = this.#closing.splice(0);
    const segments = closing.flatMap(({ growing }) => growing);
    for (const growing of segments) {
      assert.equal(growing.phase, 'closing', 'a segment is sealed once, after it was closed');
      growing.phase = 'closed';
    }
    const parts = segments.map(({ partitionId, segmentId }) => {
      return { kind: 'seal', partitionId, segmentId } as const;
    });
    const reject = (error: unknown): void => closing.forEach(({ done }) => done.reject(error));
    const acknowledge = (): void => closing.forEach(({ done }) => done.resolve());
    return { parts, owner: { acknowledge, refuse: reject, fail: reject } };
  }

  #appendParts(parts: readonly MessagePart[], timestamp: bigint, owner: RecordOwner): void {
    const { wal, log } = this.#deps;
    assert(timestamp > this.#lastStamped, 'timestamps of appended records rise');
    this.#lastStamped = timestamp;
    const message = this.#makeMessage(parts, timestamp);
    log.push(message, wal.append(encodeWalMessage(message)), owner);
  }

  #makeMessage(parts: readonly MessagePart[], timestamp: bigint): WalMessage {
    const { info, shardIndex } = this.#deps.state;
    const { collectionId, schema } = info;
    return { collectionId, timestamp, schemaVersion: schema.version, shardIndex, parts };
  }
}
