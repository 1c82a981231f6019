// Runs tables of filters: text → plan in short form, or text → part of the error. Texts that begin
// with `strict:` meet the schema without dynamic fields.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compileFilter } from '../../src/expr/compile.ts';
import type { TemplateValue } from '../../src/model/template-value.ts';
import { MilvusError } from '../../src/model/error.ts';
import { DYNAMIC_SCHEMA, STRICT_SCHEMA } from './filter-fixture.ts';
import { printPlan } from './print-plan.ts';

export type FilterTable = readonly (readonly [text: string, expected: string])[];

const STRICT = 'strict:';

/** The placeholders that tables may use. */
const TEMPLATES: ReadonlyMap<string, TemplateValue> = new Map<string, TemplateValue>([
  ['int', 5n],
  ['big', 100n],
  ['double', 1.5],
  ['text', 'a'],
  ['bool', true],
  ['ints', [1n, 2n, 300n]],
  ['texts', ['a', 'b']],
  ['mixed', [1n, 2.5, 'x', true]],
  ['nested', [1n, ['x']]],
  ['none', []],
  ['pattern', 'a\\%b%'],
]);

export function testAccepted(name: string, table: FilterTable): void {
  test(name, () => {
    const actual = table.map(([text]) => [text, compileToText(text)]);
    assert.deepEqual(actual, table);
  });
}

export function testRejected(name: string, table: FilterTable): void {
  test(name, () => {
    for (const [text, fragment] of table) {
      const written = text.replace(STRICT, '');
      assert.throws(
        () => compileToText(text),
        (error) => {
          assert.ok(error instanceof MilvusError, String(error));
          assert.equal(error.code, 1100);
          const head = `cannot parse expression: ${written}, error: `;
          assert.equal(error.message.slice(0, head.length), head);
          const detail = error.message.slice(head.length);
          assert.ok(detail.includes(fragment), `${text}: ${detail}`);
          return true;
        },
        text,
      );
    }
  });
}

/** Filters that are values, and of which type. */
export function testNotBoolean(name: string, table: FilterTable): void {
  test(name, () => {
    for (const [text, type] of table) {
      const message = `predicate is not a boolean expression: ${text}, data type: ${type}`;
      assert.throws(() => compileToText(text), { code: 1100, message }, text);
    }
  });
}

function compileToText(text: string): string {
  const schema = text.startsWith(STRICT) ? STRICT_SCHEMA : DYNAMIC_SCHEMA;
  return printPlan(compileFilter(text.replace(STRICT, ''), schema, TEMPLATES), schema);
}
