// The gate that every call of the client API goes through before its message is read: how many
// calls of a kind may be in progress, and how much memory their messages and replies may hold. A
// call waits at the gate with its body unread, so that flow control stops its sender; past the
// bounds of waiting it is refused with an error that its client knows how to retry.
// Messages and replies have a budget each, taken in this order: who holds a part of the second
// never waits for the first, so calls cannot block each other for ever.
// Invariant: what a call took is given back when its reply has gone or its work has ended,
// whichever is later.

import type { Cancelable } from '../base/cancelable.ts';
import { ByteBudget, type BudgetShare, type Shortage } from '../base/byte-budget.ts';
import { MilvusError } from '../model/error.ts';

export interface AdmissionOptions {
  /** For messages and replies together. */
  readonly bytesMax: number;
  /** Calls of one kind in progress. */
  readonly callsMax: number;
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/** Calls that are counted together. */
export type CallKind = 'write' | 'read' | 'other';

/** What a method says of its calls. */
export interface CallCost {
  readonly kind: CallKind;
  /** How often the bytes of its message are in memory while it is worked on, the message too. */
  readonly copies: number;
}

/** The memory of one call for its reply, as a handler sees it. */
export interface CallMemory {
  /** What all replies together may hold. */
  readonly replyBytesMax: number;
  /** What this call has reserved. */
  readonly held: number;
  /**
   * Takes memory for what the reply will be made from: an upper bound, before it is made. A call
   * that holds some already gets more at once or not at all: calls that hold some never wait.
   * @throws MilvusError RateLimit when it does not become free in time
   */
  reserve(bytes: number, call?: Cancelable): Promise<void>;
  /** Keeps this much of what was reserved, now that the size is known. */
  settle(bytes: number): void;
}

/** Less than this is not counted: the number of calls bounds it. */
const SMALL_BYTES = 16 * 1024;
const WAIT_MS = 10_000;
/** Calls that wait with their message unread; each may have sent a window's worth already. */
const UNREAD_MAX = 128;
/** A connection has at most this share of the memory for messages, however many calls it makes. */
const CONNECTION_SHARE = 0.5;

export class Admission {
  readonly #callsMax: number;
  readonly #inProgress: Record<CallKind, number> = { write: 0, read: 0, other: 0 };
  readonly messages: ByteBudget;
  readonly replies: ByteBudget;

  constructor({ bytesMax, callsMax, sleep }: AdmissionOptions) {
    this.#callsMax = callsMax;
    const half = Math.max(1, Math.floor(bytesMax / 2));
    const common = { bytesMax: half, waitMs: WAIT_MS, sleep };
    const refuse = (what: string) => ({ refuse: refuseBy(what) });
    this.messages = new ByteBudget({ ...common, waitingMax: UNREAD_MAX, ...refuse('requests') });
    this.replies = new ByteBudget({ ...common, waitingMax: callsMax, ...refuse('replies') });
  }

  /** What one connection may hold. */
  makeShare(): BudgetShare {
    return { bytesMax: CONNECTION_SHARE * this.messages.bytesMax, held: 0 };
  }

  /** Calls in progress, and what they hold: for tests and metrics. */
  get held(): { calls: number; bytes: number } {
    const { write, read, other } = this.#inProgress;
    return { calls: write + read + other, bytes: this.messages.held + this.replies.held };
  }

  /**
   * Lets a call in, at once or after a wait. The message's length is known, its body is not read.
   * @throws MilvusError TooManyRequests; RateLimit when no memory becomes free in time
   */
  enter(
    { kind, copies }: CallCost,
    messageBytes: number,
    share: BudgetShare,
  ): { call: AdmittedCall; wait?: (signal: AbortSignal) => Promise<void> } {
    if (this.#inProgress[kind] >= this.#callsMax) {
      throw new MilvusError('TooManyRequests', { fields: { limit: this.#callsMax } });
    }
    this.#inProgress[kind] += 1;
    const onEnd = (): void => {
      this.#inProgress[kind] -= 1;
    };
    const call = new AdmittedCall(this, share, onEnd);
    const bytes = copies * messageBytes;
    if (bytes < SMALL_BYTES || call.tryTakeMessage(bytes)) return { call };
    return { call, wait: (signal) => call.takeMessage(bytes, signal) };
  }
}

export class AdmittedCall implements CallMemory {
  readonly #admission: Admission;
  readonly #share: BudgetShare;
  readonly #onEnd: () => void;
  #messageBytes = 0;
  #replyBytes = 0;
  #isOver = false;

  constructor(admission: Admission, share: BudgetShare, onEnd: () => void) {
    this.#admission = admission;
    this.#share = share;
    this.#onEnd = onEnd;
  }

  get replyBytesMax(): number {
    return this.#admission.replies.bytesMax;
  }

  get held(): number {
    return this.#replyBytes;
  }

  tryTakeMessage(bytes: number): boolean {
    const isTaken = this.#admission.messages.tryTake(bytes, this.#share);
    if (isTaken) this.#messageBytes += bytes;
    return isTaken;
  }

  async takeMessage(bytes: number, signal: AbortSignal): Promise<void> {
    await this.#admission.messages.take(bytes, this.#share, signal);
    this.#messageBytes += bytes;
    if (this.#isOver) this.#giveAll();
  }

  async reserve(bytes: number, call?: Cancelable): Promise<void> {
    if (bytes < SMALL_BYTES) return;
    const { replies } = this.#admission;
    if (this.#replyBytes > 0) replies.takeNow(bytes);
    // The signal is made when it is first asked for.
    else if (!replies.tryTake(bytes)) await replies.take(bytes, undefined, call?.signal);
    this.#replyBytes += bytes;
    if (this.#isOver) this.#giveAll();
  }

  settle(bytes: number): void {
    if (this.#isOver || this.#replyBytes <= bytes) return;
    const rest = this.#replyBytes - bytes;
    this.#replyBytes = bytes;
    this.#admission.replies.give(rest);
  }

  /** The reply is made: it alone is held from now on. */
  keepReply(bytes: number): void {
    if (this.#isOver) return;
    const before = this.#replyBytes;
    this.#replyBytes = bytes < SMALL_BYTES ? 0 : bytes;
    if (this.#replyBytes > before) this.#admission.replies.force(this.#replyBytes - before);
    else if (before > this.#replyBytes) this.#admission.replies.give(before - this.#replyBytes);
  }

  /** Whether so much is held that a client must not stop in the middle. */
  get isLarge(): boolean {
    return this.#messageBytes + this.#replyBytes > 0;
  }

  /** Gives everything back, once. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#onEnd();
    this.#giveAll();
  }

  #giveAll(): void {
    const { messages, replies } = this.#admission;
    if (this.#messageBytes > 0) messages.give(this.#messageBytes, this.#share);
    if (this.#replyBytes > 0) replies.give(this.#replyBytes);
    this.#messageBytes = 0;
    this.#replyBytes = 0;
  }
}

/** Code 8: SDKs come again later, by themselves. */
function refuseBy(what: string): (shortage: Shortage) => MilvusError {
  return ({ need, have, limit }) =>
    new MilvusError('RateLimit', {
      message:
        'request is rejected by grpc RateLimiter middleware, please retry later: ' +
        `memory for ${what} is in use: rate limit exceeded`,
      fields: { need, have, limit },
    });
}
