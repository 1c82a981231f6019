// Kv in memory, for tests and simulation: the same rules as every local store, nothing survives.

import type { Runtime } from '../base/clock.ts';
import type { Kv, KvEntry } from './kv.ts';
import { LocalKv } from './local-kv.ts';
import type { KvBackend, StoredWrite } from './local-kv.ts';

class MemoryBackend implements KvBackend {
  readonly lastRevision = 0n;
  readonly #entries = new Map<string, KvEntry>();

  find(key: string): KvEntry | undefined {
    return this.#entries.get(key);
  }

  async *range(prefix: string): AsyncIterable<KvEntry> {
    const found = [...this.#entries.values()].filter(({ key }) => key.startsWith(prefix));
    yield* found.sort((one, other) => Buffer.compare(Buffer.from(one.key), Buffer.from(other.key)));
  }

  async commit(writes: readonly StoredWrite[]): Promise<void> {
    // Waits once, as a disk would, so that nobody comes to rely on commits that take no time.
    await Promise.resolve();
    for (const { key, value, revision } of writes) {
      if (value === undefined) this.#entries.delete(key);
      else this.#entries.set(key, { key, value, revision });
    }
  }

  async close(): Promise<void> {
    this.#entries.clear();
  }
}

/** Returns an empty store. */
export function createMemoryKv(runtime: Runtime): Kv {
  return new LocalKv(new MemoryBackend(), runtime);
}
