// When memory is given back to the system: after much was freed, in a quiet moment or at last.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MemoryReturn } from '../../src/memory-return.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';

const MIB = 1024 * 1024;
const SECOND = 1000;

function make() {
  const runtime = new VirtualRuntime();
  const state = { freed: 0, done: [] as string[], runtime };
  const memoryReturn = new MemoryReturn({
    sources: [() => state.freed / 2, () => state.freed / 2],
    hintGarbage: () => state.done.push('hint'),
    trim: async () => {
      state.done.push('trim');
    },
    sleep: (delayMs, signal) => runtime.sleep(delayMs, signal),
  });
  return { ...state, state, memoryReturn };
}

test('P6 after much was freed dead buffers are looked for and the heap is trimmed', async () => {
  const { state, memoryReturn, runtime } = make();
  await runtime.advance(60 * SECOND);
  assert.deepEqual(state.done, []);
  state.freed += 31 * MIB;
  await runtime.advance(60 * SECOND);
  assert.deepEqual(state.done, [], 'too little');
  state.freed += 500 * MIB;
  for (let i = 0; i < 20; i += 1) await runtime.advance(SECOND);
  assert.deepEqual(state.done, ['hint', 'trim'], 'within twenty seconds');
  for (let i = 0; i < 60; i += 1) await runtime.advance(SECOND);
  assert.deepEqual(state.done, ['hint', 'trim']);
  await memoryReturn.stop();
});

test('P6 a server that is never quiet gives memory back as well, now and then', async () => {
  const { state, memoryReturn, runtime } = make();
  for (let i = 0; i < 120; i += 1) {
    state.freed += 50 * MIB;
    await runtime.advance(SECOND);
  }
  const trims = state.done.filter((what) => what === 'trim').length;
  assert.ok(trims >= 3 && trims <= 6, `${trims} in two minutes`);
  await memoryReturn.stop();
  assert.equal(runtime.sleeperCount, 0);
});
