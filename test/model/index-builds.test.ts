// Index files through failing builds, dropped indexes and segments that are merged away meanwhile:
// what is built counts, and no file stays that nobody needs (P6, P7).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import { MilvusError } from '../../src/model/error.ts';
import type { IndexStatus } from '../../src/rpc/contract.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { withTimePassing } from '../support/pump.ts';
import { until, type SandboxCollection } from '../support/sandbox-collection.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';
import { makeRows, withCollection } from '../support/with-collection.ts';

/** Numbers of common.IndexState. */
const INDEX_STATE = { inProgress: 2, finished: 3, failed: 4 };

async function createIndex(
  { peers }: ClusterSandbox,
  { info }: SandboxCollection,
): Promise<void> {
  const { fieldId } = info.schema.fields.find(({ name }) => name === 'vec')!;
  const { collectionId } = info;
  const index = { fieldId, fieldName: 'vec', name: 'vec', indexType: 'HNSW', metric: 'L2' };
  const params = { index_type: 'HNSW', metric_type: 'L2', M: '8', efConstruction: '40' };
  await peers.indexcoord.createIndex({ collectionId, ...index, params, isAutoIndex: false }, {});
}

async function describe(
  { peers }: ClusterSandbox,
  { info }: SandboxCollection,
): Promise<IndexStatus> {
  const { collectionId } = info;
  const { indexes } = await peers.indexcoord.describeIndexes({ collectionId }, {});
  return indexes[0]!;
}

async function listIndexFiles(sandbox: ClusterSandbox): Promise<string[]> {
  return (await sandbox.listFiles()).filter((file) => file.startsWith('indexes/'));
}

async function untilIndexFiles(
  sandbox: ClusterSandbox,
  runtime: VirtualRuntime,
  count: number,
): Promise<void> {
  await runtime.advance(60_000);
  await until(async () => (await listIndexFiles(sandbox)).length === count);
  await until(async () => (await sandbox.listRecords('writing/')).length === 0);
}

async function addSegment(
  collection: SandboxCollection,
  runtime: VirtualRuntime,
  first: number,
): Promise<void> {
  await collection.insert(makeRows(first, first + 1100));
  await withTimePassing(runtime, 50, () => collection.flush());
}

test('P7 a build that meets a full disk is made once there is room', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    await addSegment(collection, runtime, 0);
    let builds = 0;
    sandbox.hooks.set('indexnode.build', async () => {
      builds += 1;
      if (builds <= 3) throw new MilvusError('DiskLimitExceeded', { fields: { need: 5 } });
    });
    await createIndex(sandbox, collection);
    await until(async () => builds === 1);
    const waiting = await describe(sandbox, collection);
    assert.equal(waiting.state, INDEX_STATE.inProgress);
    await until(async () => /disk limit/.test((await describe(sandbox, collection)).failReason));
    await until(async () => {
      await runtime.advance(500);
      return (await describe(sandbox, collection)).state === INDEX_STATE.finished;
    });
    assert.equal(builds, 4);
    assert.equal((await describe(sandbox, collection)).failReason, '');
    await untilIndexFiles(sandbox, runtime, 1);
  });
});

test('a build that its data make impossible is failed, and not tried again', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    await addSegment(collection, runtime, 0);
    let builds = 0;
    sandbox.hooks.set('indexnode.build', async () => {
      builds += 1;
      throw new MilvusError('DataIntegrity', { message: 'a damaged file' });
    });
    await createIndex(sandbox, collection);
    await until(async () => (await describe(sandbox, collection)).state === INDEX_STATE.failed);
    await runtime.advance(3_600_000);
    await addSegment(collection, runtime, 2000);
    await until(async () => builds === 2);
    assert.equal((await describe(sandbox, collection)).failReason, 'a damaged file');
  });
});

test('P6 the index of a segment that was merged away while it was built goes', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    await addSegment(collection, runtime, 0);
    await addSegment(collection, runtime, 2000);
    const gate = createDeferred<void>();
    let builds = 0;
    sandbox.afterHooks.set('indexnode.build', async () => {
      builds += 1;
      if (builds === 1) await gate.promise;
    });
    await createIndex(sandbox, collection);
    await until(async () => builds === 1);
    assert.equal(await withTimePassing(runtime, 50, () => collection.compact()), 0);
    gate.resolve();
    await until(async () => (await describe(sandbox, collection)).pendingRows === 0);
    await untilIndexFiles(sandbox, runtime, 1);
    const found = await collection.search([5, 0, 0, 0], 3);
    assert.equal(found[0]!.id, 5n);
  });
});

test('P6 an index that was dropped while it was built leaves nothing', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    await addSegment(collection, runtime, 0);
    const gate = createDeferred<void>();
    let isBuilt = false;
    sandbox.afterHooks.set('indexnode.build', () => {
      isBuilt = true;
      return gate.promise;
    });
    await createIndex(sandbox, collection);
    await until(async () => isBuilt);
    const { collectionId } = collection.info;
    const request = { collectionId, name: 'vec', fieldName: '' };
    await sandbox.peers.indexcoord.dropIndex(request, {});
    gate.resolve();
    await untilIndexFiles(sandbox, runtime, 0);
    assert.deepEqual(await sandbox.listRecords('index-file/'), []);
    await createIndex(sandbox, collection);
    await until(async () => (await describe(sandbox, collection)).pendingRows === 0);
    const [first] = await listIndexFiles(sandbox);
    await sandbox.peers.indexcoord.dropIndex(request, {});
    await createIndex(sandbox, collection);
    await until(async () => (await describe(sandbox, collection)).pendingRows === 0);
    await untilIndexFiles(sandbox, runtime, 1);
    assert.notDeepEqual(await listIndexFiles(sandbox), [first], 'a key is used once');
  });
});

test('the indexes of a merge that fails go with it', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    await createIndex(sandbox, collection);
    await addSegment(collection, runtime, 0);
    await addSegment(collection, runtime, 2000);
    await until(async () => (await describe(sandbox, collection)).pendingRows === 0);
    sandbox.afterHooks.set('indexcoord.buildSegment', () => Promise.reject(new Error('lost')));
    assert.equal(await withTimePassing(runtime, 50, () => collection.compact()), 1);
    assert.match(sandbox.errors.splice(0).join(), /compaction failed: Error: lost/);
    await untilIndexFiles(sandbox, runtime, 2);
    await until(async () => (await sandbox.listFiles()).length === 4);
    sandbox.afterHooks.clear();
    assert.equal(await withTimePassing(runtime, 50, () => collection.compact()), 0);
    await untilIndexFiles(sandbox, runtime, 1);
    assert.equal((await describe(sandbox, collection)).state, INDEX_STATE.finished);
  });
});

test('P7 missing indexes are looked for again when looking for them has failed', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    await addSegment(collection, runtime, 0);
    let isBroken = true;
    sandbox.hooks.set('datacoord.listSegments', async () => {
      if (isBroken) throw new Error('no answer');
    });
    await createIndex(sandbox, collection);
    await until(async () => sandbox.errors.length > 0);
    isBroken = false;
    for (let seconds = 0; seconds < 1000; seconds += 1) {
      if ((await listIndexFiles(sandbox)).length > 0) break;
      await runtime.advance(1000);
    }
    assert.equal((await listIndexFiles(sandbox)).length, 1);
    assert.match(sandbox.errors.splice(0).join(), /not looked for/);
  });
});
