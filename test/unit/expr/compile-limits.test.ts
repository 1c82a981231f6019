// What hostile or huge filters do: errors instead of stack overflows, and no quadratic time.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compileFilter } from '../../../src/expr/compile.ts';
import { encodePlan } from '../../../src/expr/encode-plan.ts';
import type { TemplateValue } from '../../../src/model/template-value.ts';
import type { PlanNode } from '../../../src/expr/plan.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { DYNAMIC_SCHEMA } from '../../support/filter-fixture.ts';
import { printPlan } from '../../support/print-plan.ts';

const NO_TEMPLATES: ReadonlyMap<string, TemplateValue> = new Map();

function compile(text: string, templates = NO_TEMPLATES): PlanNode {
  return compileFilter(text, DYNAMIC_SCHEMA, templates);
}

function nest(open: string, inner: string, close: string, levels: number): string {
  return open.repeat(levels) + inner + close.repeat(levels);
}

test('400 nested brackets are accepted', () => {
  assert.equal(printPlan(compile(nest('(', 'age > 1', ')', 400)), DYNAMIC_SCHEMA), '(age > 1)');
});

test('nesting beyond 500 levels is an error, whatever nests', () => {
  const levels = 100_000;
  const texts = [
    nest('(', 'age > 1', ')', levels),
    nest('not (', 'age > 1', ')', levels),
    '!'.repeat(levels) + 'true',
    '-'.repeat(levels) + '1 == 1',
    `age in ${nest('[', '1', ']', levels)}`,
    `json_contains(j, ${nest('[', '1', ']', levels)})`,
    nest('foo(', '1', ')', levels),
    `1 == ${'1 + '.repeat(levels)}1`,
    `${'1 == '.repeat(levels)}1`,
    `age in [1]${' in [1]'.repeat(levels)}`,
    `exists ${'exists '.repeat(levels)}j["a"]`,
    `name${' like "a"'.repeat(levels)}`,
  ];
  for (const text of texts) {
    assert.throws(
      () => compile(text),
      (error) => error instanceof MilvusError && error.message.endsWith(
        'expression is nested more than 500 levels deep',
      ),
      text.slice(0, 20),
    );
  }
});

test('a path of 100,000 steps and a template of nested lists do not overflow the stack', () => {
  const plan = compile(`j${'["a"]'.repeat(60_000)} == 1`);
  assert.ok(encodePlan(plan).length > 60_000);
  let value: TemplateValue = 1n;
  for (let level = 0; level < 100_000; level += 1) value = [value];
  assert.throws(() => compile('j["a"] == {deep}', new Map([['deep', value]])), /nested too deep/);
});

test('a path of more steps than the plan can hold is an error', () => {
  const text = `j${'["a"]'.repeat(70_000)} == 1`;
  assert.throws(() => compile(text), /path is longer than 65534 steps/);
});

test('a chain of 70,000 ors is one node, and is encoded', () => {
  const text = Array.from({ length: 70_000 }, (_, i) => `age == ${i}`).join(' or ');
  const plan = compile(text);
  assert.ok(plan.node === 'or');
  assert.equal(plan.children.length, 70_000);
  assert.ok(encodePlan(plan).length > 70_000);
});

test('a list of 5,000 integers compiles to 5,000 of them', () => {
  const ids = Array.from({ length: 5000 }, (_, i) => BigInt(i) * 7919n);
  const plan = compile(`id in [${ids.join(', ')}]`);
  assert.ok(plan.node === 'in');
  assert.deepEqual(plan.list, { kind: 'int64', values: BigInt64Array.from(ids) });
});

test('blank text is always true', () => {
  assert.deepEqual(compile(' \t\r\n'), { node: 'const', value: true });
  assert.deepEqual(compile(''), { node: 'const', value: true });
});

test('a syntax error on a later line names that line', () => {
  assert.throws(() => compile('age > 1\n  and )'), /error: line 2:6 unexpected '\)'$/);
});

test('P6 a filter of more operands than memory should hold is refused by their number', () => {
  const chain = 'age==1||'.repeat(600_000);
  assert.throws(() => compile(`${chain}age==1`), /more than 524288 operands/);
  const list = '1,'.repeat(600_000);
  assert.throws(() => compile(`age in [${list}name]`), /more than 524288 operands/);
  assert.throws(() => compile(`j["a"] in [${'1.5,'.repeat(1_100_000)}]`), /operands|at most/);
  assert.throws(() => compile(`j["a"] == {x}`, new Map([['x', new BigInt64Array(2_000_000)]])), {
    message: /a list of such values holds at most 1048576 of them/,
  });
  const many = new BigInt64Array(2_000_000).map((_zero, i) => BigInt(i));
  const plan = compile('id in {x}', new Map([['x', many]]));
  assert.ok(plan.node === 'in' && plan.list.values.length === many.length, 'ids are no objects');
});

test('P9 the patterns of one filter together are bounded', () => {
  const pattern = '(a{10}){100}'.repeat(19);
  const makeText = (count: number): string =>
    Array.from({ length: count }, (_unused, i) => `name =~ "${i}${pattern}"`).join(' or ');
  const plan = compile(makeText(5));
  assert.ok(plan.node === 'or' && plan.children.length === 5);
  assert.throws(() => compile(makeText(1000)), /pattern too large: the patterns of one filter/);
});
