// Callers at the same time share one piece of work.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/base/deferred.ts';
import { SingleFlight } from '../../../src/base/single-flight.ts';

test('single flight: callers of one key share the work, others do not', async () => {
  const flight = new SingleFlight<string, number>();
  const gate = createDeferred<void>();
  let calls = 0;
  const work = async (): Promise<number> => {
    calls += 1;
    const call = calls;
    await gate.promise;
    return call;
  };
  const all = ['a', 'a', 'b', 'a'].map((key) => flight.run(key, work));
  gate.resolve();
  assert.deepEqual(await Promise.all(all), [1, 1, 2, 1]);
  assert.equal(await flight.run('a', work), 3);
});

test('single flight: a failure reaches every waiter and is not remembered', async () => {
  const flight = new SingleFlight<string, number>();
  const fail = (): Promise<number> => {
    throw new Error('no');
  };
  const [one, other] = [flight.run('a', fail), flight.run('a', fail)];
  await assert.rejects(one, /no/);
  await assert.rejects(other, /no/);
  assert.equal(await flight.run('a', async () => 7), 7);
});

test('single flight: forget lets the next caller start anew, the old work goes on', async () => {
  const flight = new SingleFlight<string, string>();
  const gate = createDeferred<string>();
  const stale = flight.run('a', () => gate.promise);
  flight.forget('a');
  const newGate = createDeferred<string>();
  const fresh = flight.run('a', () => newGate.promise);
  gate.resolve('stale');
  assert.equal(await stale, 'stale');
  const shared = flight.run('a', async () => 'a third');
  newGate.resolve('fresh');
  assert.deepEqual(await Promise.all([fresh, shared]), ['fresh', 'fresh']);
});
