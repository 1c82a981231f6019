// Deletes in numbers that no client sends at once but many clients send in time, and deletes whose
// way to the sealed rows is slow, broken or damaged.

import assert from 'node:assert/strict';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Runtime } from '../../src/base/clock.ts';
import { createDeferred } from '../../src/base/deferred.ts';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { MilvusError } from '../../src/model/error.ts';
import type { DeletePart } from '../../src/rpc/contract.ts';
import { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { hasName } from '../support/has-name.ts';
import { openProxy } from '../support/sandbox-proxy.ts';
import { SandboxCollection, toFound, until } from '../support/sandbox-collection.ts';
import { checkRows, makeRows, withCollection } from '../support/with-collection.ts';

const IN_FLIGHT = 256;
/** Deletes of one key in a write: as many parts, each with a run of its own in buffer and file. */
const PARTS = 10;

/** Deletes the keys [from, to) one by one, without telling the model. */
async function deleteSingly(
  { peers }: ClusterSandbox,
  { info }: SandboxCollection,
  from: number,
  to: number,
): Promise<void> {
  const vchannel = info.vchannels[0]!;
  const base = { vchannel, schemaVersion: info.schema.version };
  let next = from;
  const work = async (): Promise<void> => {
    while (next < to) {
      const parts: DeletePart[] = [];
      for (; next < to && parts.length < PARTS; next += 1) {
        const keys = { kind: 'int64', values: BigInt64Array.of(BigInt(next)) } as const;
        parts.push({ kind: 'delete', partitionId: 0n, keys, killsUpTo: 0n });
      }
      await peers.shard(vchannel).write({ ...base, parts }, {});
    }
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, work));
}

test('P3 200,000 deletes of one key each are flushed, merged and survive restarts', async () => {
  await withCollection({ copy: false }, 1, async (collection, sandbox) => {
    const rows = 1000;
    const deletes = 200_000;
    await collection.insert(makeRows(deletes - rows / 2, deletes + rows / 2));
    await collection.flush();
    // Rows that still grow, and rows in a file.
    await collection.insert(makeRows(deletes + rows, deletes + rows + 10));
    await deleteSingly(sandbox, collection, 0, deletes);
    assert.equal(await collection.count(), rows / 2 + 10);
    await sandbox.restart();
    assert.equal(await collection.count(), rows / 2 + 10);
    await collection.flush();
    assert.equal(await collection.count(), rows / 2 + 10);
    await sandbox.restart();
    assert.equal(await collection.count(), rows / 2 + 10);
    assert.equal(await collection.compact(), 0);
    assert.equal(await collection.count(), rows / 2 + 10);
  });
});

test('R1 many delete files with 130,000 deletes become few, and none is lost', async () => {
  await withCollection({ copy: false }, 1, async (collection, sandbox) => {
    const { collectionId, vchannels } = collection.info;
    const vchannel = vchannels[0]!;
    const rounds = 13;
    const step = 10_000;
    await collection.insert(makeRows(rounds * step - 100, rounds * step));
    await collection.flush();
    let most = 0;
    for (let round = 0; round < rounds; round += 1) {
      await deleteSingly(sandbox, collection, round * step, (round + 1) * step);
      // A segment to write is what a checkpoint comes with.
      await collection.insert(makeRows(1_000_000 + round, 1_000_001 + round));
      await collection.flush();
      const { channel } = await sandbox.peers.datacoord.openChannel({ collectionId, vchannel }, {});
      most = Math.max(most, channel.deleteFiles.length);
    }
    assert.ok(most > 4 && most <= 8, `${most} files`);
    assert.equal(await collection.count(), rounds);
    await sandbox.restart();
    assert.equal(await collection.count(), rounds);
  });
});

test('P2 a read waits for the deletes before it, a delete for no query node', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    await collection.insert(makeRows(0, 10));
    await collection.flush();
    const gate = createDeferred<void>();
    const asked = createDeferred<void>();
    sandbox.hooks.set('querynode.applyDeletes', () => {
      asked.resolve();
      return gate.promise;
    });
    await collection.delete([1n, 2n]);
    await collection.delete([3n]);
    let isAnswered = false;
    const reading = collection.query().then((rows) => {
      isAnswered = true;
      return rows;
    });
    await asked.promise;
    await collection.delete([4n]);
    assert.equal(isAnswered, false);
    gate.resolve();
    const rows = await reading;
    for (const id of [1n, 2n, 3n]) assert.ok(rows.every((row) => row.id !== id));
    assert.deepEqual(await collection.query(), collection.model.query().map(toFound));
    sandbox.hooks.clear();
  });
});

test('P9 deletes for the query node are sent before they are many', async () => {
  await withCollection({ copy: false }, 1, async (collection, sandbox) => {
    await collection.insert(makeRows(0, 10));
    await collection.flush();
    let calls = 0;
    sandbox.hooks.set('querynode.applyDeletes', async () => {
      calls += 1;
    });
    await deleteSingly(sandbox, collection, 0, 20_000);
    assert.ok(calls >= 2, `${calls} calls`);
    assert.equal(await collection.count(), 0);
    sandbox.hooks.clear();
  });
});

