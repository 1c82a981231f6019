// Lets virtual time pass beside a test's work, for code that sleeps while the test waits for it.

import type { VirtualRuntime } from './virtual-runtime.ts';

/** Advances the time by `stepMs` again and again until `work` has settled. */
export async function withTimePassing<T>(
  runtime: VirtualRuntime,
  stepMs: number,
  work: () => Promise<T>,
): Promise<T> {
  let isDone = false;
  const result = work().finally(() => {
    isDone = true;
  });
  while (!isDone) await runtime.advance(stepMs);
  return result;
}
