// The one place that tries again: exponential back-off with jitter, bounded by attempts or by time.
// Whether an error may be retried is the caller's to say, by type, never by message text.

import assert from 'node:assert/strict';
import type { Cancelable } from './cancelable.ts';
import type { Runtime } from './clock.ts';

export interface RetryOptions {
  readonly runtime: Runtime;
  /** Tries in all, the first included; at least one of the two bounds is given. */
  readonly attemptsMax?: number;
  /** On the monotonic clock: nothing is tried again after it. */
  readonly untilMs?: number;
  /** Upper bound of the first wait; it doubles with each further one. */
  readonly baseDelayMs: number;
  readonly delayMsMax: number;
  readonly isRetriable: (error: unknown) => boolean;
  /** Ends a wait when it is canceled. */
  readonly call?: Cancelable;
}

/**
 * Calls `work` until it succeeds, fails for good, or a bound is reached.
 *
 * @param work  gets the number of the attempt, from 0
 * @throws the last error of `work`; the signal's reason when it aborts during a wait
 */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { runtime, attemptsMax = Infinity, untilMs = Infinity, isRetriable } = options;
  assert(attemptsMax >= 1 && Math.min(attemptsMax, untilMs) < Infinity);
  for (let attempt = 0; ; attempt += 1) {
    let failure: unknown;
    try {
      return await work(attempt);
    } catch (error) {
      failure = error;
    }
    if (attempt + 1 >= attemptsMax || !isRetriable(failure)) throw failure;
    const boundMs = Math.min(options.delayMsMax, options.baseDelayMs * 2 ** attempt);
    const delayMs = runtime.random() * boundMs;
    if (runtime.monotonicMs() + delayMs > untilMs) throw failure;
    await runtime.sleep(delayMs, options.call?.signal);
  }
}
