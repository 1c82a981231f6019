// Lists read ahead of the parser, in turns: they compile to the same plan as lists that the parser
// reads itself, or are left to it.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compileFilter } from '../../../src/expr/compile.ts';
import { readList, readLongLists } from '../../../src/expr/list-reader.ts';
import { toLiterals } from '../../../src/expr/value-list.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { DYNAMIC_SCHEMA } from '../../support/filter-fixture.ts';

const MANY = 20_000;
const INTEGERS = Array.from({ length: MANY }, (_, i) => `${i % 2 === 0 ? '' : '-'}${i}${i}`);
const STRINGS = INTEGERS.map((text, i) => (i % 3 === 0 ? `"${text}"` : `'é\\n${text}'`));

function readKinds(text: string): string | undefined {
  const read = readList(text, 0);
  if (read === undefined) return undefined;
  const values = toLiterals(read.list).map(({ kind, value }) => `${kind} ${String(value)}`);
  return `${read.list.kind}: ${values.join(', ')} | ${text.slice(read.end)}`;
}

test('a list of constants of one kind or several is read, and nothing after it', () => {
  const table: readonly (readonly [string, string | undefined])[] = [
    ['[1, -2,3] and', 'int64: int64 1, int64 -2, int64 3 |  and'],
    ['[0x10, 010, 0b11]', 'int64: int64 16, int64 8, int64 3 | '],
    ['[-9223372036854775808]', 'int64: int64 -9223372036854775808 | '],
    ['["a", \'b\', r"\\c"]]', 'string: string a, string b, string \\c | ]'],
    ['[1, 2.5, "a", -1e3, true]',
      'mixed: int64 1, double 2.5, string a, double -1000, bool true | '],
    ['["a", 1]', 'mixed: string a, int64 1 | '],
    ['[]', 'mixed:  | '],
    ['[1, ]', 'int64: int64 1 | '],
    // Left to the parser: more than constants, or mistakes.
    ['[1 + 1]', undefined],
    ['[+1]', undefined],
    ['[-"a"]', undefined],
    ['[-true]', undefined],
    ['[--1]', undefined],
    ['[(1)]', undefined],
    ['[[1]]', undefined],
    ['[{t}]', undefined],
    ['[age]', undefined],
    ['[9223372036854775808]', undefined],
    ['[-9223372036854775809]', undefined],
    ['[1 2]', undefined],
    ['[1', undefined],
    ['[', undefined],
    ['["a]', undefined],
    ['[1a]', undefined],
    ['[,]', undefined],
  ];
  assert.deepEqual(table.map(([text]) => [text, readKinds(text)]), table);
});

test('long filters compile the same with lists read ahead and without', async () => {
  const integers = INTEGERS.join(', ');
  const strings = STRINGS.join(' ,\n');
  const texts = [
    `id in [${integers}]`,
    `name not in [${strings}] or id in [${integers}]`,
    `score in [${integers}]`,
    `j["a"] in [${integers}, ${strings}, 1.5]`,
    `json_contains_any(j, [${strings}]) and age in [${integers}]`,
    `name == "in [1, 2, ${'x'.repeat(5000)}" and id in [3]`,
    `j["[1, 2"] == 1 and id in [${integers}, 1 + 1]`,
    `json_contains_all(j["a"], [[${integers}], [2]])`,
  ];
  for (const text of texts) {
    const lists = await readLongLists(text);
    const ahead = compileFilter(text, DYNAMIC_SCHEMA, new Map(), lists);
    assert.deepEqual(ahead, compileFilter(text, DYNAMIC_SCHEMA, new Map()), text.slice(0, 40));
  }
});

test('a mistake in a long list has the same message as without reading ahead', async () => {
  for (const end of ['oops]', '9223372036854775808]', '"open', '1', '] and', '1.5]', '"a"]']) {
    const text = `id in [${INTEGERS.join(',')}, ${end}`;
    const lists = await readLongLists(text);
    const fail = (compile: () => unknown): string => {
      try {
        compile();
      } catch (error) {
        if (error instanceof MilvusError) return error.message;
        throw error;
      }
      return assert.fail(`${end} compiles`);
    };
    assert.equal(
      fail(() => compileFilter(text, DYNAMIC_SCHEMA, new Map(), lists)),
      fail(() => compileFilter(text, DYNAMIC_SCHEMA, new Map())),
    );
  }
});

test('a text of nothing but brackets is searched in passing', async () => {
  assert.equal((await readLongLists('['.repeat(100_000))).size, 0);
});
