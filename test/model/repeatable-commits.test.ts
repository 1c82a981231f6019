// Metadata changes whose calls are held, failed or repeated, before and after they were carried
// out: each is recorded once or not at all, and what readers see never depends on it.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { ChannelCommit } from '../../src/model/segment-info.ts';
import { Random } from '../support/codec/random.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { hasName } from '../support/has-name.ts';
import { withTimePassing } from '../support/pump.ts';
import { until, type SandboxCollection } from '../support/sandbox-collection.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';
import { checkRows, makeRows, withCollection } from '../support/with-collection.ts';

const SEED = Number(process.env['REPEATABLE_COMMITS_SEED'] ?? 7);

/** The files that records name: segments, deletes, indexes. */
async function listNamed(
  { peers }: ClusterSandbox,
  { info }: SandboxCollection,
): Promise<string[]> {
  const { collectionId, vchannels } = info;
  const { segments } = await peers.datacoord.listSegments({ collectionId }, {});
  const { files } = await peers.indexcoord.listIndexFiles({ collectionId }, {});
  const named = [...segments, ...files].map(({ file }) => file);
  for (const vchannel of vchannels) {
    const { channel } = await peers.datacoord.openChannel({ collectionId, vchannel }, {});
    named.push(...channel.deleteFiles.map(({ file }) => file));
  }
  return named.filter((file) => file !== '').sort();
}

test('a commit whose answer is lost is recorded once, and counts', async () => {
  for (const lost of [1, Infinity]) {
    const runtime = new VirtualRuntime();
    await withCollection({ runtime }, 1, async (collection, sandbox) => {
      let answers = 0;
      sandbox.afterHooks.set('datacoord.commitChannel', async () => {
        answers += 1;
        if (answers <= lost) throw new Error('the answer is lost');
      });
      const commits: string[] = [];
      sandbox.hooks.set('kv.transact', async (transaction) => {
        const { puts } = transaction as { puts: { key: string }[] };
        commits.push(...puts.map(({ key }) => key).filter((key) => key.startsWith('channel/')));
      });
      await withTimePassing(runtime, 100, async () => {
        await collection.insert(makeRows(0, 20));
        await collection.flush();
        await checkRows(collection);
        await collection.delete([3n]);
        await collection.insert(makeRows(20, 30));
        await collection.flush();
      });
      assert.equal(commits.length, 2);
      await checkRows(collection);
      await sandbox.restart();
      await checkRows(collection);
      assert.equal(await collection.segmentCount(), 2);
    });
  }
});

test('a commit that is repeated does nothing, a late or given up one is refused', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const { datacoord } = sandbox.peers;
    const commits: ChannelCommit[] = [];
    sandbox.hooks.set('datacoord.commitChannel', async (commit) => {
      commits.push(commit as ChannelCommit);
    });
    for (const first of [0, 10]) {
      await collection.insert(makeRows(first, first + 10));
      await collection.delete([BigInt(first)]);
      await collection.flush();
    }
    sandbox.hooks.clear();
    const [early, late] = commits as [ChannelCommit, ChannelCommit];
    assert.ok(late.commitSeq > early.commitSeq);
    await datacoord.commitChannel(late, {});
    await assert.rejects(datacoord.commitChannel(early, {}), hasName('ChannelNotAvailable'));
    const { collectionId } = collection.info;
    const { file } = await datacoord.beginFile({ collectionId, segmentId: 1n }, {});
    await datacoord.giveUpFiles({ collectionId, files: [file, late.segments[0]!.file] }, {});
    const segment = { ...late.segments[0]!, segmentId: 1n, file };
    const never = { ...late, commitSeq: late.commitSeq + 1, segments: [segment] };
    await assert.rejects(datacoord.commitChannel(never, {}), hasName('SegmentNotFound'));
    await sandbox.restart();
    await checkRows(collection);
    assert.equal(await collection.segmentCount(), 2);
    // The file that was given up was named before: it stays.
    assert.ok((await sandbox.listFiles()).includes(late.segments[0]!.file));
    assert.deepEqual((await sandbox.listRecords('garbage/')).length, 1);
  });
});

test('what fails after the transaction cannot make a commit fail', async () => {
  await withCollection({ isAutoCompactionOn: true }, 1, async (collection, sandbox) => {
    sandbox.hooks.set('indexcoord.segmentsChanged', () => Promise.reject(new Error('gone')));
    for (let round = 0; round < 5; round += 1) {
      await collection.insert(makeRows(10 * round, 10 * round + 10));
      await collection.flush();
    }
    await until(async () => (await collection.segmentCount()) < 4);
    await checkRows(collection);
  });
});

