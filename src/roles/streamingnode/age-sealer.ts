// Writes out growing segments by age, so that a collection that is hardly written to does not pin
// the log for ever. One timer for all, set for the oldest. Invariant: the queue is in order of
// birth, and never longer than twice the growing segments there are, and a few.

import type { Runtime } from '../../base/clock.ts';
import { getPhysicalMs } from '../../model/timestamp.ts';

/** What it needs of a shard. */
export interface AgeingShard {
  readonly view: { readonly growing: ReadonlyMap<bigint, unknown> };
  seal(segmentId: bigint): void;
}

interface Birth {
  readonly shard: AgeingShard;
  readonly segmentId: bigint;
  readonly dueMs: number;
}

/** The wall clock may jump: looked at again at least this often. */
const SLEEP_MS_MAX = 3_600_000;
/** Between two seals: a start after a long stop does not write everything at once. */
const SPACING_MS = 50;
/** Births that are kept before the gone ones among them are looked for. */
const SLACK_COUNT = 1024;

export class AgeSealer {
  readonly #lifeMsMax: number;
  readonly #runtime: Runtime;
  readonly #abort = new AbortController();
  #births: Birth[] = [];
  #sweepAt = SLACK_COUNT;
  #isStarted = false;
  #running: Promise<void> | undefined;

  constructor(lifeMsMax: number, runtime: Runtime) {
    this.#lifeMsMax = lifeMsMax;
    this.#runtime = runtime;
  }

  /** A segment was born, in a record of this time. */
  add(shard: AgeingShard, segmentId: bigint, timestamp: bigint): void {
    const dueMs = getPhysicalMs(timestamp) + this.#lifeMsMax;
    this.#births.push({ shard, segmentId, dueMs });
    if (this.#births.length > this.#sweepAt) {
      this.#births = this.#births.filter(isGrowing);
      this.#sweepAt = 2 * this.#births.length + SLACK_COUNT;
    }
    if (this.#isStarted) this.#running ??= this.#run();
  }

  /** Once the log has been replayed: what is sealed must be whole. */
  start(): void {
    this.#isStarted = true;
    this.#running ??= this.#run();
  }

  /** Births that are remembered. */
  get count(): number {
    return this.#births.length;
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { signal } = this.#abort;
    // Not in the turn in which a segment is born.
    await Promise.resolve();
    for (;;) {
      const oldest = this.#births[0];
      if (oldest === undefined || signal.aborted) break;
      const leftMs = oldest.dueMs - this.#runtime.nowMs();
      let delayMs = 0;
      if (!isGrowing(oldest)) this.#births.shift();
      else if (leftMs > 0) delayMs = Math.min(leftMs, SLEEP_MS_MAX);
      else {
        this.#births.shift();
        oldest.shard.seal(oldest.segmentId);
        delayMs = SPACING_MS;
      }
      if (delayMs > 0) await this.#runtime.sleep(delayMs, signal).catch(() => undefined);
    }
    // In the turn in which it was found empty: the next birth starts it again.
    this.#running = undefined;
  }
}

function isGrowing({ shard, segmentId }: Birth): boolean {
  return shard.view.growing.has(segmentId);
}
