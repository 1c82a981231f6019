// Runs the object storage's contract over its adapters, and the local directory through faults and
// power cuts (R11, R16, R26).

import assert from 'node:assert/strict';
import { mkdtemp, open, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { crc32c } from '../../src/base/crc32c.ts';
import { NodeFileSystem } from '../../src/base/node-file-system.ts';
import { LocalDirStorage } from '../../src/storage/local-dir.ts';
import { MemoryStorage } from '../../src/storage/memory.ts';
import { writeAll } from '../../src/base/file-helpers.ts';
import type { FileSystem } from '../../src/base/file-system.ts';
import type { ObjectStorage } from '../../src/storage/object-storage.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { PowerCutFileSystem } from '../support/power-cut-file-system.ts';
import type { PowerCutFileSystemOptions } from '../support/power-cut-file-system.ts';
import { makeRandom } from '../support/power-cut-wal.ts';
import {
  isError,
  listAll,
  testObjectStorage,
  type ObjectStorageFixture,
} from './object-storage.suite.ts';

const ROOT = '/data/objects';

async function withDirectory(
  make: (directory: string) => Promise<ObjectStorage>,
): Promise<ObjectStorageFixture> {
  const directory = await mkdtemp(join(tmpdir(), 'elanus-objects-'));
  return {
    open: () => make(directory),
    writeLocal: (path, bytes) => writeFile(path, bytes),
    dispose: () => rm(directory, { recursive: true }),
  };
}

const fileSystem = new NodeFileSystem();

testObjectStorage(
  'memory',
  () =>
    withDirectory(
      async (directory) => new MemoryStorage({ crc32c, local: { fileSystem, directory } }),
    ),
  { realPaths: true },
);

testObjectStorage(
  'local directory',
  () => withDirectory((root) => LocalDirStorage.open({ crc32c, root, fileSystem })),
  { realPaths: true },
);

async function writeTo(disk: FileSystem, path: string, bytes: Uint8Array): Promise<void> {
  const file = await disk.open(path, 'create');
  await writeAll(file, [bytes], 0);
  await file.close();
}

testObjectStorage(
  'local directory on a disk in memory',
  async () => {
    const disk = new PowerCutFileSystem();
    return {
      open: () => LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: disk }),
      writeLocal: (path, bytes) => writeTo(disk, path, bytes),
      dispose: async () => undefined,
    };
  },
  { realPaths: false },
);

test('memory without a directory refuses local files', async () => {
  const storage = new MemoryStorage({ crc32c });
  await storage.put('k', new Uint8Array(1));
  await assert.rejects(storage.openLocal('k'), isError('Unimplemented'));
  await assert.rejects(storage.createLocal('k'), isError('Unimplemented'));
});

test('local directory: replacing or removing an object leaves an open file as it was', async () => {
  const fixture = await withDirectory((root) => LocalDirStorage.open({ crc32c, root, fileSystem }));
  const storage = await fixture.open();
  await storage.put('k', new Uint8Array(5000).fill(1));
  const file = await open((await storage.openLocal('k')).path);
  await storage.put('k', new Uint8Array(10).fill(2));
  await storage.remove('k');
  const { buffer, bytesRead } = await file.read(Buffer.alloc(6000), 0, 6000, 0);
  assert.equal(bytesRead, 5000);
  assert.ok(buffer.subarray(0, 5000).every((byte) => byte === 1));
  await file.close();
  await fixture.dispose();
});

test('R11 local directory: unfinished files of a killed process are removed at open', async () => {
  const fixture = await withDirectory((root) => LocalDirStorage.open({ crc32c, root, fileSystem }));
  const killed = await fixture.open();
  await killed.put('k', new Uint8Array(3));
  const writer = await killed.createWriter('other');
  await writer.write(new Uint8Array(100));
  const root = (await killed.openLocal('k')).path.slice(0, -2);
  assert.equal((await readdir(`${root}/~tmp`)).length, 1);
  const storage = await fixture.open();
  assert.deepEqual(await readdir(`${root}/~tmp`), []);
  assert.deepEqual(await listAll(storage), [['k', 3]]);
  await fixture.dispose();
});

