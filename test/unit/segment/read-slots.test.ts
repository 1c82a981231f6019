// Reads in progress at a node: so many at work, so many waiting, the rest refused.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/base/deferred.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { ReadSlots } from '../../../src/segment/read-slots.ts';

test('P6 reads past unsolvedQueueSize are refused with code 4, until one has ended', async () => {
  const slots = new ReadSlots(1, 2);
  const gate = createDeferred<number>();
  const read = () => slots.run(() => gate.promise);
  const reads = [read(), read(), read()];
  await assert.rejects(read(), (error: unknown) => {
    assert.ok(error instanceof MilvusError && error.code === 4 && error.retriable);
    assert.match(error.message, /too many concurrent requests, queue is full\[limit=2\]/);
    return true;
  });
  gate.resolve(7);
  assert.deepEqual(await Promise.all(reads), [7, 7, 7]);
  await assert.rejects(slots.run(() => Promise.reject(new Error('broken'))), /broken/);
  assert.equal(slots.count, 0);
});
