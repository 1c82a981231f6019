// What happens to one shard, in order: writes are prepared, stamped, handed to the WAL and, once
// durable, applied and acknowledged. Records that became durable together are applied as a group.
// Tasks that must not interleave with writes run in the same order.

import { max } from '../../base/bigint.ts';
import { TurnMeter } from '../../base/turns.ts';
import { encodeWalMessage, type WalMessage } from '../../codec/wal-message.ts';
import type { WriteRequest } from '../../rpc/contract.ts';
import type { Wal } from '../../wal/wal.ts';
import type { PendingWrite } from './pending-writes.ts';
import { PreparedWrite, TURN_BYTES, type WriteTargets } from './prepared-write.ts';
import { RecordLine, type SettledRecord } from './record-line.ts';

/** Where writes wait to be stamped. */
export interface WriteSource {
  readonly count: number;
  takeAll(): readonly PendingWrite[];
  /** These have been handed to the log, or refused. */
  release(taken: readonly PendingWrite[]): void;
}

export interface ShardLogDeps {
  readonly wal: Wal;
  readonly collectionId: bigint;
  readonly shardIndex: number;
  readonly source: WriteSource;
  /** Where rows and deletes will go. */
  readonly targets: WriteTargets;
  /** Makes sure that this many parts get a segment without waiting. */
  readonly fillIds: (parts: number) => Promise<void>;
  /** Returns the first of `count` timestamps. */
  readonly takeTimestamps: (count: number) => Promise<bigint>;
  /** Throws when the write cannot be carried out. */
  readonly check: (request: WriteRequest) => void;
  /** Does what the record says. No read sees it before `lastTimestamp` has moved. */
  readonly apply: (message: WalMessage, position: bigint, turn: TurnMeter) => Promise<void>;
  /** Throws when an earlier record could not be applied. */
  readonly requireWhole: () => void;
  /** A durable record could not be applied. */
  readonly onBreak: (position: bigint, error: unknown) => void;
  readonly onApplied: () => Promise<void>;
}

export class ShardLog {
  /** Of the last applied record. */
  lastTimestamp = 0n;
  /** Position of the last applied record. */
  applied = 0n;
  readonly #deps: ShardLogDeps;
  #isPumping = false;
  /** Resolves when the writes that are being prepared have been appended or refused. */
  #round: Promise<void> = Promise.resolve();
  #lastStamped = 0n;
  /** Records handed to the WAL and not yet applied. */
  #inFlight = 0;
  #inOrder: Promise<void> = Promise.resolve();
  /** The last thing in `#inOrder`, if that is records: further ones join it. */
  #records: RecordLine | undefined;

  constructor(deps: ShardLogDeps) {
    this.#deps = deps;
  }

