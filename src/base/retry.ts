// The one place that tries again: exponential back-off with full jitter, bounded by attempts.
// Whether an error may be retried is the caller's to say, by type, never by message text.

import assert from 'node:assert/strict';
import type { Cancelable } from './cancelable.ts';
import type { Runtime } from './clock.ts';

export interface RetryOptions {
  readonly runtime: Runtime;
  /** Tries in all, the first included. */
  readonly attemptsMax: number;
  /** Upper bound of the first wait; it doubles with each further one. */
  readonly baseDelayMs: number;
  readonly delayMsMax: number;
  readonly isRetriable: (error: unknown) => boolean;
  /** Ends a wait when it is canceled. */
  readonly call?: Cancelable;
}

/**
 * Calls `work` until it succeeds, fails for good, or attempts run out.
 *
 * @param work  gets the number of the attempt, from 0
 * @throws the last error of `work`; the signal's reason when it aborts during a wait
 */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  options: RetryOptions,
): Promise<T> {
  const { runtime, attemptsMax, baseDelayMs, delayMsMax, isRetriable } = options;
  assert(attemptsMax >= 1);
  for (let attempt = 0; ; attempt += 1) {
    try {
      return await work(attempt);
    } catch (error) {
      if (attempt + 1 >= attemptsMax || !isRetriable(error)) throw error;
    }
    const boundMs = Math.min(delayMsMax, baseDelayMs * 2 ** attempt);
    await runtime.sleep(runtime.random() * boundMs, options.call?.signal);
  }
}
