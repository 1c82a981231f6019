// What a shard, and the root coordinator, do at their edges: a clock that was set back, more work
// than they can take.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import { MilvusError } from '../../src/model/error.ts';
import { composeTimestamp } from '../../src/model/timestamp.ts';
import type { Row } from '../support/collection-model.ts';
import { toFound, until } from '../support/sandbox-collection.ts';
import { withCollection } from '../support/with-collection.ts';

const makeRow = (id: number, version = 0): Row => ({
  id: BigInt(id),
  vec: [id, version, 0, 0],
  n: BigInt(version),
  s: `version ${version}`,
});

for (const isFlushed of [false, true]) {
  const state = isFlushed ? 'in segments' : 'in the log';

  test(`R12 a clock set back stamps after everything ${state}`, async () => {
    const clock = { nowMs: Date.now() };
    // In memory the log is cut exactly: once all is in segments, it has nothing left to tell.
    const options = { nowMs: () => clock.nowMs, wal: 'memory' } as const;
    await withCollection(options, 1, async (collection, sandbox) => {
      await collection.insert([makeRow(1), makeRow(2)]);
      // A read from a clock ahead of ours: what follows is stamped past every leased timestamp.
      const pinned = composeTimestamp(clock.nowMs + 50_000);
      assert.equal((await collection.query({ pinned })).length, 2);
      await collection.delete([2n]);
      await collection.insert([makeRow(3)]);
      if (isFlushed) await collection.flush();
      clock.nowMs -= 3_600_000;
      await sandbox.restart();
      let last = pinned;
      for (let version = 2; version < 4; version += 1) {
        await collection.upsert([1, 2, 3].map((id) => makeRow(id, version)));
        const rows = await collection.query();
        assert.deepEqual(rows, collection.model.query({}).map(toFound));
        assert.deepEqual(rows.map(({ n }) => n), Array(3).fill(BigInt(version)));
        for (const { timestamp } of rows) assert.ok(timestamp > last, `${timestamp} > ${last}`);
        last = rows[0]!.timestamp;
      }
      await collection.delete([1n]);
      assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
      assert.equal(await collection.count(), 2);
    });
  });
}

test('R17 a large record is applied in steps, and no read sees a part of it', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    collection.rowsPerPart = 64;
    const count = 640;
    const rows = (version: number): Row[] =>
      Array.from({ length: count }, (_unused, i) => ({
        ...makeRow(i, version),
        s: `version ${version}`.padEnd(16 * 1024),
      }));
    const seen = new Set<string>();
    let isDone = false;
    const watch = async (): Promise<void> => {
      while (!isDone) {
        const found = await collection.query();
        const versions = new Set(found.map(({ n }) => n));
        seen.add(`${found.length} of ${[...versions].join(' and ')}`);
        await new Promise((resolve) => setImmediate(resolve));
      }
    };
    const watching = watch();
    await collection.insert(rows(1));
    await collection.upsert(rows(2));
    isDone = true;
    await watching;
    seen.delete('0 of ');
    for (const what of seen) assert.match(what, /^640 of [12]$/);
    await collection.flush();
    assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
    await sandbox.restart();
    assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
  });
});

test('R24 a shard that cannot stamp lets so many writes wait and refuses the rest', async () => {
  await withCollection({ copy: false }, 1, async (collection, sandbox) => {
    const gate = createDeferred<void>();
    sandbox.hooks.set('rootcoord.allocateTimestamps', () => gate.promise);
    const asked = 5000;
    let refused = 0;
    const writes = Array.from({ length: asked }, (_, i) =>
      collection.insert([makeRow(i)]).catch((error: unknown) => {
        assert.ok(error instanceof MilvusError && error.code === 8, String(error));
        refused += 1;
      }),
    );
    // All that will be refused: one write is being stamped, and counts, and 4095 wait.
    await until(async () => refused >= asked - 4096);
    gate.resolve();
    await Promise.all(writes);
    assert.equal(refused, asked - 4096);
    assert.equal(await collection.count(), 4096);
    assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
    await collection.insert([makeRow(asked)]);
    assert.equal(await collection.count(), 4097);
  });
});

test('R24 requests that wait to change the catalog are bounded in bytes', async () => {
  await withCollection({ copy: false }, 1, async (collection, sandbox) => {
    const gate = createDeferred<void>();
    const create = (name: string, description: string): Promise<unknown> =>
      sandbox.peers.rootcoord.createCollection(
        {
          dbName: 'default',
          schema: { ...collection.info.schema, name, description },
          shardCount: 1,
          partitionCount: 1,
          consistencyLevel: 0,
          properties: {},
        },
        {},
      );
    sandbox.hooks.set('streamingnode.openShard', () => gate.promise);
    const long = 'x'.repeat(10 * 1024 * 1024);
    const asked = Array.from({ length: 10 }, (_unused, i) => create(`c${i}`, long));
    const refused = asked.slice(6);
    for (const each of refused) {
      await assert.rejects(each, (error) => error instanceof MilvusError && error.code === 8);
    }
    sandbox.hooks.delete('streamingnode.openShard');
    gate.resolve();
    await Promise.all(asked.slice(0, 6));
    await create('later', 'short');
  });
});
