// A Runtime on virtual time: nothing moves until the test calls `advance`, and chance is seeded.

import type { Runtime } from '../../src/base/clock.ts';

interface Sleeper {
  readonly wakeMs: number;
  readonly wake: () => void;
}

export class VirtualRuntime implements Runtime {
  #elapsedMs = 0;
  #seed: number;
  readonly #startMs: number;
  readonly #sleepers = new Set<Sleeper>();

  constructor({ startMs = 1_700_000_000_000, seed = 1 } = {}) {
    this.#startMs = startMs;
    this.#seed = seed;
  }

  get sleeperCount(): number {
    return this.#sleepers.size;
  }

  nowMs(): number {
    return Math.floor(this.#startMs + this.#elapsedMs);
  }

  monotonicMs(): number {
    return this.#elapsedMs;
  }

  /** Mulberry32. */
  random(): number {
    this.#seed = (this.#seed + 0x6d2b79f5) | 0;
    let mixed = Math.imul(this.#seed ^ (this.#seed >>> 15), 1 | this.#seed);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  }

  sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      if (signal?.aborted) {
        reject(signal.reason);
        return;
      }
      const onAbort = (): void => {
        this.#sleepers.delete(sleeper);
        reject(signal?.reason);
      };
      const wake = (): void => {
        signal?.removeEventListener('abort', onAbort);
        resolve();
      };
      const sleeper: Sleeper = { wakeMs: this.#elapsedMs + delayMs, wake };
      this.#sleepers.add(sleeper);
      signal?.addEventListener('abort', onAbort, { once: true });
    });
  }

  /** Moves time forward, waking sleepers in order and letting what they started settle. */
  async advance(byMs: number): Promise<void> {
    const untilMs = this.#elapsedMs + byMs;
    for (;;) {
      await settle();
      const due = [...this.#sleepers]
        .filter((sleeper) => sleeper.wakeMs <= untilMs)
        .sort((one, other) => one.wakeMs - other.wakeMs)[0];
      if (due === undefined) break;
      this.#sleepers.delete(due);
      this.#elapsedMs = Math.max(this.#elapsedMs, due.wakeMs);
      due.wake();
    }
    this.#elapsedMs = untilMs;
    await settle();
  }
}

/** Lets promises and immediates that are ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}
