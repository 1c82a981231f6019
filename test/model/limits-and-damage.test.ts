// What the server does at its limits (P6) and with damaged data, behind the role contracts. The
// tests name the rules of the architecture.

import assert from 'node:assert/strict';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import { encodeWalMessage } from '../../src/codec/wal-message.ts';
import { native } from '../../src/index/native.ts';
import { MilvusError } from '../../src/model/error.ts';
import type { StoredFile } from '../../src/model/segment-info.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { hasName } from '../support/has-name.ts';
import { SandboxCollection, until } from '../support/sandbox-collection.ts';
import { checkRows, makeTextRows, withSandbox } from '../support/with-collection.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const LONG_TEXT = 's'.repeat(10 * KIB);

test('R8 a record that replay cannot apply stops its collection and no other', async () => {
  await withSandbox({}, async (sandbox) => {
    const broken = await SandboxCollection.create(sandbox.peers, 'broken');
    const sound = await SandboxCollection.create(sandbox.peers, 'sound');
    await broken.insert(makeTextRows(0, 10));
    await sound.insert(makeTextRows(0, 10));
    const { collectionId, schema, vchannels } = broken.info;
    const { first } = await sandbox.peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    const part = { partitionId: broken.defaultPartition, segmentId: first, rows: 3 };
    const record = encodeWalMessage({
      collectionId,
      timestamp: first,
      schemaVersion: schema.version,
      shardIndex: 0,
      parts: [{ kind: 'insert', ...part, batch: new Uint8Array(64).fill(7) }],
    });
    const position = await sandbox.wal.append(record);
    for (let start = 0; start < 2; start += 1) {
      await sandbox.restart();
      // The log keeps the record, whatever the others write out: a later version may apply it.
      await sound.insert(makeTextRows(100 * (start + 1), 10));
      await sound.flush();
      await checkRows(sound);
      assert.ok(sandbox.wal.firstPosition() <= position);
      const isStopped = (error: unknown): boolean =>
        error instanceof MilvusError &&
        error.errorName === 'ChannelNotAvailable' &&
        /wal.*offset \d+: .+/.test(error.message);
      await assert.rejects(broken.query(), isStopped);
      await assert.rejects(broken.search([0, 0, 0, 0], 3), isStopped);
      await assert.rejects(broken.insert(makeTextRows(50, 1)), isStopped);
      assert.match(sandbox.errors.at(-1) ?? '', /the collection is stopped/);
      const problems = sandbox.health.list();
      assert.deepEqual(problems.map(({ subject }) => subject), vchannels);
      assert.match(problems[0]?.reason ?? '', /^default.broken is stopped: .*offset/);
    }
    // Whoever gives the collection up can go on without it.
    await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'broken' }, {});
    await sandbox.restart();
    await checkRows(sound);
  });
});

test('R19 past the limit of growing data inserts are refused, all else goes on', async () => {
  await withSandbox({ growingBytesMax: 256 * KIB }, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    await collection.insert(makeTextRows(0, 10, LONG_TEXT));
    // More than fits beside what is there: refused as a whole, by need and limit.
    await assert.rejects(collection.insert(makeTextRows(100, 20, LONG_TEXT)), (error: unknown) => {
      assert.ok(hasName('MemoryLimitExceeded')(error));
      assert.match((error as MilvusError).message, /limit=262144/);
      return true;
    });
    await collection.delete([3n]);
    await checkRows(collection);
    await collection.flush();
    await checkRows(collection);
    // What was written out makes room.
    await collection.insert(makeTextRows(100, 15, LONG_TEXT));
    await checkRows(collection);
    await sandbox.restart();
    await checkRows(collection);
    assert.deepEqual(sandbox.errors, []);
  });
});

