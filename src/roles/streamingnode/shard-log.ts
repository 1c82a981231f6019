// What the log says of one shard, in order: records that have been appended wait here until they
// are durable, are applied, and then acknowledged. Those that one fsync has made durable are
// applied as a group. Tasks that must not interleave with records run in the same order.
// Invariants: positions and timestamps only rise; no row comes after its segment's seal.

import assert from 'node:assert/strict';
import { max } from '../../base/bigint.ts';
import { nextTurn, TurnMeter, VALUES_PER_TURN } from '../../base/turns.ts';
import { toDeleteRun, type DeleteRun } from '../../codec/delete-batch.ts';
import { countKeys, type WalMessage } from '../../codec/wal-message.ts';
import type { DeleteBuffer } from './delete-buffer.ts';
import type { GrowingSegments } from './growing-segments.ts';
import type { SealedSegments } from './sealed-segments.ts';
import type { ShardState } from './shard-state.ts';
import type { GrowingSegment, View } from './view.ts';

/** Bytes of a record that are handled in one turn (P9), and what a row and a key add to them. */
export const TURN_BYTES = 1024 * 1024;
export const ROW_BYTES = 192;
export const KEY_BYTES = TURN_BYTES / VALUES_PER_TURN;
/** Records of one group: their clients wait for the last of them. */
const GROUP_RECORDS_MAX = 1024;

export interface ShardLogDeps {
  readonly state: ShardState;
  readonly view: View;
  readonly growing: GrowingSegments;
  readonly deletes: DeleteBuffer;
  readonly sealed: SealedSegments;
  /** Of these no row comes any more. */
  readonly onSealed: (growing: GrowingSegment) => void;
  /** A durable record could not be applied. */
  readonly onBroken: (position: bigint, error: unknown) => void;
  readonly onApplied: () => Promise<void>;
}

/** Who had a record appended: hears of it in the order of the log. */
export interface RecordOwner {
  /** Durable and applied. */
  acknowledge(timestamp: bigint): void;
  /** It is not in the log. */
  refuse(error: unknown): void;
  /** It is durable, but not applied. */
  fail(error: unknown): void;
}

interface Appended {
  readonly message: WalMessage;
  readonly owner: RecordOwner;
  /** Resolves when the log has answered; never rejects. */
  readonly settled: Promise<void>;
  /** Undefined = it is not in the log, because of `error`, or not known yet. */
  position: bigint | undefined;
  error: unknown;
}

export class ShardLog {
  readonly #deps: ShardLogDeps;
  #lastTimestamp = 0n;
  #applied = 0n;
  /** Records handed to the WAL and not yet applied. */
  #inFlight = 0;
  #inOrder: Promise<void> = Promise.resolve();
  /** The last thing in `#inOrder`, if that is records: further ones join it. */
  #records: Appended[] | undefined;

  constructor(deps: ShardLogDeps) {
    this.#deps = deps;
  }

  /** Of the last applied record: reads are at it or before. */
  get lastTimestamp(): bigint {
    return this.#lastTimestamp;
  }

  /** Position of the last applied record. */
  get applied(): bigint {
    return this.#applied;
  }

  /** Position of the first record that is handed to the WAL and not applied, or one before it. */
  firstInFlight(): bigint | undefined {
    return this.#inFlight > 0 ? this.#applied + 1n : undefined;
  }

