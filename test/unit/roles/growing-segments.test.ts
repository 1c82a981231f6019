// Which growing segment takes rows, and what becomes of those whose rows never come.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../../src/model/data-type.ts';
import { GrowingBudget } from '../../../src/roles/streamingnode/growing-budget.ts';
import { GrowingSegments } from '../../../src/roles/streamingnode/growing-segments.ts';
import { View } from '../../../src/roles/streamingnode/view.ts';
import type { InsertPart } from '../../../src/rpc/contract.ts';
import { makeField } from '../../support/codec/random-batch.ts';

function makeSegments() {
  const view = new View();
  let lastId = 0n;
  const schema = {
    name: 'c',
    description: '',
    fields: [makeField({ name: 'id', dataType: DataType.Int64, isPrimaryKey: true })],
    enableDynamicField: false,
    version: 0,
    properties: {},
  };
  const segments = new GrowingSegments({
    view,
    budget: new GrowingBudget(1024 * 1024),
    segmentBytesMax: 100,
    takeId: () => (lastId += 1n),
    getSchema: () => schema,
    onBorn: () => undefined,
  });
  return { view, segments };
}

const PART: InsertPart = { kind: 'insert', partitionId: 1n, rows: 1, batch: new Uint8Array(60) };

test('P6 writes that are given up use no segment up', () => {
  const { view, segments } = makeSegments();
  for (let i = 0; i < 10; i += 1) segments.unassign(segments.assign(PART), PART.batch);
  assert.equal(view.growing.size, 1);
  assert.deepEqual(segments.takeFull(), []);
});

test('P6 a segment that was full of writes which were given up goes', () => {
  const { view, segments } = makeSegments();
  const assigned = [PART, PART, PART].map((part) => segments.assign(part));
  assert.equal(new Set(assigned).size, 2);
  for (const growing of assigned) segments.unassign(growing, PART.batch);
  const full = segments.takeFull();
  assert.deepEqual(full, [assigned[0]]);
  for (const growing of full) segments.forget(growing);
  assert.equal(segments.assign(PART), assigned[2]);
  assert.equal(view.growing.size, 1);
});