test('R8 a delete that cannot reach sealed rows stops its collection until a restart', async () => {
  const sandbox = await ClusterSandbox.open();
  try {
    const broken = await SandboxCollection.create(sandbox.peers, 'broken');
    const sound = await SandboxCollection.create(sandbox.peers, 'sound');
    for (const collection of [broken, sound]) {
      await collection.insert(makeRows(0, 10));
      await collection.flush();
    }
    sandbox.hooks.set('querynode.applyDeletes', async () => {
      throw new Error('no way');
    });
    await broken.delete([1n]);
    await assert.rejects(broken.query(), /no way/);
    await assert.rejects(broken.query(), hasName('ChannelNotAvailable'));
    await assert.rejects(broken.insert(makeRows(20, 21)), hasName('ChannelNotAvailable'));
    assert.equal((await sound.query()).length, 10);
    sandbox.hooks.clear();
    await sandbox.restart();
    assert.deepEqual(await broken.query(), broken.model.query().map(toFound));
  } finally {
    await sandbox.close();
  }
});

test('R23 a segment that cannot be written says so and is tried again by itself', async () => {
  const { nowMs, monotonicMs, random } = systemRuntime;
  // Seconds are hundredths.
  const sleep: Runtime['sleep'] = (ms, signal) => systemRuntime.sleep(ms / 100, signal);
  const sandbox = await ClusterSandbox.open({ runtime: { nowMs, monotonicMs, random, sleep } });
  try {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    const { collectionId } = collection.info;
    await collection.insert(makeRows(0, 10));
    let isBroken = true;
    let tries = 0;
    sandbox.hooks.set('datacoord.commitChannel', async () => {
      tries += 1;
      if (isBroken) throw new MilvusError('DiskLimitExceeded', { message: 'the disk is full' });
    });
    await assert.rejects(collection.flush(), /segment not written.*the disk is full/);
    const client = openProxy(sandbox);
    const isFlushed = async (): Promise<boolean> =>
      (await client.call('GetFlushAllState', { flush_all_ts: '0' }))['flushed'] === true;
    await assert.rejects(until(isFlushed), /segment not written.*the disk is full/);
    await until(async () => tries > 2);
    // Writes go on, and are no reason to try.
    const before = tries;
    for (let id = 20; id < 40; id += 1) await collection.insert(makeRows(id, id + 1));
    assert.ok(tries - before < 20, `${tries - before} tries at 20 writes`);
    assert.deepEqual(await collection.query(), collection.model.query().map(toFound));
    isBroken = false;
    await until(async () => {
      const { segments } = await sandbox.peers.datacoord.listSegments({ collectionId }, {});
      return segments.length === 1;
    });
    sandbox.hooks.clear();
    await collection.flush();
    await until(isFlushed);
    assert.deepEqual(await collection.query(), collection.model.query().map(toFound));
    assert.equal(await collection.segmentCount(), 2);
  } finally {
    await sandbox.close();
  }
});

test('R16 a damaged delete file is not merged, and deletes go on being written', async () => {
  const sandbox = await ClusterSandbox.open();
  try {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    await collection.insert(makeRows(0, 100));
    await collection.flush();
    for (let round = 0; round < 12; round += 1) {
      await collection.delete([BigInt(round)]);
      await collection.insert(makeRows(200 + round, 201 + round));
      await collection.flush();
      if (round !== 3) continue;
      const [file] = (await sandbox.listFiles()).filter((name) => name.startsWith('deletes/'));
      const path = join(sandbox.folder, 'storage', file!);
      const bytes = await readFile(path);
      bytes[bytes.length - 1]! ^= 1;
      await writeFile(path, bytes);
    }
    assert.ok(sandbox.errors.some((text) => text.includes('deletes not merged')));
    assert.ok(sandbox.errors.every((text) => text.includes('deletes/')));
    assert.deepEqual(await collection.query(), collection.model.query().map(toFound));
  } finally {
    await sandbox.close();
  }
});

test('P3 a segment whose opening was not heard of gets the deletes since', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const vchannel = collection.info.vchannels[0]!;
    await collection.insert(makeRows(0, 5));
    const lost = new MilvusError('ServiceUnavailable');
    sandbox.afterHooks.set('querynode.loadSegments', async () => {
      sandbox.afterHooks.clear();
      throw lost;
    });
    sandbox.hooks.set('querynode.releaseSegments', async () => {
      sandbox.hooks.clear();
      throw lost;
    });
    await sandbox.peers.shard(vchannel).flush({ vchannel }, {});
    await until(async () => sandbox.hooks.size === 0);
    await collection.delete([3n]);
    await collection.flush();
    await checkRows(collection);
    sandbox.errors.length = 0;
  });
});
