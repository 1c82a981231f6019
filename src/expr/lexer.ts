// Splits a filter into tokens, one at a time: the lexer's fields describe the current token, so a
// list of thousands of integers makes no token objects. Keywords are all lower or all upper case;
// `is null` is one token with exactly one space. Source: Milvus 2.6.

import { FilterError } from './filter-error.ts';
import { unescapeString } from './string-literal.ts';
import type { StringPlace } from './string-literal.ts';

/** `Symbol` covers operators, brackets and keyword operators; their `text` is the normal form. */
export const TokenKind = {
  End: 0, Integer: 1, Float: 2, String: 3, Boolean: 4, Identifier: 5, Symbol: 6,
} as const;
export type TokenKind = (typeof TokenKind)[keyof typeof TokenKind];

const IDENTIFIER = /[A-Za-z_\p{Script=Han}][A-Za-z0-9_\p{Script=Han}]*|\$meta/uy;
const WORD = /[A-Za-z_\p{Script=Han}]/uy;
const HEX_FLOAT =
  /0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+/y;
const FLOAT = /(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?|[0-9]+[eE][+-]?[0-9]+/y;
const INTEGER = /0[xX][0-9a-fA-F]+|0[bB][01]+|[0-9]+/y;
const NULL_TEST = / (?:not )?null(?![A-Za-z0-9_])/y;
const NULL_TEST_UPPER = / (?:NOT )?NULL(?![A-Za-z0-9_])/y;
const STRING_PREFIXES: ReadonlySet<string> = new Set(['u8', 'u', 'U', 'L', 'r', 'R']);

/** Words that stand for an operator; upper case is entered as well. */
const WORD_SYMBOLS = new Map<string, string>();
for (const word of ['and', 'or', 'not', 'in', 'like', 'exists']) {
  WORD_SYMBOLS.set(word, word);
  WORD_SYMBOLS.set(word.toUpperCase(), word);
}

const BOOLEANS: ReadonlyMap<string, boolean> = new Map([
  ['true', true], ['True', true], ['TRUE', true],
  ['false', false], ['False', false], ['FALSE', false],
]);

/** Longest first; `&&`, `||` and `!` become the words they mean. */
const SIGNS: readonly (readonly [string, string])[] = [
  ['&&', 'and'], ['||', 'or'], ['==', '=='], ['!=', '!='], ['<=', '<='], ['>=', '>='],
  ['<<', '<<'], ['>>', '>>'], ['**', '**'], ['=~', '=~'], ['!~', '!~'],
  ...['<', '>', '+', '-', '*', '/', '%', '&', '|', '^', '~', '=', '(', ')', '[', ']', '{', '}', ',']
    .map((sign): readonly [string, string] => [sign, sign]),
  ['!', 'not'],
];

const SIGNS_BY_FIRST = new Map<string, (readonly [string, string])[]>();
for (const sign of SIGNS) {
  const first = sign[0].charAt(0);
  SIGNS_BY_FIRST.set(first, [...(SIGNS_BY_FIRST.get(first) ?? []), sign]);
}

const CODE_COMMA = 44;
const CODE_BACKSLASH = 92;
const CODE_0 = 48;
const CODE_9 = 57;
/** Longer ones are beyond int64, and slow to turn into a bigint. */
const INTEGER_LENGTH_MAX = 100;
/** Below ten to this many digits a decimal integer is exact as a number. */
const EXACT_DIGITS = 15;

export class Lexer {
  readonly source: string;
  kind: TokenKind = TokenKind.End;
  /** Offset of the current token's first character. */
  start = 0;
  /** Offset after the current token. */
  end = 0;
  /** Symbol: its normal form. Identifier: the name. String: the text it stands for. */
  text = '';
  /** Integer: the magnitude, which may not fit int64. */
  integer = 0n;
  /** Float: the value. */
  float = 0;
  /** Boolean: the value. */
  boolean = false;

  /** Begins with the first token at this offset or after it. */
  constructor(source: string, offset = 0) {
    this.source = source;
    this.moveTo(offset);
  }

  /** Moves to the first token that begins at this offset or after it. */
  moveTo(offset: number): void {
    this.end = offset;
    this.next();
  }

  /** Moves to the next token; `place` says which escapes it may have if it is a string. */
  next(place: StringPlace = 'value'): void {
    const { source } = this;
    let position = this.end;
    let code = source.charCodeAt(position);
    while (code === 32 || code === 9 || code === 10 || code === 13) {
      position += 1;
      code = source.charCodeAt(position);
    }
    this.start = position;
    if (position >= source.length) {
      this.kind = TokenKind.End;
      this.text = '';
      this.end = position;
    } else if (code >= CODE_0 && code <= CODE_9) {
      this.readNumber(code);
    } else if (code === CODE_COMMA) {
      this.setToken(TokenKind.Symbol, ',', 1);
    } else {
      this.readOther(source.charAt(position), place);
    }
  }

  /** True if the current token is that operator, bracket or keyword. */
  isSymbol(text: string): boolean {
    return this.kind === TokenKind.Symbol && this.text === text;
  }

  /** Returns the current token as written, for messages. */
  describe(): string {
    return this.kind === TokenKind.End
      ? 'end of expression'
      : `'${this.source.slice(this.start, this.end)}'`;
  }

  private readOther(first: string, place: StringPlace): void {
    if (first === '"' || first === "'") {
      this.readString(this.start, place);
      return;
    }
    for (const [sign, normal] of SIGNS_BY_FIRST.get(first) ?? []) {
      if (sign.length === 1 || this.source.startsWith(sign, this.start)) {
        this.setToken(TokenKind.Symbol, normal, sign.length);
        return;
      }
    }
    if (first === '.' && this.readFloat()) return;
    const name = matchAt(IDENTIFIER, this.source, this.start);
    if (name !== undefined) {
      this.readWord(name, place);
      return;
    }
    if (this.source.startsWith('$[', this.start)) {
      throw new FilterError("'$[…]' (struct sub-field) is not supported yet", this.start);
    }
    const character = String.fromCodePoint(this.source.codePointAt(this.start) ?? 0);
    throw new FilterError(`unexpected character '${character}'`, this.start);
  }

  private readWord(name: string, place: StringPlace): void {
    const after = this.source.charAt(this.start + name.length);
    if ((after === '"' || after === "'") && STRING_PREFIXES.has(name)) {
      this.readString(this.start + name.length, /^r$/i.test(name) ? 'raw' : place);
      return;
    }
    const boolean = BOOLEANS.get(name);
    const symbol = WORD_SYMBOLS.get(name);
    if (boolean !== undefined) {
      this.boolean = boolean;
      this.setToken(TokenKind.Boolean, name, name.length);
    } else if (symbol !== undefined) {
      this.setToken(TokenKind.Symbol, symbol, name.length);
    } else if (name === 'is' || name === 'IS') {
      const pattern = name === 'is' ? NULL_TEST : NULL_TEST_UPPER;
      const test = matchAt(pattern, this.source, this.start + 2);
      if (test === undefined) this.setToken(TokenKind.Identifier, name, 2);
      else this.setToken(TokenKind.Symbol, `is${test.toLowerCase()}`, 2 + test.length);
    } else {
      this.setToken(TokenKind.Identifier, name, name.length);
    }
  }

  private readNumber(first: number): void {
    const { source, start } = this;
    let position = start;
    let value = 0;
    for (let code = first; code >= CODE_0 && code <= CODE_9; code = source.charCodeAt(position)) {
      value = value * 10 + (code - CODE_0);
      position += 1;
    }
    const stop = source.charAt(position);
    const digits = position - start;
    const isPlain = first !== CODE_0 && digits <= INTEGER_LENGTH_MAX;
    if (isPlain && stop !== '.' && stop !== 'e' && stop !== 'E') {
      this.kind = TokenKind.Integer;
      this.integer = BigInt(digits <= EXACT_DIGITS ? value : source.slice(start, position));
      this.end = position;
    } else if (!this.readFloat()) {
      this.readInteger();
    }
    const isWordLike = source.charCodeAt(this.end) > CODE_9;
    if (isWordLike && matchAt(WORD, source, this.end) !== undefined) {
      throw new FilterError(`invalid number ${describeWord(source, start)}`, start);
    }
  }

  private readInteger(): void {
    const text = matchAt(INTEGER, this.source, this.start) ?? '0';
    if (text.length > INTEGER_LENGTH_MAX) {
      throw new FilterError(`integer ${text} is out of the range of int64`, this.start);
    }
    let digits = text;
    if (/^0[0-9]/.test(text)) {
      if (!/^[0-7]+$/.test(text)) throw new FilterError(`invalid number '${text}'`, this.start);
      digits = `0o${text.slice(1)}`;
    }
    this.setToken(TokenKind.Integer, text, text.length);
    this.integer = BigInt(digits);
  }

  /** Reads a floating-point literal if there is one here. */
  private readFloat(): boolean {
    const hex = matchAt(HEX_FLOAT, this.source, this.start);
    const text = hex ?? matchAt(FLOAT, this.source, this.start);
    if (text === undefined) return false;
    this.setToken(TokenKind.Float, text, text.length);
    this.float = hex === undefined ? Number(text) : parseHexFloat(hex);
    if (!Number.isFinite(this.float)) {
      throw new FilterError(`number '${text}' is out of range`, this.start);
    }
    return true;
  }

  /** Reads the string whose opening quote is at `quoteAt`. */
  private readString(quoteAt: number, place: StringPlace | 'raw'): void {
    const { source } = this;
    const isRaw = place === 'raw';
    const quote = source.charCodeAt(quoteAt);
    let position = quoteAt + 1;
    while (position < source.length && source.charCodeAt(position) !== quote) {
      position += !isRaw && source.charCodeAt(position) === CODE_BACKSLASH ? 2 : 1;
    }
    if (position >= source.length) throw new FilterError('unterminated string', this.start);
    const body = source.slice(quoteAt + 1, position);
    const text = isRaw ? body : unescapeString(body, quoteAt + 1, place);
    this.setToken(TokenKind.String, text, position + 1 - this.start);
  }

  private setToken(kind: TokenKind, text: string, length: number): void {
    this.kind = kind;
    this.text = text;
    this.end = this.start + length;
  }
}

function matchAt(pattern: RegExp, text: string, at: number): string | undefined {
  pattern.lastIndex = at;
  return pattern.exec(text)?.[0];
}

function describeWord(source: string, start: number): string {
  return `'${/^[\w.]+/.exec(source.slice(start, start + 40))?.[0] ?? ''}'`;
}

/** Returns the value of `0x1.8p3`: hexadecimal digits times a power of two. */
function parseHexFloat(text: string): number {
  const [mantissa = '', exponent = ''] = text.slice(2).toLowerCase().split('p');
  const [whole = '', fraction = ''] = mantissa.split('.');
  const digits = BigInt(`0x0${whole}${fraction}`);
  return Number(digits) * 2 ** (Number(exponent) - 4 * fraction.length);
}
