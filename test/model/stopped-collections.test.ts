// What stops when the log or a file is damaged, and what goes on (R8, R9), behind the role
// contracts. test/e2e/damage.test.ts does the same to every kind of file of a running server.

import assert from 'node:assert/strict';
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { MilvusError } from '../../src/model/error.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { SandboxCollection, until } from '../support/sandbox-collection.ts';
import { checkRows, makeTextRows, withSandbox } from '../support/with-collection.ts';

const MARK = 'm'.repeat(40);

async function checkStopped(collection: SandboxCollection, reason: RegExp): Promise<void> {
  const isStopped = (error: unknown): boolean => {
    assert.ok(error instanceof MilvusError, String(error));
    assert.equal(error.errorName, 'ChannelNotAvailable');
    assert.match(error.message, reason);
    return error.message.includes(`collection=${collection.info.schema.name}`);
  };
  await assert.rejects(collection.query(), isStopped);
  await assert.rejects(collection.search([0, 0, 0, 0], 3), isStopped);
  await assert.rejects(collection.insert(makeTextRows(900, 20)), isStopped);
  await assert.rejects(collection.flush(), isStopped);
}

/** Changes the first place in the log's files, or all of one head before it. */
async function damageLog(sandbox: ClusterSandbox, text: string, before = 0): Promise<void> {
  const folder = join(sandbox.folder, 'wal');
  for (const name of (await readdir(folder)).sort()) {
    const path = join(folder, name);
    const bytes = await readFile(path);
    const at = bytes.indexOf(text);
    if (at < 0) continue;
    for (let i = at - before; i <= at; i += 1) bytes[i]! ^= 0xff;
    await writeFile(path, bytes);
    return;
  }
  assert.fail('the log has no such text');
}

test('R9 a damaged payload stops the collection whose it was, and no other', async () => {
  await withSandbox({}, async (sandbox) => {
    const [victim, idle, busy] = await Promise.all(
      ['victim', 'idle', 'busy'].map((name) => SandboxCollection.create(sandbox.peers, name, 2)),
    );
    await idle!.insert(makeTextRows(0, 10));
    await victim!.insert(makeTextRows(0, 10, MARK));
    await busy!.insert(makeTextRows(0, 10));
    await victim!.insert(makeTextRows(50, 10));
    await damageLog(sandbox, MARK);
    for (let start = 0; start < 2; start += 1) {
      await sandbox.restart();
      await checkRows(idle!);
      await checkRows(busy!);
      // The shard of another node is told while that starts.
      await until(async () => sandbox.health.count === 2);
      // Both of its shards, though one could go on: a part of a collection would be a wrong answer.
      await checkStopped(victim!, /write-ahead log is damaged.*offset=\d+.*records \d+ to \d+/);
      const subjects = sandbox.health.list().map(({ subject }) => subject);
      assert.deepEqual(subjects.sort(), [...victim!.info.vchannels].sort());
      await busy!.insert(makeTextRows(100 * (start + 1), 10));
      await busy!.flush();
    }
    // Its part of the log is kept for whoever accepts the damage, however much others write.
    await sandbox.restart({ isDamageAccepted: true });
    const rows = await victim!.query();
    assert.ok(rows.length >= 10 && rows.length < 20);
    assert.ok(rows.every(({ s }) => s === 's' || s === MARK));
    assert.deepEqual(sandbox.health.list(), []);
    await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'victim' }, {});
    await sandbox.restart();
    assert.deepEqual(sandbox.health.list(), []);
    await checkRows(busy!);
  });
});

test('R9 damage of nobody knows whose records stops who has no checkpoint past it', async () => {
  await withSandbox({}, async (sandbox) => {
    const sound = await SandboxCollection.create(sandbox.peers, 'sound');
    const victim = await SandboxCollection.create(sandbox.peers, 'victim');
    await sound.insert(makeTextRows(0, 10));
    await victim.insert(makeTextRows(0, 10, MARK));
    await victim.insert(makeTextRows(50, 10));
    await sound.insert(makeTextRows(50, 10));
    await sound.flush();
    // Down to its head.
    await damageLog(sandbox, MARK, 1000);
    await sandbox.restart();
    await checkRows(sound);
    await checkStopped(victim, /write-ahead log is damaged/);
    // What is created now has nothing in the log of before, and says so.
    const later = await SandboxCollection.create(sandbox.peers, 'later');
    await later.insert(makeTextRows(0, 10));
    await sandbox.restart();
    await checkRows(later);
    await checkRows(sound);
    await checkStopped(victim, /write-ahead log is damaged/);
    await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'victim' }, {});
    assert.deepEqual(sandbox.health.list(), []);
  });
});

test('R9 a record of an unknown form stops who has no checkpoint past it', async () => {
  await withSandbox({}, async (sandbox) => {
    const sound = await SandboxCollection.create(sandbox.peers, 'sound');
    const victim = await SandboxCollection.create(sandbox.peers, 'victim');
    await victim.insert(makeTextRows(0, 10));
    await sandbox.wal.append([new Uint8Array(64).fill(3)]);
    await sound.insert(makeTextRows(0, 10));
    await sound.flush();
    await sandbox.restart();
    await checkRows(sound);
    await checkStopped(victim, /offset \d+: a record of an unknown form/);
  });
});