test('R19 growing data is written out before its limit, by itself', async () => {
  await withSandbox({ growingBytesMax: 512 * KIB }, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    for (let batch = 0; batch < 20; batch += 1) {
      const rows = makeTextRows(batch * 10, 10, 's'.repeat(6 * KIB));
      // A writer that is faster than the disk meets the error and comes again.
      await until(() =>
        collection.insert(rows).then(
          () => true,
          (error: unknown) => {
            assert.ok(hasName('MemoryLimitExceeded')(error));
            return false;
          },
        ),
      );
    }
    await checkRows(collection);
    assert.ok((await collection.segmentCount()) > 1);
    assert.deepEqual(sandbox.errors, []);
  });
});

test('R19 growing data is written out from the largest on, by twos, and no further', async () => {
  await withSandbox({ growingBytesMax: 4 * MIB }, async (sandbox) => {
    let writing = 0;
    let most = 0;
    const commits: number[] = [];
    sandbox.hooks.set('querynode.loadSegments', async (request) => {
      const { segments } = request as { segments: { rows: number }[] };
      writing += 1;
      most = Math.max(most, writing);
      await new Promise((resolve) => setTimeout(resolve, 20));
      writing -= 1;
      commits.push(...segments.map(({ rows }) => rows));
    });
    const small: SandboxCollection[] = [];
    for (let i = 0; i < 20; i += 1) {
      const collection = await SandboxCollection.create(sandbox.peers, `small${i}`);
      await collection.insert(makeTextRows(0, 1));
      small.push(collection);
    }
    const large: SandboxCollection[] = [];
    for (let i = 0; i < 5; i += 1) {
      large.push(await SandboxCollection.create(sandbox.peers, `large${i}`));
      await large[i]!.insert(makeTextRows(0, 50 + i, LONG_TEXT));
    }
    // Past half of its memory: down to three eighths, the largest first.
    await until(async () => commits.length >= 2);
    await small[0]!.insert(makeTextRows(10, 1));
    await until(async () => writing === 0);
    assert.ok(most <= 2, `${most} at a time`);
    assert.ok(commits.length < 5, `${commits.join(' ')} rows`);
    assert.ok(commits.every((rows) => rows >= 50), `${commits.join(' ')} rows`);
    for (const collection of [...small, ...large]) await checkRows(collection);
    assert.deepEqual(sandbox.errors, []);
  });
});

test('R19 the budget has what native holds, and nothing when all is written out', async () => {
  await withSandbox({}, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    await collection.insert(makeTextRows(0, 1));
    const few = sandbox.growingBytes();
    assert.ok(few > 0 && few < 64 * KIB, `${few} bytes for one row`);
    await collection.insert(makeTextRows(1, 100, LONG_TEXT));
    const many = sandbox.growingBytes();
    assert.ok(many > 1000 * KIB && many < 1500 * KIB, `${many} bytes for a megabyte`);
    await sandbox.restart();
    assert.equal(sandbox.growingBytes(), many);
    await collection.flush();
    await until(async () => sandbox.growingBytes() === 0);
  });
});

/** A client that comes again after each refusal, for five seconds. */
async function insertPatiently(
  collection: SandboxCollection,
  rows: ReturnType<typeof makeTextRows>,
): Promise<void> {
  for (let tries = 0; ; tries += 1) {
    try {
      await collection.insert(rows);
      return;
    } catch (error) {
      assert.ok(hasName('MemoryLimitExceeded')(error) && tries < 50, String(error));
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  }
}

test('R19 growing data that a restart finds in the way of a write is written out', async () => {
  await withSandbox({ growingBytesMax: 256 * KIB }, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    sandbox.hooks.set('datacoord.beginFile', () => Promise.reject(new Error('a full disk')));
    await collection.insert(makeTextRows(0, 15, LONG_TEXT));
    await sandbox.restart();
    sandbox.hooks.clear();
    await insertPatiently(collection, makeTextRows(100, 15, LONG_TEXT));
    await checkRows(collection);
  });
});