  /** Takes what waits at the source, and what comes to it meanwhile. */
  pump(): void {
    if (!this.#isPumping) void this.#pump();
  }

  /** Nothing is stamped at or before it from now on (R5). */
  raise(timestamp: bigint): void {
    this.#lastStamped = max(this.#lastStamped, timestamp);
  }

  /** Runs after everything appended so far has been applied, and before anything appended later. */
  run<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.enqueue(() => task().then(resolve, reject));
    });
  }

  /** The same without a result; the task must not reject. */
  enqueue(task: () => Promise<void>): void {
    this.#records = undefined;
    this.#inOrder = this.#inOrder.then(task);
  }

  /** Resolves when all that is being prepared or appended now has been applied or refused. */
  async settle(): Promise<void> {
    await this.#round;
    await this.run(async () => undefined);
  }

  /** Position of the first record that is handed to the WAL and not applied, or one before it. */
  firstInFlight(): bigint | undefined {
    return this.#inFlight > 0 ? this.applied + 1n : undefined;
  }

  /** Stamps and appends what waits, in arrival order. */
  async #pump(): Promise<void> {
    this.#isPumping = true;
    const { source } = this.#deps;
    while (source.count > 0) {
      const writes = source.takeAll();
      this.#round = this.#pumpRound(writes);
      await this.#round;
      source.release(writes);
    }
    this.#isPumping = false;
  }

  async #pumpRound(writes: readonly PendingWrite[]): Promise<void> {
    const prepared: PreparedWrite[] = [];
    try {
      await this.#deps.fillIds(writes.reduce((sum, { request }) => sum + request.parts.length, 0));
      for (const write of writes) {
        const made = await this.#prepare(write);
        if (made !== undefined) prepared.push(made);
      }
      if (prepared.length === 0) return;
      const first = await this.#deps.takeTimestamps(prepared.length);
      let timestamp = max(first, max(this.#lastStamped, this.lastTimestamp) + 1n);
      for (const each of prepared.splice(0)) this.#append(each, timestamp++);
    } catch (error) {
      for (const each of prepared) each.giveUp();
      for (const write of writes) write.reject(error);
    }
  }

  /** Rejects the write and returns undefined when it cannot be carried out. */
  async #prepare(write: PendingWrite): Promise<PreparedWrite | undefined> {
    try {
      this.#deps.check(write.request);
      return await PreparedWrite.make(write, this.#deps.targets);
    } catch (error) {
      write.reject(error);
      return undefined;
    }
  }

  /** One turn: check, stamp, hand to the WAL. Nothing can fail after the append (R8, R10). */
  #append(prepared: PreparedWrite, timestamp: bigint): void {
    const { wal, collectionId, shardIndex, check } = this.#deps;
    const { parts, write } = prepared;
    try {
      // What holds may have changed while the write was being prepared.
      check(write.request);
    } catch (error) {
      prepared.giveUp();
      write.reject(error);
      return;
    }
    const { schemaVersion } = write.request;
    const message: WalMessage = { collectionId, timestamp, schemaVersion, shardIndex, parts };
    this.#lastStamped = timestamp;
    const durable = wal.append(encodeWalMessage(message));
    this.#inFlight += 1;
    this.#openLine().push(prepared, message, durable);
  }

  #openLine(): RecordLine {
    if (this.#records !== undefined) return this.#records;
    const line = new RecordLine();
    this.enqueue(() => this.#applyLine(line));
    this.#records = line;
    return line;
  }

  async #applyLine(line: RecordLine): Promise<void> {
    while (!line.isEmpty) await this.#applyGroup(await line.takeGroup());
    // In this turn: what is appended from now on begins a new line.
    if (this.#records === line) this.#records = undefined;
  }

  /**
   * Applies records one after another. No read sees a part of one: reads are at `lastTimestamp` or
   * before (P2, R4).
   */
  async #applyGroup(group: readonly SettledRecord[]): Promise<void> {
    const left: SettledRecord[] = [];
    for (const record of group) {
      if (record.position !== undefined) left.push(record);
      else this.#refuse(record);
    }
    try {
      // What follows a record that was not applied waits for the restart too.
      this.#deps.requireWhole();
      const turn = new TurnMeter(TURN_BYTES);
      while (left.length > 0) {
        const { message, position, prepared } = left[0]!;
        await this.#deps.apply(message, position!, turn);
        this.lastTimestamp = message.timestamp;
        this.applied = position!;
        this.#inFlight -= 1;
        left.shift();
        prepared.end();
        prepared.write.resolve({ timestamp: message.timestamp });
      }
    } catch (error) {
      // Durable but not applied: only a restart can tell the truth again.
      if (left[0] !== undefined) this.#deps.onBreak(left[0].position!, error);
      this.#inFlight -= left.length;
      for (const { prepared } of left) {
        prepared.end();
        prepared.write.reject(error);
      }
      return;
    }
    await this.#deps.onApplied();
  }

  /** It is not in the log. */
  #refuse({ prepared, error }: SettledRecord): void {
    this.#inFlight -= 1;
    prepared.giveUp();
    prepared.write.reject(error);
  }
}
