// The lines before keys that are being updated: order, bounds, callers that give up or die.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { systemRuntime } from '../../../src/base/system-runtime.ts';
import { MilvusError } from '../../../src/model/error.ts';
import {
  KeyLocks,
  type Key,
  type KeyLocksOptions,
} from '../../../src/roles/streamingnode/key-locks.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const LEASE_MS = 1000;

function open(options: Partial<KeyLocksOptions> = {}): KeyLocks {
  const bounds = { countMax: 100, bytesMax: 1024 * 1024, leaseMs: LEASE_MS };
  return new KeyLocks({ runtime: systemRuntime, ...bounds, ...options });
}

/** Lets all that is ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

/** Whether the promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  await settle();
  return settled;
}

const isRefused =
  (code: number) =>
  (error: unknown): boolean =>
    error instanceof MilvusError && error.code === code && error.isUnexecuted;

test('R6 whoever wants a key waits for who came before, at each key and in no circle', async () => {
  const locks = open();
  assert.ok(locks.isIdle);
  const first = await locks.lock([1n, 2n], 0, {});
  const second = locks.lock([2n, 3n, 2n], 0, {});
  const third = locks.lock([3n, 1n], 0, {});
  const free = await locks.lock([4n], 0, {});
  assert.equal(await isSettled(second), false);
  locks.unlock(first);
  locks.unlock(await second);
  locks.unlock(await third);
  locks.unlock(free);
  locks.unlock(free);
  await settle();
  assert.ok(locks.isIdle);
});

test('R6 nobody is overtaken at a key, not even by who wants less', async () => {
  const locks = open();
  const first = await locks.lock(['a'], 0, {});
  const both = locks.lock(['a', 'b'], 0, {});
  const later = locks.lock(['b'], 0, {});
  assert.equal(await isSettled(later), false, 'b is free, and promised');
  const order: string[] = [];
  void both.then(() => order.push('both'));
  void later.then(() => order.push('later'));
  locks.unlock(first);
  locks.unlock(await both);
  locks.unlock(await later);
  assert.deepEqual(order, ['both', 'later']);
});

test('R6 a write of locked keys goes on in its turn, before the next claim', async () => {
  const locks = open();
  const done: string[] = [];
  const token = await locks.lock([1n], 0, {});
  const write = locks.pass([[1n], [2n]], 0, {}, async () => done.push('write'));
  const next = locks.lock([2n], 0, {}).then((got) => {
    done.push('next');
    return got;
  });
  await settle();
  assert.deepEqual(done, []);
  const unlock = locks.use(token);
  await settle();
  assert.deepEqual(done, [], 'the write with the token is still under way');
  unlock();
  await write;
  locks.unlock(await next);
  assert.deepEqual(done, ['write', 'next']);
});

test('R24 claims past their number or their bytes are refused with code 8', async () => {
  const locks = open({ countMax: 3, bytesMax: 1000 });
  const tokens = [await locks.lock([1n], 0, {}), await locks.lock([2n], 0, {})];
  await assert.rejects(locks.lock([3n], 900, {}), isRefused(8));
  tokens.push(await locks.lock([3n], 0, {}));
  await assert.rejects(locks.pass([[4n]], 0, {}, async () => undefined), isRefused(8));
  for (const token of tokens) locks.unlock(token);
  await settle();
  locks.unlock(await locks.lock([1n], 5000, {}));
  await settle();
  assert.ok(locks.isIdle);
});

test('R6 a caller that gives up leaves its lines', async () => {
  const locks = open();
  const first = await locks.lock([1n], 0, {});
  const caller = new AbortController();
  const gone = locks.lock([1n, 2n], 0, { signal: caller.signal });
  const behind = locks.lock([2n], 0, {});
  assert.equal(await isSettled(behind), false);
  caller.abort(new Error('gone'));
  await assert.rejects(gone, /gone/);
  locks.unlock(await behind);
  await assert.rejects(locks.lock([1n], 0, { signal: caller.signal }), /gone/);
  locks.unlock(first);
  await settle();
  assert.ok(locks.isIdle);
});

test('R6 keys whose holder is not heard of go to who waits when the lease is over', async () => {
  const runtime = new VirtualRuntime();
  const locks = open({ runtime });
  const dead = await locks.lock([1n], 0, {});
  await runtime.advance(LEASE_MS / 2);
  const used = await locks.lock([2n], 0, {});
  const unlock = locks.use(used);
  const waiting = locks.lock([1n], 0, {});
  const behindUsed = locks.lock([2n], 0, {});
  await runtime.advance(LEASE_MS / 2 - 1);
  assert.equal(await isSettled(waiting), false);
  await runtime.advance(1);
  const token = await waiting;
  assert.throws(() => locks.use(dead), isRefused(2200));
  await runtime.advance(10 * LEASE_MS);
  assert.equal(await isSettled(behindUsed), false, 'a write that has come has no lease');
  unlock();
  await behindUsed;
  assert.throws(() => locks.use(token), isRefused(2200), 'who came last ended that one too');
  locks.close();
  await settle();
  assert.ok(locks.isIdle);
  assert.equal(runtime.sleeperCount, 0);
});

test('R6 who waits is let go when the shard closes', async () => {
  const locks = open();
  await locks.lock([1n], 0, {});
  const waiting = locks.lock([1n], 0, {});
  const write = locks.pass([[1n]], 0, {}, async () => 'queued');
  await settle();
  locks.close();
  assert.equal(await write, 'queued');
  await waiting;
  assert.ok(locks.isIdle);
});

test('P9 many keys are taken and given back in turns of the event loop', async () => {
  const locks = open({ bytesMax: Infinity });
  const keys = BigInt64Array.from({ length: 100_000 }, (_unused, i) => BigInt(i));
  let turns = 0;
  let isDone = false;
  const count = (): void => {
    turns += 1;
    if (!isDone) setImmediate(count);
  };
  setImmediate(count);
  const one = locks.lock(keys, 0, {});
  const other = locks.lock(keys.toReversed(), 0, {});
  locks.unlock(await one);
  locks.unlock(await other);
  while (!locks.isIdle) await settle();
  isDone = true;
  assert.ok(turns > 4 * 20, `${turns} turns`);
});

test('R6 random claims: one holder a key, in the order of arrival, and all end', async () => {
  const seed = Math.floor(Math.random() * 2 ** 31);
  const runtime = new VirtualRuntime({ seed });
  const locks = open({ countMax: 10_000 });
  const pick = (count: number): number => Math.floor(runtime.random() * count);
  /** The slow twin: who stands at each key, in order of arrival. */
  const lines = new Map<Key, number[]>();
  const running: Promise<void>[] = [];
  for (let i = 0; i < 2000; i += 1) {
    const keys = Array.from({ length: 1 + pick(4) }, () => BigInt(pick(12)));
    const distinct = [...new Set(keys)];
    for (const key of distinct) lines.set(key, [...(lines.get(key) ?? []), i]);
    const check = (): void => {
      for (const key of distinct) assert.equal(lines.get(key)![0], i, `seed ${seed}`);
    };
    const leave = (): void => {
      for (const key of distinct) lines.set(key, lines.get(key)!.filter((one) => one !== i));
    };
    const isWrite = pick(3) === 0;
    const pauses = pick(3);
    const work = async (): Promise<void> => {
      if (isWrite) {
        await locks.pass([keys.slice(1), keys], 0, {}, async () => {
          check();
          leave();
        });
        return;
      }
      const token = await locks.lock(keys, 0, {});
      check();
      for (let pause = 0; pause < pauses; pause += 1) await settle();
      check();
      leave();
      if (pauses === 1) locks.unlock(token);
      else locks.use(token)();
    };
    running.push(work());
    if (pick(4) === 0) await settle();
  }
  await Promise.all(running);
  await settle();
  assert.ok(locks.isIdle);
});

test('P6 very many keys at once are refused by their number, and leave nothing', async () => {
  const locks = open();
  const keys = { length: 2 ** 20 + 1, at: (position: number) => BigInt(position) };
  await assert.rejects(locks.lock(keys, 0, {}), (error) => {
    assert.ok(error instanceof MilvusError && error.errorName === 'ParameterTooLarge');
    return /too many rows in one partial update\[got=1048577\]/.test(error.message);
  });
  assert.ok(locks.isIdle);
});
