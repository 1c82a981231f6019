// projectJson keeps the client's text of the kept values and refuses what is not an object.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { projectJson } from '../../../src/codec/project-json.ts';
import { DecodeError } from '../../../src/codec/wire.ts';
import { Random } from '../../support/codec/random.ts';

const CASES: readonly (readonly [text: string, keys: readonly string[], expected: string])[] = [
  ['{}', ['a'], '{}'],
  ['{"a":1}', [], '{}'],
  ['{"a":1}', ['b'], '{}'],
  ['{"a":9223372036854775807,"b":2}', ['a'], '{"a":9223372036854775807}'],
  ['{"a":0.10000000000000000001}', ['a'], '{"a":0.10000000000000000001}'],
  [' { "a" : [1, {"b":"]}"}] , "c":null }\n', ['a', 'c'], '{"a" : [1, {"b":"]}"}],"c":null}'],
  ['{"a":"\\"},","b":true}', ['b'], '{"b":true}'],
  ['{"a\\"b":1,"\\u0061":2}', ['a"b', 'a'], '{"a\\"b":1,"\\u0061":2}'],
  ['{"中":"é","é":"中"}', ['é'], '{"é":"中"}'],
];

for (const [text, keys, expected] of CASES) {
  test(`${text.trim()} with ${keys.join(' ')} is ${expected}`, () => {
    assert.equal(projectJson(Buffer.from(text), new Set(keys)).toString(), expected);
  });
}

test('random objects: the same values as JSON.parse gives', () => {
  const random = new Random(11);
  for (let i = 0; i < 300; i += 1) {
    const object = Object.fromEntries(
      Array.from({ length: random.below(6) }, () => [
        random.text(),
        random.pick([1, -2.5, null, true, random.text(), [random.text(), {}], { b: ['}'] }]),
      ]),
    );
    const keys = Object.keys(object).filter(() => random.chance(0.5));
    const text = JSON.stringify(object, undefined, random.pick([0, 1, '\t']));
    const projected: unknown = JSON.parse(
      projectJson(Buffer.from(text), new Set(keys)).toString(),
    );
    const expected = Object.fromEntries(keys.map((key) => [key, object[key]]));
    assert.deepEqual(projected, expected);
  }
});

test('text that is cut or no object is a DecodeError', () => {
  const text = '{"a":[1,"x"],"b":{"c":"\\n"}}';
  for (let end = 0; end < text.length; end += 1) {
    assert.throws(() => projectJson(Buffer.from(text.slice(0, end)), new Set(['b'])), DecodeError);
  }
  assert.throws(() => projectJson(Buffer.from('[1]'), new Set()), DecodeError);
});