test('R19 a write that does not fit beside what grows has it written out', async () => {
  await withSandbox({ growingBytesMax: 1024 * KIB }, async (sandbox) => {
    const small = await SandboxCollection.create(sandbox.peers, 'small');
    await small.insert(makeTextRows(0, 40, LONG_TEXT));
    const large = await SandboxCollection.create(sandbox.peers, 'large');
    await insertPatiently(large, makeTextRows(0, 70, LONG_TEXT));
    await checkRows(small);
    await checkRows(large);
  });
});

test('R19 segments that cannot be written keep no others in memory', async () => {
  await withSandbox({ growingBytesMax: 512 * KIB }, async (sandbox) => {
    const broken = await SandboxCollection.create(sandbox.peers, 'broken', 2);
    const others: SandboxCollection[] = [];
    for (let i = 0; i < 3; i += 1) {
      others.push(await SandboxCollection.create(sandbox.peers, `other${i}`));
    }
    sandbox.hooks.set('datacoord.beginFile', async (request) => {
      const { collectionId } = request as { collectionId: bigint };
      if (collectionId === broken.info.collectionId) throw new Error('its folder is gone');
    });
    for (const [i, other] of others.entries()) {
      await other.insert(makeTextRows(0, 5 + i, LONG_TEXT));
    }
    await broken.insert(makeTextRows(0, 20, LONG_TEXT));
    await insertPatiently(others[0]!, makeTextRows(100, 15, LONG_TEXT));
    for (const collection of [broken, ...others]) await checkRows(collection);
  });
});

test('R19 an index whose build needs more than its memory fails with need and have', async () => {
  await withSandbox({ buildBytesMax: 4 * MIB }, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    const { collectionId, schema } = collection.info;
    const { fieldId, name } = schema.fields.find((field) => field.name === 'vec')!;
    await sandbox.peers.indexcoord.createIndex(
      {
        ...{ collectionId, fieldId, fieldName: name, name, metric: 'L2', isAutoIndex: false },
        ...{ indexType: 'HNSW', params: {} },
      },
      {},
    );
    await collection.insert(makeTextRows(0, 2000));
    await collection.flush();
    await until(async () => {
      const { indexes } = await sandbox.peers.indexcoord.describeIndexes({ collectionId }, {});
      return /memory limit exceeded.*\[need=\d+\]\[have=4194304\]/.test(indexes[0]!.failReason);
    });
    await checkRows(collection);
    assert.equal((await collection.search([0, 5, 0, 0], 3)).length, 3);
  });
});

for (const wal of ['file', 'memory'] as const) {
  test(`R20 the log is cut when it outgrows its bound, in ${wal}`, async () => {
    await withSandbox({ wal, walBytesMax: 2 * MIB }, async (sandbox) => {
      // A few rows that would pin the log for ever, and a collection that fills it.
      const small = await SandboxCollection.create(sandbox.peers, 'small');
      await small.insert(makeTextRows(0, 3));
      await small.delete([1n]);
      const large = await SandboxCollection.create(sandbox.peers, 'large');
      for (let batch = 0; batch < 30; batch += 1) {
        await large.insert(makeTextRows(batch * 10, 10, 's'.repeat(40 * KIB)));
      }
      // What pins its oldest part is written out; a file of the log is cut as a whole.
      await until(async () => {
        await large.delete([-1n]);
        return sandbox.wal.bytes() <= 4 * MIB;
      });
      assert.ok(sandbox.wal.firstPosition() > 2n);
      await checkRows(small);
      await checkRows(large);
      await sandbox.restart();
      await checkRows(small);
      await checkRows(large);
      assert.deepEqual(sandbox.errors, []);
    });
  });
}

async function damageOneFile(sandbox: ClusterSandbox, collection: SandboxCollection) {
  const { collectionId } = collection.info;
  const { segments } = await sandbox.peers.datacoord.listSegments({ collectionId }, {});
  const { file, segmentId } = segments[0]!;
  const path = join(sandbox.folder, 'storage', file);
  const bytes = await readFile(path);
  // One bit of a text: nothing else would notice.
  const at = bytes.indexOf('s'.repeat(64)) + 10;
  // In place: the scrub meets no shorter file.
  const handle = await open(path, 'r+');
  await handle.write(Uint8Array.of(bytes[at]! ^ 1), 0, 1, at);
  await handle.close();
  return { file, segmentId };
}

