// Which keys a filter restricts itself to: for partition pruning, and for deletes and queries by
// primary key.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compileFilter } from '../../../src/expr/compile.ts';
import { getKeyValues } from '../../../src/expr/key-values.ts';
import { DYNAMIC_SCHEMA } from '../../support/filter-fixture.ts';

const ID = 100n;
const TENANT = 117n;

function describePartitionKey(text: string): string {
  const plan = compileFilter(text, DYNAMIC_SCHEMA, new Map());
  const found = getKeyValues(plan, TENANT);
  return found === undefined ? 'any' : found.list.values.join(' ');
}

function describePrimaryKey(text: string): string {
  const found = getKeyValues(compileFilter(text, DYNAMIC_SCHEMA, new Map()), ID);
  if (found === undefined) return 'any';
  return `${found.exact ? 'exactly' : 'among'} ${found.list.values.join(' ')}`;
}

test('conjuncts on the partition key prune', () => {
  const table: readonly (readonly [string, string])[] = [
    ['tenant == "a"', 'a'],
    ['"a" == tenant', 'a'],
    ['tenant in ["a", "b", "a"]', 'a b a'],
    ['tenant == "a" and age > 1', 'a'],
    ['age > 1 and (name == "x" and tenant in ["a", "b"])', 'a b'],
    ['tenant in ["a", "b"] and tenant in ["b", "c"]', 'b'],
    ['tenant == "a" and tenant == "b"', ''],
    ['tenant == "a" or tenant == "b"', 'a b'],
    ['(tenant == "a" and age > 1) or (tenant == "b" and age < 1)', 'a b'],
    ['tenant == "a" or age > 1', 'any'],
    ['tenant != "a"', 'any'],
    ['not (tenant == "a")', 'any'],
    ['tenant not in ["a"]', 'any'],
    ['tenant > "a"', 'any'],
    ['tenant like "a"', 'any'],
    ['name == "a"', 'any'],
    ['age > 1', 'any'],
    ['true', 'any'],
    ['false', ''],
    ['tenant in []', ''],
  ];
  assert.deepEqual(table.map(([text]) => [text, describePartitionKey(text)]), table);
});

test('primary key values are exact when the filter says nothing else', () => {
  const table: readonly (readonly [string, string])[] = [
    ['id == 1', 'exactly 1'],
    ['id in [1, 2, 2]', 'exactly 1 2 2'],
    ['id in []', 'exactly '],
    ['false', 'exactly '],
    ['id == 1 or id in [2, 3]', 'exactly 1 2 3'],
    ['id in [1, 2] and id in [2, 3]', 'exactly 2'],
    ['id in [1, 2] and true', 'exactly 1 2'],
    ['id in [1, 2] and age > 1', 'among 1 2'],
    ['(id == 1 and age > 1) or id == 2', 'among 1 2'],
    ['id == 1.0', 'any'],
    ['id == age', 'any'],
    ['id > 1', 'any'],
    ['id not in [1]', 'any'],
    ['id + 0 == 1', 'any'],
    ['age == 1', 'any'],
  ];
  assert.deepEqual(table.map(([text]) => [text, describePrimaryKey(text)]), table);
});
