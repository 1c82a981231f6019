// The line of writes before a shard: bounded in number and bytes, in order.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../../src/model/error.ts';
import {
  PendingWrites,
  type PendingWrite,
} from '../../../src/roles/streamingnode/pending-writes.ts';
import type { DeletePart, InsertPart } from '../../../src/rpc/contract.ts';

function makeWrite(part: InsertPart | DeletePart): PendingWrite {
  const request = { collectionId: 1n, vchannel: 'v', schemaVersion: 0, parts: [part] };
  return { request, resolve: () => undefined, reject: () => undefined };
}

const insert = (bytes: number): PendingWrite =>
  makeWrite({ kind: 'insert', partitionId: 1n, rows: 1, batch: new Uint8Array(bytes) });

const remove = (keys: DeletePart['keys']): PendingWrite =>
  makeWrite({ kind: 'delete', partitionId: 0n, keys, killsUpTo: 0n });

const isFull = (error: unknown): boolean =>
  error instanceof MilvusError && error.code === 8 && error.retriable;

test('R24 writes past the number that may wait are refused with code 8', () => {
  const writes = new PendingWrites({ countMax: 3, bytesMax: 1000 });
  const taken = [insert(1), insert(1), insert(1)];
  for (const write of taken) writes.push(write);
  assert.throws(() => writes.push(insert(1)), isFull);
  assert.deepEqual(writes.takeAll(), taken);
  assert.equal(writes.waitingCount, 0);
  // Those that were taken to be stamped still count.
  assert.throws(() => writes.push(insert(1)), isFull);
  writes.release(taken);
  writes.push(insert(1));
  assert.equal(writes.waitingCount, 1);
});

test('R24 rows and keys past the bytes that may wait are refused with code 8', () => {
  const writes = new PendingWrites({ countMax: 100, bytesMax: 1000 });
  writes.push(insert(600));
  assert.throws(() => writes.push(insert(401)), isFull);
  writes.push(remove({ kind: 'int64', values: new BigInt64Array(40) }));
  assert.throws(() => writes.push(remove({ kind: 'string', values: ['k'.repeat(81)] })), isFull);
  writes.push(remove({ kind: 'string', values: ['k'.repeat(40), 'k'.repeat(40)] }));
  const taken = writes.takeAll();
  assert.equal(taken.length, 3);
  assert.throws(() => writes.push(insert(1000)), isFull);
  writes.release(taken);
  writes.push(insert(1000));
});

test('R24 a write larger than the bound is taken when nothing else waits', () => {
  const writes = new PendingWrites({ countMax: 100, bytesMax: 1000 });
  writes.push(insert(5000));
  assert.throws(() => writes.push(insert(1)), isFull);
  assert.equal(writes.takeAll().length, 1);
});
