// What becomes garbage is removed when it is due, whatever fails meanwhile; what has a record
// stays.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '../../../src/base/crc32c.ts';
import { SilentLogger } from '../../support/silent-logger.ts';
import { Catalog, KEYS } from '../../../src/meta/catalog.ts';
import { GARBAGE_GRACE_MS, makeGarbage } from '../../../src/meta/garbage.ts';
import { createMemoryKv } from '../../../src/meta/memory.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { GarbageCollector } from '../../../src/roles/datacoord/garbage-collector.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

class FallibleStorage extends MemoryStorage {
  readonly broken = new Set<string>();
  readonly removed: string[] = [];

  override async remove(key: string): Promise<void> {
    if (this.broken.has(key)) throw new MilvusError('IoFailed', { fields: { key } });
    await super.remove(key);
    this.removed.push(key);
  }
}

function makeWorld() {
  const runtime = new VirtualRuntime();
  const catalog = new Catalog(createMemoryKv(runtime));
  const storage = new FallibleStorage({ crc32c });
  const logger = new SilentLogger();
  const start = (): GarbageCollector => {
    const collector = new GarbageCollector({ catalog, storage, logger, runtime });
    collector.start();
    return collector;
  };
  const put = async (...keys: string[]): Promise<void> => {
    for (const key of keys) await storage.put(key, new Uint8Array(1));
  };
  const list = async (): Promise<string[]> => {
    const keys: string[] = [];
    for await (const { key } of storage.list('')) keys.push(key);
    return keys;
  };
  return { runtime, catalog, storage, start, put, list };
}

test('garbage goes when it is due, in that order, files and prefixes', async () => {
  const { runtime, catalog, storage, start, put, list } = makeWorld();
  await put('segments/1/1', 'segments/2/1', 'segments/2/2', 'segments/20/1', 'deletes/2/5');
  const collector = start();
  await catalog.write(makeGarbage({ files: ['segments/1/1'] }, runtime.nowMs() + 500));
  await catalog.write(
    makeGarbage({ prefixes: ['segments/2/', 'deletes/2/'] }, runtime.nowMs()),
  );
  await catalog.write([
    {
      key: KEYS.writing(20n, 'segments/20/1'),
      record: { collectionId: 20n, file: 'segments/20/1' },
    },
  ]);
  await runtime.advance(GARBAGE_GRACE_MS - 1);
  assert.deepEqual(storage.removed, []);
  await runtime.advance(1000);
  const inOrder = ['segments/2/1', 'segments/2/2', 'deletes/2/5', 'segments/1/1'];
  assert.deepEqual(storage.removed, inOrder);
  assert.deepEqual(await list(), ['segments/20/1']);
  assert.deepEqual(await catalog.list('garbage'), []);
  await collector.stop();
  assert.equal(runtime.sleeperCount, 0);
});

test('P7 a removal that fails is repeated, and holds no other up', async () => {
  const { runtime, catalog, storage, start, put, list } = makeWorld();
  await put('segments/1/1', 'segments/1/2', 'segments/1/3');
  storage.broken.add('segments/1/1');
  let collector = start();
  for (const file of ['segments/1/1', 'segments/1/2']) {
    await catalog.write(makeGarbage({ files: [file] }, runtime.nowMs()));
  }
  await catalog.write(makeGarbage({ files: ['segments/1/3'] }, runtime.nowMs() + 1));
  await runtime.advance(GARBAGE_GRACE_MS + 5000);
  assert.deepEqual(await list(), ['segments/1/1']);
  await collector.stop();
  collector = start();
  await runtime.advance(5000);
  assert.deepEqual(await list(), ['segments/1/1']);
  storage.broken.clear();
  await runtime.advance(2 * 60_000);
  assert.deepEqual(await list(), []);
  assert.deepEqual(await catalog.list('garbage'), []);
  await collector.stop();
});

test('a clock that was ahead delays garbage by no more than the grace', async () => {
  const { runtime, catalog, start, put, list } = makeWorld();
  await put('segments/1/1');
  await catalog.write(makeGarbage({ files: ['segments/1/1'] }, runtime.nowMs() + 3_600_000));
  const collector = start();
  await runtime.advance(2 * GARBAGE_GRACE_MS);
  assert.deepEqual(await list(), []);
  await collector.stop();
});

test('at start files that no record names become garbage, those being written do not', async () => {
  const { runtime, catalog, start, put, list } = makeWorld();
  const named = ['deletes/1/7', 'indexes/1/2/3-4', 'segments/1/2'];
  await put(...named, 'segments/1/9-1', 'segments/1/8', 'indexes/1/2/3', 'other/1');
  const segment = { segmentId: 2n, collectionId: 1n, file: 'segments/1/2' };
  const deleteFiles = [{ file: 'deletes/1/7', fileBytes: 1 }];
  const indexFile = { collectionId: 1n, segmentId: 2n, indexId: 3n, file: 'indexes/1/2/3-4' };
  await catalog.write([
    { key: KEYS.segment(1n, 2n), record: segment },
    { key: KEYS.channel(1n, 'v'), record: { vchannel: 'v', collectionId: 1n, deleteFiles } },
    { key: KEYS.indexFile(1n, 2n, 3n), record: indexFile },
    {
      key: KEYS.writing(1n, 'segments/1/9-1'),
      record: { collectionId: 1n, file: 'segments/1/9-1' },
    },
  ]);
  const collector = start();
  await runtime.advance(GARBAGE_GRACE_MS + 1000);
  assert.deepEqual(await list(), [...named, 'other/1', 'segments/1/9-1'].sort());
  await collector.stop();
});

test('a file that gets its record while orphans are looked for stays', async () => {
  const { runtime, catalog, storage, start, put, list } = makeWorld();
  await put('segments/1/2');
  const listFiles = storage.list.bind(storage);
  // Between the list of records and the list of files: written before, committed behind it.
  storage.list = async function* (prefix: string) {
    yield* listFiles(prefix);
    const segment = { segmentId: 2n, collectionId: 1n, file: 'segments/1/2' };
    await catalog.write([{ key: KEYS.segment(1n, 2n), record: segment }]);
  };
  const collector = start();
  await runtime.advance(2 * GARBAGE_GRACE_MS);
  assert.deepEqual(await list(), ['segments/1/2']);
  await collector.stop();
});
