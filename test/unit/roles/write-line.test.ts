// The line before a shard: who is given a row to update sees every write that came before.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../../src/model/data-type.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { WriteLine } from '../../../src/roles/streamingnode/write-line.ts';
import type { Keys } from '../../../src/model/keys.ts';
import type { WriteRequest } from '../../../src/rpc/contract.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const KEY = { fieldId: 100n, dataType: DataType.Int64 };

const keysOf = (key: bigint): Keys => ({ kind: 'int64', values: BigInt64Array.of(key) });

function makeDelete(key: bigint): WriteRequest {
  const part = { kind: 'delete', partitionId: 0n, keys: keysOf(key), killsUpTo: 0n } as const;
  return { vchannel: 'v', schemaVersion: 0, parts: [part] };
}

/** Whether the promise has settled by now. */
async function isSettled(promise: Promise<unknown>): Promise<boolean> {
  let settled = false;
  promise.then(
    () => (settled = true),
    () => (settled = true),
  );
  for (let turn = 0; turn < 4; turn += 1) await new Promise((resolve) => setImmediate(resolve));
  return settled;
}

test('R6 a row goes to its updater after each write before, whatever later ones do', async () => {
  const line = new WriteLine(new VirtualRuntime(), () => undefined);
  const early = line.write(makeDelete(1n), KEY, {});
  const refused = line.write(makeDelete(2n), KEY, {});
  const taken = line.takeAll();
  // Both are being prepared, and only the later one cannot be carried out.
  taken[1]!.reject(new MilvusError('CollectionSchemaMismatch'));
  await assert.rejects(refused);
  const lock = line.lock(keysOf(1n), {});
  assert.equal(await isSettled(lock), false, 'the early write is not in the log yet');
  taken[0]!.resolve({ timestamp: 5n });
  line.release(taken);
  assert.deepEqual(await early, { timestamp: 5n });
  line.unlock(await lock);
});

test('R6 who waits for a row waits for no write that came after', async () => {
  const line = new WriteLine(new VirtualRuntime(), () => undefined);
  const before = line.write(makeDelete(1n), KEY, {});
  const lock = line.lock(keysOf(1n), {});
  const taken = line.takeAll();
  assert.equal(await isSettled(lock), false);
  const after = line.write(makeDelete(2n), KEY, {});
  taken[0]!.resolve({ timestamp: 5n });
  line.release(taken);
  line.unlock(await lock);
  await before;
  assert.equal(await isSettled(after), false);
});
