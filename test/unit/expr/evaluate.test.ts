// The oracle itself: three-valued logic and each rule of docs/formats/plan.md, on rows small enough
// to check by eye. What native does is compared with the oracle elsewhere.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { compileFilter } from '../../../src/expr/compile.ts';
import { DYNAMIC_SCHEMA } from '../../support/filter-fixture.ts';
import { formatJson, parseJson } from '../../support/json-value.ts';
import { evaluateRow } from '../../support/oracle/evaluate.ts';
import type { FieldValue, OracleRow } from '../../support/oracle/evaluate.ts';

type Values = Readonly<Record<string, FieldValue>>;

function makeRow(values: Values): OracleRow {
  const ids = new Map(DYNAMIC_SCHEMA.fields.map(({ fieldId, name }) => [fieldId, name]));
  return { getValue: (fieldId) => values[ids.get(fieldId) ?? ''] };
}

function evaluate(text: string, values: Values): boolean | null {
  return evaluateRow(compileFilter(text, DYNAMIC_SCHEMA, new Map()), makeRow(values));
}

function testRow(
  name: string,
  values: Values,
  expected: Readonly<Record<string, boolean | null>>,
): void {
  test(name, () => {
    const texts = Object.keys(expected);
    const actual = Object.fromEntries(texts.map((text) => [text, evaluate(text, values)]));
    assert.deepEqual(actual, expected);
  });
}

test('and, or and not are SQL’s', () => {
  // age is null: `age == 1` is unknown.
  const [yes, no, unknown] = ['name == "x"', 'name == "y"', 'age == 1'];
  const table: readonly (readonly [string, boolean | null])[] = [
    [`${yes} and ${yes}`, true], [`${yes} and ${no}`, false], [`${yes} and ${unknown}`, null],
    [`${no} and ${no}`, false], [`${no} and ${unknown}`, false],
    [`${unknown} and ${unknown}`, null], [`${unknown} and ${yes}`, null],
    [`${unknown} and ${no}`, false], [`${no} and ${yes}`, false],
    [`${yes} or ${yes}`, true], [`${yes} or ${no}`, true], [`${yes} or ${unknown}`, true],
    [`${no} or ${no}`, false], [`${no} or ${unknown}`, null], [`${unknown} or ${unknown}`, null],
    [`${unknown} or ${yes}`, true], [`${unknown} or ${no}`, null], [`${no} or ${yes}`, true],
    [`not (${yes})`, false], [`not (${no})`, true], [`not (${unknown})`, null],
    [`not (${unknown} and ${no})`, true], [`not (${unknown} or ${yes})`, false],
    [`${yes} and ${yes} and ${unknown} and ${no}`, false],
    [`${no} or ${unknown} or ${no}`, null],
  ];
  assert.deepEqual(table.map(([text]) => [text, evaluate(text, { name: 'x' })]), table);
});

testRow('a null field makes every leaf null but the null tests', {}, {
  'age == 1': null, 'age != 1': null, '1 < age < 5': null, 'age in [1]': null, 'age in []': null,
  'age not in [1]': null, 'age not in []': null, 'age + 1 == 2': null, 'note like "%"': null,
  'i16 > 40000': null, 'i16 < 40000': null, '-70000 < i16 < 70000': null, 'age == d': null,
  'name == note': null, 'flag == ok': null, 'flag != ok': null, 'ints[0] == 1': null,
  'ints == []': null, 'array_contains(ints, 1)': null, 'array_contains_all(ints, [])': null,
  'array_length(ints) == 0': null, 'j["a"] == 1': null, 'j["a"] != 1': null, 'j["a"] in [1]': null,
  'j["a"] like "%"': null, 'j["a"] + 1 == 2': null, 'json_contains(j["a"], 1)': null,
  'array_length(j["a"]) == 0': null, 'exists j["a"]': false, 'not exists j["a"]': true,
  'j["a"] is null': true, 'j["a"] is not null': false, 'age is null': true,
  'age is not null': false, 'j is null': true, 'ints is null': true,
});

testRow('integers compare exactly, and with doubles as doubles', { age: 2n ** 53n + 1n, i8: 5n }, {
  'age == 9007199254740993': true, 'age == 9007199254740992': false,
  'age == 9007199254740992.0': true, 'age > 9007199254740992': true,
  'age > 9007199254740992.0': false, 'i8 == 5.0': true, 'i8 < 5.5': true, 'i8 in [5, 300]': true,
  'i8 < 1000': true, 'i8 != 1000': true, 'i8 > 1000': false, 'age > i8': true,
  '4.5 < i8 <= 5': true,
});

const FLOATS = { f: Math.fround(0.8), d: 0.8, floats: [Math.fround(0.1)] };

