// What is asked of a shard before it is open, and what is under way when it stops, is dropped or
// loses a partition: nobody is given half of an answer, nobody waits for what will not come, and
// nothing wrong is said or written.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import { MilvusError } from '../../src/model/error.ts';
import { hasName } from '../support/has-name.ts';
import { until } from '../support/sandbox-collection.ts';
import { withTimePassing } from '../support/pump.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';
import { checkRows, makeRows, withCollection } from '../support/with-collection.ts';

/** Lets all that is ready run. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test('P3 a shard that is not open yet writes nothing, whoever asks', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const vchannel = collection.info.vchannels[0]!;
    await collection.insert(makeRows(0, 20));
    await collection.flush();
    await collection.delete([3n, 5n]);
    let asked = 0;
    // When its sealed segments are about to be opened; a merge might ask.
    sandbox.hooks.set('querynode.loadSegments', async () => {
      const shard = sandbox.peers.shard(vchannel);
      await assert.rejects(shard.writeDeletes({ vchannel }, {}), hasName('ServiceNotReady'));
      await assert.rejects(shard.flush({ vchannel }, {}), hasName('ServiceNotReady'));
      asked += 1;
    });
    for (let start = 1; start <= 2; start += 1) {
      await sandbox.restart();
      assert.equal(asked, start);
      await checkRows(collection);
    }
  });
});

for (const end of ['stops', 'is dropped'] as const) {
  test(`P2 a read that is under way when its collection ${end} gets no empty answer`, async () => {
    await withCollection({}, 1, async (collection, sandbox) => {
      const { rootcoord } = sandbox.peers;
      const vchannel = collection.info.vchannels[0]!;
      const shard = sandbox.peers.shard(vchannel);
      await collection.insert(makeRows(0, 10));
      await collection.flush();
      const gate = createDeferred<void>();
      sandbox.hooks.set('querynode.applyDeletes', () => gate.promise);
      await collection.delete([3n]);
      const reads = [
        collection.query(),
        collection.count(),
        collection.search([0, 0, 0, 0], 3),
        shard.getStats({ vchannel }, {}),
        shard.flush({ vchannel }, {}),
      ];
      const outcomes = Promise.allSettled(reads);
      await settle();
      const ended =
        end === 'stops'
          ? shard.reportDamage({ vchannel, reason: 'a bad disk' }, {})
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
    const { rootcoord } = sandbox.peers;
    const vchannel = collection.info.vchannels[0]!;
    const shard = sandbox.peers.shard(vchannel);
    const gate = createDeferred<void>();
    await collection.insert(makeRows(0, 10));
    let isBegun = false;
    sandbox.hooks.set('datacoord.beginFile', async () => {
      isBegun = true;
      await gate.promise;
      throw new Error('the disk is full');
    });
    await shard.flush({ vchannel }, {});
    await until(async () => isBegun);
    const dropped = rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
    await settle();
    gate.resolve();
    let isDone = false;
    dropped.then(() => (isDone = true), () => undefined);
    for (let looks = 0; looks < 50 && !isDone; looks += 1) await settle();
    assert.ok(isDone, 'every change of the catalog waits behind the drop');
    assert.deepEqual(sandbox.health.list(), []);
    sandbox.errors.length = 0;
  });
});

test('health forgets a segment that could not be written with its partition', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    const vchannel = collection.info.vchannels[0]!;
    const shard = sandbox.peers.shard(vchannel);
    const partitionId = await collection.createPartition('p');
    await collection.insert(makeRows(0, 10), partitionId);
    sandbox.hooks.set('datacoord.beginFile', () => Promise.reject(new Error('a full disk')));
    await shard.flush({ vchannel }, {});
    await until(async () => sandbox.health.count === 1);
    await withTimePassing(runtime, 50, () => collection.dropPartition('p'));
    await runtime.advance(120_000);
    assert.deepEqual(sandbox.health.list(), []);
    sandbox.errors.length = 0;
  });
});

test('health names a segment that cannot be written also after others have been', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime }, 1, async (collection, sandbox) => {
    const vchannel = collection.info.vchannels[0]!;
    const shard = sandbox.peers.shard(vchannel);
    const partitionId = await collection.createPartition('p');
    await collection.insert(makeRows(0, 10), partitionId);
    const { segments } = await shard.listGrowing({ vchannel }, {});
    const [broken] = segments;
    sandbox.hooks.set('datacoord.beginFile', async (request) => {
      const { segmentId } = request as { segmentId: bigint };
      if (segmentId === broken!.segmentId) throw new Error('a bad block');
    });
    await shard.flush({ vchannel }, {});
    await until(async () => sandbox.health.count === 1);
    await collection.insert(makeRows(10, 20));
    await shard.flush({ vchannel }, {});
    await until(async () => (await collection.segmentCount()) === 1);
    await settle();
    assert.equal(sandbox.health.count, 1);
    sandbox.errors.length = 0;
  });
});

test('R8 rows that are on their way when their seal is refused do not stop a shard', async () => {
  // Whatever is applied makes the log too long: the segment is to be written.
  await withCollection({ walBytesMax: 1 }, 1, async (collection, sandbox) => {
    const [early, late] = [createDeferred<void>(), createDeferred<void>()];
    const gates = [early, early, late];
    const append = sandbox.wal.append.bind(sandbox.wal);
    sandbox.wal.append = async (record) => {
      await gates.shift()?.promise;
      return append(record);
    };
    const inserts: Promise<unknown>[] = [];
    for (let first = 0; first < 9; first += 3) {
      inserts.push(collection.insert(makeRows(first, first + 3)));
      await settle();
    }
    assert.equal(gates.length, 0);
    let isRefused = false;
    sandbox.hooks.set('rootcoord.allocateTimestamps', async () => {
      sandbox.hooks.clear();
      isRefused = true;
      throw new MilvusError('IoFailed');
    });
    early.resolve();
    await until(async () => isRefused);
    await settle();
    late.resolve();
    await Promise.all(inserts);
    await checkRows(collection);
  });
});

for (const then of ['opened again', 'dropped'] as const) {
  test(`R10 a shard that is ${then} while it is being opened is not there twice`, async () => {
    await withCollection({}, 1, async (collection, sandbox) => {
      const { info } = collection;
      const vchannel = info.vchannels[0]!;
      const shard = sandbox.peers.shard(vchannel);
      await shard.dropShard({ vchannel }, {});
      const gate = createDeferred<void>();
      let asked = 0;
      sandbox.hooks.set('datacoord.openChannel', async () => {
        asked += 1;
        await gate.promise;
      });
      const opened = shard.openShard({ vchannel, info }, {});
      await settle();
      const isDropped = then === 'dropped';
      const after = isDropped
        ? shard.dropShard({ vchannel }, {})
        : shard.openShard({ vchannel, info }, {});
      await settle();
      gate.resolve();
      await Promise.all([opened, after]);
      assert.equal(asked, 1);
      const stats = shard.getStats({ vchannel }, {});
      if (isDropped) await assert.rejects(stats, hasName('CollectionNotFound'));
      else assert.deepEqual((await stats).partitions, []);
    });
  });
}
