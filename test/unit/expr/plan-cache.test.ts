// The cache of compiled filters: what counts as the same filter, what is dropped, what is never
// kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodePlan } from '../../../src/expr/encode-plan.ts';
import { PlanCache } from '../../../src/expr/plan-cache.ts';
import type { FilterRequest } from '../../../src/expr/plan-cache.ts';
import { DYNAMIC_SCHEMA } from '../../support/filter-fixture.ts';

function makeRequest(text: string, more: Partial<FilterRequest> = {}): FilterRequest {
  return { text, collectionId: 1n, schemaVersion: 1, schema: DYNAMIC_SCHEMA, ...more };
}

test('the same text of the same schema is compiled once', () => {
  const cache = new PlanCache();
  const first = cache.compile(makeRequest('age > 1'));
  assert.equal(cache.compile(makeRequest('age > 1')), first);
  assert.deepEqual(first.bytes, encodePlan(first.plan));
  assert.equal(cache.size, 1);
});

test('another collection or schema version is another filter', () => {
  const cache = new PlanCache();
  const first = cache.compile(makeRequest('age > 1'));
  assert.notEqual(cache.compile(makeRequest('age > 1', { collectionId: 2n })), first);
  assert.notEqual(cache.compile(makeRequest('age > 1', { schemaVersion: 2 })), first);
  assert.equal(cache.size, 3);
});

test('the least recently used filter is dropped', () => {
  const cache = new PlanCache(2);
  const a = cache.compile(makeRequest('age > 1'));
  const b = cache.compile(makeRequest('age > 2'));
  assert.equal(cache.compile(makeRequest('age > 1')), a);
  cache.compile(makeRequest('age > 3'));
  assert.equal(cache.size, 2);
  assert.equal(cache.compile(makeRequest('age > 1')), a);
  assert.notEqual(cache.compile(makeRequest('age > 2')), b);
});

test('filters with templates, long ones and wrong ones are not kept', () => {
  const cache = new PlanCache();
  const compileWith = (value: bigint): unknown =>
    cache.compile(makeRequest('age > {v}', { templates: new Map([['v', value]]) })).plan;
  assert.notDeepEqual(compileWith(1n), compileWith(2n));
  cache.compile(makeRequest(`id in [${'1, '.repeat(5000)}]`));
  assert.throws(() => cache.compile(makeRequest('age >')));
  assert.equal(cache.size, 0);
});
