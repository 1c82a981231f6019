// When merges are made and shown: not before they can free something, then without another write;
// never beside their inputs; with files that go within a minute (P6).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../src/model/error.ts';
import { ClusterSandbox, type SandboxOptions } from '../support/cluster-sandbox.ts';
import { withTimePassing } from '../support/pump.ts';
import { SandboxCollection, until } from '../support/sandbox-collection.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';
import { checkRows, makeRows, withCollection } from '../support/with-collection.ts';

const MINUTE_MS = 60_000;
const RETENTION_MS = 10 * MINUTE_MS;

/** Rows in files, deleted ones too. */
async function countStored({ peers }: ClusterSandbox, { info }: SandboxCollection) {
  const { collectionId } = info;
  const { segments } = await peers.datacoord.listSegments({ collectionId }, {});
  return segments.reduce((sum, { rows }) => sum + rows, 0);
}

interface Timed {
  readonly collection: SandboxCollection;
  readonly sandbox: ClusterSandbox;
  readonly runtime: VirtualRuntime;
  readonly merges: () => number;
}

async function withTime(task: (timed: Timed) => Promise<void>, more: SandboxOptions = {}) {
  const runtime = new VirtualRuntime();
  const options = { runtime, mvccRetentionMs: RETENTION_MS, isAutoCompactionOn: true, ...more };
  await withCollection(options, 1, async (collection, sandbox) => {
    let merges = 0;
    sandbox.hooks.set('datanode.compact', async () => void (merges += 1));
    await task({ collection, sandbox, runtime, merges: () => merges });
  });
}

async function deleteHalf({ collection, runtime }: Timed): Promise<void> {
  await collection.insert(makeRows(0, 100));
  await withTimePassing(runtime, 50, () => collection.flush());
  await collection.delete(makeRows(0, 50).map(({ id }) => id));
}

test('P6 a rewrite waits until it can free something, and then for no further write', async () => {
  await withTime(async (timed) => {
    const { collection, sandbox, runtime, merges } = timed;
    await deleteHalf(timed);
    await runtime.advance(RETENTION_MS - MINUTE_MS);
    assert.equal(merges(), 0);
    // Nothing is written from here on.
    await until(async () => {
      await runtime.advance(MINUTE_MS / 4);
      return (await countStored(sandbox, collection)) === 50;
    });
    assert.equal(merges(), 1);
    await checkRows(collection);
    await until(async () => {
      await runtime.advance(1000);
      const files = await sandbox.listFiles();
      return files.filter((file) => file.startsWith('segments/')).length === 1;
    });
    // Nothing is looked at for ever.
    await runtime.advance(3 * RETENTION_MS);
    assert.equal(merges(), 1);
  });
});

test('P6 deletes that a restart finds are freed when their retention passes', async () => {
  await withTime(async (timed) => {
    const { collection, sandbox, runtime, merges } = timed;
    await deleteHalf(timed);
    await runtime.advance(RETENTION_MS / 2);
    await sandbox.restart();
    await runtime.advance(RETENTION_MS / 4);
    assert.equal(merges(), 0);
    await until(async () => {
      await runtime.advance(MINUTE_MS / 4);
      return (await countStored(sandbox, collection)) === 50;
    });
    await sandbox.restart();
    await checkRows(collection);
  });
});

test('deletes that come one after another cost a look per retention, not one each', async () => {
  await withTime(async ({ collection, sandbox, runtime, merges }) => {
    await collection.insert(makeRows(0, 100));
    await withTimePassing(runtime, 50, () => collection.flush());
    let looks = 0;
    sandbox.hooks.set('streamingnode.listSealed', async () => void (looks += 1));
    for (let key = 0; key < 15; key += 1) {
      await collection.delete([BigInt(key)]);
      await runtime.advance(MINUTE_MS);
    }
    await runtime.advance(3 * RETENTION_MS);
    assert.ok(looks >= 2 && looks <= 6, `${looks} looks`);
    assert.equal(merges(), 0, '15 of 100 rows are no reason to rewrite the others');
    await checkRows(collection);
  });
});

