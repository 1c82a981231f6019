// Escapes in a filter's string literals: C's. Any other is an error, but in patterns, which have
// escapes of their own: `\%` and `\_` after `like`, all after `=~`. Those keep their backslash.
// `\xNN` and `\ooo` are bytes of UTF-8, so several together may make one character.
// Source: Milvus 2.6; that patterns keep their escapes: Milvus 3.0.

import { FilterError } from './filter-error.ts';

const SIMPLE_ESCAPES: Readonly<Record<string, string>> = {
  n: '\n', t: '\t', r: '\r', a: '\x07', b: '\b', f: '\f', v: '\v',
  '\\': '\\', '"': '"', "'": "'", '?': '?',
};

const BYTES = /\\(?:x([0-9a-fA-F]{2})|([0-7]{1,3}))/y;
const CODE_POINT = /\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8}))/y;
// In unicode mode a surrogate matches only when it has no partner.
const LONE_SURROGATE = /[\ud800-\udfff]/u;

/** Where a literal stands, which decides on the escapes that are not C's. */
export type StringPlace = 'value' | 'like' | 'regex';

/**
 * Returns the text that a string literal's body stands for.
 *
 * @param body  what is between the quotes, as written
 * @param at    offset of the body in the filter, for errors
 * @throws FilterError when an escape is unknown, or escapes do not form valid Unicode
 */
export function unescapeString(body: string, at: number, place: StringPlace): string {
  if (!body.includes('\\')) return body;
  let result = '';
  let position = 0;
  while (position < body.length) {
    const escape = body.indexOf('\\', position);
    if (escape < 0) {
      result += body.slice(position);
      break;
    }
    result += body.slice(position, escape);
    const [text, next] = readEscape(body, escape, { at, place });
    result += text;
    position = next;
  }
  if (LONE_SURROGATE.test(result)) throw new FilterError('invalid unicode escape in string', at);
  return result;
}

/** Returns the text of the escape that starts at `start` and the offset after it. */
function readEscape(
  body: string,
  start: number,
  { at, place }: { at: number; place: StringPlace },
): [string, number] {
  const letter = body[start + 1] ?? '';
  const simple = SIMPLE_ESCAPES[letter];
  if (simple !== undefined) return [simple, start + 2];

  const bytes: number[] = [];
  let position = start;
  for (;;) {
    BYTES.lastIndex = position;
    const match = BYTES.exec(body);
    if (match === null) break;
    const [, hex, octal] = match;
    bytes.push(hex === undefined ? parseInt(octal ?? '', 8) : parseInt(hex, 16));
    position = BYTES.lastIndex;
  }
  if (bytes.length > 0) return [decodeBytes(bytes, at + start), position];

  CODE_POINT.lastIndex = start;
  const match = CODE_POINT.exec(body);
  if (match === null) {
    if (isPatternEscape(letter, place)) return [`\\${letter}`, start + 1 + letter.length];
    const character = String.fromCodePoint(body.codePointAt(start + 1) ?? 0);
    throw new FilterError(
      `token recognition error at: '\\${character}': an unknown escape; write \\\\ for a backslash`,
      at + start,
    );
  }
  const [, short, long] = match;
  const codePoint = parseInt(short ?? long ?? '', 16);
  if (codePoint > 0x10ffff) throw new FilterError('invalid unicode escape in string', at + start);
  return [String.fromCodePoint(codePoint), CODE_POINT.lastIndex];
}

function isPatternEscape(letter: string, place: StringPlace): boolean {
  return place === 'regex' || (place === 'like' && (letter === '%' || letter === '_'));
}

function decodeBytes(bytes: readonly number[], at: number): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(
      Uint8Array.from(bytes, (byte) => {
        if (byte > 0xff) throw new RangeError('octal escape is more than a byte');
        return byte;
      }),
    );
  } catch {
    throw new FilterError('escaped bytes in string are not valid UTF-8', at);
  }
}
