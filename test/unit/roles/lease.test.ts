// Ids and timestamps through restarts, clocks that go backwards and metadata that cannot be
// written: every value is handed out once, in rising order (R12).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/base/deferred.ts';
import { Catalog, KEYS, type LeaseRecord } from '../../../src/meta/catalog.ts';
import type { Transaction, TransactResult } from '../../../src/meta/kv.ts';
import { createMemoryKv } from '../../../src/meta/memory.ts';
import { composeTimestamp } from '../../../src/model/timestamp.ts';
import { IdLease, TimestampLease } from '../../../src/roles/rootcoord/lease.ts';
import { Random } from '../../support/codec/random.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const SEED = Number(process.env['TEST_SEED'] ?? 12);
const START_MS = 1_700_000_000_000;
const HOUR_MS = 3_600_000;

type Transact = (transaction: Transaction) => Promise<TransactResult>;

/** A store whose transactions go through `write`, which may hold them up or fail them. */
class LeaseStore {
  readonly catalog: Catalog;
  write = (transact: Transact, transaction: Transaction): Promise<TransactResult> =>
    transact(transaction);

  constructor() {
    const kv = createMemoryKv(new VirtualRuntime());
    const transact: Transact = kv.transact.bind(kv);
    kv.transact = (transaction) => this.write(transact, transaction);
    this.catalog = new Catalog(kv);
  }

  /** Values from here on are not leased. */
  async bound(name: 'id' | 'timestamp'): Promise<bigint> {
    const record = await this.catalog.find(KEYS.lease(name));
    return (record as LeaseRecord | undefined)?.bound ?? 0n;
  }
}

interface Allocator {
  allocate(count: number): Promise<bigint>;
}

/** The two leases as a process has them after its start at `clock.nowMs`. */
const LEASES = {
  id: async (store: LeaseStore, clock: { nowMs: number }): Promise<Allocator> => {
    const ids = new IdLease(store.catalog);
    await ids.open(clock.nowMs);
    return ids;
  },
  timestamp: async (store: LeaseStore, clock: { nowMs: number }): Promise<Allocator> => {
    const timestamps = new TimestampLease(store.catalog, () => clock.nowMs);
    await timestamps.open();
    return timestamps;
  },
} as const;

for (const name of ['id', 'timestamp'] as const) {
  const open = LEASES[name];

  test(`R12 ${name}s rise through deaths, failed writes and clocks set back`, async () => {
    const random = new Random(SEED);
    const store = new LeaseStore();
    const clock = { nowMs: START_MS };
    store.write = async (transact, transaction) => {
      if (random.chance(0.1)) throw new Error('not written');
      const result = await transact(transaction);
      if (random.chance(0.1)) throw new Error('written, but nobody was told');
      return result;
    };
    let next = 0n;
    let given = 0;
    let failed = 0;
    for (let life = 0; life < 60; life += 1) {
      const lease = await open(store, clock);
      for (let burst = 0; burst < 1 + random.below(4); burst += 1) {
        const counts = Array.from({ length: 1 + random.below(8) }, () =>
          random.chance(0.2) ? 1 + random.below(300_000) : 1 + random.below(5),
        );
        const results = await Promise.allSettled(counts.map((count) => lease.allocate(count)));
        for (const [i, result] of results.entries()) {
          if (result.status === 'rejected') {
            failed += 1;
            continue;
          }
          const what = `seed ${SEED}, life ${life}: ${result.value} after ${next}`;
          assert.ok(result.value >= next, what);
          next = result.value + BigInt(counts[i]!);
          given += 1;
        }
        // What was handed out stays leased, so that a death right here forgets nothing.
        assert.ok((await store.bound(name)) >= next, `seed ${SEED}, life ${life}`);
        clock.nowMs += random.chance(0.5) ? random.below(30_000) : -random.below(HOUR_MS);
      }
    }
    assert.ok(given > 300 && failed > 10, `${given} given, ${failed} failed`);
  });

  test(`R12 ${name}s wait until the bound that covers them is durable`, async () => {
    const store = new LeaseStore();
    const clock = { nowMs: START_MS };
    const isReached = createDeferred<void>();
    const gate = createDeferred<void>();
    store.write = async (transact, transaction) => {
      isReached.resolve();
      await gate.promise;
      return transact(transaction);
    };
    const lease = await open(store, clock);
    let answered = 0;
    const asked = [1, 10].map((count) => lease.allocate(count).finally(() => (answered += 1)));
    await isReached.promise;
    for (let turn = 0; turn < 10; turn += 1) await new Promise(setImmediate);
    assert.equal(answered, 0);
    assert.equal(await store.bound(name), 0n);
    gate.resolve();
    const [one, ten] = await Promise.all(asked);
    assert.ok(one! < ten! && ten! + 10n <= (await store.bound(name)));
  });

  test(`R12 ${name}s are refused while metadata cannot be written, then go on`, async () => {
    const store = new LeaseStore();
    const clock = { nowMs: START_MS };
    const lease = await open(store, clock);
    const { write } = store;
    store.write = () => Promise.reject(new Error('no space'));
    for (let attempt = 0; attempt < 3; attempt += 1) {
      await assert.rejects(lease.allocate(5), /no space/);
    }
    store.write = write;
    const first = await lease.allocate(5);
    assert.ok((await lease.allocate(1)) >= first + 5n);
    assert.ok((await store.bound(name)) > first + 5n);
  });

  test(`R12 ${name}s begin at the wall clock when it is past every bound`, async () => {
    const store = new LeaseStore();
    const clock = { nowMs: START_MS };
    await (await open(store, clock)).allocate(1);
    clock.nowMs += 24 * HOUR_MS;
    const later = await open(store, clock);
    assert.ok((await later.allocate(1)) >= composeTimestamp(clock.nowMs));
  });
}

test('R12 timestamps follow the wall clock while the process runs', async () => {
  const clock = { nowMs: START_MS };
  const lease = await LEASES.timestamp(new LeaseStore(), clock);
  const first = await lease.allocate(1);
  assert.equal(first, composeTimestamp(START_MS));
  clock.nowMs += HOUR_MS;
  assert.equal(await lease.allocate(1), composeTimestamp(clock.nowMs));
  clock.nowMs -= HOUR_MS;
  assert.ok((await lease.allocate(1)) > composeTimestamp(START_MS + HOUR_MS));
});