test('R8 a missing segment file stops its collection, and the memory of it is freed', async () => {
  await withSandbox({ growingBytesMax: 256 * 1024 }, async (sandbox) => {
    const sound = await SandboxCollection.create(sandbox.peers, 'sound');
    const victim = await SandboxCollection.create(sandbox.peers, 'victim', 2);
    await victim.insert(makeTextRows(0, 20));
    await victim.flush();
    await until(async () => (await victim.segmentCount()) === 2);
    // More than half of the memory for growing rows.
    await victim.insert(makeTextRows(100, 10, 'x'.repeat(10_000)));
    const { collectionId } = victim.info;
    const { segments } = await sandbox.peers.datacoord.listSegments({ collectionId }, {});
    const { file } = segments[0]!;
    const path = join(sandbox.folder, 'storage', file);
    const bytes = await readFile(path);
    await rm(path);
    await sandbox.restart();
    await checkStopped(victim, new RegExp(file));
    await sound.insert(makeTextRows(0, 20, 'x'.repeat(10_000)));
    await sound.flush();
    await checkRows(sound);
    // Whoever brings the file back has everything back, also what only the log had.
    await writeFile(path, bytes);
    await sandbox.restart();
    await checkRows(victim);
    await checkRows(sound);
  });
});

test('R8 a drop that cannot be finished at start holds up no other, and is told', async () => {
  await withSandbox({}, async (sandbox) => {
    const drop = (name: string): Promise<unknown> =>
      sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name }, {});
    for (const name of ['one', 'two']) await SandboxCollection.create(sandbox.peers, name);
    const sound = await SandboxCollection.create(sandbox.peers, 'sound');
    await sound.insert(makeTextRows(0, 10));
    const failing = new Set<bigint>();
    sandbox.hooks.set('querycoord.dropCollection', async (request) => {
      const { collectionId } = request as { collectionId: bigint };
      failing.add(collectionId);
      // The first of them for ever, the second one once.
      if ([...failing][0] === collectionId || failing.size < 2) throw new Error('no disk');
    });
    for (const name of ['one', 'two']) await drop(name).catch(() => undefined);
    await sandbox.restart();
    await checkRows(sound);
    const reasons = sandbox.health.list().map(({ reason }) => reason);
    assert.deepEqual(reasons, [
      `drop ${[...failing][0]}/0 is recorded and not finished: no disk`,
    ]);
    sandbox.hooks.clear();
    await until(async () => sandbox.health.count === 0);
    const { collections } = await sandbox.peers.rootcoord.listCollections({}, {});
    assert.deepEqual(collections.map(({ schema }) => schema.name), ['sound']);
  });
});

for (const isGrpc of [false, true]) {
  const how = isGrpc ? 'over gRPC' : 'in one process';
  test(`R8 a shard that stops on one node stops those on others, ${how}`, async () => {
    await withSandbox({ streamingNodes: 2, queryNodes: 2, isGrpc }, async (sandbox) => {
      const victim = await SandboxCollection.create(sandbox.peers, 'victim', 4);
      const sound = await SandboxCollection.create(sandbox.peers, 'sound', 4);
      for (const collection of [victim, sound]) {
        await collection.insert(makeTextRows(0, 50));
        await collection.flush();
        await collection.insert(makeTextRows(50, 50, MARK));
        await checkRows(collection);
      }
      const vchannel = victim.info.vchannels[0]!;
      await sandbox.peers.shard(vchannel).reportDamage({ vchannel, reason: 'a bad disk' }, {});
      await until(async () => sandbox.health.count === 4);
      await checkStopped(victim, /a bad disk/);
      for (const other of victim.info.vchannels) {
        const flush = sandbox.peers.shard(other).flush({ vchannel: other }, {});
        await assert.rejects(flush, /collection is stopped/);
      }
      await checkRows(sound);
      await sandbox.restart();
      await checkRows(victim);
      await checkRows(sound);
      // The log of one of the nodes is damaged: the other is told while it starts.
      await damageLog(sandbox, MARK);
      await sandbox.restart();
      const { subject } = sandbox.health.list()[0]!;
      const stopped = [victim, sound].find(({ info }) => info.vchannels.includes(subject))!;
      await until(async () => sandbox.health.count === 4);
      await checkStopped(stopped, /write-ahead log is damaged/);
      await checkRows(stopped === victim ? sound : victim);
    });
  });
}

test('R20 a new collection that stops keeps of the log what it has not written', async () => {
  await withSandbox({ wal: 'memory' }, async (sandbox) => {
    const other = await SandboxCollection.create(sandbox.peers, 'other');
    const victim = await SandboxCollection.create(sandbox.peers, 'victim');
    const vchannel = victim.info.vchannels[0]!;
    await victim.insert(makeTextRows(0, 10));
    await victim.flush();
    await other.insert(makeTextRows(0, 10));
    await sandbox.peers.shard(vchannel).reportDamage({ vchannel, reason: 'a bad disk' }, {});
    await other.flush();
    const last = sandbox.wal.lastPosition();
    for (let turn = 0; turn < 50; turn += 1) await new Promise((resolve) => setImmediate(resolve));
    assert.equal(sandbox.wal.firstPosition(), last + 1n);
    await sandbox.restart();
    await checkRows(victim);
    await checkRows(other);
  });
});
