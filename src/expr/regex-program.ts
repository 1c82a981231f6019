// Compiles a regular expression to a program for native's automaton over UTF-8 bytes (Thompson's
// construction, backwards: every part is compiled knowing what comes after it). Patterns that are
// plain text become LIKE's matches. Sources: K. Thompson, "Regular expression search algorithm",
// CACM 1968; R. Cox, "Regular Expression Matching in the Wild", 2010 (byte ranges of UTF-8).

import type { LoweredLike } from './like-pattern.ts';
import { LikeKind } from './plan.ts';
import type { RegexInstruction, RegexProgram } from './plan.ts';
import type { CodeSet } from './regex-class.ts';
import { INSTRUCTIONS_MAX, parseRegex, RegexAssert, tooLarge } from './regex-parser.ts';
import type { RegexNode } from './regex-parser.ts';

export const RegexOp = { Byte: 0, Split: 1, Assert: 2, Match: 3 } as const;

/** Last code point of each length in UTF-8. */
const UTF8_LAST = [0x7f, 0x7ff, 0xffff, 0x10ffff] as const;
const UTF8_LEAD = [0, 0xc0, 0xe0, 0xf0] as const;

export interface CompiledRegex {
  readonly program: RegexProgram;
  /** The match of LIKE that means the same, if the pattern is plain text between anchors. */
  readonly like: LoweredLike | undefined;
}

/**
 * Returns what finds the pattern anywhere in a text.
 * @throws FilterError when the pattern is not a regular expression, or one too large
 */
export function compileRegex(pattern: string): CompiledRegex {
  const node = parseRegex(pattern);
  return { program: new ProgramWriter().write(node), like: lowerRegex(node) };
}

function lowerRegex(node: RegexNode): LoweredLike | undefined {
  const items: RegexNode[] = [];
  addItems(node, items);
  const isAssert = (item: RegexNode | undefined, assert: RegexAssert): boolean =>
    item?.kind === 'assert' && item.assert === assert;
  const begins = isAssert(items[0], RegexAssert.TextStart);
  if (begins) items.shift();
  const ends = isAssert(items.at(-1), RegexAssert.TextEnd);
  if (ends) items.pop();
  let text = '';
  for (const item of items) {
    const [range] = item.kind === 'set' && item.set.length === 1 ? item.set : [];
    if (range === undefined || range[0] !== range[1]) return undefined;
    text += String.fromCodePoint(range[0]);
  }
  if (begins) return { like: ends ? LikeKind.Equal : LikeKind.Prefix, pattern: text };
  return { like: ends ? LikeKind.Postfix : LikeKind.Inner, pattern: text };
}

/** Collects what follows one another, also out of groups. */
function addItems(node: RegexNode, items: RegexNode[]): void {
  if (node.kind !== 'concat') items.push(node);
  else for (const item of node.items) addItems(item, items);
}

class ProgramWriter {
  private readonly instructions: RegexInstruction[] = [];
  /** Byte instructions by what they do: the tails of a set's byte sequences are shared. */
  private readonly bytes = new Map<string, number>();

  write(node: RegexNode): RegexProgram {
    const match = this.emit({ op: RegexOp.Match, low: 0, high: 0, next: 0, other: 0 });
    const start = this.compile(node, match);
    return { start, instructions: this.instructions };
  }

  /** Returns where the code for `node`, then `next`, begins. */
  private compile(node: RegexNode, next: number): number {
    switch (node.kind) {
      case 'set':
        return this.compileSet(node.set, next);
      case 'assert':
        return this.emit({ op: RegexOp.Assert, low: node.assert, high: 0, next, other: 0 });
      case 'concat':
        return node.items.reduceRight((after, item) => this.compile(item, after), next);
      case 'alternate':
        return this.joinAll(node.items.map((item) => this.compile(item, next)));
      case 'repeat':
        return this.compileRepeat(node.item, node.min, node.max, next);
    }
  }

  private compileRepeat(item: RegexNode, min: number, max: number, next: number): number {
    let at = next;
    if (Number.isFinite(max)) {
      // x{0,2} is (x(x)?)?: every optional one may go to the end at once.
      for (let i = min; i < max; i += 1) at = this.split(this.compile(item, at), next);
    } else {
      const loop = this.split(0, next);
      const body = this.compile(item, loop);
      this.instructions[loop] = { op: RegexOp.Split, low: 0, high: 0, next: body, other: next };
      at = loop;
    }
    for (let i = 0; i < min; i += 1) at = this.compile(item, at);
    return at;
  }

  private compileSet(set: CodeSet, next: number): number {
    const starts = new Set<number>();
    for (const [first, last] of set) {
      for (const sequence of splitUtf8(first, last)) {
        starts.add(sequence.reduceRight((after, [low, high]) => this.byte(low, high, after), next));
      }
    }
    // No byte at all: a set without members never matches.
    if (starts.size === 0) starts.add(this.byte(1, 0, next));
    return this.joinAll([...starts]);
  }

  private byte(low: number, high: number, next: number): number {
    const key = `${low},${high},${next}`;
    let at = this.bytes.get(key);
    if (at === undefined) {
      at = this.emit({ op: RegexOp.Byte, low, high, next, other: 0 });
      this.bytes.set(key, at);
    }
    return at;
  }

  private joinAll(starts: readonly number[]): number {
    return starts.reduceRight((rest, start) => this.split(start, rest));
  }

  private split(next: number, other: number): number {
    return this.emit({ op: RegexOp.Split, low: 0, high: 0, next, other });
  }

  private emit(instruction: RegexInstruction): number {
    if (this.instructions.length >= INSTRUCTIONS_MAX) {
      throw tooLarge(`more than ${INSTRUCTIONS_MAX} instructions`);
    }
    return this.instructions.push(instruction) - 1;
  }
}

type ByteRange = readonly [number, number];

/** Yields byte ranges, one for each byte, whose sequences are the UTF-8 of first..last. */
function* splitUtf8(first: number, last: number): Generator<readonly ByteRange[]> {
  let low = first;
  for (const [index, limit] of UTF8_LAST.entries()) {
    if (low > last) return;
    const high = Math.min(last, limit);
    if (low <= high) yield* splitLength(low, high, index + 1);
    low = Math.max(low, limit + 1);
  }
}

/** Splits until the trailing bytes of every part run over all their values, or do not run. */
function* splitLength(low: number, high: number, length: number): Generator<readonly ByteRange[]> {
  for (let trailing = 1; trailing < length; trailing += 1) {
    const mask = 2 ** (6 * trailing) - 1;
    if ((low & ~mask) === (high & ~mask)) continue;
    const cut = (low & mask) !== 0
      ? (low | mask) + 1
      : (high & mask) !== mask ? high & ~mask : undefined;
    if (cut === undefined) continue;
    yield* splitLength(low, cut - 1, length);
    yield* splitLength(cut, high, length);
    return;
  }
  const [from, to] = [encodeUtf8(low, length), encodeUtf8(high, length)];
  yield from.map((byte, i): ByteRange => [byte, to[i] ?? byte]);
}

/** Surrogates too: no text has them, so their sequences match nothing. */
function encodeUtf8(code: number, length: number): number[] {
  const bytes: number[] = [];
  let rest = code;
  for (let i = 1; i < length; i += 1) {
    bytes.unshift(0x80 | (rest & 0x3f));
    rest >>= 6;
  }
  bytes.unshift((UTF8_LEAD[length - 1] ?? 0) | rest);
  return bytes;
}
