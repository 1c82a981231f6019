// Steps of long work on the event loop.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { nextTurn, TurnMeter } from '../../../src/base/turns.ts';

test('P9 between two steps the event loop turns, however many take steps', async () => {
  let turn = 0;
  let isOver = false;
  const count = (): void => {
    turn += 1;
    if (!isOver) setImmediate(count);
  };
  setImmediate(count);
  const steps: { readonly name: string; readonly turn: number }[] = [];
  await Promise.all(
    ['a', 'b', 'c'].map(async (name) => {
      for (let i = 0; i < 10; i += 1) {
        await nextTurn();
        steps.push({ name, turn });
      }
    }),
  );
  isOver = true;
  assert.equal(steps.map(({ name }) => name).join(''), 'abc'.repeat(10));
  for (let i = 1; i < steps.length; i += 1) assert.ok(steps[i]!.turn > steps[i - 1]!.turn);
});

test('a turn takes as much as it may, and one larger thing alone', () => {
  const meter = new TurnMeter(10);
  const begins = [4, 6, 1, 50, 3, 3, 4, 1].map((work) => meter.isOver(work));
  assert.deepEqual(begins, [false, false, true, true, true, false, false, true]);
});
