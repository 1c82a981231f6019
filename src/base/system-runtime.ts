// The Runtime of a real process: the machine's clocks, timers and Math.random.

import type { Runtime } from './clock.ts';

/** Node fires timers above this at once instead of late, so longer sleeps go in steps. */
const TIMER_MS_MAX = 0x7fffffff;

async function sleep(delayMs: number, signal?: AbortSignal): Promise<void> {
  const wakeMs = performance.now() + delayMs;
  for (let leftMs = delayMs; leftMs > 0; leftMs = wakeMs - performance.now()) {
    await sleepOnce(Math.min(leftMs, TIMER_MS_MAX), signal);
  }
  signal?.throwIfAborted();
}

function sleepOnce(delayMs: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) {
      reject(signal.reason);
      return;
    }
    const onAbort = (): void => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', onAbort);
      resolve();
    }, Math.ceil(delayMs));
    signal?.addEventListener('abort', onAbort, { once: true });
  });
}

export const systemRuntime: Runtime = Object.freeze({
  nowMs: () => Date.now(),
  monotonicMs: () => performance.now(),
  random: () => Math.random(),
  sleep,
});
