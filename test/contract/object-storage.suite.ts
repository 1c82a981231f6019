// What every object storage must do. Run over each adapter by object-storage.test.ts.

import assert from 'node:assert/strict';
import { open, readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { crc32c } from '../../src/base/crc32c.ts';
import { MilvusError } from '../../src/model/error.ts';
import type { ObjectStorage } from '../../src/storage/object-storage.ts';

export interface ObjectStorageFixture {
  open(): Promise<ObjectStorage>;
  /** Makes a file at a path as native code does. */
  writeLocal(path: string, bytes: Uint8Array): Promise<void>;
  dispose(): Promise<void>;
}

export const isError = (name: string, ...parts: string[]) => (error: unknown): boolean =>
  error instanceof MilvusError &&
  error.errorName === name &&
  parts.every((part) => error.message.includes(part));

export async function listAll(storage: ObjectStorage, prefix = ''): Promise<[string, number][]> {
  const found: [string, number][] = [];
  for await (const { key, bytes } of storage.list(prefix)) found.push([key, bytes]);
  return found;
}

export function testObjectStorage(
  name: string,
  makeFixture: () => Promise<ObjectStorageFixture>,
  supports: { readonly realPaths: boolean },
): void {
  const storageTest = (
    title: string,
    body: (storage: ObjectStorage, fixture: ObjectStorageFixture) => Promise<void>,
  ): void => {
    test(`${name}: ${title}`, async () => {
      const fixture = await makeFixture();
      try {
        await body(await fixture.open(), fixture);
      } finally {
        await fixture.dispose();
      }
    });
  };
  const text = (value: string): Uint8Array => new TextEncoder().encode(value);

  storageTest('an object comes back as it was put, whole and in ranges', async (storage) => {
    const bytes = Uint8Array.from({ length: 10_000 }, (_, i) => i & 255);
    await storage.put('a/b/c.seg', bytes);
    await storage.put('empty', new Uint8Array(0));
    assert.deepEqual(await storage.get('a/b/c.seg'), bytes);
    assert.deepEqual(await storage.get('empty'), new Uint8Array(0));
    assert.deepEqual(await storage.getRange('a/b/c.seg', 100, 300), bytes.slice(100, 400));
    assert.deepEqual(await storage.getRange('a/b/c.seg', 10_000, 0), new Uint8Array(0));
    assert.equal(await storage.size('a/b/c.seg'), 10_000);
  });

  storageTest('R16 put and finish tell length and CRC32C of the object', async (storage) => {
    const bytes = Uint8Array.from({ length: 9_000_000 }, (_, i) => (i * 7) & 255);
    const expected = { bytes: bytes.byteLength, crc32c: crc32c(bytes, 0) };
    assert.deepEqual(await storage.put('put', bytes), expected);
    const writer = await storage.createWriter('written');
    for (const [from, to] of [[0, 1], [1, 5_000_000], [5_000_000, bytes.byteLength]] as const) {
      await writer.write(bytes.subarray(from, to));
    }
    assert.deepEqual(await writer.finish(), expected);
    assert.deepEqual(await storage.put('empty', new Uint8Array()), { bytes: 0, crc32c: 0 });
    assert.deepEqual(await storage.get('put', expected), bytes);
    assert.deepEqual(await storage.get('put', { crc32c: undefined }), bytes);
  });

  storageTest('R16 get refuses an object that is not what is expected', async (storage) => {
    const bytes = new Uint8Array(5_000_000).fill(7);
    const { crc32c: checksum } = await storage.put('k', bytes);
    const damaged = isError('DataIntegrity', 'key=k');
    await assert.rejects(storage.get('k', { bytes: 4_999_999 }), damaged);
    await assert.rejects(storage.get('k', { crc32c: checksum ^ 1 }), damaged);
    bytes[4_999_999] = 8;
    await storage.put('k', bytes);
    await assert.rejects(storage.get('k', { bytes: 5_000_000, crc32c: checksum }), damaged);
  });

  storageTest('what is absent has no size and cannot be read', async (storage) => {
    await storage.put('a/b', text('x'));
    for (const key of ['a', 'a/b/c', 'z', 'a/z']) {
      assert.equal(await storage.size(key), undefined);
      await assert.rejects(storage.get(key), isError('IoFailed', `key=${key}`));
      await assert.rejects(storage.openLocal(key), isError('IoFailed'));
    }
    await assert.rejects(storage.getRange('a/b', 0, 2), isError('IoFailed', 'length=2'));
    await assert.rejects(storage.getRange('a/b', 2, 0), isError('IoFailed'));
  });

  storageTest('a second put under a key replaces the object', async (storage) => {
    await storage.put('k', text('a long first object'));
    await storage.put('k', text('second'));
    assert.deepEqual(await storage.get('k'), text('second'));
    assert.deepEqual(await listAll(storage), [['k', 6]]);
  });

  storageTest('keys outside the alphabet are refused by every call', async (storage) => {
    const keys = ['', '/', 'a/', '/a', 'a//b', '..', 'a/../b', './a', 'a b', 'é', '~tmp/1', 'a\0'];
    for (const key of [...keys, 'x'.repeat(256), 'x/'.repeat(600) + 'x']) {
      const refused = isError('ParameterInvalid');
      await assert.rejects(storage.put(key, text('x')), refused, key);
      await assert.rejects(storage.createWriter(key), refused);
      await assert.rejects(storage.createLocal(key), refused);
      await assert.rejects(storage.get(key), refused);
      await assert.rejects(storage.getRange(key, 0, 0), refused);
      await assert.rejects(storage.size(key), refused);
      await assert.rejects(storage.remove(key), refused);
      await assert.rejects(storage.openLocal(key), refused);
    }
    await storage.put('Az09._-/...', text('x'));
    assert.deepEqual(await listAll(storage), [['Az09._-/...', 1]]);
  });

  storageTest('list yields the keys with a prefix in ascending order', async (storage) => {
    const keys = ['a/b/1', 'a-b', 'a.b', 'a0', 'ab/c', 'a/b/10', 'a/b/2', 'a/bc', 'b', 'A'];
    for (const [i, key] of keys.entries()) await storage.put(key, new Uint8Array(i));
    const all = keys.map((key, i): [string, number] => [key, i]);
    all.sort(([a], [b]) => (a < b ? -1 : 1));
    for (const prefix of ['', 'a', 'a/', 'a/b', 'a/b/', 'a/b/1', 'ab', 'b', 'zz', 'a/x/y']) {
      const expected = all.filter(([key]) => key.startsWith(prefix));
      assert.deepEqual(await listAll(storage, prefix), expected, prefix);
    }
  });

  storageTest('a removed object is gone, and removing it again is no error', async (storage) => {
    await storage.put('a/b', text('x'));
    await storage.put('a/c', text('y'));
    await storage.remove('a/b');
    await storage.remove('a/b');
    await storage.remove('never/was');
    await storage.remove('a');
    assert.deepEqual(await listAll(storage), [['a/c', 1]]);
    await storage.put('a/b', text('again'));
    assert.deepEqual(await storage.get('a/b'), text('again'));
  });

  storageTest('a writer publishes its pieces at finish, nothing before', async (storage) => {
    await storage.put('k', text('old'));
    const writer = await storage.createWriter('k');
    const reused = text('ab');
    await writer.write(reused);
    reused.fill(0);
    await writer.write(new Uint8Array(0));
    await writer.write(text('cd'));
    assert.deepEqual(await storage.get('k'), text('old'));
    assert.deepEqual(await listAll(storage), [['k', 3]]);
    await writer.finish();
    assert.deepEqual(await storage.get('k'), text('abcd'));
    await writer.abort();
    assert.deepEqual(await storage.get('k'), text('abcd'));
    await assert.rejects(writer.write(text('x')), isError('IoFailed'));
    await assert.rejects(writer.finish(), isError('IoFailed'));
    assert.deepEqual(await storage.get('k'), text('abcd'));
  });

  storageTest('an aborted writer leaves nothing', async (storage) => {
    const writer = await storage.createWriter('a/k');
    await writer.write(text('abc'));
    await writer.abort();
    await writer.abort();
    assert.deepEqual(await listAll(storage), []);
    assert.equal(await storage.size('a/k'), undefined);
  });

  storageTest('a file that native code wrote is published at finish', async (storage, fixture) => {
    await storage.put('a/k', text('old'));
    const output = await storage.createLocal('a/k');
    await fixture.writeLocal(output.path, text('written beside'));
    assert.deepEqual(await storage.get('a/k'), text('old'));
    assert.deepEqual(await listAll(storage), [['a/k', 3]]);
    await output.finish();
    assert.deepEqual(await storage.get('a/k'), text('written beside'));
    await output.abort();
    assert.deepEqual(await listAll(storage), [['a/k', 14]]);
    await assert.rejects(output.finish(), isError('IoFailed', 'key=a/k', 'spent'));
    const other = await storage.createLocal('b');
    assert.notEqual(other.path, output.path);
  });

  storageTest('a file that native code wrote goes with abort', async (storage, fixture) => {
    const output = await storage.createLocal('a/k');
    await fixture.writeLocal(output.path, text('abc'));
    await output.abort();
    await output.abort();
    assert.deepEqual(await listAll(storage), []);
    await assert.rejects(output.finish(), isError('IoFailed', 'spent'));
    // Nothing was written: there is nothing to remove, and nothing to publish.
    await (await storage.createLocal('a/k')).abort();
    await assert.rejects((await storage.createLocal('a/k')).finish(), isError('IoFailed'));
    assert.deepEqual(await listAll(storage), []);
  });

  storageTest('many puts at once, some under one key, end whole', async (storage) => {
    const puts = Array.from({ length: 60 }, (_, i) =>
      storage.put(`d${i % 4}/e/${i % 20}`, new Uint8Array(100 + (i % 20)).fill(i)),
    );
    await Promise.all(puts);
    const found = await listAll(storage);
    assert.equal(found.length, 20);
    for (const [key, bytes] of found) {
      const object = await storage.get(key);
      assert.equal(object.byteLength, bytes);
      assert.equal(bytes, 100 + Number(key.split('/')[2]));
      assert.ok(object.every((byte) => byte === object[0]));
    }
  });

  if (!supports.realPaths) return;

  storageTest('openLocal gives a file with the object, for the old one too', async (storage) => {
    await storage.put('a/k', text('first'));
    const first = await storage.openLocal('a/k');
    const again = await storage.openLocal('a/k');
    assert.equal(await readFile(first.path, 'utf8'), 'first');
    first.close();
    first.close();
    assert.equal(await readFile(again.path, 'utf8'), 'first');
    again.close();
    await storage.put('a/k', text('second'));
    const second = await storage.openLocal('a/k');
    assert.equal(await readFile(second.path, 'utf8'), 'second');
    second.close();
  });

  storageTest('who has opened a local file keeps its bytes when the key goes', async (storage) => {
    await storage.put('a/k', text('first'));
    const local = await storage.openLocal('a/k');
    const file = await open(local.path);
    await storage.remove('a/k');
    assert.equal(await storage.size('a/k'), undefined);
    await assert.rejects(storage.openLocal('a/k'), isError('IoFailed'));
    local.close();
    assert.equal(await file.readFile('utf8'), 'first');
    await file.close();
  });
}
