// Which query node holds a segment: a pure function of its id and the nodes there are, by
// rendezvous hashing (Thaler and Ravishankar, 1996). Whoever asks gets the same answer, after a
// restart too, and a node that comes or goes moves the segments of its own share and no others.

import assert from 'node:assert/strict';

const MASK = (1n << 64n) - 1n;

/** Returns a node's id. @param nodeIds  at least one */
export function placeSegment(segmentId: bigint, nodeIds: readonly number[]): number {
  assert(nodeIds.length > 0);
  let best = nodeIds[0]!;
  if (nodeIds.length === 1) return best;
  let bestScore = -1n;
  for (const nodeId of nodeIds) {
    const score = mix(mix(segmentId) ^ BigInt(nodeId));
    if (score <= bestScore) continue;
    best = nodeId;
    bestScore = score;
  }
  return best;
}

/** The finalizer of SplitMix64 (Steele, Lea and Flood, 2014): every bit depends on every bit. */
function mix(value: bigint): bigint {
  let bits = (value + 0x9e3779b97f4a7c15n) & MASK;
  bits = ((bits ^ (bits >> 30n)) * 0xbf58476d1ce4e5b9n) & MASK;
  bits = ((bits ^ (bits >> 27n)) * 0x94d049bb133111ebn) & MASK;
  return bits ^ (bits >> 31n);
}
