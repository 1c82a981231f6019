// The line of writes before a shard's log: who is given a row to update sees every write that came
// before, and the log says that a segment is closed behind all of its rows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../../src/base/deferred.ts';
import { encodeRowBatch } from '../../../src/codec/row-batch-ops.ts';
import { decodeWalMessage } from '../../../src/codec/wal-message.ts';
import { DataType } from '../../../src/model/data-type.ts';
import type { Keys } from '../../../src/model/keys.ts';
import type { WriteRequest } from '../../../src/rpc/contract.ts';
import type { Wal } from '../../../src/wal/wal.ts';
import { encodeColumn, makeField } from '../../support/codec/random-batch.ts';
import { hasName } from '../../support/has-name.ts';
import { makeShardPieces } from '../../support/shard-pieces.ts';

const ID = makeField({ name: 'id', dataType: DataType.Int64, isPrimaryKey: true });

const keysOf = (key: bigint): Keys => ({ kind: 'int64', values: BigInt64Array.of(key) });

function makeDelete(key: bigint, schemaVersion = 0): WriteRequest {
  const part = { kind: 'delete', partitionId: 0n, keys: keysOf(key), killsUpTo: 0n } as const;
  return { vchannel: 'v', schemaVersion, parts: [part] };
}

function makeInsert(key: bigint): WriteRequest {
  const rowId = { fieldId: 0n, dataType: DataType.Int64, data: BigInt64Array.of(0n) };
  const batch = encodeRowBatch([rowId, encodeColumn(ID, [key])], 1);
  const part = { kind: 'insert', partitionId: 1n, rows: 1, batch } as const;
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

/** What the log has, in order: `+segment`, `-` for deletes, `|segment` for a seal. */
async function readLog(wal: Wal): Promise<string[]> {
  const found: string[] = [];
  for await (const { record } of wal.read(0n)) {
    for (const part of decodeWalMessage(record).parts) {
      if (part.kind === 'delete') found.push('-');
      else found.push(`${part.kind === 'seal' ? '|' : '+'}${part.segmentId}`);
    }
  }
  return found;
}

test('R6 a row goes to its updater after each write before, whatever later ones do', async () => {
  let allowed = createDeferred<void>();
  const { writes } = await makeShardPieces(() => allowed.promise);
  const before = writes.write(makeDelete(3n), {});
  const first = allowed;
  // Both are prepared together then, and only the later one cannot be carried out.
  const early = writes.write(makeDelete(1n), {});
  const refused = writes.write(makeDelete(2n, 7), {});
  assert.equal(await isSettled(before), false);
  allowed = createDeferred();
  first.resolve();
  await assert.rejects(refused, hasName('CollectionSchemaMismatch'));
  const lock = writes.lock(keysOf(1n), {});
  assert.equal(await isSettled(lock), false, 'the early write is not in the log yet');
  allowed.resolve();
  assert.ok((await early).timestamp > 0n);
  writes.unlock(await lock);
});

test('R6 who waits for a row waits for no write that came after', async () => {
  let allowed = createDeferred<void>();
  const { writes } = await makeShardPieces(() => allowed.promise);
  const before = writes.write(makeDelete(1n), {});
  const lock = writes.lock(keysOf(1n), {});
  assert.equal(await isSettled(lock), false);
  const first = allowed;
  allowed = createDeferred();
  const after = writes.write(makeDelete(2n), {});
  first.resolve();
  writes.unlock(await lock);
  await before;
  assert.equal(await isSettled(after), false);
  allowed.resolve();
  await after;
});

test('R2 the seal of a segment is in the log behind all of its rows', async () => {
  let allowed = createDeferred<void>();
  const { writes, growing, wal, closed, view } = await makeShardPieces(() => allowed.promise);
  const early = writes.write(makeInsert(1n), {});
  await isSettled(early);
  // Assigned and not appended yet, when it is decided that the segment takes no more.
  const [segment] = view.growing.values();
  const sealed = writes.seal([segment!]);
  const again = writes.seal([segment!]);
  const late = writes.write(makeInsert(2n), {});
  assert.equal(segment!.phase, 'closing');
  allowed.resolve();
  await Promise.all([early, sealed, again, late]);
  assert.deepEqual(await readLog(wal), ['+1', '+2', '|1']);
  assert.deepEqual(closed, [segment]);
  assert.deepEqual(growing.list().map(({ segmentId }) => segmentId), [1n, 2n]);
  // What is closed is closed: nothing to be said again.
  await writes.seal(growing.list().slice(0, 1));
  assert.deepEqual(await readLog(wal), ['+1', '+2', '|1']);
});

test('R8 a segment whose seal the log refuses is written nevertheless', async () => {
  const { writes, wal, closed, view } = await makeShardPieces();
  await writes.write(makeInsert(1n), {});
  const [segment] = view.growing.values();
  await wal.close();
  await assert.rejects(writes.seal([segment!]), hasName('ServiceUnavailable'));
  assert.deepEqual(closed, [segment]);
  await assert.rejects(writes.write(makeInsert(2n), {}), hasName('ServiceUnavailable'));
});

test('R8 a segment is written nevertheless when there are no timestamps for its seal', async () => {
  let isDown = false;
  const { writes, closed, view } = await makeShardPieces(async () => {
    if (isDown) throw new Error('no timestamps');
  });
  await writes.write(makeInsert(1n), {});
  const [segment] = view.growing.values();
  isDown = true;
  const refused = writes.write(makeInsert(2n), {});
  const sealed = writes.seal([segment!]);
  await assert.rejects(refused, /no timestamps/);
  await assert.rejects(sealed, /no timestamps/);
  assert.deepEqual(closed, [segment]);
});

test('R8 a seal that nobody stamps waits for the rows that are on their way', async () => {
  let isDown = false;
  const { writes, wal, closed, view } = await makeShardPieces(async () => {
    if (isDown) throw new Error('no timestamps');
  });
  const durable = createDeferred<void>();
  const append = wal.append.bind(wal);
  wal.append = async (record) => {
    await durable.promise;
    return append(record);
  };
  const early = writes.write(makeInsert(1n), {});
  await isSettled(early);
  const [segment] = view.growing.values();
  isDown = true;
  const sealed = writes.seal([segment!]);
  assert.equal(await isSettled(sealed), false);
  durable.resolve();
  assert.ok((await early).timestamp > 0n);
  await assert.rejects(sealed, /no timestamps/);
  assert.deepEqual(closed, [segment]);
  assert.equal(segment!.rows, 1);
});