test('R3 a swap that fails is repeated, and its output is never beside its inputs', async () => {
  for (const failing of ['streamingnode.replaceSegments', 'querynode.loadSegments']) {
    const runtime = new VirtualRuntime();
    const options = { runtime, mvccRetentionMs: 0 };
    await withCollection(options, 1, async (collection, sandbox) => {
      for (const first of [0, 10, 20]) {
        await collection.insert(makeRows(first, first + 10));
        await withTimePassing(runtime, 50, () => collection.flush());
      }
      // The query node has opened the output when the call fails.
      const broken = async (): Promise<void> => {
        throw new MilvusError('ServiceUnavailable', { message: 'the leader is gone' });
      };
      sandbox.afterHooks.set(failing, broken);
      if (failing === 'streamingnode.replaceSegments') sandbox.hooks.set(failing, broken);
      await withTimePassing(runtime, 50, () => collection.compact());
      await checkRows(collection);
      // A further merge would take what readers do not see.
      await withTimePassing(runtime, 50, () => collection.compact());
      assert.equal(await collection.segmentCount(), 1);
      await checkRows(collection);
      await runtime.advance(3000);
      await checkRows(collection);
      sandbox.afterHooks.clear();
      sandbox.hooks.clear();
      const vchannel = collection.info.vchannels[0]!;
      await until(async () => {
        await runtime.advance(5000);
        const request = { vchannel, horizon: 0n };
        const { segments } = await sandbox.peers.shard(vchannel).listSealed(request, {});
        return segments.length === 1;
      });
      await checkRows(collection);
      await collection.insert(makeRows(30, 40));
      await withTimePassing(runtime, 50, () => collection.flush());
      assert.equal(await withTimePassing(runtime, 50, () => collection.compact()), 0);
      assert.equal(await collection.segmentCount(), 1);
      await checkRows(collection);
    });
  }
});

test('a restart between a merge and its swap shows the output, once', async () => {
  const runtime = new VirtualRuntime();
  await withCollection({ runtime, mvccRetentionMs: 0 }, 1, async (collection, sandbox) => {
    for (const first of [0, 10]) {
      await collection.insert(makeRows(first, first + 10));
      await withTimePassing(runtime, 50, () => collection.flush());
    }
    sandbox.hooks.set('streamingnode.replaceSegments', () => Promise.reject(new Error('gone')));
    await withTimePassing(runtime, 50, () => collection.compact());
    sandbox.hooks.clear();
    await sandbox.restart();
    await checkRows(collection);
    assert.equal(await collection.segmentCount(), 1);
  });
});

test('target_size below a segment is refused, above it more is merged', async () => {
  const runtime = new VirtualRuntime();
  const options = { runtime, segmentBytesMax: 12_000 };
  await withCollection(options, 1, async (collection, sandbox) => {
    for (const first of [0, 100]) {
      await collection.insert(makeRows(first, first + 100));
      await withTimePassing(runtime, 50, () => collection.flush());
    }
    const { collectionId } = collection.info;
    const { segments } = await sandbox.peers.datacoord.listSegments({ collectionId }, {});
    assert.ok(segments.every(({ fileBytes }) => fileBytes > 6_000));
    const compact = (targetBytes?: number): Promise<{ compactionId: bigint }> =>
      sandbox.peers.datacoord.compact(
        targetBytes === undefined ? { collectionId } : { collectionId, targetBytes },
        {},
      );
    await assert.rejects(compact(11_999), (error: unknown) => {
      assert.ok(error instanceof MilvusError && error.code === 1100);
      assert.match(error.message, /target_size/);
      return true;
    });
    const finish = async (targetBytes?: number): Promise<number> => {
      const { compactionId } = await compact(targetBytes);
      await until(async () => {
        await runtime.advance(50);
        const { datacoord } = sandbox.peers;
        const { state } = await datacoord.getCompactionState({ compactionId }, {});
        return state === 'completed';
      });
      return collection.segmentCount();
    };
    assert.equal(await finish(), 2, 'together they are larger than a segment may be');
    assert.equal(await finish(100_000), 1);
    await checkRows(collection);
  });
});

