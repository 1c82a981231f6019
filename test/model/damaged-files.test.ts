// Damaged files behind the role contracts: an index file is made anew while searches stay right, a
// segment's damage stops its collection and no other (R8, R16).

import assert from 'node:assert/strict';
import { open, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { test } from 'node:test';
import type { Runtime } from '../../src/base/clock.ts';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { MilvusError } from '../../src/model/error.ts';
import type { IndexFile } from '../../src/model/segment-info.ts';
import type { ClusterSandbox, SandboxOptions } from '../support/cluster-sandbox.ts';
import { SandboxCollection, toFound, until } from '../support/sandbox-collection.ts';
import { makeRows, withSandbox } from '../support/with-collection.ts';

const ROWS = 1100;

/** Waiting takes no time. */
const HURRIED: Runtime = {
  nowMs: systemRuntime.nowMs,
  monotonicMs: systemRuntime.monotonicMs,
  random: systemRuntime.random,
  sleep: (_delayMs, signal) => systemRuntime.sleep(1, signal),
};

function withHurried(
  options: SandboxOptions,
  task: (sandbox: ClusterSandbox) => Promise<void>,
): Promise<void> {
  return withSandbox({ runtime: HURRIED, ...options }, task);
}

async function createIndex(
  { peers }: ClusterSandbox,
  { info }: SandboxCollection,
  fieldName: 'vec' | 'n',
): Promise<void> {
  const { fieldId } = info.schema.fields.find(({ name }) => name === fieldName)!;
  const { collectionId } = info;
  const isVector = fieldName === 'vec';
  const indexType = isVector ? 'HNSW' : 'INVERTED';
  const params: Record<string, string> = isVector
    ? { index_type: indexType, metric_type: 'L2', M: '8', efConstruction: '40' }
    : { index_type: indexType };
  const index = { fieldId, fieldName, name: fieldName, indexType, metric: isVector ? 'L2' : '' };
  await peers.indexcoord.createIndex({ collectionId, ...index, params, isAutoIndex: false }, {});
}

async function listIndexFiles(
  { peers }: ClusterSandbox,
  { info }: SandboxCollection,
): Promise<readonly IndexFile[]> {
  return (await peers.indexcoord.listIndexFiles({ collectionId: info.collectionId }, {})).files;
}

/** A collection with one sealed segment, indexed over both fields. */
async function makeIndexed(sandbox: ClusterSandbox, name: string): Promise<SandboxCollection> {
  const collection = await SandboxCollection.create(sandbox.peers, name);
  await collection.insert(makeRows(0, ROWS));
  await collection.flush();
  for (const field of ['vec', 'n'] as const) await createIndex(sandbox, collection, field);
  await until(async () => (await listIndexFiles(sandbox, collection)).length === 2);
  return collection;
}

async function checkAnswers(collection: SandboxCollection): Promise<void> {
  assert.deepEqual(await collection.query(), collection.model.query().map(toFound));
  const found = await collection.search([500, 0, 0, 0], 5);
  assert.deepEqual(found.map(({ id }) => id).sort(), [498n, 499n, 500n, 501n, 502n]);
  assert.equal(await collection.count({ filter: 'n >= 100 && n < 300' }), 200);
}

const pathOf = (sandbox: ClusterSandbox, file: string): string =>
  join(sandbox.folder, 'storage', file);

/** Flips a bit of the byte at `at`, from the end when that is negative. */
async function flip(sandbox: ClusterSandbox, file: string, at: number): Promise<void> {
  // In place: whoever reads it meanwhile meets no shorter file.
  const handle = await open(pathOf(sandbox, file), 'r+');
  try {
    const place = at < 0 ? (await handle.stat()).size + at : at;
    const byte = new Uint8Array(1);
    await handle.read(byte, 0, 1, place);
    byte[0]! ^= 4;
    await handle.write(byte, 0, 1, place);
  } finally {
    await handle.close();
  }
}

/** What may happen to a file, by name. */
const DAMAGES: Readonly<
  Record<string, (sandbox: ClusterSandbox, file: string) => Promise<void>>
> = {
  'with a flipped bit in its header': (sandbox, file) => flip(sandbox, file, 20),
  'with a flipped bit in its table': (sandbox, file) => flip(sandbox, file, 140),
  'with a flipped bit in its first section': (sandbox, file) => flip(sandbox, file, 4100),
  'with a flipped bit between its sections': (sandbox, file) => flip(sandbox, file, 4000),
  'with a flipped bit in its last byte': (sandbox, file) => flip(sandbox, file, -1),
  'that is cut': async (sandbox, file) => {
    const path = pathOf(sandbox, file);
    await writeFile(path, (await readFile(path)).subarray(0, 5000));
  },
  'that is empty': (sandbox, file) => writeFile(pathOf(sandbox, file), ''),
  'that is gone': (sandbox, file) => rm(pathOf(sandbox, file)),
  'of the form before this one': (sandbox, file) =>
    writeFile(pathOf(sandbox, file), Buffer.concat([Buffer.from('ELHN'), Buffer.alloc(9000)])),
};

for (const [what, damage] of Object.entries(DAMAGES)) {
  test(`R16 an index file ${what} is made anew after a start`, async () => {
    await withHurried({}, async (sandbox) => {
      const collection = await makeIndexed(sandbox, 'c');
      const before = await listIndexFiles(sandbox, collection);
      for (const { file } of before) await damage(sandbox, file);
      await sandbox.restart();
      await checkAnswers(collection);
      const names = before.map(({ file }) => file);
      await until(async () => {
        const files = await listIndexFiles(sandbox, collection);
        return files.length === 2 && files.every(({ file }) => !names.includes(file));
      });
      await checkAnswers(collection);
      assert.deepEqual(sandbox.errors, []);
      await sandbox.restart();
      await checkAnswers(collection);
      assert.deepEqual(sandbox.errors, []);
    });
  });
}

test('R16 damage inside an open index file is found by reading it, and made anew', async () => {
  await withHurried({}, async (sandbox) => {
    const collection = await makeIndexed(sandbox, 'c');
    const [index] = await listIndexFiles(sandbox, collection);
    // Opening compares the first page: only the body is different.
    await flip(sandbox, index!.file, 4096 + 8);
    const reasons: string[] = [];
    sandbox.hooks.set('indexcoord.reportDamagedFile', async (request) => {
      reasons.push((request as { reason: string }).reason);
    });
    await sandbox.restart();
    await until(async () => {
      const files = await listIndexFiles(sandbox, collection);
      return files.length === 2 && !files.some(({ file }) => file === index!.file);
    });
    assert.equal(reasons.length, 1);
    assert.match(reasons[0]!, /index file: checksum of (LINK|KEYS), \d+ bytes at offset 4096/);
    await checkAnswers(collection);
    assert.deepEqual(sandbox.errors, []);
  });
});

test('an index whose files are damaged each time is given up, with the reason', async () => {
  await withHurried({}, async (sandbox) => {
    const collection = await makeIndexed(sandbox, 'c');
    const { collectionId } = collection.info;
    const { indexcoord } = sandbox.peers;
    const describe = async () =>
      (await indexcoord.describeIndexes({ collectionId, name: 'vec' }, {})).indexes[0]!;
    const { indexId } = (await describe()).index;
    for (let damaged = 0; damaged < 4; damaged += 1) {
      let index: IndexFile | undefined;
      await until(async () => {
        const files = await listIndexFiles(sandbox, collection);
        index = files.find((file) => file.indexId === indexId);
        return index !== undefined;
      });
      await indexcoord.reportDamagedFile({ file: index!, reason: 'a bad disk' }, {});
      // A second report of the same file is late.
      await indexcoord.reportDamagedFile({ file: index!, reason: 'a bad disk' }, {});
    }
    const status = await describe();
    assert.equal(status.pendingRows, ROWS);
    assert.match(status.failReason, /damaged 4 times: a bad disk/);
    await checkAnswers(collection);
  });
});

const isStopped =
  (file: string) =>
  (error: unknown): boolean =>
    error instanceof MilvusError &&
    error.errorName === 'ChannelNotAvailable' &&
    error.message.includes('checksum of') &&
    error.message.includes(file);

for (const [part, at] of [
  ['a buffer', (bytes: Buffer) => bytes.indexOf('s'.repeat(64)) + 10],
  ['the head', () => 40],
  ['the footer', (bytes: Buffer) => bytes.length - 100],
] as const) {
  test(`R8 R16 a flipped bit in ${part} of a segment file stops its collection only`, async () => {
    await withHurried({}, async (sandbox) => {
      const broken = await makeIndexed(sandbox, 'broken');
      const sound = await makeIndexed(sandbox, 'sound');
      const { collectionId } = broken.info;
      const { segments } = await sandbox.peers.datacoord.listSegments({ collectionId }, {});
      const { file } = segments[0]!;
      const path = pathOf(sandbox, file);
      const bytes = await readFile(path);
      bytes[at(bytes)]! ^= 1;
      await writeFile(path, bytes);
      await sandbox.restart();
      await until(() => broken.query().then(() => false, isStopped(file)));
      await assert.rejects(broken.search([0, 0, 0, 0], 3), isStopped(file));
      await assert.rejects(broken.insert(makeRows(5000, 5001)), isStopped(file));
      await checkAnswers(sound);
      await sandbox.peers.rootcoord.dropCollection({ dbName: 'default', name: 'broken' }, {});
      await sandbox.restart();
      await checkAnswers(sound);
    });
  });
}

test('R16 the scrub reads segment, delete and index files; a damaged index is remade', async () => {
  await withHurried({ scrubIntervalMs: 1 }, async (sandbox) => {
    const collection = await makeIndexed(sandbox, 'c');
    await collection.delete([3n, 4n]);
    await sandbox.peers.datacoord.flush({ collectionId: collection.info.collectionId }, {});
    await collection.insert(makeRows(ROWS, ROWS + 10));
    await collection.flush();
    const kinds = new Set<string>();
    sandbox.hooks.set('datanode.verify', async (request) => {
      kinds.add((request as { stored: { kind: string } }).stored.kind);
    });
    await until(async () => kinds.size === 3);
    const [index] = await listIndexFiles(sandbox, collection);
    await flip(sandbox, index!.file, 4096 + 8);
    await until(async () => {
      const files = await listIndexFiles(sandbox, collection);
      return files.length === 2 && !files.some(({ file }) => file === index!.file);
    });
    assert.match(sandbox.errors.join('\n'), /damaged or cannot be read.*checksum of/);
    await checkAnswers(collection);
  });
});
