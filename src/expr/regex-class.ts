// Sets of code points as sorted, disjoint ranges: what a bracket, `\d`, `\pL` or one letter of a
// regular expression stands for. Source: the RE2 syntax page; Unicode's tables come with Node.

import { FilterError } from './filter-error.ts';

/** First and last code point. */
export type CodeRange = readonly [number, number];
/** Sorted, disjoint, not touching. */
export type CodeSet = readonly CodeRange[];

export const CODE_POINT_MAX = 0x10ffff;
const SURROGATES: CodeRange = [0xd800, 0xdfff];
const LOW_SURROGATE = 0xdc00;
const PLANE = 0x10000;
const NO_CHARACTER = 0xffff;
const DOTLESS_I = 0x131;
const CASED = /[\p{Changes_When_Casefolded}\p{Changes_When_Casemapped}]+/gu;

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
/** The planes that hold characters; the others belong to no category or script. */
const ASSIGNED_PLANES = [0, 1, 2, 3, 14, 15, 16];
/** Planes with letters of two cases. */
const CASED_PLANES = [0, 1];
/** All characters of a plane, some 1.5 MiB for all: made when a class is first asked for. */
const planeTexts = new Map<number, string>();
let folding: Folding | undefined;

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
  folding ??= readFolding();
  const { orbits, runs } = folding;
  const [only] = set;
  if (set.length === 1 && only![0] === only![1]) return orbits.get(only![0]) ?? set;
  const added: CodeRange[] = [];
  for (const [first, last] of set) {
    if (first !== last) addImages(runs, first, last, added);
    else for (const range of orbits.get(first) ?? []) added.push(range);
  }
  return added.length === 0 ? set : unite([...set, ...added]);
}

/**
 * Adds what the letters of a range fold to. Where capitals and small letters alternate, a run is of
 * every second letter, and the letters between its images are in the range themselves.
 */
function addImages(
  runs: readonly FoldRun[],
  first: number,
  last: number,
  added: CodeRange[],
): void {
  for (const run of runs) {
    if (run.first > last) return;
    if (run.last < first) continue;
    const skipped = Math.max(0, Math.ceil((first - run.first) / run.step));
    const from = run.first + skipped * run.step;
    const left = Math.floor((Math.min(last, run.last) - from) / run.step);
    if (left < 0) continue;
    const image: CodeRange = [from + run.delta, from + left * run.step + run.delta];
    if (image[0] < first || image[1] > last) added.push(image);
  }
}

/**
 * Returns the code points of `\p{name}`: a general category or a script.
 * @throws FilterError when there is no such class
 */
export function readUnicodeClass(name: string): CodeSet {
  let found = unicodeClasses.get(name);
  if (found === undefined) {
    found = name === 'Any' ? ANY : scanUnicode(toUnicodePattern(name), ASSIGNED_PLANES);
    unicodeClasses.set(name, found);
  }
  return found;
}

function toUnicodePattern(name: string): RegExp {
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
function scanUnicode(pattern: RegExp, planes: readonly number[]): CodeSet {
  const ranges: CodeRange[] = [];
  for (const plane of planes) {
    const units = plane === 0 ? 1 : 2;
    for (const { 0: run, index } of getPlaneText(plane).matchAll(pattern)) {
      const start = plane * PLANE + index / units;
      ranges.push([start, start + run.length / units - 1]);
    }
  }
  return unite(ranges);
}

/** Where surrogates are no characters, the first plane has a code that is none either. */
function getPlaneText(plane: number): string {
  let text = planeTexts.get(plane);
  if (text !== undefined) return text;
  const units = new Uint16Array(plane === 0 ? PLANE : 2 * PLANE);
  for (let i = 0; i < PLANE; i += 1) {
    if (plane === 0) {
      units[i] = i >= SURROGATES[0] && i <= SURROGATES[1] ? NO_CHARACTER : i;
    } else {
      const above = (plane - 1) * PLANE + i;
      units[2 * i] = SURROGATES[0] + (above >> 10);
      units[2 * i + 1] = LOW_SURROGATE + (above & 0x3ff);
    }
  }
  text = Buffer.from(units.buffer).toString('utf16le');
  planeTexts.set(plane, text);
  return text;
}

/** Letters one after another, or every second one, whose other case is as far from each. */
interface FoldRun {
  readonly first: number;
  readonly last: number;
  readonly step: number;
  readonly delta: number;
}

interface Folding {
  /** By letter: all that fold to the same one, itself among them. */
  readonly orbits: ReadonlyMap<number, CodeSet>;
  /** The same for ranges, by first letter: some 500 runs for 3,000 letters. */
  readonly runs: readonly FoldRun[];
}

function readFolding(): Folding {
  const byFold = new Map<number, number[]>();
  const foldByCapitals = new Map<string, number>();
  for (const [first, last] of scanUnicode(CASED, CASED_PLANES)) {
    for (let code = first; code <= last; code += 1) {
      const fold = simpleFold(code, foldByCapitals);
      const members = byFold.get(fold);
      if (members === undefined) byFold.set(fold, [code]);
      else members.push(code);
    }
  }
  const orbits = new Map<number, CodeSet>();
  const steps: [code: number, delta: number][] = [];
  for (const members of byFold.values()) {
    if (members.length === 1) continue;
    const orbit = unite(members.map((code): CodeRange => [code, code]));
    for (const code of members) {
      orbits.set(code, orbit);
      for (const other of members) if (other !== code) steps.push([code, other - code]);
    }
  }
  return { orbits, runs: joinSteps(steps) };
}

function joinSteps(steps: [code: number, delta: number][]): FoldRun[] {
  steps.sort(([codeA, deltaA], [codeB, deltaB]) => deltaA - deltaB || codeA - codeB);
  const runs: { first: number; last: number; step: number; delta: number }[] = [];
  for (const [code, delta] of steps) {
    const run = runs.at(-1);
    const gap = run === undefined || run.delta !== delta ? Infinity : code - run.last;
    const isNear = gap === 1 || (gap === 2 && Math.abs(delta) === 1);
    if (run !== undefined && isNear && (run.first === run.last || run.step === gap)) {
      run.step = gap;
      run.last = code;
    } else {
      runs.push({ first: code, last: code, step: 1, delta });
    }
  }
  return runs.sort((a, b) => a.first - b.first);
}


/** Letters whose capitals are the same several letters, as those of ﬅ and ﬆ, fold together. */
function simpleFold(code: number, foldByCapitals: Map<string, number>): number {
  // Its capital is I, whose small letter is i; only Turkish folds the two.
  if (code === DOTLESS_I) return code;
  const letter = String.fromCodePoint(code);
  const upper = letter.toUpperCase();
  const lower = (isOneCodePoint(upper) ? upper : letter).toLowerCase();
  const fold = isOneCodePoint(lower) ? (lower.codePointAt(0) ?? code) : code;
  if (isOneCodePoint(upper)) return fold;
  const known = foldByCapitals.get(upper);
  if (known === undefined) foldByCapitals.set(upper, fold);
  return known ?? fold;
}

function isOneCodePoint(text: string): boolean {
  return text.length === ((text.codePointAt(0) ?? 0) >= PLANE ? 2 : 1);
}

/** Reads `azAZ` as the ranges a–z and A–Z. */
function readRanges(text: string): CodeSet {
  const ranges: CodeRange[] = [];
  for (let i = 0; i < text.length; i += 2) {
    ranges.push([text.charCodeAt(i), text.charCodeAt(i + 1)]);
  }
  return unite(ranges);
}
