// Bytes that many hold: never more than the bound, in the order of asking, refused in time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ByteBudget } from '../../../src/base/byte-budget.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const WAIT_MS = 1000;

function make(bytesMax = 100, waitingMax = 3): { budget: ByteBudget; runtime: VirtualRuntime } {
  const runtime = new VirtualRuntime();
  const budget = new ByteBudget({
    bytesMax,
    waitingMax,
    waitMs: WAIT_MS,
    sleep: (delayMs, signal) => runtime.sleep(delayMs, signal),
    refuse: ({ need, have, limit }) => new Error(`need ${need} have ${have} limit ${limit}`),
  });
  return { budget, runtime };
}

/** What has been granted so far, by name. */
class Askers {
  readonly granted: string[] = [];
  readonly refused = new Map<string, string>();

  ask(name: string, wait: Promise<void>): void {
    wait.then(
      () => this.granted.push(name),
      (error: Error) => this.refused.set(name, error.message),
    );
  }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('P6 what does not fit waits, and is granted in the order of asking', async () => {
  const { budget } = make();
  const askers = new Askers();
  assert.ok(budget.tryTake(60));
  askers.ask('large', budget.take(50));
  askers.ask('small', budget.take(10));
  assert.ok(!budget.tryTake(1), 'nobody passes those who wait');
  await settle();
  assert.deepEqual(askers.granted, []);
  budget.give(30);
  await settle();
  assert.deepEqual(askers.granted, ['large', 'small']);
  assert.equal(budget.held, 90);
});

test('P6 one that is larger than the bound is alone', async () => {
  const { budget } = make();
  const askers = new Askers();
  assert.ok(budget.tryTake(1));
  askers.ask('huge', budget.take(500));
  await settle();
  assert.deepEqual(askers.granted, []);
  budget.give(1);
  await settle();
  assert.deepEqual(askers.granted, ['huge']);
  assert.ok(!budget.tryTake(1));
  budget.give(500);
  assert.ok(budget.tryTake(100));
});

test('a wait that is too long ends with need and have, one too many at once', async () => {
  const { budget, runtime } = make(100, 2);
  const askers = new Askers();
  assert.ok(budget.tryTake(80));
  askers.ask('a', budget.take(30));
  askers.ask('b', budget.take(20));
  askers.ask('c', budget.take(1));
  await settle();
  assert.deepEqual([...askers.refused], [['c', 'need 1 have 20 limit 100']]);
  await runtime.advance(WAIT_MS / 2);
  assert.equal(budget.waitingCount, 2);
  await runtime.advance(WAIT_MS / 2);
  await settle();
  // Whoever waited for the first only is granted when that one has gone.
  assert.equal(askers.refused.get('a'), 'need 30 have 20 limit 100');
  assert.deepEqual(askers.granted, ['b']);
  assert.equal(budget.held, 100);
  assert.equal(runtime.sleeperCount, 0);
});

test('one who gives up leaves the line', async () => {
  const { budget, runtime } = make();
  assert.ok(budget.tryTake(100));
  const abort = new AbortController();
  const gone = budget.take(10, undefined, abort.signal);
  abort.abort(new Error('gone'));
  await assert.rejects(gone, /gone/);
  assert.equal(budget.waitingCount, 0);
  await settle();
  assert.equal(runtime.sleeperCount, 0);
  budget.give(100);
  assert.equal(budget.held, 0);
});

test('P6 an owner at its own bound waits and lets others pass', async () => {
  const { budget } = make();
  const askers = new Askers();
  const mine = { bytesMax: 40, held: 0 };
  const yours = { bytesMax: 40, held: 0 };
  assert.ok(budget.tryTake(40, mine));
  askers.ask('mine', budget.take(10, mine));
  askers.ask('yours', budget.take(30, yours));
  await settle();
  assert.deepEqual(askers.granted, ['yours']);
  budget.give(1, mine);
  await settle();
  assert.deepEqual(askers.granted, ['yours']);
  budget.give(39, mine);
  await settle();
  assert.deepEqual(askers.granted, ['yours', 'mine']);
});

test('one who holds some gets more at once or not at all', () => {
  const { budget } = make();
  assert.ok(budget.tryTake(60));
  void budget.take(90).catch(() => undefined);
  budget.takeNow(40);
  assert.throws(() => budget.takeNow(1), /need 1 have 0 limit 100/);
});
