// Writes growing segments out before memory or the log is full: the largest when growing data
// passes half of its memory, down to a low-water mark (R19), and whoever pins the oldest part of a
// log that has outgrown its bound (R20); and what is in the way of a write that was refused. One
// loop for the node, with a bounded number of files being written; a record that is applied costs
// it nothing.

import type { GrowingBudget } from './growing-budget.ts';
import type { View } from './view.ts';

/** A shard, as far as its segments are written out. */
export interface SealedShard {
  readonly view: View;
  /** Tries to write a growing segment out; whether this call has done so. */
  seal(segmentId: bigint): Promise<boolean>;
}

/** A log, as far as it may outgrow its bound. */
export interface BoundedLog {
  readonly isLong: boolean;
  /** Has written out what needs its oldest part, and cuts it; whether that was done. */
  writeOldest(): Promise<boolean>;
}

export interface SealerDeps {
  readonly budget: GrowingBudget;
  readonly listShards: () => readonly SealedShard[];
  readonly listLogs: () => readonly BoundedLog[];
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

/** Shares of the growing memory: it begins above the first and goes on down to the second. */
const HIGH_WATER = 1 / 2;
const LOW_WATER = 3 / 8;
/** Segments that are written at a time: one computes while the other waits for the disk. */
const PARALLEL = 2;
/** After a round in which nothing could be written: a full disk, a log pinned by a broken shard. */
const RETRY_MS = 1000;

export class Sealer {
  readonly #deps: SealerDeps;
  readonly #stopping = new AbortController();
  #running: Promise<void> | undefined;
  /** What the largest write that was refused since the last round needs. */
  #wantedBytes = 0;

  constructor(deps: SealerDeps) {
    this.#deps = deps;
  }

  /** A write was refused: room is made for it, if there can be. */
  makeRoom(bytes: number): void {
    const { bytesMax } = this.#deps.budget;
    if (bytes <= bytesMax) this.#wantedBytes = Math.max(this.#wantedBytes, bytes);
    this.wake();
  }

  /** A record has been applied. */
  wake(): void {
    if (this.#running !== undefined || this.#stopping.signal.aborted) return;
    if (!this.#isAbove(HIGH_WATER) && !this.#hasLongLog()) return;
    this.#running = this.#writeUntilBelow().finally(() => {
      this.#running = undefined;
      this.#wantedBytes = 0;
    });
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #writeUntilBelow(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      let isWritten = false;
      if (this.#isAbove(LOW_WATER)) isWritten = await this.#sealLargest();
      for (const log of this.#deps.listLogs()) {
        if (log.isLong) isWritten = (await log.writeOldest()) || isWritten;
      }
      if (!isWritten) {
        if (this.#isAbove(HIGH_WATER) || this.#hasLongLog()) {
          await this.#deps.sleep(RETRY_MS, signal).catch(() => undefined); // Stopping.
        }
        return;
      }
    }
  }

  #isAbove(share: number): boolean {
    return this.#deps.budget.used > this.#limit(share);
  }

  /** This share of the memory, or what a refused write leaves of it. */
  #limit(share: number): number {
    const { bytesMax } = this.#deps.budget;
    return Math.min(share * bytesMax, bytesMax - this.#wantedBytes);
  }

  #hasLongLog(): boolean {
    return this.#deps.listLogs().some(({ isLong }) => isLong);
  }

  async #sealLargest(): Promise<boolean> {
    const { budget, listShards } = this.#deps;
    const found = listShards()
      .flatMap((shard) => [...shard.view.growing.values()].map((segment) => ({ shard, segment })))
      .sort((a, b) => b.segment.memoryBytes - a.segment.memoryBytes);
    // What others are writing out already counts as gone.
    let excess = budget.used - this.#limit(LOW_WATER);
    const chosen: Promise<boolean>[] = [];
    for (const { segment } of found) {
      if (segment.phase !== 'open' && segment.failure === undefined) excess -= segment.memoryBytes;
    }
    for (const { shard, segment } of found) {
      if (chosen.length === PARALLEL || excess <= 0) break;
      if (segment.phase !== 'open' || segment.rows === 0) continue;
      excess -= segment.memoryBytes;
      chosen.push(shard.seal(segment.segmentId));
    }
    return (await Promise.all(chosen)).some((isWritten) => isWritten);
  }
}
