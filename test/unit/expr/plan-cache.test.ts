// The cache of compiled filters: what counts as the same filter, what is dropped, what is never
// kept.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodePlan } from '../../../src/expr/encode-plan.ts';
import { PlanCache } from '../../../src/expr/plan-cache.ts';
import type { PlanNode } from '../../../src/expr/plan.ts';
import type { FilterRequest } from '../../../src/expr/plan-cache.ts';
import { DYNAMIC_SCHEMA } from '../../support/filter-fixture.ts';

function makeRequest(text: string, more: Partial<FilterRequest> = {}): FilterRequest {
  return { text, collectionId: 1n, schemaVersion: 1, schema: DYNAMIC_SCHEMA, ...more };
}

test('the same text of the same schema is compiled once', async () => {
  const cache = new PlanCache();
  const first = await cache.compile(makeRequest('age > 1'));
  assert.equal(await cache.compile(makeRequest('age > 1')), first);
  assert.deepEqual(await first.encode(), encodePlan(first.plan));
  assert.equal(cache.size, 1);
});

test('another collection or schema version is another filter', async () => {
  const cache = new PlanCache();
  const first = await cache.compile(makeRequest('age > 1'));
  assert.notEqual(await cache.compile(makeRequest('age > 1', { collectionId: 2n })), first);
  assert.notEqual(await cache.compile(makeRequest('age > 1', { schemaVersion: 2 })), first);
  assert.equal(cache.size, 3);
});

test('the least recently used filter is dropped', async () => {
  const cache = new PlanCache(2);
  const a = await cache.compile(makeRequest('age > 1'));
  const b = await cache.compile(makeRequest('age > 2'));
  assert.equal(await cache.compile(makeRequest('age > 1')), a);
  await cache.compile(makeRequest('age > 3'));
  assert.equal(cache.size, 2);
  assert.equal(await cache.compile(makeRequest('age > 1')), a);
  assert.notEqual(await cache.compile(makeRequest('age > 2')), b);
});

test('filters with templates, long ones and wrong ones are not kept', async () => {
  const cache = new PlanCache();
  const compileWith = async (value: bigint): Promise<PlanNode> => {
    const templates = new Map([['v', value]]);
    return (await cache.compile(makeRequest('age > {v}', { templates }))).plan;
  };
  assert.notDeepEqual(await compileWith(1n), await compileWith(2n));
  await cache.compile(makeRequest(`id in [${'1, '.repeat(5000)}]`));
  await assert.rejects(cache.compile(makeRequest('age >')));
  assert.equal(cache.size, 0);
});
