// Parses a regular expression in RE2's syntax: everything but `\C`; greedy and lazy are the same
// here, as only whether a text matches is asked. Source: the RE2 syntax page
// (https://github.com/google/re2/wiki/Syntax).

import { FilterError } from './filter-error.ts';
import {
  ANY, CODE_POINT_MAX, complement, foldCase, NOT_NEWLINE, PERL_CLASSES, POSIX_CLASSES,
  readUnicodeClass, unite,
} from './regex-class.ts';
import type { CodeRange, CodeSet } from './regex-class.ts';

/** Conditions on a place between two characters, with the numbers of the binary form. */
export const RegexAssert = {
  TextStart: 0, TextEnd: 1, LineStart: 2, LineEnd: 3, Word: 4, NotWord: 5,
} as const;
export type RegexAssert = (typeof RegexAssert)[keyof typeof RegexAssert];

export type RegexNode =
  | { readonly kind: 'set'; readonly set: CodeSet }
  | { readonly kind: 'assert'; readonly assert: RegexAssert }
  /** Of nothing: matches the empty text. */
  | { readonly kind: 'concat'; readonly items: readonly RegexNode[] }
  | { readonly kind: 'alternate'; readonly items: readonly RegexNode[] }
  /** `max` may be Infinity. */
  | {
      readonly kind: 'repeat';
      readonly item: RegexNode;
      readonly min: number;
      readonly max: number;
    };

/** Largest count of a repetition, and of repetitions inside one another multiplied. */
const REPEAT_MAX = 1000;
const NESTING_MAX = 500;
/** Characters of a pattern: no VarChar is longer. */
const PATTERN_MAX = 65_536;
/**
 * Instructions of a program: bounds a plan's bytes and the memory of the automaton that native
 * makes of it. A set of n ranges becomes 2n - 1 or more, so the parser stops at as many ranges.
 */
export const INSTRUCTIONS_MAX = 20_000;

const EMPTY: RegexNode = { kind: 'concat', items: [] };
const SINGLE_ESCAPES: ReadonlyMap<string, number> = new Map([
  ['a', 7], ['f', 12], ['t', 9], ['n', 10], ['r', 13], ['v', 11],
]);

/**
 * Returns the tree of a regular expression.
 * @throws FilterError `invalid regex pattern: <what>: <where>`
 */
export function parseRegex(pattern: string): RegexNode {
  if (pattern.length > PATTERN_MAX) {
    throw tooLarge(`${pattern.length} characters, at most ${PATTERN_MAX}`);
  }
  return new RegexParser(pattern).parse();
}

export function tooLarge(what: string): FilterError {
  return invalid('pattern too large', what);
}

/** `(?imsU)`: U, which swaps greedy and lazy, changes nothing here. */
interface Flags {
  readonly i: boolean;
  readonly m: boolean;
  readonly s: boolean;
}

class RegexParser {
  private readonly source: string;
  private at = 0;
  private flags: Flags = { i: false, m: false, s: false };
  private nesting = 0;
  /** Ranges of all sets so far, and of what their brackets list. */
  private rangeCount = 0;

  constructor(source: string) {
    this.source = source;
  }

  parse(): RegexNode {
    const node = this.parseAlternate();
    if (this.at < this.source.length) throw invalid('unexpected )', this.source);
    checkRepeats(node, 1);
    return node;
  }

  private parseAlternate(): RegexNode {
    this.nesting += 1;
    if (this.nesting > NESTING_MAX) throw invalid('expression nests too deeply', this.source);
    const items = [this.parseConcat()];
    while (this.take('|')) items.push(this.parseConcat());
    this.nesting -= 1;
    const [only = EMPTY] = items;
    return items.length === 1 ? only : { kind: 'alternate', items };
  }

  private parseConcat(): RegexNode {
    const items: RegexNode[] = [];
    while (this.at < this.source.length && !this.sees('|') && !this.sees(')')) {
      const isQuoted = this.source.startsWith('\\Q', this.at);
      const atoms = isQuoted ? this.parseQuoted() : [this.parseAtom()];
      const last = atoms.pop() ?? EMPTY;
      for (const atom of atoms) items.push(atom);
      items.push(this.parseRepeat(last));
    }
    const [only] = items;
    return items.length === 1 && only !== undefined ? only : { kind: 'concat', items };
  }

  /** Parses the repetition after an atom, if there is one: `a**` is an error, as in RE2. */
  private parseRepeat(atom: RegexNode): RegexNode {
    const opAt = this.at;
    const range = this.parseCount();
    if (range === undefined) return atom;
    this.take('?');
    if (this.parseCount() !== undefined) {
      throw invalid('bad repetition operator', this.source.slice(opAt, this.at));
    }
    const [min, max] = range;
    const isNothing = atom.kind === 'concat' && atom.items.length === 0;
    return isNothing ? atom : { kind: 'repeat', item: atom, min, max };
  }

