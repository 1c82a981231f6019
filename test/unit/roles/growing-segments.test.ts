// Which growing segment takes rows, and what becomes of those whose rows never come.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { InsertPart } from '../../../src/rpc/contract.ts';
import { makeGrowingSegments } from '../../support/shard-pieces.ts';

const PART: InsertPart = { kind: 'insert', partitionId: 1n, rows: 1, batch: new Uint8Array(60) };

test('P6 writes that are given up use no segment up', () => {
  const { view, growing: segments } = makeGrowingSegments();
  for (let i = 0; i < 10; i += 1) segments.unassign(segments.assign(PART), PART.batch);
  assert.equal(view.growing.size, 1);
  assert.deepEqual(segments.takeFull(), []);
});

test('P6 a segment that was full of writes which were given up goes', () => {
  const { view, growing: segments } = makeGrowingSegments();
  const assigned = [PART, PART, PART].map((part) => segments.assign(part));
  assert.equal(new Set(assigned).size, 2);
  for (const growing of assigned) segments.unassign(growing, PART.batch);
  const full = segments.takeFull();
  assert.deepEqual(full, [assigned[0]]);
  for (const growing of full) segments.free(growing);
  assert.equal(segments.assign(PART), assigned[2]);
  assert.equal(view.growing.size, 1);
});