  /** Runs after everything appended so far has been applied, and before anything appended later. */
  run<T>(task: () => Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#records = undefined;
      this.#inOrder = this.#inOrder.then(() => task().then(resolve, reject));
    });
  }

  /** Resolves when everything appended so far has been applied. */
  async whenApplied(): Promise<void> {
    await this.run(async () => undefined);
  }

  /** Applies a record, and tells its owner, once it is durable and its turn has come. */
  push(message: WalMessage, durable: Promise<bigint>, owner: RecordOwner): void {
    const settled = durable.then(
      (position) => {
        record.position = position;
      },
      (error: unknown) => {
        record.error = error;
      },
    );
    const record: Appended = { message, owner, settled, position: undefined, error: undefined };
    this.#inFlight += 1;
    if (this.#records === undefined) {
      const records: Appended[] = [];
      this.#inOrder = this.#inOrder.then(() => this.#applyAll(records));
      this.#records = records;
    }
    this.#records.push(record);
  }

  /** A record of the log's tail, at start-up; `isKnown` tells whose rows are in a file, or gone. */
  replay(
    message: WalMessage,
    position: bigint,
    isKnown: (segmentId: bigint) => boolean,
  ): void {
    const { state, growing } = this.#deps;
    for (const part of message.parts) {
      if (part.kind === 'delete') this.#applyDelete(toDeleteRun(part, message.timestamp), position);
    }
    for (const part of message.parts) {
      if (part.kind === 'insert') {
        if (isKnown(part.segmentId) || !state.hasPartition(part.partitionId)) continue;
        growing.replay(part, message.timestamp, position);
      } else if (part.kind === 'seal') {
        growing.replaySeal(part.segmentId);
      }
    }
  }

  /** At start-up: records up to here are applied or not this shard's, and none is later. */
  moveTo(position: bigint, timestamp: bigint): void {
    assert(position >= this.#applied, 'positions rise');
    this.#applied = position;
    this.#lastTimestamp = max(this.#lastTimestamp, timestamp);
  }

  async #applyAll(records: Appended[]): Promise<void> {
    while (records.length > 0) await this.#applyGroup(await takeGroup(records));
    // In this turn: what is appended from now on begins a new line.
    if (this.#records === records) this.#records = undefined;
  }

  /**
   * Applies records, or refuses them, one after another. No read sees a part of one: reads are at
   * `lastTimestamp` or before (P2, R4).
   */
  async #applyGroup(group: readonly Appended[]): Promise<void> {
    const left = [...group];
    try {
      // What follows a record that was not applied waits for the restart too.
      this.#deps.state.requireNotStopped();
      const turn = new TurnMeter(TURN_BYTES);
      while (left.length > 0) {
        const { message, position, owner } = left[0]!;
        if (position === undefined) {
          this.#refuse(left.shift()!);
          continue;
        }
        await this.#apply(message, position, turn);
        this.#lastTimestamp = message.timestamp;
        this.#applied = position;
        this.#inFlight -= 1;
        left.shift();
        owner.acknowledge(message.timestamp);
      }
    } catch (error) {
      // Durable but not applied: only a restart can apply it.
      const durable = left.filter(({ position }) => position !== undefined);
      if (durable[0] !== undefined) this.#deps.onBroken(durable[0].position!, error);
      this.#inFlight -= durable.length;
      for (const { owner } of durable) owner.fail(error);
      for (const record of left) if (record.position === undefined) this.#refuse(record);
      return;
    }
    await this.#deps.onApplied();
  }

  /** In its turn: the rows before a seal that is refused are applied by then. */
  #refuse({ message, owner, error }: Appended): void {
    this.#inFlight -= 1;
    owner.refuse(error);
    // Rows are assigned to others by now: it is written in any case.
    for (const part of message.parts) if (part.kind === 'seal') this.#applySeal(part.segmentId);
  }

  /** Large records take several turns of the event loop. */
  async #apply(message: WalMessage, position: bigint, turn: TurnMeter): Promise<void> {
    const { parts, timestamp } = message;
    assert(timestamp > this.#lastTimestamp, 'timestamps of applied records rise');
    assert(position > this.#applied, 'positions of applied records rise');
    for (const part of parts) {
      if (part.kind !== 'delete') continue;
      if (turn.isOver(KEY_BYTES * countKeys(part.keys))) await nextTurn();
      this.#applyDelete(toDeleteRun(part, timestamp), position);
    }
    for (const part of parts) {
      if (part.kind === 'insert') {
        if (turn.isOver(part.batch.byteLength + ROW_BYTES * part.rows)) await nextTurn();
        this.#deps.growing.append(part, timestamp, position);
      } else if (part.kind === 'seal') {
        this.#applySeal(part.segmentId);
      }
    }
  }

  /** To growing rows at once; segments that are opened later get it from the buffer (R3). */
  #applyDelete(run: DeleteRun, position: bigint): void {
    const { growing, deletes, sealed } = this.#deps;
    growing.delete(run);
    deletes.push(run, position);
    sealed.push(run);
  }

  /** One that is gone was dropped with its partition. */
  #applySeal(segmentId: bigint): void {
    const growing = this.#deps.view.growing.get(segmentId);
    if (growing !== undefined) this.#deps.onSealed(growing);
  }
}

/** Waits for the first record, then takes it and those behind it that are settled as well. */
async function takeGroup(records: Appended[]): Promise<readonly Appended[]> {
  await records[0]!.settled;
  // The others of the same fsync settle in this turn of the event loop, too, but later in it.
  await Promise.resolve();
  let count = 0;
  while (count < records.length && count < GROUP_RECORDS_MAX) {
    const { position, error } = records[count]!;
    if (position === undefined && error === undefined) break;
    count += 1;
  }
  return records.splice(0, count);
}
