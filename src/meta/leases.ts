// The leases of a store that lives inside this process: which keys hang on which lease, and when
// each ends. Holds no data; ending a lease calls back with its id.

import type { Runtime } from '../base/clock.ts';

interface Lease {
  readonly ttlMs: number;
  readonly stop: AbortController;
  readonly keys: Set<string>;
  deadlineMs: number;
}

export class Leases {
  readonly #runtime: Runtime;
  readonly #onExpired: (id: bigint) => void;
  readonly #leases = new Map<bigint, Lease>();
  readonly #leaseOfKey = new Map<string, bigint>();
  #lastId = 0n;

  constructor(runtime: Runtime, onExpired: (id: bigint) => void) {
    this.#runtime = runtime;
    this.#onExpired = onExpired;
  }

  grant(ttlMs: number): bigint {
    this.#lastId += 1n;
    const id = this.#lastId;
    const deadlineMs = this.#runtime.monotonicMs() + ttlMs;
    const lease = { ttlMs, deadlineMs, stop: new AbortController(), keys: new Set<string>() };
    this.#leases.set(id, lease);
    this.#expireLater(id, lease).catch(() => undefined);
    return id;
  }

  /** Whether keys may still be tied to it. */
  isAlive(id: bigint): boolean {
    const lease = this.#leases.get(id);
    return lease !== undefined && this.#runtime.monotonicMs() < lease.deadlineMs;
  }

  keepAlive(id: bigint): boolean {
    const lease = this.#leases.get(id);
    if (lease === undefined || !this.isAlive(id)) return false;
    lease.deadlineMs = this.#runtime.monotonicMs() + lease.ttlMs;
    return true;
  }

  /** Ties a key to a lease, or unties it with `undefined`. */
  tie(key: string, id: bigint | undefined): void {
    const before = this.#leaseOfKey.get(key);
    if (before !== undefined) this.#leases.get(before)?.keys.delete(key);
    if (id === undefined) {
      this.#leaseOfKey.delete(key);
      return;
    }
    this.#leases.get(id)?.keys.add(key);
    this.#leaseOfKey.set(key, id);
  }

  getKeys(id: bigint): readonly string[] {
    return [...(this.#leases.get(id)?.keys ?? [])];
  }

  /** Ends the lease's time at once: it takes no more keys. Its keys are still known. */
  retire(id: bigint): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.deadlineMs = -Infinity;
    lease.stop.abort();
  }

  /** Forgets a lease; `onExpired` is not called for it any more. */
  end(id: bigint): void {
    const lease = this.#leases.get(id);
    if (lease === undefined) return;
    lease.stop.abort();
    for (const key of lease.keys) this.#leaseOfKey.delete(key);
    this.#leases.delete(id);
  }

  close(): void {
    for (const id of [...this.#leases.keys()]) this.end(id);
  }

  async #expireLater(id: bigint, lease: Lease): Promise<void> {
    for (;;) {
      const leftMs = lease.deadlineMs - this.#runtime.monotonicMs();
      if (leftMs <= 0) break;
      await this.#runtime.sleep(leftMs, lease.stop.signal);
    }
    if (!lease.stop.signal.aborted) this.#onExpired(id);
  }
}
