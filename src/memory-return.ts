// Gives memory back to the system after much of it was freed: a large request, a dropped collection
// (P6). Neither V8 nor the allocator does so by itself in a process that has become idle. Works
// while little is going on, or when much has come together; never because of small requests.

export interface MemoryReturnDeps {
  /** Bytes that were ever freed, each a number that only grows. */
  readonly sources: readonly (() => number)[];
  /** Begins to look for buffers that nobody uses. */
  readonly hintGarbage: () => void;
  readonly trim: () => Promise<void>;
  readonly sleep: (delayMs: number, signal: AbortSignal) => Promise<void>;
}

const CHECK_MS = 4000;
/** Freed since the last time: less is not worth it. */
const FREED_BYTES_MIN = 32 * 1024 * 1024;
/** Checks for which it waits for a quiet moment. */
const BUSY_CHECKS_MAX = 5;

export class MemoryReturn {
  readonly #deps: MemoryReturnDeps;
  readonly #stopping = new AbortController();
  readonly #running: Promise<void>;

  constructor(deps: MemoryReturnDeps) {
    this.#deps = deps;
    this.#running = this.#run().catch(() => undefined); // Stopping.
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { hintGarbage, trim, sleep } = this.#deps;
    const { signal } = this.#stopping;
    let returned = this.#freed();
    let before = returned;
    let busyChecks = 0;
    for (;;) {
      await sleep(CHECK_MS, signal);
      const freed = this.#freed();
      const isMuch = freed - returned >= FREED_BYTES_MIN;
      const isQuiet = freed - before < FREED_BYTES_MIN;
      before = freed;
      busyChecks = isMuch && !isQuiet ? busyChecks + 1 : 0;
      if (!isMuch || (!isQuiet && busyChecks < BUSY_CHECKS_MAX)) continue;
      returned = freed;
      busyChecks = 0;
      hintGarbage();
      await sleep(CHECK_MS, signal);
      await trim();
    }
  }

  #freed(): number {
    return this.#deps.sources.reduce((sum, read) => sum + read(), 0);
  }
}