  /** Parses `*`, `+`, `?`, `{n}`, `{n,}` or `{n,m}`; any other `{` is an ordinary character. */
  private parseCount(): readonly [number, number] | undefined {
    if (this.take('*')) return [0, Infinity];
    if (this.take('+')) return [1, Infinity];
    if (this.take('?')) return [0, 1];
    const written = this.match(/\{(\d{1,9})(?:(,)(\d{1,9})?)?\}/y);
    if (written === undefined) return undefined;
    const [text, low = '', comma, high] = written;
    const min = Number(low);
    const max = high === undefined ? (comma === undefined ? min : Infinity) : Number(high);
    const largest = Number.isFinite(max) ? max : min;
    if (min > REPEAT_MAX || largest > REPEAT_MAX || max < min) {
      throw invalid('invalid repetition size', text);
    }
    return [min, max];
  }

  private parseAtom(): RegexNode {
    const character = this.source.charAt(this.at);
    switch (character) {
      case '(':
        return this.parseGroup();
      case '[':
        return this.makeSet(this.parseBracket());
      case '\\':
        return this.parseEscape();
      case '.':
        this.at += 1;
        return this.makeSet(this.flags.s ? ANY : NOT_NEWLINE);
      case '^':
        this.at += 1;
        return makeAssert(this.flags.m ? RegexAssert.LineStart : RegexAssert.TextStart);
      case '$':
        this.at += 1;
        return makeAssert(this.flags.m ? RegexAssert.LineEnd : RegexAssert.TextEnd);
      case '*':
      case '+':
      case '?':
        throw invalid('missing argument to repetition operator', character);
      default:
        return this.makeLiteral(this.readCodePoint());
    }
  }

