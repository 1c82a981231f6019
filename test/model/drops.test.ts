// Drops of a collection and of a partition while others write, flush and merge (R10).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../src/model/error.ts';
import { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { Random } from '../support/codec/random.ts';
import { checkReads, makeRow, makeRows, range } from '../support/random-rows.ts';
import { SandboxCollection } from '../support/sandbox-collection.ts';
import { withCollection } from '../support/with-collection.ts';

const SEED = 20261;

const isGone = (error: unknown): boolean =>
  error instanceof MilvusError &&
  ['CollectionNotFound', 'PartitionNotFound'].includes(error.errorName);

test('R10 a dropped collection takes no inserts, and its successor begins empty', async () => {
  const sandbox = await ClusterSandbox.open();
  const random = new Random(SEED);
  let collection = await SandboxCollection.create(sandbox.peers, 'c');
  for (let round = 0; round < 4; round += 1) {
    const old = collection;
    let acknowledged = 0;
    let isRefused = false;
    const writers = range(0, 4).map(async (writer) => {
      for (let i = 0; !isRefused; i += 1) {
        try {
          await old.insert([makeRow(random, writer * 1000n + BigInt(i))]);
          acknowledged += 1;
        } catch (error) {
          isRefused = true;
          if (!isGone(error)) throw error;
        }
      }
    });
    while (acknowledged < 20 && !isRefused) await new Promise((resolve) => setImmediate(resolve));
    const flushing = round % 2 === 0 ? old.flush().catch(() => undefined) : undefined;
    await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
    collection = await SandboxCollection.create(sandbox.peers, 'c');
    await Promise.all([...writers, flushing]);
    await assert.rejects(old.insert([makeRow(random, 1n)]), isGone);
    await assert.rejects(old.query(), isGone);
    assert.deepEqual(await collection.query(), []);
    if (round === 2) await sandbox.restart();
    assert.deepEqual(await collection.query(), []);
    await collection.insert(makeRows(random, 0, 10));
    await checkReads(collection, random);
  }
  assert.deepEqual(sandbox.errors, []);
  await sandbox.close();
});

test('R10 a dropped partition takes no inserts and stays gone', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const random = new Random(SEED);
    for (let round = 0; round < 4; round += 1) {
      const partition = await collection.createPartition('p');
      let acknowledged = 0;
      let isRefused = false;
      const writers = range(0, 3).map(async (writer) => {
        for (let i = 0; !isRefused; i += 1) {
          const id = writer * 1000n + BigInt(i);
          try {
            await collection.insert([makeRow(random, id)], partition);
            await collection.upsert([makeRow(random, 5000n + id)]);
            acknowledged += 1;
          } catch (error) {
            isRefused = true;
            if (!isGone(error)) throw error;
          }
        }
      });
      while (acknowledged < 10 && !isRefused) await new Promise((resolve) => setImmediate(resolve));
      const flushing = round % 2 === 0 ? collection.flush() : undefined;
      await collection.dropPartition('p');
      await Promise.all([...writers, flushing]);
      // Inserts that were told of after the drop had been acknowledged before it.
      collection.model.dropPartition(partition);
      await checkReads(collection, random);
      if (round === 2) await sandbox.restart();
      await checkReads(collection, random);
    }
  });
});

test('R10 a partition dropped while it is merged stays gone', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const random = new Random(SEED);
    const partition = await collection.createPartition('p');
    for (let i = 0; i < 2; i += 1) {
      await collection.insert(makeRows(random, 10 * i, 10 * i + 10), partition);
      await collection.flush();
    }
    let release: () => void = () => undefined;
    const isHeld = new Promise<void>((resolve) => {
      sandbox.hooks.set('indexcoord.buildSegment', () => {
        resolve();
        return new Promise((go) => (release = go));
      });
    });
    const merging = collection.compact();
    await isHeld;
    const droppedAtLeader = new Promise<void>((resolve) => {
      sandbox.hooks.set('querycoord.dropPartition', async () => resolve());
    });
    const dropping = collection.dropPartition('p');
    // The leader has let go of the partition; the merge goes on before the catalog is told.
    await droppedAtLeader;
    release();
    sandbox.hooks.clear();
    await dropping;
    await merging;
    assert.deepEqual(await collection.query(), []);
    await sandbox.restart();
    assert.deepEqual(await collection.query(), []);
  });
});
