// What is under way in a shard when it stops, is dropped or loses a partition: nobody is given half
// of an answer, nobody waits for what will not come, and nothing wrong is said afterwards.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';
import { makeRows, withCollection } from '../support/with-collection.ts';

/** Lets all that is ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

for (const end of ['stops', 'is dropped'] as const) {
  test(`P2 a read that is under way when its collection ${end} gets no empty answer`, async () => {
    await withCollection({}, 1, async (collection, sandbox) => {
      const { rootcoord, streamingnode } = sandbox.peers;
      const { collectionId, vchannels } = collection.info;
      await collection.insert(makeRows(0, 10));
      await collection.flush();
      const gate = createDeferred<void>();
      sandbox.hooks.set('querynode.applyDeletes', () => gate.promise);
      await collection.delete([3n]);
      const reads = [
        collection.query(),
        collection.count(),
        collection.search([0, 0, 0, 0], 3),
        streamingnode.getStats({ collectionId }, {}),
        streamingnode.flush({ collectionId }, {}),
      ];
      const outcomes = Promise.allSettled(reads);
      await settle();
      const ended =
        end === 'stops'
          ? streamingnode.reportDamage(
              { collectionId, vchannel: vchannels[0]!, reason: 'a bad disk' },
              {},
            )
          : rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
      await settle();
      gate.resolve();
      await ended;
      const expected = end === 'stops' ? /collection is stopped/ : /collection not found/;
      for (const outcome of await outcomes) {
        assert.ok(outcome.status === 'rejected', 'a read has an answer');
        assert.match(String(outcome.reason), expected);
      }
      sandbox.errors.length = 0;
    });
  });
}

test('P7 a drop does not wait for the next try of a segment that cannot be written', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    const { rootcoord, streamingnode } = sandbox.peers;
    const { collectionId } = collection.info;
    const gate = createDeferred<void>();
    await collection.insert(makeRows(0, 10));
    sandbox.hooks.set('datacoord.beginFile', () => gate.promise);
    await streamingnode.flush({ collectionId }, {});
    const dropped = rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
    await settle();
    gate.reject(new Error('the disk is full'));
    let isDone = false;
    dropped.then(() => (isDone = true), () => undefined);
    await settle();
    assert.ok(isDone, 'every change of the catalog waits behind the drop');
    assert.deepEqual(sandbox.health.list(), []);
    sandbox.errors.length = 0;
  });
});
