// Catalog records: int64 stays exact, and no string is mistaken for one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog, decodeRecord, encodeRecord, KEYS } from '../../../src/meta/catalog.ts';
import { createMemoryKv } from '../../../src/meta/memory.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

test('a record comes back as it was, whatever its strings look like', () => {
  const record = {
    id: 2n ** 62n,
    negative: -1n,
    texts: ['5n', '=5n', '==5n', '-7n', '=', 'n', '5', ''],
    nested: { numbers: [1, 1.5, true, null] },
  };
  assert.deepEqual(decodeRecord('k', encodeRecord(record)), record);
});

test('a record of a newer format is refused with its key', () => {
  assert.throws(
    () => decodeRecord('collection/1', '{"v":2}'),
    (error: Error) => error instanceof MilvusError && error.message.includes('collection/1'),
  );
});

test('text that is not JSON is refused', () => {
  assert.throws(() => decodeRecord('k', '{"v":'), /catalog record is not JSON/);
});

const makeCatalog = (): Catalog => new Catalog(createMemoryKv(new VirtualRuntime()));

test('a write whose expectation does not hold is refused as a whole', async () => {
  const catalog = makeCatalog();
  const revision = await catalog.write([{ key: 'a', record: { n: 1 }, expected: 'absent' }]);
  const refused = [
    [{ key: 'a', record: { n: 2 }, expected: 'absent' as const }],
    [{ key: 'b', record: {} }, { key: 'a', record: undefined, expected: revision + 1n }],
  ];
  for (const writes of refused) await assert.rejects(catalog.write(writes), /refused/);
  await assert.rejects(catalog.write([{ key: 'b', record: {} }], { absent: ['a'] }), /refused/);
  assert.deepEqual([await catalog.find('a'), await catalog.has('b')], [{ n: 1 }, false]);
  await catalog.write([{ key: 'a', record: { n: 2 }, expected: revision }], { absent: ['b'] });
  assert.deepEqual(await catalog.find('a'), { n: 2 });
});

test('R10 a collection is not found from the record of its drop on', async () => {
  const catalog = makeCatalog();
  const isGone = (error: unknown): boolean =>
    error instanceof MilvusError && error.errorName === 'CollectionNotFound';
  await assert.rejects(catalog.requireCollection(7n), isGone);
  await catalog.write([{ key: KEYS.collection(7n), record: { collectionId: 7n } }]);
  assert.equal((await catalog.requireCollection(7n)).collectionId, 7n);
  await catalog.writeFor(7n, [{ key: KEYS.load(7n), record: {} }]);
  await catalog.write([{ key: KEYS.dropping(7n, 3n), record: {} }]);
  await catalog.requireCollection(7n);
  await catalog.write([{ key: KEYS.dropping(7n, 0n), record: {} }]);
  await assert.rejects(catalog.requireCollection(7n), isGone);
  const late = catalog.writeFor(7n, [{ key: KEYS.index(7n, 1n), record: {} }]);
  await assert.rejects(late, isGone);
  assert.equal(await catalog.has(KEYS.index(7n, 1n)), false);
});
