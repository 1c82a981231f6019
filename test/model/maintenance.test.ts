// What clients are told of flush and indexes while the work behind them is held up (R23).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import type { IndexStatus, Peers } from '../../src/rpc/contract.ts';
import { listGrowing } from '../../src/rpc/shards.ts';
import { until, type SandboxCollection } from '../support/sandbox-collection.ts';
import { openProxy } from '../support/sandbox-proxy.ts';
import { makeRows, withCollection } from '../support/with-collection.ts';

const INDEX_STATE_IN_PROGRESS = 2;
const INDEX_STATE_FINISHED = 3;

async function createIndex(peers: Peers, { info }: SandboxCollection): Promise<void> {
  const { fieldId } = info.schema.fields.find(({ name }) => name === 'vec')!;
  const { collectionId } = info;
  const index = { fieldId, fieldName: 'vec', name: 'vec', indexType: 'HNSW', metric: 'L2' };
  const params = { index_type: 'HNSW', metric_type: 'L2', M: '8', efConstruction: '40' };
  await peers.indexcoord.createIndex({ collectionId, ...index, params, isAutoIndex: false }, {});
}

async function describeIndex(peers: Peers, { info }: SandboxCollection): Promise<IndexStatus> {
  const { collectionId } = info;
  const { indexes } = await peers.indexcoord.describeIndexes({ collectionId }, {});
  return indexes[0]!;
}

test('R23 Flush answers once sealed, GetFlushState is true once written', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const { datacoord } = sandbox.peers;
    const { collectionId } = collection.info;
    const gate = createDeferred<void>();
    sandbox.hooks.set('datacoord.commitChannel', () => gate.promise);
    await collection.insert(makeRows(0, 10));
    const { segmentIds, timestamp } = await datacoord.flush({ collectionId }, {});
    assert.equal(segmentIds.length, 1);
    const isFlushed = async (): Promise<boolean> =>
      (await datacoord.getFlushState({ collectionId, segmentIds, timestamp }, {})).flushed;
    assert.equal(await isFlushed(), false);
    assert.equal(await collection.count(), 10);
    gate.resolve();
    await until(isFlushed);
    const { segments } = await datacoord.listSegments({ collectionId }, {});
    assert.deepEqual(segments.map(({ segmentId }) => segmentId), segmentIds);
  });
});

for (const { rows, pending } of [{ rows: 1023, pending: 0 }, { rows: 1024, pending: 1024 }]) {
  test(`R23 index state: ${pending} of ${rows} sealed rows wait for their index`, async () => {
    await withCollection({}, 1, async (collection, sandbox) => {
      const { peers } = sandbox;
      const gate = createDeferred<void>();
      sandbox.hooks.set('indexnode.build', () => gate.promise);
      await createIndex(peers, collection);
      await collection.insert(makeRows(0, rows));
      await collection.flush();
      await collection.insert(makeRows(rows, rows + 2000));
      const held = await describeIndex(peers, collection);
      assert.deepEqual([held.totalRows, held.pendingRows], [rows + 2000, pending]);
      assert.equal(held.indexedRows, held.totalRows - pending);
      assert.equal(held.state, pending > 0 ? INDEX_STATE_IN_PROGRESS : INDEX_STATE_FINISHED);
      gate.resolve();
      await until(async () => (await describeIndex(peers, collection)).pendingRows === 0);
      assert.equal((await describeIndex(peers, collection)).state, INDEX_STATE_FINISHED);
    });
  });
}

const STOPPED = /the collection is stopped/;

test('R23 a flush that a restart has cut short is carried out by itself', async () => {
  await withCollection({}, 2, async (collection, sandbox) => {
    const { datacoord } = sandbox.peers;
    const { collectionId } = collection.info;
    // The server dies before anything is recorded.
    sandbox.hooks.set('querynode.loadSegments', () => Promise.reject(new Error('dying')));
    await collection.insert(makeRows(0, 10));
    const { segmentIds, timestamp } = await datacoord.flush({ collectionId }, {});
    await sandbox.restart();
    sandbox.hooks.clear();
    sandbox.hooks.set('streamingnode.flush', () => Promise.reject(new Error('nobody flushes')));
    sandbox.errors.length = 0;
    await collection.insert(makeRows(10, 20));
    const request = { collectionId, segmentIds, timestamp };
    for (let polls = 0; ; polls += 1) {
      if ((await datacoord.getFlushState(request, {})).flushed) break;
      assert.ok(polls < 200, 'GetFlushState stays false for ever');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(await collection.count(), 20);
    // What came afterwards goes on growing.
    const segments = await listGrowing(sandbox.peers, collectionId, { mustServe: true });
    assert.equal(segments.reduce((sum, { rows }) => sum + rows, 0), 10);
    assert.ok(segments.every(({ isSealing }) => !isSealing));
  });
});

test('R23 a FlushAll that a restart has cut short is carried out by itself', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    sandbox.hooks.set('querynode.loadSegments', () => Promise.reject(new Error('dying')));
    await collection.insert(makeRows(0, 10));
    const { flush_all_ts } = await openProxy(sandbox).call('FlushAll', {});
    await sandbox.restart();
    sandbox.hooks.clear();
    sandbox.errors.length = 0;
    const client = openProxy(sandbox);
    for (let polls = 0; ; polls += 1) {
      if ((await client.call('GetFlushAllState', { flush_all_ts }))['flushed'] === true) break;
      assert.ok(polls < 200, 'GetFlushAllState stays false for ever');
      await new Promise((resolve) => setTimeout(resolve, 10));
    }
    assert.equal(await collection.segmentCount(), 1);
  });
});

test('R23 no flush of a collection that has stopped is said to be done', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const { datacoord } = sandbox.peers;
    const { collectionId } = collection.info;
    const vchannel = collection.info.vchannels[0]!;
    const shard = sandbox.peers.shard(vchannel);
    const gate = createDeferred<void>();
    sandbox.hooks.set('datacoord.commitChannel', async () => {
      await gate.promise;
      throw new Error('the disk is gone');
    });
    await collection.insert(makeRows(0, 10));
    const client = openProxy(sandbox);
    const { flush_all_ts } = await client.call('FlushAll', {});
    const { segments } = await shard.listGrowing({ vchannel }, {});
    const segmentIds = segments.map(({ segmentId }) => segmentId);
    gate.resolve();
    const reason = 'a damaged file';
    await shard.reportDamage({ vchannel, reason }, {});
    await until(async () => sandbox.growingBytes() === 0);
    const request = { collectionId, segmentIds, timestamp: 0n };
    await assert.rejects(datacoord.getFlushState(request, {}), STOPPED);
    await assert.rejects(client.call('GetFlushAllState', { flush_all_ts }), STOPPED);
    sandbox.errors.length = 0;
  });
});
