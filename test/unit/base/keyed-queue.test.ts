// Tasks of one key in order, of several keys beside each other, bounded.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/base/deferred.ts';
import { KeyedQueue } from '../../../src/base/keyed-queue.ts';

const makeQueue = (pendingCountMax: number): KeyedQueue<string> =>
  new KeyedQueue({ pendingCountMax, refuse: (count) => new Error(`full at ${count}`) });

test('tasks of one key run one after another, of other keys meanwhile', async () => {
  const queue = makeQueue(10);
  const gate = createDeferred<void>();
  const seen: string[] = [];
  const first = queue.run('a', async () => {
    await gate.promise;
    seen.push('a1');
  });
  const second = queue.run('a', async () => void seen.push('a2'));
  await queue.run('b', async () => void seen.push('b1'));
  assert.deepEqual(seen, ['b1']);
  gate.resolve();
  await Promise.all([first, second]);
  assert.deepEqual(seen, ['b1', 'a1', 'a2']);
});

test('a task that fails, at once or later, does not stop the ones behind it', async () => {
  const queue = makeQueue(10);
  const thrown = queue.run('a', () => {
    throw new Error('at once');
  });
  const rejected = queue.run('a', async () => Promise.reject(new Error('later')));
  const last = queue.run('a', async () => 3);
  await assert.rejects(thrown, /at once/);
  await assert.rejects(rejected, /later/);
  assert.equal(await last, 3);
});

test('P6 past its bound a caller is refused, and nothing is kept of what has run', async () => {
  const queue = makeQueue(2);
  const gate = createDeferred<void>();
  const pending = [queue.run('a', () => gate.promise), queue.run('b', () => gate.promise)];
  let hasRun = false;
  const refused = queue.run('c', async () => {
    hasRun = true;
  });
  await assert.rejects(refused, /full at 2/);
  gate.resolve();
  await Promise.all(pending);
  await queue.whenIdle();
  assert.equal(queue.pendingCount, 0);
  assert.equal(hasRun, false);
  assert.equal(await queue.run('c', async () => 1), 1);
});
