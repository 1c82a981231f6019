// Time and chance as a value that is passed in, so that tests run on virtual time and seeded
// randomness. Library and role code takes a Runtime; only system-runtime.ts asks the machine.

export interface Runtime {
  /** Wall clock, unix milliseconds. May jump. */
  nowMs(): number;
  /** Milliseconds from an arbitrary start; never goes back. */
  monotonicMs(): number;
  /** Uniform in [0, 1). Not for secrets. */
  random(): number;
  /**
   * Resolves after at least `delayMs`; rejects with the signal's reason when it aborts first.
   * A pending sleep keeps the process alive.
   */
  sleep(delayMs: number, signal?: AbortSignal): Promise<void>;
}
