// Logs and their owners behind the role contracts: several pchannels in one process are read and
// cut apart, and of two nodes that take themselves for the owner of one only the later one writes.

import assert from 'node:assert/strict';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { namePchannel } from '../../src/model/channel-name.ts';
import type { MilvusError } from '../../src/model/error.ts';
import { choosePchannels } from '../../src/roles/rootcoord/pchannel-choice.ts';
import { hasName } from '../support/has-name.ts';
import { SandboxCollection, until } from '../support/sandbox-collection.ts';
import { checkRows, makeTextRows } from '../support/with-collection.ts';
import { withCollection, withSandbox } from '../support/with-collection.ts';

const LOGS = ['memory', 'file'] as const;

test('shards of new collections go to the pchannels with the fewest of them', () => {
  const pchannels = [0, 1, 2].map(namePchannel);
  const collections: { vchannels: string[] }[] = [];
  const create = (shardCount: number): number[] => {
    const chosen = choosePchannels(collections, pchannels, shardCount);
    const id = collections.length;
    collections.push({ vchannels: chosen.map((name, shard) => `${name}_${id}v${shard}`) });
    return chosen.map((name) => pchannels.indexOf(name));
  };
  assert.deepEqual([create(1), create(1), create(1)], [[0], [1], [2]]);
  assert.deepEqual(create(2), [0, 1]);
  assert.deepEqual(create(4), [2, 0, 1, 2]);
  collections.splice(1, 1);
  assert.deepEqual(create(1), [1]);
  // Those of a server that had more of them are nobody's here.
  collections.push({ vchannels: [`${namePchannel(9)}_99v0`] });
  assert.deepEqual(create(1), [0]);
});

for (const wal of LOGS) {
  test(`R2 R9 two pchannels in one process, in ${wal}, are read and cut apart`, async () => {
    await withSandbox({ wal, pchannelCount: 2 }, async (sandbox) => {
      const wide = await SandboxCollection.create(sandbox.peers, 'wide', 3);
      const first = await SandboxCollection.create(sandbox.peers, 'first');
      const second = await SandboxCollection.create(sandbox.peers, 'second');
      const names = [0, 1].map(namePchannel);
      const owns = (name: string, { info }: SandboxCollection): boolean =>
        info.vchannels.some((vchannel) => vchannel.startsWith(`${name}_`));
      assert.deepEqual(names.map((name) => owns(name, wide)), [true, true]);
      // Three shards have gone to 0, 1, 0: the next one is 1's, and then both are even.
      assert.ok(owns(names[1]!, first) && owns(names[0]!, second));
      for (const each of [wide, first, second]) await each.insert(makeTextRows(0, 60));
      await sandbox.restart();
      for (const each of [wide, first, second]) await checkRows(each);
      for (const each of [wide, first, second]) await each.insert(makeTextRows(100, 60));

      // What only the second pchannel is rid of is cut there, and the first one keeps its own.
      const [kept, cut] = names.map((name) => sandbox.wals.get(name)!);
      const keptFrom = kept!.firstPosition();
      await first.flush();
      await wide.flush();
      if (wal === 'memory') {
        await until(async () => cut!.firstPosition() > cut!.lastPosition());
        assert.ok(kept!.firstPosition() > keptFrom);
        assert.ok(kept!.firstPosition() <= kept!.lastPosition());
      }
      await sandbox.restart();
      for (const each of [wide, first, second]) await checkRows(each);
      assert.deepEqual(sandbox.errors, []);
      if (wal === 'file') {
        const entries = await readdir(join(sandbox.folder, 'wal'), { withFileTypes: true });
        const folders = entries.filter((entry) => entry.isDirectory()).map(({ name }) => name);
        assert.deepEqual(folders, [names[1]]);
      }
    });
  });
}

function isUnexecuted(error: unknown): boolean {
  return hasName('ServiceUnavailable')(error) && (error as MilvusError).isUnexecuted;
}

for (const wal of LOGS) {
  test(`R14 the former owner of a shard, in ${wal}, neither writes nor reads`, async () => {
    await withCollection({ wal }, 1, async (collection, sandbox) => {
      await collection.insert(makeTextRows(0, 20));
      const owner = await sandbox.takeOver();
      const former = collection.through({ ...sandbox.peers, shard: () => owner });
      for (let round = 1; round <= 2; round += 1) {
        await assert.rejects(former.insert(makeTextRows(50, 5)), isUnexecuted);
        await assert.rejects(former.count(), isUnexecuted);
        await assert.rejects(former.search([0, 0, 0, 0], 3), isUnexecuted);
        await checkRows(collection);
        await collection.insert(makeTextRows(100 * round, 20));
        await collection.flush();
        await checkRows(collection);
      }
      await sandbox.restart();
      await checkRows(collection);
    });
  });
}

test('R14 the former owner of a shard records nothing, however late its commit comes', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const { collectionId, vchannels } = collection.info;
    const { datacoord } = sandbox.peers;
    const vchannel = vchannels[0]!;
    const pchannel = namePchannel(0);
    const commitAs = async (term: number): Promise<void> => {
      const { channel } = await datacoord.openChannel({ collectionId, vchannel }, {});
      const { checkpoint, commitSeq = 0 } = channel;
      const commit = { collectionId, vchannel, term, segments: [], commitSeq: commitSeq + 1 };
      await datacoord.commitChannel({ ...commit, checkpoint: checkpoint + 1n }, {});
    };
    const readCheckpoint = async (): Promise<bigint> =>
      (await datacoord.openChannel({ collectionId, vchannel }, {})).channel.checkpoint;
    const { term } = await datacoord.openPchannel({ pchannel }, {});
    const before = await readCheckpoint();
    await commitAs(term);
    assert.equal(await readCheckpoint(), before + 1n);
    await assert.rejects(commitAs(term - 1), hasName('ChannelNotAvailable'));
    await assert.rejects(commitAs(term + 1), hasName('ChannelNotAvailable'));

    // The next owner comes between the look at the term and the transaction.
    sandbox.hooks.set('kv.transact', async () => {
      sandbox.hooks.delete('kv.transact');
      await datacoord.openPchannel({ pchannel }, {});
    });
    await assert.rejects(commitAs(term));
    await assert.rejects(commitAs(term), hasName('ChannelNotAvailable'));
    assert.equal(await readCheckpoint(), before + 1n);
    await commitAs(term + 1);
    assert.equal(await readCheckpoint(), before + 2n);
  });
});

test('R14 a former owner takes no segments from the next one, which has all deletes', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    await collection.insert(makeTextRows(0, 20));
    await collection.flush();
    // No read comes that would bring it to the sealed rows.
    await collection.delete([3n]);
    const former = await sandbox.takeOver();
    await checkRows(collection);
    await former.stop();
    await checkRows(collection);
  });
});
