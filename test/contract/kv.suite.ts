// What every Kv must do, as tests over a factory. Adapters run it from their own .test.ts file.

import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { OPERATIONS_MAX, type Kv, type KvEntry, type KvEvent } from '../../src/meta/kv.ts';
import { MilvusError } from '../../src/model/error.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';

export interface KvSuiteOptions {
  readonly name: string;
  /** Returns a new, empty place; `open` opens it, again and again when the store survives that. */
  readonly createPlace: () => Promise<KvPlace>;
  readonly supports: { readonly reopen: boolean };
}

export interface KvPlace {
  open(runtime: VirtualRuntime): Promise<Kv>;
  remove(): Promise<void>;
}

interface Context {
  readonly kv: Kv;
  readonly runtime: VirtualRuntime;
  readonly reopen: () => Promise<Kv>;
}

async function list(kv: Kv, prefix: string): Promise<KvEntry[]> {
  const entries: KvEntry[] = [];
  for await (const entry of kv.range(prefix)) entries.push(entry);
  return entries;
}

/** Puts one value under many keys, in as many transactions as that takes. */
async function putAll(kv: Kv, keys: readonly string[], value: string): Promise<void> {
  for (let from = 0; from < keys.length; from += OPERATIONS_MAX) {
    const some = keys.slice(from, from + OPERATIONS_MAX);
    await kv.transact({ puts: some.map((key) => ({ key, value })) });
  }
}

async function listKeys(kv: Kv, prefix: string): Promise<string[]> {
  return (await list(kv, prefix)).map(({ key }) => key);
}

