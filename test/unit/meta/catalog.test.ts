// Catalog records: int64 stays exact, and no string is mistaken for one.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { decodeRecord, encodeRecord } from '../../../src/meta/catalog.ts';
import { MilvusError } from '../../../src/model/error.ts';

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