test('local directory: short writes are continued', async () => {
  const disk = new FaultyFileSystem(new PowerCutFileSystem());
  disk.writeBytesMax = 7;
  const storage = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: disk });
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => i);
  await storage.put('a/k', bytes);
  assert.deepEqual(await storage.get('a/k'), bytes);
});

test('R11 local directory: a put that fails before its rename leaves the old object', async () => {
  for (const fault of ['create', 'write', 'fdatasync', 'rename'] as const) {
    const disk = new PowerCutFileSystem();
    const faulty = new FaultyFileSystem(disk);
    const storage = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: faulty });
    await storage.put('a/k', new Uint8Array(4).fill(1));
    faulty.failNext(fault);
    const failing = storage.put('a/k', new Uint8Array(9).fill(2));
    await assert.rejects(failing, isError('IoFailed', 'key=a/k', 'EIO'));
    assert.deepEqual(await storage.get('a/k'), new Uint8Array(4).fill(1), fault);
    assert.deepEqual(await disk.readDirectory(`${ROOT}/~tmp`), []);
    await storage.put('a/k', new Uint8Array(2).fill(3));
    assert.deepEqual(await listAll(storage), [['a/k', 2]]);
  }
});

test('R11 local directory: a native file that is not synced leaves the old object', async () => {
  for (const fault of ['fdatasync', 'rename'] as const) {
    const disk = new PowerCutFileSystem();
    const faulty = new FaultyFileSystem(disk);
    const storage = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: faulty });
    await storage.put('a/k', new Uint8Array(4).fill(1));
    const output = await storage.createLocal('a/k');
    await writeTo(disk, output.path, new Uint8Array(9));
    faulty.failNext(fault);
    await assert.rejects(output.finish(), isError('IoFailed', 'key=a/k', 'EIO'));
    assert.deepEqual(await storage.get('a/k'), new Uint8Array(4).fill(1), fault);
    assert.deepEqual(await disk.readDirectory(`${ROOT}/~tmp`), []);
  }
});

test('R11 local directory: the next put repeats a failed sync of a new directory', async () => {
  const disk = new PowerCutFileSystem();
  const faulty = new FaultyFileSystem(disk);
  const storage = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: faulty });
  faulty.failNext('syncDirectory');
  await assert.rejects(storage.put('a/b/k', new Uint8Array(1)), isError('IoFailed'));
  await storage.put('a/b/k', new Uint8Array(2));
  const after = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: disk.powerCut() });
  assert.deepEqual(await listAll(after), [['a/b/k', 2]]);
});

test('local directory: a full disk is a typed error, and space comes back', async () => {
  const faulty = new FaultyFileSystem(new PowerCutFileSystem());
  const storage = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: faulty });
  faulty.spaceBytes = 10_000;
  await storage.put('a', new Uint8Array(6000));
  const full = isError('DiskLimitExceeded', 'need=6000', 'have=');
  await assert.rejects(storage.put('b', new Uint8Array(6000)), full);
  assert.deepEqual(await listAll(storage), [['a', 6000]]);
  await storage.remove('a');
  await storage.put('b', new Uint8Array(6000));
  assert.deepEqual(await listAll(storage), [['b', 6000]]);
});

/** Through JavaScript, or as a file that native code writes. */
async function store(
  storage: ObjectStorage,
  disk: FileSystem,
  key: string,
  value: string,
  random: () => number,
): Promise<void> {
  if (random() < 0.5) {
    await storage.put(key, Buffer.from(value));
    return;
  }
  const output = await storage.createLocal(key);
  await writeTo(disk, output.path, Buffer.from(value));
  await output.finish();
}

/**
 * A random life with power cuts; returns the first breach of the promises. Each key holds, after a
 * cut, the last object whose put resolved or one whose put was begun after it.
 */