export function runKvSuite({ name, createPlace, supports }: KvSuiteOptions): void {
  const check = (title: string, body: (context: Context) => Promise<void>): void => {
    test(title, async () => {
      const place = await createPlace();
      const runtime = new VirtualRuntime();
      let kv = await place.open(runtime);
      const reopen = async (): Promise<Kv> => {
        await kv.close();
        kv = await place.open(runtime);
        return kv;
      };
      try {
        await body({ kv, runtime, reopen });
      } finally {
        await kv.close();
        await place.remove();
      }
    });
  };

  describe(`kv over ${name}`, () => {
    check('a put is read back with its revision, an absent key is undefined', async ({ kv }) => {
      const { ok, revision } = await kv.transact({ puts: [{ key: 'a', value: '{"x":"ü"}' }] });
      assert.equal(ok, true);
      assert.deepEqual(await kv.get('a'), { key: 'a', value: '{"x":"ü"}', revision });
      assert.equal(await kv.get('b'), undefined);
    });

    check('range lists a prefix in order of the UTF-8 bytes of the keys', async ({ kv }) => {
      // By UTF-16 units the emoji would sort before U+FF5E.
      const keys = ['p/2', 'p/10', 'p/ü', 'p/\u{1f600}', 'p/\uff5e', 'p', 'p0', 'o/1', 'p/'];
      await kv.transact({ puts: keys.map((key) => ({ key, value: key })) });
      assert.deepEqual(await listKeys(kv, 'p/'), [
        'p/',
        'p/10',
        'p/2',
        'p/ü',
        'p/\uff5e',
        'p/\u{1f600}',
      ]);
      assert.equal((await list(kv, '')).length, keys.length);
      assert.deepEqual(await list(kv, 'q'), []);
    });

    check('range shows one revision while writers go on', async ({ kv }) => {
      const keys = Array.from({ length: 2500 }, (_, at) => `k/${String(at).padStart(5, '0')}`);
      await putAll(kv, keys, 'old');
      const values = new Set<string>();
      let count = 0;
      for await (const { value } of kv.range('k/')) {
        if (count === 10) {
          await putAll(kv, keys, 'new');
          await kv.transact({ deletePrefixes: ['k/020', 'k/021', 'k/022', 'k/023', 'k/024'] });
        }
        values.add(value);
        count += 1;
      }
      assert.deepEqual([[...values], count], [['old'], keys.length]);
      assert.equal((await list(kv, 'k/')).length, 2000);
    });

    check('a range that is given up halfway leaves the store usable', async ({ kv }) => {
      await kv.transact({ puts: [{ key: 'a', value: '1' }, { key: 'b', value: '2' }] });
      for await (const { key } of kv.range('')) {
        assert.equal(key, 'a');
        break;
      }
      assert.equal((await kv.transact({ deletes: ['a'] })).ok, true);
      assert.deepEqual(await listKeys(kv, ''), ['b']);
    });

    check('all writes of a transaction carry one revision, and revisions grow', async ({ kv }) => {
      const puts = [{ key: 'a', value: '1' }, { key: 'b', value: '1' }];
      const first = await kv.transact({ puts });
      const second = await kv.transact({ puts: [{ key: 'b', value: '2' }], deletes: ['a'] });
      assert.ok(second.revision > first.revision);
      assert.deepEqual(await list(kv, ''), [{ key: 'b', value: '2', revision: second.revision }]);
    });

    check('a failed comparison writes nothing and leaves the revision', async ({ kv }) => {
      const first = await kv.transact({
        compare: [{ key: 'a', absent: true }],
        puts: [{ key: 'a', value: '1' }],
      });
      const attempts = [
        { compare: [{ key: 'a', absent: true as const }], puts: [{ key: 'a', value: '2' }] },
        { compare: [{ key: 'a', revision: first.revision + 1n }], deletes: ['a'] },
        { compare: [{ key: 'b', revision: first.revision }], deletes: ['a'] },
        {
          compare: [{ key: 'a', revision: first.revision }, { key: 'a', absent: true as const }],
          puts: [{ key: 'c', value: '2' }],
        },
      ];
      for (const attempt of attempts) {
        assert.deepEqual(await kv.transact(attempt), { ok: false, revision: first.revision });
      }
      assert.deepEqual(await list(kv, ''), [{ key: 'a', value: '1', revision: first.revision }]);
    });

    check('of concurrent swaps of one revision exactly one wins each round', async ({ kv }) => {
      await kv.transact({ puts: [{ key: 'n', value: '0' }] });
      const increment = async (): Promise<void> => {
        for (;;) {
          const entry = await kv.get('n');
          assert.ok(entry);
          const { ok } = await kv.transact({
            compare: [{ key: 'n', revision: entry.revision }],
            puts: [{ key: 'n', value: String(Number(entry.value) + 1) }],
          });
          if (ok) return;
        }
      };
      await Promise.all(Array.from({ length: 30 }, increment));
      assert.equal((await kv.get('n'))?.value, '30');
    });

    check('transactions of one turn are applied in the order of the calls', async ({ kv }) => {
      const results = await Promise.all([
        kv.transact({ puts: [{ key: 'a', value: '1' }] }),
        kv.transact({ compare: [{ key: 'a', absent: true }], puts: [{ key: 'b', value: 'no' }] }),
        kv.transact({ deletes: ['a'] }),
        kv.transact({ compare: [{ key: 'a', absent: true }], puts: [{ key: 'c', value: 'yes' }] }),
      ]);
      assert.deepEqual(results.map(({ ok }) => ok), [true, false, true, true]);
      assert.deepEqual(await listKeys(kv, ''), ['c']);
    });

    check('a prefix is deleted whole, with what the same commit has put there', async ({ kv }) => {
      const many = Array.from({ length: 3000 }, (_, at) => `d/${at}`);
      await putAll(kv, many, 'x');
      await putAll(kv, ['c', 'd', 'd0', 'e/1', 'f'], 'kept');
      const results = await Promise.all([
        kv.transact({ puts: [{ key: 'd/late', value: 'x' }], deletes: ['d/7'] }),
        kv.transact({
          compare: [{ key: 'f', absent: true }],
          deletePrefixes: ['c', 'e/'],
        }),
        kv.transact({ puts: [{ key: 'g', value: 'kept' }], deletePrefixes: ['d/', 'none/'] }),
        kv.transact({ puts: [{ key: 'd/new', value: 'kept' }] }),
      ]);
      assert.deepEqual(results.map(({ ok }) => ok), [true, false, true, true]);
      assert.deepEqual(await listKeys(kv, ''), ['c', 'd', 'd/new', 'd0', 'e/1', 'f', 'g']);
    });

    check('deleting a prefix with nothing under it changes nothing', async ({ kv }) => {
      const { revision } = await kv.transact({ puts: [{ key: 'a', value: '1' }] });
      const result = await kv.transact({ deletePrefixes: ['b/'] });
      assert.deepEqual(result, { ok: true, revision });
    });

    check('a watch sees every key that a prefix took, and a lease forgets it', async ({ kv }) => {
      const lease = await kv.lease(60_000);
      await kv.transact({
        puts: [{ key: 'w/1', value: 'x', leaseId: lease.id }, { key: 'w/2', value: 'x' }],
      });
      const seen: string[] = [];
      kv.watch('w/', (events) => seen.push(...events.map(({ type, key }) => `${type} ${key}`)));
      await kv.transact({ deletePrefixes: ['w/'] });
      assert.deepEqual(seen, ['delete w/1', 'delete w/2']);
      await kv.transact({ puts: [{ key: 'w/1', value: 'mine' }] });
      await lease.revoke();
      assert.deepEqual(await listKeys(kv, 'w/'), ['w/1']);
    });

    check('transactions without bound are programmer errors', async ({ kv }) => {
      const keys = Array.from({ length: OPERATIONS_MAX }, (_, at) => `k${at}`);
      const puts = keys.map((key) => ({ key, value: '' }));
      assert.equal((await kv.transact({ puts })).ok, true);
      assert.throws(() => void kv.transact({ puts, deletes: ['x'] }));
      assert.throws(() => void kv.transact({ deletes: keys, deletePrefixes: ['x'] }));
      for (const deletePrefixes of [[''], ['k'], ['a', 'a'], ['a', 'ab']]) {
        assert.throws(() => void kv.transact({ deletes: ['k1'], deletePrefixes }));
      }
    });

    check('a watch is told of each transaction under its prefix, before its answer', async ({
      kv,
    }) => {
      const seen: KvEvent[][] = [];
      const stop = kv.watch('w/', (events) => seen.push([...events]));
      const put = await kv.transact({
        puts: [
          { key: 'w/1', value: 'x' },
          { key: 'other', value: 'y' },
          { key: 'w/2', value: 'z' },
        ],
      });
      assert.deepEqual(seen, [
        [
          { type: 'put', key: 'w/1', value: 'x', revision: put.revision },
          { type: 'put', key: 'w/2', value: 'z', revision: put.revision },
        ],
      ]);
      const drop = await kv.transact({ deletes: ['w/1'] });
      assert.deepEqual(seen[1], [{ type: 'delete', key: 'w/1', revision: drop.revision }]);
      await kv.transact({ compare: [{ key: 'w/1', revision: 1n }], deletes: ['w/2'] });
      stop();
      await kv.transact({ deletes: ['w/2'] });
      assert.equal(seen.length, 2);
    });

    check('a lease that nobody keeps alive takes its keys with it', async ({ kv, runtime }) => {
      const lease = await kv.lease(1000);
      await kv.transact({
        puts: [
          { key: 's/1', value: 'x', leaseId: lease.id },
          { key: 's/2', value: 'x', leaseId: lease.id },
          { key: 's/3', value: 'x' },
        ],
      });
      await kv.transact({ puts: [{ key: 's/2', value: 'mine now' }] });
      await runtime.advance(900);
      assert.equal(await lease.keepAlive(), true);
      await runtime.advance(900);
      assert.deepEqual(await listKeys(kv, 's/'), ['s/1', 's/2', 's/3']);
      const gone = new Promise<readonly KvEvent[]>((resolve) => void kv.watch('s/', resolve));
      await runtime.advance(100);
      assert.deepEqual((await gone).map(({ type, key }) => [type, key]), [['delete', 's/1']]);
      assert.deepEqual(await listKeys(kv, 's/'), ['s/2', 's/3']);
      assert.equal(await lease.keepAlive(), false);
    });

    check('a revoked lease takes its keys, also those still on their way', async ({ kv }) => {
      const lease = await kv.lease(60_000);
      // However far the put has come when the lease is revoked, nothing of it stays.
      for (let turns = 0; turns < 8; turns += 1) {
        const other = await kv.lease(60_000);
        const put = kv.transact({ puts: [{ key: 's/1', value: 'x', leaseId: other.id }] });
        put.catch(() => undefined);
        for (let turn = 0; turn < turns; turn += 1) await Promise.resolve();
        await other.revoke();
        assert.deepEqual(await listKeys(kv, ''), []);
      }
      await kv.transact({ puts: [{ key: 's/1', value: 'x', leaseId: lease.id }] });
      await lease.revoke();
      assert.deepEqual(await listKeys(kv, ''), []);
      await assert.rejects(
        kv.transact({ puts: [{ key: 's/2', value: 'x', leaseId: lease.id }] }),
        (error) => error instanceof MilvusError && error.errorName === 'ServiceUnavailable',
      );
      assert.deepEqual(await listKeys(kv, ''), []);
    });

    check('a key written anew while its lease is revoked stays', async ({ kv }) => {
      const lease = await kv.lease(60_000);
      await kv.transact({ puts: [{ key: 's/1', value: 'leased', leaseId: lease.id }] });
      const revoked = lease.revoke();
      await kv.transact({ puts: [{ key: 's/1', value: 'kept' }] });
      await revoked;
      assert.equal((await kv.get('s/1'))?.value, 'kept');
    });

    check('close waits for what was asked and refuses what comes after', async ({ kv }) => {
      const pending = kv.transact({ puts: [{ key: 'a', value: '1' }] });
      await kv.close();
      assert.equal((await pending).ok, true);
      await assert.rejects(kv.transact({ deletes: ['a'] }), MilvusError);
      await assert.rejects(kv.get('a'), MilvusError);
      assert.throws(() => kv.range(''), MilvusError);
      await kv.close();
    });

    check('reserved, empty and over-long keys are programmer errors', async ({ kv }) => {
      for (const key of ['', '\0x', 'x'.repeat(1025), 'ü'.repeat(513)]) {
        assert.throws(() => void kv.transact({ puts: [{ key, value: '' }] }));
      }
      const longest = 'ü'.repeat(512);
      await kv.transact({ puts: [{ key: longest, value: 'x'.repeat(300_000) }] });
      assert.equal((await kv.get(longest))?.value.length, 300_000);
    });

    if (!supports.reopen) return;

    check('entries, revisions and deletes survive a restart', async ({ kv, reopen }) => {
      const puts = [{ key: 'a', value: '1' }, { key: 'b', value: '2' }];
      const first = await kv.transact({ puts });
      const second = await kv.transact({ deletes: ['b'] });
      const again = await reopen();
      assert.deepEqual(await list(again, ''), [{ key: 'a', value: '1', revision: first.revision }]);
      const third = await again.transact({ puts: [{ key: 'b', value: '3' }] });
      assert.ok(third.revision > second.revision);
    });

    check('leased keys do not survive a restart, untied ones do', async ({ kv, reopen }) => {
      const lease = await kv.lease(60_000);
      await kv.transact({
        puts: [
          { key: 's/1', value: 'x', leaseId: lease.id },
          { key: 's/2', value: 'x', leaseId: lease.id },
        ],
      });
      await kv.transact({ puts: [{ key: 's/2', value: 'untied' }] });
      assert.deepEqual(await listKeys(kv, ''), ['s/1', 's/2']);
      const again = await reopen();
      assert.deepEqual(await listKeys(again, ''), ['s/2']);
    });
  });
}
