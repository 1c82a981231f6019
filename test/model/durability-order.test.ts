// In which order data, metadata, the log and unneeded files come and go, shown by metadata
// transactions that fail: what the older state needs must still be there (R11).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { isDeepStrictEqual } from 'node:util';
import { createDeferred } from '../../src/base/deferred.ts';
import { MilvusError } from '../../src/model/error.ts';
import type { Transaction } from '../../src/meta/kv.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { SandboxCollection, until } from '../support/sandbox-collection.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';
import { checkRows, makeRows, withCollection } from '../support/with-collection.ts';

/** Lets time pass until the storage holds these files and no others. */
async function untilCollected(
  sandbox: ClusterSandbox,
  runtime: VirtualRuntime,
  files: readonly string[],
): Promise<void> {
  await until(async () => {
    await runtime.advance(1000);
    return isDeepStrictEqual(await sandbox.listFiles(), files);
  });
}

/** The files that the records of a collection with one shard name. */
async function listNamed(
  { peers }: ClusterSandbox,
  { info: { collectionId, vchannels } }: SandboxCollection,
): Promise<string[]> {
  const { datacoord } = peers;
  const { channel } = await datacoord.openChannel({ collectionId, vchannel: vchannels[0]! }, {});
  const { segments } = await datacoord.listSegments({ collectionId }, {});
  return [...channel.deleteFiles, ...segments].map(({ file }) => file).sort();
}

/** Fails every transaction that changes segments. Returns how the storage looked at each. */
function failSegmentRecords(sandbox: ClusterSandbox): string[][] {
  const seen: string[][] = [];
  sandbox.hooks.set('kv.transact', async (transaction) => {
    const { puts = [] } = transaction as Transaction;
    if (!puts.some(({ key }) => key.startsWith('segment/'))) return;
    seen.push(await sandbox.listFiles());
    throw new MilvusError('IoFailed', { message: 'metadata cannot be written' });
  });
  return seen;
}

/** The errors that the failed transaction was logged with; there are to be no others. */
function forgetErrors(sandbox: ClusterSandbox): void {
  for (const error of sandbox.errors.splice(0)) assert.match(error, /metadata cannot be written/);
}

test('R11 the log is not cut before a segment is recorded, its file is whole by then', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ wal: 'memory', runtime }, 1, async (collection, sandbox) => {
    await collection.insert(makeRows(0, 20));
    await collection.flush();
    const recorded = await sandbox.listFiles();
    await collection.insert(makeRows(20, 30));
    await collection.delete([3n, 25n]);
    const seen = failSegmentRecords(sandbox);
    const { collectionId } = collection.info;
    await sandbox.peers.datacoord.flush({ collectionId }, {});
    // The commit is repeated a few times first.
    await until(async () => {
      await runtime.advance(1000);
      return sandbox.errors.length > 0;
    });
    forgetErrors(sandbox);
    assert.ok(seen[0]!.length > recorded.length, 'the file comes before its record');
    await checkRows(collection);
    sandbox.hooks.clear();
    await sandbox.restart();
    await checkRows(collection);
    // The flush is carried on, to files of other names; those of before go.
    await until(async () => (await collection.segmentCount()) === 2);
    await untilCollected(sandbox, runtime, await listNamed(sandbox, collection));
    await sandbox.restart();
    await checkRows(collection);
  });
});

test('R11 the inputs of a merge stay until its output is recorded, and then go', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
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
    await untilCollected(sandbox, runtime, inputs);
    assert.equal(await collection.compact(), 0);
    await checkRows(collection);
    const { segments } = await sandbox.peers.datacoord.listSegments(
      { collectionId: collection.info.collectionId },
      {},
    );
    assert.ok(segments.every(({ file }) => !inputs.includes(file)));
    await untilCollected(sandbox, runtime, segments.map(({ file }) => file));
  });
});

test('P1 a shard that commits while others are closing does not cut what they need', async () => {
  await withCollection({ wal: 'memory' }, 1, async (collection, sandbox) => {
    await collection.insert(makeRows(0, 20));
    const other = await SandboxCollection.create(sandbox.peers, 'other');
    await other.insert(makeRows(0, 10));
    const gate = createDeferred<void>();
    let isHeld = false;
    sandbox.hooks.set('datacoord.commitChannel', () => {
      isHeld = true;
      return gate.promise;
    });
    const { collectionId } = other.info;
    await sandbox.peers.datacoord.flush({ collectionId }, {});
    await until(async () => isHeld);
    const restarted = sandbox.restart();
    // By now the first shard is closed, and the second one waits for its commit.
    for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    gate.resolve();
    await restarted;
    await checkRows(collection);
    await checkRows(other);
  });
});