testRow('FLOAT compares in 32 bits, DOUBLE in 64', FLOATS, {
  'f == 0.8': true, 'f > 0.8': false, 'f >= 0.8': true, 'f in [0.8]': true, '0.5 < f < 0.8': false,
  'd == 0.8': true, 'f == d': false, 'f + 0 == 0.8': false, 'floats[0] == 0.1': true,
  'array_contains(floats, 0.1)': true, 'floats == [0.1]': true, 'f < 1e300': true,
});

testRow('strings compare by the bytes of UTF-8', { name: '\uffee', note: '😀' }, {
  'name < note': true, 'name < "\\U0001F600"': true, 'name > "z"': true,
  'name in ["\\uffee"]': true, 'note like "_"': true, 'note like "__"': false,
});

const SHORT = { ints: [1n, 2n], words: [] };

testRow('an array element out of range is unknown for every operator', SHORT, {
  'ints[1] == 2': true, 'ints[2] == 2': null, 'ints[2] != 2': null, 'ints[2] in [2]': null,
  'ints[2] not in [2]': null, '0 < ints[5] < 9': null, 'ints[2] + 1 == 3': null,
  'ints[2] + 1 != 3': null, 'words[0] like "%"': null, 'words[0] != "a"': null,
});

testRow('arrays are equal element by element', { ints: [1n, 2n], floats: [] }, {
  'ints == [1, 2]': true, 'ints == [1]': false, 'ints != [1]': true, 'ints == [2, 1]': false,
  'floats == []': true, 'array_length(ints) == 2': true, 'array_length(floats) < 1': true,
  'array_contains(ints, 2)': true, 'array_contains(ints, 3)': false,
  'array_contains_all(ints, [1, 2])': true, 'array_contains_all(ints, [1, 3])': false,
  'array_contains_all(ints, [])': true, 'array_contains_any(ints, [3, 2])': true,
  'array_contains_any(ints, [])': false, 'array_length(ints) == 2.0': true,
});

const DOCUMENT = parseJson(`{
  "n": 5, "x": 2.5, "s": "ab\\ncd", "t": true, "z": null, "o": {"a": [10, {"b": "in"}]},
  "l": [1, 2.0, "x", [1, 2], null], "big": 9007199254740993, "n": 5
}`);

testRow('a JSON path compares with its own kind; all else is unknown', { j: DOCUMENT }, {
  'j["n"] == 5': true, 'j["n"] == 5.0': true, 'j["n"] == "5"': null, 'j["n"] != "5"': null,
  'j["n"] == true': null, 'j["x"] > 2': true, 'j["s"] < "b"': true, 'j["s"] > 1': null,
  'j["t"] == true': true, 'j["t"] != false': true, 'j["z"] == 0': null, 'j["z"] != 0': null,
  'j["missing"] == 1': null, 'j["missing"] != 1': null, 'j["missing"] in [1]': null,
  'j["missing"] not in [1]': null, 'j["o"] == 1': null, 'j["o"] != 1': null,
  '1 < j["n"] < 9': true, '"a" < j["n"] < "z"': null, 'j["n"] in ["5", 5.0]': true,
  'j["big"] == 9007199254740992': false, 'j["big"] == 9007199254740992.0': true,
  'j["o"]["a"][0] == 10': true, 'j["o"]["a"]["0"] == 10': null,
  'j["o"]["a"][1]["b"] == "in"': true, 'j["o"]["a"][9] != 1': null, 'j["o"][0] == 1': null,
  'j["l"][3] == [1, 2.0]': true, 'j["l"] == [1]': false, 'j["l"] != [1]': true,
  'j["n"] == [5]': null,
});

testRow('integer arithmetic does not wrap around', { age: 2n ** 63n - 2n, i8: 127n }, {
  'age + 33 <= 19974': false, 'age + 33 > 19974': true, 'age * 2 > 0': true,
  'age * -3 < -9223372036854775807': true, 'age * 2 < 1e19': false, 'age * 2 > 1.8e19': true,
  'i8 + 9223372036854775807 > 9223372036854775806': true,
});

testRow('a regular expression finds; `!~` of a path holds for all that is no such string', {
  j: DOCUMENT, name: 'abc', note: null, words: ['x1'],
}, {
  'name =~ "b."': true, 'name =~ "^b."': false, 'name !~ "^b."': true, 'note =~ "a|b"': null,
  'note !~ "a|b"': null, 'words[0] =~ "\\\\d"': true, 'words[1] !~ "\\\\d"': null,
  'j["s"] =~ "b\\nc"': true, 'j["s"] !~ "b\\nc"': false, 'j["s"] !~ "b.c"': true,
  'j["n"] =~ "5+"': null, 'j["n"] !~ "5+"': true, 'j["missing"] !~ "a"': true,
  'j["z"] !~ "a"': true, 'not j["z"] !~ "a"': false,
});

