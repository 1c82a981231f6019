// Ids and timestamps, handed out from ranges whose upper bound is durable before use (rule R12), so
// that nothing is ever handed out twice, whatever the clock does across a restart.

import { composeTimestamp, getPhysicalMs } from '../../model/timestamp.ts';
import type { Catalog, LeaseRecord } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';

/**
 * Timestamps are leased this far ahead of the clock: one small metadata write each ten seconds of
 * use.
 */
const TIMESTAMP_LEASE_MS = 10_000;
const IDS_PER_LEASE = 100_000n;

abstract class Lease {
  readonly #catalog: Catalog;
  readonly #name: 'id' | 'timestamp';
  #bound = 0n;
  #extending: Promise<void> | undefined;

  protected constructor(catalog: Catalog, name: 'id' | 'timestamp') {
    this.#catalog = catalog;
    this.#name = name;
  }

  /** Reads the bound that an earlier process may have used up. */
  protected async loadBound(): Promise<bigint> {
    const record = (await this.#catalog.find(KEYS.lease(this.#name))) as LeaseRecord | undefined;
    this.#bound = record?.bound ?? 0n;
    return this.#bound;
  }

  /** Resolves when every value up to `last` may be used; `next` is the bound to lease if not. */
  protected async ensure(last: bigint, next: () => bigint): Promise<void> {
    while (last >= this.#bound) {
      this.#extending ??= this.#extend(next());
      await this.#extending;
    }
  }

  async #extend(bound: bigint): Promise<void> {
    try {
      await this.#catalog.write([{ key: KEYS.lease(this.#name), record: { bound } }]);
      this.#bound = bound;
    } finally {
      this.#extending = undefined;
    }
  }
}

/**
 * Unique ids of everything: collections, partitions, segments, indexes, rows. They start with the
 * clock's value.
 */
export class IdLease extends Lease {
  #next = 0n;
  /** Since the start. */
  allocatedCount = 0;

  constructor(catalog: Catalog) {
    super(catalog, 'id');
  }

  async open(nowMs: number): Promise<void> {
    const bound = await this.loadBound();
    const clock = composeTimestamp(nowMs);
    this.#next = bound > clock ? bound : clock;
  }

  /** Returns the first of `count` consecutive ids. */
  async allocate(count: number): Promise<bigint> {
    const first = this.#next;
    this.#next += BigInt(count);
    this.allocatedCount += count;
    await this.ensure(this.#next - 1n, () => this.#next + IDS_PER_LEASE);
    return first;
  }
}

/**
 * Hybrid timestamps, strictly increasing, at or after the wall clock and everything seen before.
 */
export class TimestampLease extends Lease {
  readonly #nowMs: () => number;
  #next = 0n;

  constructor(catalog: Catalog, nowMs: () => number) {
    super(catalog, 'timestamp');
    this.#nowMs = nowMs;
  }

  async open(): Promise<void> {
    const bound = await this.loadBound();
    const clock = composeTimestamp(this.#nowMs());
    this.#next = bound > clock ? bound : clock;
  }

  /** Unix milliseconds of the last timestamp given out. */
  get lastMs(): number {
    return getPhysicalMs(this.#next);
  }

  async allocate(count: number): Promise<bigint> {
    const clock = composeTimestamp(this.#nowMs());
    if (clock > this.#next) this.#next = clock;
    const first = this.#next;
    this.#next += BigInt(count);
    await this.ensure(this.#next - 1n, () => this.#next + composeTimestamp(TIMESTAMP_LEASE_MS));
    return first;
  }
}
