// Memory that many may hold at a time, in bytes. Who asks for more than is left waits in line, in
// the order of asking; both the line and the wait have a bound, and past it the asker is refused.
// Invariant: no more than `bytesMax` is held, unless by one holder alone that is larger by itself.

import assert from 'node:assert/strict';

export interface ByteBudgetOptions {
  readonly bytesMax: number;
  /** Askers that wait; the next one is refused at once. */
  readonly waitingMax: number;
  /** Infinity: as long as it takes. */
  readonly waitMs: number;
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
  /** Makes the error that a refused asker gets: normally a MilvusError. */
  readonly refuse: (facts: Shortage) => Error;
}

export interface Shortage {
  readonly need: number;
  readonly have: number;
  readonly limit: number;
}

/** What one owner, such as a connection, may hold of a budget. */
export interface BudgetShare {
  readonly bytesMax: number;
  held: number;
}

interface Waiter {
  readonly bytes: number;
  readonly share: BudgetShare | undefined;
  readonly grant: () => void;
}

export class ByteBudget {
  readonly bytesMax: number;
  readonly #options: ByteBudgetOptions;
  readonly #waiting: Waiter[] = [];
  #held = 0;
  #released = 0;

  constructor(options: ByteBudgetOptions) {
    this.#options = options;
    this.bytesMax = options.bytesMax;
  }

  get held(): number {
    return this.#held;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** All that was ever given back: whoever wants to know when much was freed. */
  get released(): number {
    return this.#released;
  }

  /** Takes the bytes if they are there and nobody waits for them. */
  tryTake(bytes: number, share?: BudgetShare): boolean {
    if (this.#waiting.length > 0 || !this.#fits(bytes, share)) return false;
    this.#take(bytes, share);
    return true;
  }

  /**
   * Resolves when the bytes are taken; they stay so until `give`.
   * @throws the `refuse` error; the reason of `signal`
   */
  async take(bytes: number, share?: BudgetShare, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    if (this.tryTake(bytes, share)) return;
    const { waitingMax, refuse } = this.#options;
    if (this.#waiting.length >= waitingMax) throw refuse(this.#describe(bytes));
    await this.#wait(bytes, share, signal);
  }

  /**
   * Takes the bytes now or not at all, before those that wait: for who holds some already and must
   * not wait for others that may wait for it.
   * @throws the `refuse` error
   */
  takeNow(bytes: number): void {
    if (!this.#fits(bytes, undefined)) throw this.#options.refuse(this.#describe(bytes));
    this.#take(bytes, undefined);
  }

  give(bytes: number, share?: BudgetShare): void {
    this.#held -= bytes;
    this.#released += bytes;
    if (share !== undefined) share.held -= bytes;
    assert(this.#held >= 0 && (share?.held ?? 0) >= 0, 'more given back than taken');
    this.#serve();
  }

  /** Takes without asking: for what is there already and must be counted. */
  force(bytes: number, share?: BudgetShare): void {
    this.#take(bytes, share);
  }

  #wait(bytes: number, share?: BudgetShare, signal?: AbortSignal): Promise<void> {
    const { waitMs, sleep, refuse } = this.#options;
    return new Promise((resolve, reject) => {
      const timer = new AbortController();
      const leave = (error: unknown): void => {
        const at = this.#waiting.indexOf(waiter);
        if (at < 0) return;
        this.#waiting.splice(at, 1);
        timer.abort();
        reject(error);
        // Those behind may have waited for this one only.
        this.#serve();
      };
      const onAbort = (): void => leave(signal?.reason);
      const grant = (): void => {
        timer.abort();
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const waiter = { bytes, share, grant };
      this.#waiting.push(waiter);
      signal?.addEventListener('abort', onAbort, { once: true });
      // Those before it may all have used up their shares.
      this.#serve();
      if (waitMs === Infinity || timer.signal.aborted) return;
      sleep(waitMs, timer.signal).then(
        () => {
          signal?.removeEventListener('abort', onAbort);
          leave(refuse(this.#describe(bytes)));
        },
        () => undefined, // Granted or gone.
      );
    });
  }

  /** In order; whoever has used up its own share lets the others pass. */
  #serve(): void {
    for (let i = 0; i < this.#waiting.length; ) {
      const { bytes, share, grant } = this.#waiting[i]!;
      if (!fitsShare(bytes, share)) {
        i += 1;
        continue;
      }
      if (!this.#fits(bytes, share)) return;
      this.#waiting.splice(i, 1);
      this.#take(bytes, share);
      grant();
    }
  }

  #take(bytes: number, share: BudgetShare | undefined): void {
    this.#held += bytes;
    if (share !== undefined) share.held += bytes;
  }

  #fits(bytes: number, share: BudgetShare | undefined): boolean {
    const isThere = this.#held === 0 || this.#held + bytes <= this.bytesMax;
    return isThere && fitsShare(bytes, share);
  }

  #describe(need: number): Shortage {
    return { need, have: Math.max(0, this.bytesMax - this.#held), limit: this.bytesMax };
  }
}

function fitsShare(bytes: number, share: BudgetShare | undefined): boolean {
  return share === undefined || share.held === 0 || share.held + bytes <= share.bytesMax;
}