  private parseGroup(): RegexNode {
    const start = this.at;
    const outer = this.flags;
    this.at += 1;
    if (this.sees('?')) {
      const isNamed = this.match(/\?P?<([A-Za-z_]\w*)>/y) !== undefined;
      if (!isNamed) {
        const written = this.match(/\?([imsU]*)(?:-([imsU]+))?([:)])/y);
        if (written === undefined) throw invalid('invalid perl operator', this.rest(start, 4));
        this.flags = changeFlags(outer, written[1] ?? '', written[2] ?? '');
        // `(?i)` holds up to the end of the group that it is in.
        if (written[3] === ')') return EMPTY;
      }
    }
    const node = this.parseAlternate();
    if (!this.take(')')) throw invalid('missing )', this.source);
    this.flags = outer;
    return node;
  }

  private parseEscape(): RegexNode {
    const start = this.at;
    const letter = this.source.charAt(start + 1);
    const assert = { A: RegexAssert.TextStart, z: RegexAssert.TextEnd, b: RegexAssert.Word,
      B: RegexAssert.NotWord }[letter];
    if (assert !== undefined) {
      this.at += 2;
      return makeAssert(assert);
    }
    const set = this.parseClassEscape();
    return set === undefined ? this.makeLiteral(this.readEscape()) : this.makeSet(set);
  }

  /** Parses `\Q…\E`; without `\E` up to the end. A repetition after it is of the last character. */
  private parseQuoted(): RegexNode[] {
    const start = this.at + 2;
    const end = this.source.indexOf('\\E', start);
    const text = this.source.slice(start, end < 0 ? undefined : end);
    this.at = end < 0 ? this.source.length : end + 2;
    return Array.from(text, (letter) => this.makeLiteral(letter.codePointAt(0) ?? 0));
  }

  /** Parses `\d`, `\S`, `\pL`, `\P{Greek}`; undefined, and nothing read, if it is no class. */
  private parseClassEscape(): CodeSet | undefined {
    const letter = this.source.charAt(this.at + 1);
    const perl = PERL_CLASSES.get(letter.toLowerCase());
    if (perl !== undefined) {
      this.at += 2;
      return letter === letter.toLowerCase() ? perl : complement(perl);
    }
    if (letter !== 'p' && letter !== 'P') return undefined;
    const written = this.match(/\\[pP](?:\{(\^?)(\w+)\}|([A-Z]))/y);
    if (written === undefined) {
      throw invalid('invalid character class range', this.rest(this.at, 3));
    }
    const named = readUnicodeClass(written[2] ?? written[3] ?? '');
    const set = this.flags.i ? foldCase(named) : named;
    return (letter === 'P') === (written[1] === '^') ? set : complement(set);
  }

  private parseBracket(): CodeSet {
    const start = this.at;
    this.at += 1;
    const isNegated = this.take('^');
    const ranges: CodeRange[] = [];
    for (let isFirst = true; isFirst || !this.sees(']'); isFirst = false) {
      if (this.at >= this.source.length) throw invalid('missing ]', this.source.slice(start));
      const set = this.parsePosixClass() ?? (this.sees('\\') ? this.parseClassEscape() : undefined);
      const members = set ?? [this.parseRange()];
      this.countRanges(members.length);
      for (const member of members) ranges.push(member);
    }
    this.at += 1;
    const set = this.flags.i ? foldCase(unite(ranges)) : unite(ranges);
    return isNegated ? complement(set) : set;
  }

  private parsePosixClass(): CodeSet | undefined {
    const written = this.match(/\[:(\^?)(\w*):\]/y);
    if (written === undefined) return undefined;
    const set = POSIX_CLASSES.get(written[2] ?? '');
    if (set === undefined) throw invalid('invalid character class range', written[0]);
    return written[1] === '^' ? complement(set) : set;
  }

  /** Parses `a` or `a-z` between brackets; a `-` before the closing bracket stands for itself. */
  private parseRange(): CodeRange {
    const start = this.at;
    const first = this.readMember();
    const isRange = this.sees('-') && this.source.charAt(this.at + 1) !== ']';
    if (!isRange || this.at + 1 >= this.source.length) return [first, first];
    this.at += 1;
    const last = this.readMember();
    if (last < first) {
      throw invalid('invalid character class range', this.source.slice(start, this.at));
    }
    return [first, last];
  }

  private readMember(): number {
    return this.sees('\\') ? this.readEscape() : this.readCodePoint();
  }

  /** Reads an escape that stands for one character. */
  private readEscape(): number {
    if (this.at + 1 >= this.source.length) throw invalid('trailing \\ at end of expression', '\\');
    const written =
      this.match(/\\x(?:\{([0-9A-Fa-f]{1,8})\}|([0-9A-Fa-f]{2}))/y) ??
      this.match(/\\()()(0[0-7]{0,2}|[1-7][0-7]{1,2})/y);
    if (written !== undefined) {
      const [text, braced, plain, octal] = written;
      const code = octal === undefined ? parseInt(braced || plain || '', 16) : parseInt(octal, 8);
      const isSurrogate = code >= 0xd800 && code <= 0xdfff;
      if (code > CODE_POINT_MAX || isSurrogate) throw invalid('invalid escape sequence', text);
      return code;
    }
    const letter = this.source.charAt(this.at + 1);
    const single = SINGLE_ESCAPES.get(letter);
    if (single === undefined && /[0-9A-Za-z]/.test(letter)) {
      throw invalid('invalid escape sequence', this.rest(this.at, 2));
    }
    this.at += 1;
    const code = this.readCodePoint();
    return single ?? code;
  }

  private readCodePoint(): number {
    const code = this.source.codePointAt(this.at) ?? 0;
    this.at += code > 0xffff ? 2 : 1;
    return code;
  }

  private makeLiteral(code: number): RegexNode {
    const set: CodeSet = [[code, code]];
    return this.makeSet(this.flags.i ? foldCase(set) : set);
  }

  private makeSet(set: CodeSet): RegexNode {
    this.countRanges(set.length);
    return { kind: 'set', set };
  }

  private countRanges(count: number): void {
    this.rangeCount += count;
    if (this.rangeCount > INSTRUCTIONS_MAX) {
      throw tooLarge(`more than ${INSTRUCTIONS_MAX} instructions`);
    }
  }

  private sees(character: string): boolean {
    return this.source.charAt(this.at) === character;
  }

  private take(character: string): boolean {
    if (!this.sees(character)) return false;
    this.at += 1;
    return true;
  }

  /** Moves past what a sticky pattern matches here. */
  private match(pattern: RegExp): RegExpExecArray | undefined {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.source) ?? undefined;
    if (found !== undefined) this.at += found[0].length;
    return found;
  }

  private rest(start: number, length: number): string {
    return this.source.slice(start, start + length);
  }
}

function makeAssert(assert: RegexAssert): RegexNode {
  return { kind: 'assert', assert };
}

function changeFlags(flags: Flags, on: string, off: string): Flags {
  const change = (flag: 'i' | 'm' | 's'): boolean =>
    (flags[flag] || on.includes(flag)) && !off.includes(flag);
  return { i: change('i'), m: change('m'), s: change('s') };
}

/** Repetitions inside one another multiply: a bound on the product bounds the work of compiling. */
function checkRepeats(node: RegexNode, times: number): void {
  switch (node.kind) {
    case 'set':
    case 'assert':
      return;
    case 'concat':
    case 'alternate':
      for (const item of node.items) checkRepeats(item, times);
      return;
    case 'repeat': {
      const { item, min, max } = node;
      const product = times * Math.max(1, Number.isFinite(max) ? max : min);
      if (product > REPEAT_MAX) {
        throw invalid('invalid repetition size', `repetitions of repetitions, ${product} times`);
      }
      checkRepeats(item, product);
    }
  }
}

function invalid(what: string, where: string): FilterError {
  return new FilterError(`invalid regex pattern: ${what}: ${where}`);
}
