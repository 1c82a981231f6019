// In which order data, metadata, the log and unneeded files come and go, shown by metadata
// transactions that fail: what the older state needs must still be there (R11).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { Transaction } from '../../src/meta/kv.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { toFound, until, type SandboxCollection } from '../support/sandbox-collection.ts';
import { makeRows, withCollection } from '../support/with-collection.ts';

/** Fails every transaction that changes segments. Returns how the storage looked at each. */
function failSegmentRecords(sandbox: ClusterSandbox): string[][] {
  const seen: string[][] = [];
  sandbox.hooks.set('kv.transact', async (transaction) => {
    const { puts = [] } = transaction as Transaction;
    if (!puts.some(({ key }) => key.startsWith('segment/'))) return;
    seen.push(await sandbox.listFiles());
    throw new Error('metadata cannot be written');
  });
  return seen;
}

async function checkRows(collection: SandboxCollection): Promise<void> {
  assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
}

/** The errors that the failed transaction was logged with; there are to be no others. */
function forgetErrors(sandbox: ClusterSandbox): void {
  for (const error of sandbox.errors.splice(0)) assert.match(error, /metadata cannot be written/);
}

test('R11 the log is not cut before a segment is recorded, its file is whole by then', async () => {
  await withCollection({ wal: 'memory' }, 1, async (collection, sandbox) => {
    await collection.insert(makeRows(0, 20));
    await collection.flush();
    const recorded = await sandbox.listFiles();
    await collection.insert(makeRows(20, 30));
    await collection.delete([3n, 25n]);
    const seen = failSegmentRecords(sandbox);
    const { collectionId } = collection.info;
    await sandbox.peers.datacoord.flush({ collectionId }, {});
    await until(async () => sandbox.errors.length > 0);
    forgetErrors(sandbox);
    assert.equal(seen.length, 1);
    assert.ok(seen[0]!.length > recorded.length, 'the file comes before its record');
    await checkRows(collection);
    sandbox.hooks.clear();
    await sandbox.restart();
    await checkRows(collection);
    assert.deepEqual(await sandbox.listFiles(), recorded, 'files without a record are removed');
    await collection.flush();
    await sandbox.restart();
    await checkRows(collection);
  });
});

test('R11 the inputs of a merge stay until its output is recorded, and then go', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    for (let round = 0; round < 3; round += 1) {
      await collection.insert(makeRows(10 * round, 10 * round + 10));
      await collection.flush();
    }
    const inputs = await sandbox.listFiles();
    assert.equal(inputs.length, 3);
    const seen = failSegmentRecords(sandbox);
    assert.equal(await collection.compact(), 1);
    forgetErrors(sandbox);
    const [atRecord] = seen;
    assert.deepEqual(atRecord!.filter((file) => inputs.includes(file)), inputs);
    assert.equal(atRecord!.length, 4, 'the output comes before its record');
    sandbox.hooks.clear();
    await sandbox.restart();
    await checkRows(collection);
    assert.deepEqual(await sandbox.listFiles(), inputs, 'files without a record are removed');
    assert.equal(await collection.compact(), 0);
    await checkRows(collection);
    const [output, ...more] = await sandbox.listFiles();
    assert.deepEqual(more, []);
    assert.ok(!inputs.includes(output!));
  });
});