test('P6 a dropped collection or partition gives its disk back within a minute', async () => {
  const runtime = new VirtualRuntime();
  const sandbox = await ClusterSandbox.open({ runtime });
  try {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    const partitionId = await collection.createPartition('p');
    for (const id of [partitionId, collection.defaultPartition]) {
      await collection.insert(makeRows(0, 1100), id);
      await withTimePassing(runtime, 50, () => collection.flush());
    }
    await collection.delete([1n, 2n]);
    const vchannel = collection.info.vchannels[0]!;
    await sandbox.peers.shard(vchannel).writeDeletes({ vchannel }, {});
    const before = await sandbox.listFiles();
    assert.equal(before.length, 3);
    await collection.dropPartition('p');
    await untilFiles(sandbox, runtime, 2);
    await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
    await untilFiles(sandbox, runtime, 0);
    await until(async () => (await sandbox.listRecords('garbage/')).length === 0);
    assert.equal(sandbox.openHandles, 0);
    assert.deepEqual(sandbox.errors, []);
  } finally {
    await sandbox.close();
  }
});

/** Virtual time, not more than a minute, passes until so many files are left. */
async function untilFiles(
  sandbox: ClusterSandbox,
  runtime: VirtualRuntime,
  count: number,
): Promise<void> {
  await runtime.advance(MINUTE_MS);
  // The disk itself works in real time.
  await until(async () => (await sandbox.listFiles()).length === count);
}

const isFull = new MilvusError('DiskLimitExceeded', { message: 'the disk is full' });

test('P7 a merge that meets a full disk is made once there is room, without a write', async () => {
  await withTime(async ({ collection, sandbox, runtime }) => {
    let tries = 0;
    sandbox.hooks.set('datanode.compact', async () => {
      tries += 1;
      if (tries <= 3) throw isFull;
    });
    for (const first of [0, 10, 20, 30]) {
      await collection.insert(makeRows(first, first + 10));
      await withTimePassing(runtime, 50, () => collection.flush());
    }
    await until(async () => tries === 1);
    for (let seconds = 0; seconds < 600 && tries < 4; seconds += 1) await runtime.advance(1000);
    // The merge itself works in real time.
    await until(async () => (await collection.segmentCount()) === 1);
    assert.equal(tries, 4);
    await checkRows(collection);
    assert.equal(sandbox.errors.splice(0).length, 3);
  });
});

test('a partition that cannot be merged keeps no other from being merged', async () => {
  await withTime(async ({ collection, sandbox, runtime }) => {
    const one = await collection.createPartition('one');
    const other = await collection.createPartition('other');
    let broken: bigint | undefined;
    sandbox.hooks.set('datanode.compact', async (request) => {
      const { inputs } = request as { inputs: { partitionId: bigint }[] };
      const { partitionId } = inputs[0]!;
      broken ??= partitionId;
      if (partitionId === broken) throw isFull;
    });
    for (const first of [0, 10, 20, 30]) {
      await collection.insert(makeRows(first, first + 10), one);
      await collection.insert(makeRows(100 + first, 110 + first), other);
      await withTimePassing(runtime, 50, () => collection.flush());
    }
    for (let looks = 0; looks < 2000; looks += 1) {
      if ((await collection.segmentCount()) === 5) break;
      await runtime.advance(1000);
    }
    assert.equal(await collection.segmentCount(), 5);
    await checkRows(collection);
    sandbox.errors.length = 0;
  });
});

test('a merge that cannot succeed is not made again and again', async () => {
  await withTime(async ({ collection, sandbox, runtime }) => {
    let tries = 0;
    sandbox.hooks.set('datanode.compact', async () => {
      tries += 1;
      throw new MilvusError('DataIntegrity', { message: 'a damaged segment' });
    });
    for (const first of [0, 10, 20, 30]) {
      await collection.insert(makeRows(first, first + 10));
      await withTimePassing(runtime, 50, () => collection.flush());
    }
    await until(async () => tries === 1);
    await runtime.advance(60 * MINUTE_MS);
    assert.equal(tries, 1);
    sandbox.errors.length = 0;
  });
});
