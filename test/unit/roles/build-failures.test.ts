// Which failed builds are tried again, and when.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Health } from '../../../src/base/health.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { BuildFailures } from '../../../src/roles/indexcoord/build-failures.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const BUILD = { collectionId: 1n, segmentId: 2n, indexId: 3n };

test('P7 a build that failed by a full disk is tried again with back-off', async () => {
  const runtime = new VirtualRuntime();
  const due: bigint[] = [];
  const onDue = (collectionId: bigint): number => due.push(collectionId);
  const failures = new BuildFailures(runtime, new Health(), onDue);
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

test('a build whose files turn out damaged is made anew three times and then not', async () => {
  const runtime = new VirtualRuntime();
  const failures = new BuildFailures(runtime, new Health(), () => undefined);
  for (let damaged = 0; damaged < 3; damaged += 1) {
    failures.addDamage(BUILD, 'checksum of LINK');
    assert.equal(failures.isBlocked(2n, 3n), false);
    failures.remove(2n, 3n); // It was built.
  }
  failures.addDamage(BUILD, 'checksum of LINK');
  await runtime.advance(10_000_000);
  assert.equal(failures.isBlocked(2n, 3n), true);
  assert.match(failures.find(2n, 3n)?.reason ?? '', /damaged 4 times: checksum of LINK/);
  // What comes after a change begins anew.
  failures.retain(1n, () => false);
  failures.addDamage(BUILD, 'checksum of LINK');
  assert.equal(failures.isBlocked(2n, 3n), false);
  await failures.stop();
});

test('a build that failed by its data or parameters stays failed until they change', async () => {
  const runtime = new VirtualRuntime();
  const due: bigint[] = [];
  const onDue = (collectionId: bigint): number => due.push(collectionId);
  const failures = new BuildFailures(runtime, new Health(), onDue);
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

test('health is told of a collection as long as one of its builds has failed', () => {
  const health = new Health();
  const failures = new BuildFailures(new VirtualRuntime(), health, () => undefined);
  const lasting = new MilvusError('DataIntegrity');
  failures.add(BUILD, lasting);
  failures.add(BUILD, lasting);
  failures.add({ ...BUILD, segmentId: 7n }, lasting);
  failures.add({ ...BUILD, collectionId: 9n, segmentId: 8n }, lasting);
  const list = (): string[] => health.list().map(({ subject }) => subject);
  assert.deepEqual(list(), ['builds of 1', 'builds of 9']);
  failures.remove(2n, 3n);
  failures.remove(2n, 3n);
  assert.deepEqual(list(), ['builds of 1', 'builds of 9']);
  failures.retain(1n, () => false);
  failures.retain(9n, () => true);
  assert.deepEqual(list(), ['builds of 9']);
});

test('P7 a wall clock that is set back does not put off the next try', async () => {
  const time = new VirtualRuntime();
  let skewMs = 0;
  const runtime = {
    nowMs: () => time.nowMs() + skewMs,
    monotonicMs: () => time.monotonicMs(),
    random: () => time.random(),
    sleep: (delayMs: number, signal?: AbortSignal) => time.sleep(delayMs, signal),
  };
  const due: bigint[] = [];
  const onDue = (collectionId: bigint): number => due.push(collectionId);
  const failures = new BuildFailures(runtime, new Health(), onDue);
  failures.add(BUILD, new MilvusError('DiskLimitExceeded'));
  skewMs -= 3_600_000;
  await time.advance(1000);
  assert.deepEqual(due, [1n]);
  assert.equal(failures.isBlocked(2n, 3n), false);
  await failures.stop();
});