test('no commit is recorded for a collection that is gone', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    let commit: ChannelCommit | undefined;
    sandbox.hooks.set('datacoord.commitChannel', async (request) => {
      commit = request as ChannelCommit;
    });
    await collection.insert(makeRows(0, 10));
    await collection.flush();
    await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
    sandbox.hooks.clear();
    const again = sandbox.peers.datacoord.commitChannel(commit!, {});
    await assert.rejects(again, hasName('CollectionNotFound'));
    const id = String(commit!.collectionId);
    const records = await sandbox.listRecords(id);
    assert.deepEqual(records.filter((key) => !key.startsWith('garbage/')), []);
  });
});

/** Calls that may fail, before they are carried out or after. */
const FALLIBLE = [
  'datacoord.commitChannel',
  'datacoord.beginFile',
  'datacoord.giveUpFiles',
  'datacoord.deletesWait',
  'streamingnode.replaceSegments',
  'querynode.loadSegments',
  'indexcoord.segmentsChanged',
  'indexcoord.listIndexFiles',
];

function breakCalls(sandbox: ClusterSandbox, random: Random): void {
  for (const name of FALLIBLE) {
    const fail = async (): Promise<void> => {
      if (random.chance(0.25)) throw new Error(`broken call of ${name}`);
    };
    sandbox.hooks.set(name, fail);
    sandbox.afterHooks.set(name, fail);
  }
}

function mendCalls(sandbox: ClusterSandbox): void {
  sandbox.hooks.clear();
  sandbox.afterHooks.clear();
  for (const error of sandbox.errors.splice(0)) assert.match(error, /broken call of/);
}

/** Writes, seals and merges while calls fail, then checks everything with calls that work. */
async function runBroken(
  collection: SandboxCollection,
  sandbox: ClusterSandbox,
  random: Random,
): Promise<void> {
  const { datacoord } = sandbox.peers;
  const { collectionId } = collection.info;
  for (let step = 0; step < 12; step += 1) {
    breakCalls(sandbox, random);
    for (let write = 0; write < 3; write += 1) {
      const from = random.below(60);
      const choice = random.below(3);
      if (choice === 0) await collection.insert(makeRows(from, from + 10));
      else if (choice === 1) await collection.upsert(makeRows(from, from + 10));
      else await collection.delete([BigInt(from), BigInt(from + 1), BigInt(from + 2)]);
      await checkRows(collection);
    }
    await datacoord.flush({ collectionId }, {});
    if (random.chance(0.5)) await datacoord.compact({ collectionId }, {}).catch(() => undefined);
    await checkRows(collection);
    if (random.chance(0.3)) {
      mendCalls(sandbox);
      await sandbox.restart();
      await checkRows(collection);
    }
  }
  mendCalls(sandbox);
  // The next file that is begun catches up on those that were given up.
  await collection.insert(makeRows(0, 5));
  await collection.flush();
  await collection.compact();
  await checkRows(collection);
}

for (let run = 0; run < 4; run += 1) {
  test(`P1 P3 P6 calls that fail lose, double and leave nothing, run ${run}`, async () => {
    const runtime = new VirtualRuntime();
    const options = { runtime, mvccRetentionMs: 0, isAutoCompactionOn: run % 2 === 1 };
    console.log(`REPEATABLE_COMMITS_SEED=${SEED}`);
    await withCollection(options, 1, async (collection, sandbox) => {
      const random = new Random(SEED + run);
      await withTimePassing(runtime, 500, async () => {
        await runBroken(collection, sandbox, random);
        for (let start = 0; start < 2; start += 1) {
          // Swaps that are still to be done are repeated, garbage is removed.
          await until(async () => {
            const files = await sandbox.listFiles();
            return files.join() === (await listNamed(sandbox, collection)).join();
          });
          await checkRows(collection);
          await sandbox.restart();
        }
      });
      // Of calls that were under way when they were mended.
      for (const error of sandbox.errors.splice(0)) assert.match(error, /broken call of/);
      assert.deepEqual(await sandbox.listRecords('writing/'), []);
      const vchannel = collection.info.vchannels[0]!;
      const request = { vchannel, horizon: 0n };
      const { segments } = await sandbox.peers.shard(vchannel).listSealed(request, {});
      assert.equal(segments.length, await collection.segmentCount());
      await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
      assert.equal(sandbox.openHandles, 0);
    });
  });
}
