// The parameters of search iterators: which requests are pages of one, and what a page is told.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../../../src/model/error.ts';
import {
  getPageBound,
  readIteratorSettings,
  toIteratorResult,
} from '../../../../src/roles/proxy/read/search-iterator.ts';

const BATCH_MAX = 16384;
const page = { search_iter_v2: 'True', iterator: 'True', search_iter_batch_size: '10' };

test('a search without search_iter_v2 is none of an iterator', () => {
  assert.equal(readIteratorSettings({ iterator: 'True' }, BATCH_MAX), undefined);
});

test('the first page gets a token, the others keep it', () => {
  const first = readIteratorSettings(page, BATCH_MAX)!;
  assert.notEqual(first.token, '');
  assert.equal(first.lastBound, undefined);
  const second = { ...page, search_iter_id: first.token, search_iter_last_bound: '0.1' };
  assert.deepEqual(readIteratorSettings(second, BATCH_MAX), {
    batchSize: 10,
    token: first.token,
    lastBound: Math.fround(0.1),
  });
});

for (const wrong of [
  { search_iter_batch_size: '0' },
  { search_iter_batch_size: '16385' },
  { search_iter_batch_size: 'x' },
  { search_iter_last_bound: 'nan' },
  { offset: '1' },
  { iterator: 'False' },
]) {
  test(`an iterator with ${JSON.stringify(wrong)} is refused`, () => {
    assert.throws(() => readIteratorSettings({ ...page, ...wrong }, BATCH_MAX), MilvusError);
  });
}

test('the next page begins one 32-bit step behind the last bound', () => {
  const step = 2 ** -23;
  const bound = (lastBound: number, metric: string): number | undefined =>
    getPageBound({ batchSize: 1, token: 't', lastBound }, metric, undefined);
  assert.equal(bound(1, 'L2'), 1 + step);
  assert.equal(bound(1, 'IP'), 1 - step / 2);
  assert.equal(bound(-1, 'COSINE'), -1 - step);
  assert.equal(bound(0, 'L2'), 2 ** -149);
  assert.equal(bound(0, 'IP'), -(2 ** -149));
});

test('the range of the client stays in force', () => {
  const settings = { batchSize: 1, token: 't', lastBound: 1 };
  assert.equal(getPageBound(settings, 'L2', 5), 5);
  assert.equal(getPageBound(settings, 'IP', 0.5), 0.5);
  assert.equal(getPageBound({ batchSize: 1, token: 't' }, 'L2', 5), 5);
  assert.equal(getPageBound({ batchSize: 1, token: 't' }, 'L2', undefined), undefined);
});

test('an empty page gives the bound back that it was asked with', () => {
  const settings = { batchSize: 1, token: 't', lastBound: 7 };
  assert.deepEqual(toIteratorResult(settings, new Float32Array()), { token: 't', lastBound: 7 });
  const scores = Float32Array.of(1, 2);
  assert.deepEqual(toIteratorResult(settings, scores), { token: 't', lastBound: 2 });
});
