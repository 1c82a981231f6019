// Which segments are merged, from made-up lists of them.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { SegmentState, type SegmentInfo } from '../../../src/model/segment-info.ts';
import {
  planCompactions,
  type CompactionMode,
} from '../../../src/roles/datacoord/compaction-policy.ts';

const MIB = 1024 * 1024;
const LIMITS = { segmentBytesMax: 1024 * MIB, deletedShareMin: 0.2 };

interface Given {
  readonly mib: number;
  readonly deletedShare?: number;
  readonly partitionId?: bigint;
  readonly vchannel?: string;
}

function plan(given: readonly Given[], mode: CompactionMode): number[][] {
  const candidates = given.map((one, i) => {
    const { mib, deletedShare = 0, partitionId = 1n, vchannel = 'c0' } = one;
    const segment: SegmentInfo = {
      segmentId: BigInt(i),
      collectionId: 1n,
      partitionId,
      vchannel,
      state: SegmentState.Flushed,
      rows: 1000,
      file: `segments/1/${i}`,
      fileBytes: mib * MIB,
      deletesUpTo: 0n,
      lastPosition: 0n,
      minTimestamp: 0n,
      maxTimestamp: 0n,
      compactedFrom: [],
    };
    return { segment, droppableRows: 1000 * deletedShare };
  });
  return planCompactions(candidates, LIMITS, mode).map((ids) => ids.map(Number).sort());
}

const sizes = (...mib: number[]): Given[] => mib.map((size) => ({ mib: size }));

test('while rows keep coming, four segments of a tier are merged and three are not', () => {
  assert.deepEqual(plan(sizes(60, 120, 120), 'busy'), []);
  assert.deepEqual(plan(sizes(60, 120, 120, 120), 'busy'), [[0, 1, 2, 3]]);
});

test('at rest two segments of a tier are merged', () => {
  assert.deepEqual(plan(sizes(60, 120, 120), 'rest'), [[0, 1, 2]]);
  assert.deepEqual(plan(sizes(30, 120), 'rest'), [[0, 1]]);
  assert.deepEqual(plan(sizes(120), 'rest'), []);
});

test('at rest two segments that are small together are left alone, four are not', () => {
  assert.deepEqual(plan(sizes(2, 3), 'rest'), []);
  assert.deepEqual(plan(sizes(2, 3), 'all'), [[0, 1]]);
  assert.deepEqual(plan(sizes(2, 2, 3, 3), 'rest'), [[0, 1, 2, 3]]);
});

test('a large segment is not rewritten for the sake of a small one, but for a user', () => {
  assert.deepEqual(plan(sizes(10, 500), 'rest'), []);
  assert.deepEqual(plan(sizes(10, 500), 'all'), [[0, 1]]);
});

test('small segments of any size are of one tier', () => {
  assert.deepEqual(plan(sizes(0.001, 0.1, 1, 3), 'busy'), [[0, 1, 2, 3]]);
});

test('no merge is larger than a segment may be', () => {
  assert.deepEqual(plan(sizes(600, 600), 'all'), []);
  assert.deepEqual(plan(sizes(400, 400, 400), 'rest'), [[0, 1]]);
  const tenOf120 = plan(sizes(120, 120, 120, 120, 120, 120, 120, 120, 120, 120), 'rest');
  assert.deepEqual(tenOf120.map((ids) => ids.length), [8, 2]);
});

test('rows of different partitions and shards are never merged', () => {
  const partitions = [
    { mib: 1, partitionId: 1n },
    { mib: 1, partitionId: 2n },
  ];
  assert.deepEqual(plan(partitions, 'all'), []);
  const shards = [
    { mib: 1, vchannel: 'c0' },
    { mib: 1, vchannel: 'c1' },
  ];
  assert.deepEqual(plan(shards, 'all'), []);
});

test('a segment with many deleted rows is rewritten alone', () => {
  assert.deepEqual(plan([{ mib: 500, deletedShare: 0.19 }], 'busy'), []);
  assert.deepEqual(plan([{ mib: 500, deletedShare: 0.2 }], 'busy'), [[0]]);
  assert.deepEqual(plan([{ mib: 500, deletedShare: 0.01 }], 'all'), [[0]]);
});

test('deleted rows do not count for the size', () => {
  assert.deepEqual(plan([{ mib: 900, deletedShare: 0.5 }, { mib: 500 }], 'rest'), [[0, 1]]);
});
