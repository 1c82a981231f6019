// One at a time, in order, bounded: what waits for a slow dependency has an end (P7).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/base/deferred.ts';
import { SerialQueue } from '../../../src/base/serial-queue.ts';

const refuse = (): Error => new Error('full');

test('serial queue: tasks run one at a time in the order of the calls', async () => {
  const queue = new SerialQueue({ pendingCountMax: 5000, refuse });
  const done: number[] = [];
  let running = 0;
  const tasks = Array.from({ length: 3000 }, (_, number) =>
    queue.run(async () => {
      running += 1;
      assert.equal(running, 1);
      await Promise.resolve();
      running -= 1;
      done.push(number);
      return number;
    }),
  );
  const results = await Promise.all(tasks);
  assert.deepEqual(done, results);
  assert.deepEqual(done, [...done.keys()]);
});

test('serial queue: a task that fails or throws fails alone', async () => {
  const queue = new SerialQueue({ pendingCountMax: 10, refuse });
  const settled = await Promise.allSettled([
    queue.run(() => Promise.reject(new Error('first'))),
    queue.run(() => {
      throw new Error('second');
    }),
    queue.run(() => 3),
  ]);
  assert.deepEqual(settled.map(({ status }) => status), ['rejected', 'rejected', 'fulfilled']);
  assert.deepEqual([queue.pendingCount, queue.pendingBytes], [0, 0]);
});

test('R24 serial queue: past either bound a task is refused and never runs', async () => {
  const queue = new SerialQueue({ pendingCountMax: 3, pendingBytesMax: 100, refuse });
  const gate = createDeferred<void>();
  const first = queue.run(() => gate.promise, 60);
  await assert.rejects(queue.run(() => assert.fail('ran'), 41), /full/);
  const second = queue.run(() => undefined, 40);
  const third = queue.run(() => undefined);
  await assert.rejects(queue.run(() => assert.fail('ran')), /full/);
  assert.deepEqual([queue.pendingCount, queue.pendingBytes], [3, 100]);
  gate.resolve();
  await Promise.all([first, second, third]);
  assert.equal(await queue.run(() => 'again', 100), 'again');
});

test('serial queue: an idle queue takes a task larger than its bound', async () => {
  const queue = new SerialQueue({ pendingCountMax: 3, pendingBytesMax: 100, refuse });
  assert.equal(await queue.run(() => 'ran', 1000), 'ran');
});

test('serial queue: whenIdle waits for everything, also for what tasks add', async () => {
  const queue = new SerialQueue({ pendingCountMax: 10, refuse });
  await queue.whenIdle();
  const done: string[] = [];
  void queue.run(() => {
    done.push('one');
    void queue.run(() => void done.push('two'));
  });
  await queue.whenIdle();
  assert.deepEqual(done, ['one', 'two']);
});