test('R16 a damaged segment file is never merged into a sound one', async () => {
  await withSandbox({}, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    for (const first of [0, 100]) {
      await collection.insert(makeTextRows(first, 10, 's'.repeat(100)));
      await collection.flush();
    }
    const { file } = await damageOneFile(sandbox, collection);
    assert.equal(await collection.compact(), 1);
    assert.match(sandbox.errors.at(-1) ?? '', /failed.*checksum of buffer \d+, 1000 bytes/);
    assert.ok(sandbox.errors.at(-1)?.includes(file));
    assert.equal(await collection.segmentCount(), 2);
  });
});

test('R16 damage outside of the columns of a segment file stops its merge too', async () => {
  await withSandbox({}, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    for (const first of [0, 100]) {
      await collection.insert(makeTextRows(first, 10, 's'.repeat(100)));
      await collection.flush();
    }
    const { collectionId } = collection.info;
    const { segments } = await sandbox.peers.datacoord.listSegments({ collectionId }, {});
    const { file, crc32c } = segments[1]!;
    const path = join(sandbox.folder, 'storage', file);
    const bytes = await readFile(path);
    assert.equal(crc32c, native.crc32c(bytes, 0), 'the record has the checksum of the whole file');
    // Between magic and schema: of no meaning to anybody.
    bytes[7]! ^= 1;
    await writeFile(path, bytes);
    assert.equal(await collection.compact(), 1);
    assert.match(sandbox.errors.at(-1) ?? '', /compaction failed.*checksum of the metadata/);
    assert.ok(sandbox.errors.at(-1)?.includes(file));
    assert.equal(await collection.segmentCount(), 2);
  });
});

test('R16 a damaged delete file stops what needs it, by name', async () => {
  await withSandbox({}, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    for (const first of [0, 100]) {
      await collection.insert(makeTextRows(first, 10, 's'.repeat(100)));
      await collection.flush();
    }
    await collection.delete([1n]);
    const { collectionId, vchannels } = collection.info;
    const vchannel = vchannels[0]!;
    await sandbox.peers.shard(vchannel).writeDeletes({ vchannel }, {});
    const ref = { collectionId, vchannel };
    const { channel } = await sandbox.peers.datacoord.openChannel(ref, {});
    const { file, crc32c } = channel.deleteFiles[0]!;
    const path = join(sandbox.folder, 'storage', file);
    const bytes = await readFile(path);
    assert.equal(crc32c, native.crc32c(bytes, 0));
    // In the header, which the file's own checksum does not cover.
    bytes[14]! ^= 1;
    await writeFile(path, bytes);
    assert.equal(await collection.compact(), 1);
    assert.match(sandbox.errors.at(-1) ?? '', /compaction failed.*damaged: checksum/);
    assert.ok(sandbox.errors.at(-1)?.includes(file));
    await checkRows(collection);
  });
});

test('R16 a scrub reads every file, and names the damaged one', async () => {
  await withSandbox({ scrubIntervalMs: 1 }, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c');
    const verified = new Set<bigint>();
    sandbox.hooks.set('datanode.verify', async (request) => {
      const { stored } = request as { stored: StoredFile };
      if (stored.kind === 'segment') verified.add(stored.segment.segmentId);
    });
    for (const first of [0, 100, 200]) {
      await collection.insert(makeTextRows(first, 10, 's'.repeat(100)));
      await collection.flush();
    }
    await until(async () => verified.size === 3);
    assert.deepEqual(sandbox.errors, []);
    const { file, segmentId } = await damageOneFile(sandbox, collection);
    await until(async () => sandbox.errors.length > 0);
    const error = sandbox.errors[0] ?? '';
    assert.match(error, /damaged or cannot be read.*checksum of buffer/);
    assert.ok(error.includes(file));
    assert.ok(verified.has(segmentId));
  });
});