async function liveWithCuts(
  seed: number,
  options: PowerCutFileSystemOptions = {},
): Promise<string | undefined> {
  const random = makeRandom(seed);
  const allowed = new Map<string, Set<string>>();
  let disk = new PowerCutFileSystem(options);
  for (let life = 0; life < 6; life++) {
    disk.failPowerAfter(Math.floor(random() * 150));
    const opening = LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: disk });
    const storage = await opening.catch(() => undefined);
    for (let i = 0; i < 15 && storage !== undefined; i++) {
      const changes = Array.from({ length: 3 }, (_, k) => {
        const key = `d${Math.floor(random() * 3)}/e${Math.floor(random() * 2)}/k${k}`;
        const value = random() < 0.25 ? 'absent' : `life ${life} step ${i} `.repeat(80);
        const states = allowed.get(key) ?? new Set(['absent']);
        allowed.set(key, states.add(value));
        const isRemoved = value === 'absent';
        const done = isRemoved ? storage.remove(key) : store(storage, disk, key, value, random);
        return done.then(() => allowed.set(key, new Set([value])));
      });
      await Promise.allSettled(changes);
    }
    disk = random() < 0.2 ? disk.kill() : disk.powerCut(random() < 0.5 ? { random } : {});
    const found = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: disk });
    for (const [key, states] of allowed) {
      const size = await found.size(key);
      const value = size === undefined ? 'absent' : Buffer.from(await found.get(key)).toString();
      if (!states.has(value)) return `life ${life}: ${key} is ${value.slice(0, 30)}`;
    }
  }
  return undefined;
}

test('R11 local directory: power cuts at random moments lose and tear nothing', async () => {
  for (let seed = 1; seed <= 100; seed++) {
    assert.equal(await liveWithCuts(seed), undefined, `seed ${seed}`);
  }
});

test('canary: the power-cut harness notices objects and names that are not synced', async () => {
  for (const options of [{ isFdatasyncIgnored: true }, { isSyncDirectoryIgnored: true }]) {
    let breaches = 0;
    for (let seed = 1; seed <= 20; seed++) {
      if ((await liveWithCuts(seed, options)) !== undefined) breaches++;
    }
    assert.ok(breaches >= 10, `${breaches} of 20 lives were noticed`);
  }
});

test('P6 local directory: a folder goes with its last file', async () => {
  const fixture = await withDirectory((root) => LocalDirStorage.open({ crc32c, root, fileSystem }));
  const storage = await fixture.open();
  const root = (await storage.createLocal('k')).path.replace(/\/~tmp.*/, '');
  for (const key of ['a/1/x', 'a/1/y', 'a/2/x', 'b/z']) await storage.put(key, new Uint8Array(3));
  await storage.remove('a/1/x');
  await storage.remove('a/2/x');
  assert.deepEqual(await readdir(`${root}/a`), ['1']);
  await storage.remove('a/1/y');
  await storage.remove('a/1/y');
  assert.deepEqual((await readdir(root)).sort(), ['b', '~tmp']);
  await storage.put('a/1/x', new Uint8Array(4));
  assert.deepEqual(await listAll(storage), [['a/1/x', 4], ['b/z', 3]]);
  await fixture.dispose();
});

test('R11 local directory: a file is put into a folder that goes just then', async () => {
  const disk = new PowerCutFileSystem();
  const storage = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: disk });
  const goBefore = async (next: () => Promise<void>, folders: string[]): Promise<void> => {
    for (const folder of folders.splice(0)) await disk.removeDirectory(`${ROOT}/${folder}`);
    await next();
  };
  const [rename, make] = [disk.rename.bind(disk), disk.makeDirectory.bind(disk)];
  const [goneBeforeMake, goneBeforeRename] = [['a'], ['a/b', 'a']];
  disk.makeDirectory = (path) =>
    goBefore(() => make(path), path.endsWith('/b') ? goneBeforeMake : []);
  disk.rename = (from, to) => goBefore(() => rename(from, to), goneBeforeRename);
  await storage.put('a/b/x', new Uint8Array(3));
  assert.deepEqual([goneBeforeMake, goneBeforeRename], [[], []]);
  const after = await LocalDirStorage.open({ crc32c, root: ROOT, fileSystem: disk.powerCut() });
  assert.deepEqual(await listAll(after), [['a/b/x', 3]]);
});
