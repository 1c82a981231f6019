// Keys that wait for their time, with one sleep for all of them: nothing is asked while nothing is
// due, however many wait. A key waits once, for the earliest time that it was scheduled for. How
// long is settled when it is scheduled: a wall clock that jumps meanwhile changes nothing.

import type { Runtime } from './clock.ts';

export interface DueTimerOptions<Key> {
  readonly runtime: Pick<Runtime, 'nowMs' | 'monotonicMs' | 'sleep'>;
  /** Called when a key's time has come; it then waits no more. Must not throw. */
  readonly onDue: (key: Key) => void;
}

/** A sleep at most: timers of the machine overflow after 24 days. */
const SLEEP_MS_MAX = 24 * 3600 * 1000;

export class DueTimer<Key> {
  readonly #options: DueTimerOptions<Key>;
  /** By the monotonic clock. */
  readonly #dueMs = new Map<Key, number>();
  readonly #stop = new AbortController();
  /** Ends the sleep that is under way, because something is due before it. */
  #wake = new AbortController();
  #sleepsUntilMs = Infinity;
  #running: Promise<void> | undefined;

  constructor(options: DueTimerOptions<Key>) {
    this.#options = options;
  }

  get size(): number {
    return this.#dueMs.size;
  }

  /** `dueMs` by the wall clock. A key that waits for an earlier time keeps it. */
  schedule(key: Key, dueMs: number): void {
    const { runtime } = this.#options;
    const atMs = runtime.monotonicMs() + dueMs - runtime.nowMs();
    if (this.#stop.signal.aborted || atMs >= (this.#dueMs.get(key) ?? Infinity)) return;
    this.#dueMs.set(key, atMs);
    if (atMs < this.#sleepsUntilMs) this.#wake.abort();
    this.#running ??= this.#run();
  }

  forget(key: Key): void {
    this.#dueMs.delete(key);
  }

  /** Calls nothing any more; resolves when the sleep has ended. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (this.#dueMs.size > 0 && !this.#stop.signal.aborted) {
      const untilMs = [...this.#dueMs.values()].reduce((least, due) => Math.min(least, due));
      await this.#sleepUntil(untilMs);
      if (this.#stop.signal.aborted) break;
      const nowMs = this.#options.runtime.monotonicMs();
      for (const [key, dueMs] of [...this.#dueMs]) {
        if (dueMs > nowMs) continue;
        this.#dueMs.delete(key);
        this.#options.onDue(key);
      }
    }
    // In the turn of the last look: what is scheduled from now on starts a new run.
    this.#running = undefined;
  }

  async #sleepUntil(untilMs: number): Promise<void> {
    const { runtime } = this.#options;
    const delayMs = Math.min(untilMs - runtime.monotonicMs(), SLEEP_MS_MAX);
    if (delayMs <= 0) return;
    this.#wake = new AbortController();
    this.#sleepsUntilMs = untilMs;
    const signal = AbortSignal.any([this.#stop.signal, this.#wake.signal]);
    await runtime.sleep(delayMs, signal).catch(() => undefined);
    this.#sleepsUntilMs = Infinity;
  }
}
