// Keys come when they are due, in virtual time, and nothing is asked before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DueTimer } from '../../../src/base/due-timer.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

function makeTimer() {
  const runtime = new VirtualRuntime({ startMs: 0 });
  const seen: string[] = [];
  const onDue = (key: string): void => void seen.push(`${key}@${runtime.nowMs()}`);
  return { runtime, seen, timer: new DueTimer({ runtime, onDue }) };
}

test('each key comes once, at its time, whatever order they were scheduled in', async () => {
  const { runtime, seen, timer } = makeTimer();
  timer.schedule('late', 5000);
  timer.schedule('early', 100);
  timer.schedule('late', 9000);
  timer.schedule('soon', 4000);
  timer.schedule('soon', 200);
  await runtime.advance(10_000);
  assert.deepEqual(seen, ['early@100', 'soon@200', 'late@5000']);
  assert.equal(runtime.sleeperCount, 0, 'nothing runs while nothing waits');
  timer.schedule('again', 10_500);
  await runtime.advance(500);
  assert.equal(seen.at(-1), 'again@10500');
});

test('a due time in the past comes at once, one far away costs one sleep', async () => {
  const { runtime, seen, timer } = makeTimer();
  timer.schedule('past', -5);
  const farMs = 40 * 24 * 3600 * 1000;
  timer.schedule('far', farMs);
  await runtime.advance(0);
  assert.deepEqual(seen, ['past@0']);
  assert.equal(runtime.sleeperCount, 1);
  await runtime.advance(farMs);
  assert.deepEqual(seen, ['past@0', `far@${farMs}`]);
});

test('what is forgotten or comes after the stop is never called', async () => {
  const { runtime, seen, timer } = makeTimer();
  timer.schedule('a', 10);
  timer.schedule('b', 20);
  timer.forget('a');
  await runtime.advance(15);
  await timer.stop();
  timer.schedule('c', 16);
  await runtime.advance(1000);
  assert.deepEqual([seen, runtime.sleeperCount], [[], 0]);
});

test('P7 a wall clock that jumps while keys wait makes none of them wait longer', async () => {
  const time = new VirtualRuntime();
  let skewMs = 0;
  const runtime = {
    nowMs: () => time.nowMs() + skewMs,
    monotonicMs: () => time.monotonicMs(),
    sleep: (delayMs: number, signal?: AbortSignal) => time.sleep(delayMs, signal),
  };
  const seen: string[] = [];
  const timer = new DueTimer({ runtime, onDue: (key: string) => void seen.push(key) });
  timer.schedule('back', runtime.nowMs() + 1000);
  skewMs -= 3_600_000;
  await time.advance(1000);
  assert.deepEqual(seen, ['back']);
  timer.schedule('again', runtime.nowMs() + 1000);
  skewMs += 7_200_000;
  await time.advance(999);
  assert.deepEqual(seen, ['back']);
  await time.advance(1);
  assert.deepEqual(seen, ['back', 'again']);
});
