// Sets of code points as sorted, disjoint ranges: what a bracket, `\d`, `\pL` or one letter of a
// regular expression stands for. Source: the RE2 syntax page; Unicode's tables come with Node.

import { FilterError } from './filter-error.ts';

/** First and last code point. */
export type CodeRange = readonly [number, number];
/** Sorted, disjoint, not touching. */
export type CodeSet = readonly CodeRange[];

export const CODE_POINT_MAX = 0x10ffff;
const SURROGATES: CodeRange = [0xd800, 0xdfff];
const PLANE = 0x10000;

export const ANY: CodeSet = [[0, CODE_POINT_MAX]];
export const NOT_NEWLINE: CodeSet = [[0, 9], [11, CODE_POINT_MAX]];

const DIGITS: CodeSet = readRanges('09');
const WORD: CodeSet = readRanges('09AZ__az');

/** `\d`, `\s`, `\w`: ASCII only. */
export const PERL_CLASSES: ReadonlyMap<string, CodeSet> = new Map([
  ['d', DIGITS], ['s', readRanges('\t\n\f\r  ')], ['w', WORD],
]);

/** `[:alpha:]` and the others inside brackets: ASCII only. */
export const POSIX_CLASSES: ReadonlyMap<string, CodeSet> = new Map([
  ['alnum', readRanges('09AZaz')], ['alpha', readRanges('AZaz')],
  ['ascii', [[0, 0x7f]]], ['blank', readRanges('\t\t  ')],
  ['cntrl', [[0, 0x1f], [0x7f, 0x7f]]], ['digit', DIGITS], ['graph', readRanges('!~')],
  ['lower', readRanges('az')], ['print', readRanges(' ~')], ['punct', readRanges('!/:@[`{~')],
  ['space', readRanges('\t\r  ')], ['upper', readRanges('AZ')], ['word', WORD],
  ['xdigit', readRanges('09AFaf')],
]);

const CATEGORY = /^(?:L[lmotu]?|M[cen]?|N[dlo]?|P[cdefios]?|S[ckmo]?|Z[lps]?|C[cfos])$/;
/** There are some 200 categories and scripts, so this cache has a bound by itself. */
const unicodeClasses = new Map<string, CodeSet>();
let foldOrbits: ReadonlyMap<number, readonly number[]> | undefined;

/** Returns the union of ranges in any order. */
export function unite(ranges: readonly CodeRange[]): CodeSet {
  const sorted = [...ranges].sort((a, b) => a[0] - b[0]);
  const united: [number, number][] = [];
  for (const [first, last] of sorted) {
    const previous = united.at(-1);
    if (previous !== undefined && first <= previous[1] + 1) {
      previous[1] = Math.max(previous[1], last);
    } else {
      united.push([first, last]);
    }
  }
  return united;
}

/** Returns every other code point. */
export function complement(set: CodeSet): CodeSet {
  const rest: CodeRange[] = [];
  let next = 0;
  for (const [first, last] of set) {
    if (first > next) rest.push([next, first - 1]);
    next = last + 1;
  }
  if (next <= CODE_POINT_MAX) rest.push([next, CODE_POINT_MAX]);
  return rest;
}

/** Returns the set with every other case of its letters, by Unicode's simple case folding. */
export function foldCase(set: CodeSet): CodeSet {
  foldOrbits ??= readFoldOrbits();
  const added: CodeRange[] = [];
  for (const [code, orbit] of foldOrbits) {
    if (contains(set, code)) for (const other of orbit) added.push([other, other]);
  }
  return added.length === 0 ? set : unite([...set, ...added]);
}

/**
 * Returns the code points of `\p{name}`: a general category or a script.
 * @throws FilterError when there is no such class
 */
export function readUnicodeClass(name: string): CodeSet {
  let found = unicodeClasses.get(name);
  if (found === undefined) {
    found = scanUnicode(toUnicodePattern(name));
    unicodeClasses.set(name, found);
  }
  return found;
}

function toUnicodePattern(name: string): RegExp {
  if (name === 'Any') return /[^]+/gu;
  if (name === 'C') return /[\p{Cc}\p{Cf}\p{Cs}\p{Co}]+/gu;
  if (CATEGORY.test(name)) return new RegExp(`\\p{${name}}+`, 'gu');
  try {
    if (/^[A-Z]\w*$/.test(name)) return new RegExp(`\\p{Script=${name}}+`, 'gu');
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
  throw new FilterError(`invalid regex pattern: invalid character class range: \\p{${name}}`);
}

/** Returns where a pattern for runs of code points matches, over all of Unicode. */
function scanUnicode(pattern: RegExp): CodeSet {
  const ranges: CodeRange[] = [];
  const scan = (first: number, last: number, units: number): void => {
    let text = '';
    for (let code = first; code <= last; code += 1) text += String.fromCodePoint(code);
    for (const { 0: run, index } of text.matchAll(pattern)) {
      const start = first + index / units;
      ranges.push([start, start + run.length / units - 1]);
    }
  };
  scan(0, SURROGATES[0] - 1, 1);
  scan(SURROGATES[1] + 1, PLANE - 1, 1);
  for (let first = PLANE; first <= CODE_POINT_MAX; first += PLANE) {
    scan(first, first + PLANE - 1, 2);
  }
  return unite(ranges);
}

/** Returns, for each code point with another case, those that fold to the same one. */
function readFoldOrbits(): Map<number, number[]> {
  const byFold = new Map<number, number[]>();
  for (const [first, last] of scanUnicode(/\p{Changes_When_Casemapped}+/gu)) {
    for (let code = first; code <= last; code += 1) {
      const fold = simpleFold(code);
      const members = byFold.get(fold);
      if (members === undefined) byFold.set(fold, [code]);
      else members.push(code);
    }
  }
  const orbits = new Map<number, number[]>();
  for (const members of byFold.values()) {
    if (members.length > 1) for (const code of members) orbits.set(code, members);
  }
  return orbits;
}

const DOTLESS_I = 0x131;

function simpleFold(code: number): number {
  // Its capital is I, whose small letter is i; only Turkish folds the two.
  if (code === DOTLESS_I) return code;
  const letter = String.fromCodePoint(code);
  const upper = letter.toUpperCase();
  const lower = (isOneCodePoint(upper) ? upper : letter).toLowerCase();
  return isOneCodePoint(lower) ? (lower.codePointAt(0) ?? code) : code;
}

function isOneCodePoint(text: string): boolean {
  return text.length === ((text.codePointAt(0) ?? 0) >= PLANE ? 2 : 1);
}

function contains(set: CodeSet, code: number): boolean {
  let low = 0;
  let high = set.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((set[middle]?.[1] ?? 0) < code) low = middle + 1;
    else high = middle;
  }
  const range = set[low];
  return range !== undefined && range[0] <= code;
}

/** Reads `azAZ` as the ranges a–z and A–Z. */
function readRanges(text: string): CodeSet {
  const ranges: CodeRange[] = [];
  for (let i = 0; i < text.length; i += 2) {
    ranges.push([text.charCodeAt(i), text.charCodeAt(i + 1)]);
  }
  return unite(ranges);
}
