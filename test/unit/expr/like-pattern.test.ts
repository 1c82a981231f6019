// Lowered LIKE patterns against the meaning of LIKE, for all short patterns and texts over a small
// alphabet.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { lowerLike } from '../../../src/expr/like-pattern.ts';
import { evaluateRow } from '../../support/oracle/evaluate.ts';

/** LIKE by its definition; a backslash at the end stands for itself. */
function matches(text: readonly string[], pattern: readonly string[]): boolean {
  const [first, second] = pattern;
  if (first === undefined) return text.length === 0;
  if (first === '%') {
    const rest = pattern.slice(1);
    return Array.from({ length: text.length + 1 }).some((_, i) => matches(text.slice(i), rest));
  }
  const isEscape = first === '\\' && second !== undefined;
  const wanted = isEscape ? second : first;
  const accepts = text.length > 0 && ((first === '_' && !isEscape) || text[0] === wanted);
  return accepts && matches(text.slice(1), pattern.slice(isEscape ? 2 : 1));
}

function makeWords(alphabet: readonly string[], lengthMax: number): string[] {
  const words = [''];
  for (let start = 0, length = 0; length < lengthMax; length += 1) {
    const end = words.length;
    for (const word of words.slice(start, end)) {
      for (const letter of alphabet) words.push(word + letter);
    }
    start = end;
  }
  return words;
}

test('a lowered pattern matches what the pattern matches', () => {
  const texts = makeWords(['a', '%', '\\', '😀'], 3);
  for (const pattern of makeWords(['a', '%', '_', '\\', '😀'], 4)) {
    const lowered = lowerLike(pattern);
    for (const text of texts) {
      const actual = evaluateRow(
        {
          node: 'like',
          operand: { kind: 'field', fieldId: 1n, dataType: 21, elementType: 0 },
          ...lowered,
        },
        { getValue: () => text },
      );
      const expected = matches(Array.from(text), Array.from(pattern));
      assert.equal(actual, expected, JSON.stringify({ text, pattern, lowered }));
    }
  }
});
