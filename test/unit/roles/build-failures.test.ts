// Which failed builds are tried again, and when.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../../src/model/error.ts';
import { BuildFailures } from '../../../src/roles/indexcoord/build-failures.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const BUILD = { collectionId: 1n, segmentId: 2n, indexId: 3n };

test('P7 a build that failed by a full disk is tried again with back-off', async () => {
  const runtime = new VirtualRuntime();
  const due: bigint[] = [];
  const failures = new BuildFailures(runtime, (collectionId) => due.push(collectionId));
  let waitedMs = 0;
  for (const delayMs of [1000, 2000, 4000]) {
    const { reason } = failures.add(BUILD, new MilvusError('DiskLimitExceeded'));
    assert.match(reason, /disk limit/);
    assert.equal(failures.isBlocked(2n, 3n), true);
    await runtime.advance(delayMs - 1);
    assert.equal(failures.isBlocked(2n, 3n), true);
    await runtime.advance(1);
    assert.equal(failures.isBlocked(2n, 3n), false);
    waitedMs += delayMs;
  }
  assert.deepEqual([due, waitedMs], [[1n, 1n, 1n], 7000]);
  for (let more = 0; more < 20; more += 1) failures.add(BUILD, new Error('EIO'));
  await runtime.advance(600_000);
  assert.equal(failures.isBlocked(2n, 3n), false, 'not more than ten minutes apart');
  await failures.stop();
});

test('a build that failed by its data or parameters stays failed until they change', async () => {
  const runtime = new VirtualRuntime();
  const due: bigint[] = [];
  const failures = new BuildFailures(runtime, (collectionId) => due.push(collectionId));
  for (const name of ['DataIntegrity', 'ParameterInvalid', 'IndexNotSupported'] as const) {
    assert.equal(failures.add(BUILD, new MilvusError(name)).retryAtMs, Infinity);
  }
  await runtime.advance(10_000_000);
  assert.equal(failures.isBlocked(2n, 3n), true);
  assert.deepEqual(due, []);
  failures.retain(7n, () => false);
  assert.equal(failures.isBlocked(2n, 3n), true);
  failures.retain(1n, () => false);
  assert.equal(failures.isBlocked(2n, 3n), false);
  await failures.stop();
});
