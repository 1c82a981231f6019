// Reads of segments end when their caller gives up (R22), however it says so.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Cancelable } from '../../../src/base/cancelable.ts';
import { native } from '../../../src/index/native.ts';
import { searchSegments } from '../../../src/segment/native-request.ts';
import { Random } from '../../support/codec/random.ts';
import { DIM, makeGrowing, VECTOR } from '../../support/native-segment.ts';

const ROWS = 5000;
const NQ = 2000;

function search(segment: ReturnType<typeof makeGrowing>, call: Cancelable) {
  const queries = new Uint8Array(NQ * DIM * Float32Array.BYTES_PER_ELEMENT);
  const output = { outputFieldIds: [] };
  const input = { fieldId: VECTOR, metric: 'L2', nq: NQ, k: 10, queries, indexParams: {} };
  return searchSegments([segment], { ...input, ...output }, 2n, call);
}

test('R22 a read ends when its signal is aborted or its caller is heard to give up', async () => {
  const segment = makeGrowing(ROWS, new Random(1));
  const abort = new AbortController();
  const listeners = new Set<() => void>();
  const onCancel = (listener: () => void) => {
    listeners.add(listener);
    return () => listeners.delete(listener);
  };
  const reads = [search(segment, { signal: abort.signal }), search(segment, { onCancel })];
  abort.abort();
  for (const listener of listeners) listener();
  for (const read of reads) await assert.rejects(read, /canceled/);
  assert.equal((await search(segment, { onCancel })).counts.length, NQ);
  assert.equal(listeners.size, 0);
  native.closeSegment(segment);
});