testRow('arithmetic, LIKE, exists and null tests on JSON paths', { j: DOCUMENT }, {
  'j["n"] + 1 == 6': true, 'j["n"] / 2 == 2': true, 'j["x"] * 2 == 5': true,
  'j["x"] % 2 == 0.5': true, '(j["n"] & 4) == 4': true, '(j["x"] & 4) == 0': false,
  '(j["x"] & 4) != 0': false, 'j["s"] + 1 == 1': null, 'j["s"] + 1 != 1': null,
  'j["missing"] + 1 != 1': null, 'j["s"] like "ab%d"': true, 'j["s"] like "ab_cd"': true,
  'j["n"] like "%"': null, 'j["missing"] like "%"': null, 'exists j["n"]': true,
  'exists j["z"]': false, 'exists j["missing"]': false, 'exists j["o"]["a"][1]': true,
  'j["z"] is null': true, 'j["missing"] is null': true, 'j["n"] is null': false,
  'j["n"] is not null': true, 'j is null': false,
});

testRow('contains and length on JSON paths', { j: DOCUMENT }, {
  'json_contains(j["l"], 1)': true, 'json_contains(j["l"], 2)': true,
  'json_contains(j["l"], 1.0)': true, 'json_contains(j["l"], [1, 2])': true,
  'json_contains(j["l"], [2, 1])': false, 'json_contains(j["l"], "1")': false,
  'json_contains(j["n"], 5)': null, 'json_contains(j["missing"], 5)': null,
  'json_contains_all(j["l"], ["x", 1])': true, 'json_contains_all(j["n"], [])': null,
  'json_contains_all(j["l"], [])': true, 'json_contains_any(j["l"], ["q", 1])': true,
  'json_contains_any(j["l"], [])': false, 'array_length(j["l"]) == 5': true,
  'array_length(j["n"]) != 5': null, 'array_length(j["missing"]) == 0': null,
});

testRow('a document that is the JSON value null is not a null field', { j: null, doc: [1n, 2n] }, {
  'j is null': false, 'j["a"] is null': true, 'j["a"] == 1': null, 'j["a"] != 1': null,
  'exists j["a"]': false, 'json_contains(doc, 2)': true, 'array_length(doc) == 2': true,
  'doc[1] == 2': true,
});

testRow('a whole JSON document compares as its value', { j: 5n, doc: 'x' }, {
  'j == 5': true, 'j != 5': false, 'j > 4': true, 'j == "5"': null, 'doc == "x"': true,
  'doc < "y"': true, 'doc > 1': null, 'j in [4, 5]': true, 'j in ["5"]': null, '4 < j < 6': true,
  'j + 1 == 6': true, 'j % 2 == 1': true, 'j like "5"': null, 'doc like "_"': true,
  'doc =~ "^x$"': true, 'j !~ "5"': true, 'doc + 1 == 2': null, '"a" < doc < "y"': true,
});

testRow('the root of a null JSON field is unknown', {}, {
  'j == 5': null, 'j in [5]': null, '1 < j < 9': null, 'j + 1 == 6': null, 'j like "%"': null,
  'j is null': true,
});

testRow('integer division truncates, doubles make doubles', {
  age: 2n ** 63n - 1n, i32: -7n, d: 7,
}, {
  'age + 1 == -9223372036854775808': false, 'age * 2 == -2': false, 'i32 / 2 == -3': true,
  'i32 % 3 == -1': true, 'i32 / 2.0 == -3.5': true, 'i32 - 0.5 == -7.5': true,
  '(i32 & 3) == 1': true, '(i32 | 8) == -7': true, '(i32 ^ 1) == -8': true, 'd / 2 == 3.5': true,
  '1 + i32 < 0': true,
});

test('JSON keeps int64 exact and doubles double', () => {
  const numbers = '[9223372036854775807,-1,1.0,1e3,9223372036854775808]';
  const text = `{"a":${numbers},"b":"\\u00e9","c":{},"d":[]}`;
  const value = parseJson(text);
  assert.deepEqual(value, new Map<string, unknown>([
    ['a', [2n ** 63n - 1n, -1n, 1, 1000, 2 ** 63]], ['b', 'é'], ['c', new Map()], ['d', []],
  ]));
  assert.deepEqual(parseJson(formatJson(value)), value);
  assert.deepEqual(parseJson(' [ true , false , null ] '), [true, false, null]);
  assert.throws(() => parseJson('{"a":}'), SyntaxError);
});
