// Growing segments are written out by age, on virtual time.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { composeTimestamp } from '../../../src/model/timestamp.ts';
import { AgeSealer } from '../../../src/roles/streamingnode/age-sealer.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

function makeWorld() {
  const runtime = new VirtualRuntime();
  const growing = new Map<bigint, unknown>();
  const sealed: bigint[] = [];
  const shard = {
    view: { growing },
    seal: (segmentId: bigint): void => {
      sealed.push(segmentId);
      growing.delete(segmentId);
    },
  };
  const ages = new AgeSealer(DAY_MS, runtime);
  const bear = (id: bigint, bornMs = runtime.nowMs()): void => {
    growing.set(id, {});
    ages.add(shard, id, composeTimestamp(bornMs));
  };
  ages.start();
  return { runtime, growing, sealed, ages, bear };
}

test('a growing segment is sealed a day after its first record, and not before', async () => {
  const { runtime, sealed, ages, bear } = makeWorld();
  bear(1n);
  await runtime.advance(6 * HOUR_MS);
  bear(2n);
  await runtime.advance(17 * HOUR_MS);
  assert.deepEqual(sealed, []);
  await runtime.advance(HOUR_MS + 1);
  assert.deepEqual(sealed, [1n]);
  await runtime.advance(6 * HOUR_MS);
  assert.deepEqual(sealed, [1n, 2n]);
  // Nothing is left to wait for, so no timer runs.
  await runtime.advance(HOUR_MS);
  assert.equal(runtime.sleeperCount, 0);
  bear(3n, runtime.nowMs() - 2 * DAY_MS);
  await runtime.advance(HOUR_MS);
  assert.deepEqual(sealed, [1n, 2n, 3n]);
  await ages.stop();
});

test('what is long overdue is sealed piece by piece, not all at once', async () => {
  const { runtime, sealed, ages, bear } = makeWorld();
  for (let id = 1n; id <= 100n; id += 1n) bear(id, runtime.nowMs() - 2 * DAY_MS);
  await runtime.advance(1000);
  assert.ok(sealed.length >= 10 && sealed.length <= 30, `${sealed.length}`);
  await runtime.advance(HOUR_MS);
  assert.equal(sealed.length, 100);
  await ages.stop();
});

test('R24 segments that are gone are forgotten, however many there were', async () => {
  const { runtime, growing, sealed, ages, bear } = makeWorld();
  bear(1n);
  for (let id = 2n; id <= 100_000n; id += 1n) {
    bear(id);
    growing.delete(id);
  }
  assert.ok(ages.count <= 1100, `${ages.count}`);
  await runtime.advance(DAY_MS + HOUR_MS);
  assert.deepEqual(sealed, [1n]);
  await ages.stop();
});
