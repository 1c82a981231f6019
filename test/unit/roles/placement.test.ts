// Which query node holds which segment.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { placeSegment } from '../../../src/roles/querycoord/placement.ts';

const SEGMENTS = Array.from({ length: 1000 }, (_unused, i) => 470617257980002348n + BigInt(i));

test('segments are spread over all nodes, whatever the order that nodes are named in', () => {
  const counts = new Map<number, number>();
  for (const id of SEGMENTS) {
    const nodeId = placeSegment(id, [1, 2, 3, 4]);
    assert.equal(placeSegment(id, [3, 1, 4, 2]), nodeId);
    counts.set(nodeId, (counts.get(nodeId) ?? 0) + 1);
  }
  assert.equal(counts.size, 4);
  // 250 each; five standard deviations of a fair choice are 68.
  for (const count of counts.values()) assert.ok(Math.abs(count - 250) < 68, String(count));
});

test('a node that goes moves its own segments, and no others', () => {
  for (const id of SEGMENTS) {
    const before = placeSegment(id, [1, 2, 3]);
    const after = placeSegment(id, [1, 3]);
    if (before !== 2) assert.equal(after, before);
    else assert.notEqual(after, 2);
  }
});
