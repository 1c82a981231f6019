// Lists of constants in a filter's text, `[1, 2, 3]`. They are read apart from the rest of the
// grammar because they may be long: a few thousand values at a time, so that a list of 100,000 keys
// does not hold the event loop (P9).

import { nextTurn, VALUES_PER_TURN } from '../base/turns.ts';
import { FilterError } from './filter-error.ts';
import { Lexer, TokenKind } from './lexer.ts';
import type { ValueList } from './plan.ts';
import { ValueListBuilder } from './value-list.ts';

/** A list of nothing but constants. */
export interface ReadList {
  readonly list: ValueList;
  /** Offset after the closing bracket. */
  readonly end: number;
}

/** By the offset of the opening bracket. */
export type ReadLists = ReadonlyMap<number, ReadList>;

/** Shorter texts are read in one turn of the event loop. */
const LONG_TEXT = 4096;

/**
 * Reads the lists of a long filter, in turns of the event loop; of a short one none. What stands in
 * a string may look like a list: such an entry is of no use, and does no harm.
 */
export async function readLongLists(text: string): Promise<ReadLists> {
  const lists = new Map<number, ReadList>();
  if (text.length < LONG_TEXT) return lists;
  let work = 0;
  for (let at = text.indexOf('['); at >= 0; ) {
    const reader = new ListReader(text, at);
    let count: number;
    do {
      count = reader.read(VALUES_PER_TURN);
      work += count + 1;
      if (work >= VALUES_PER_TURN) {
        await nextTurn();
        work = 0;
      }
    } while (count === VALUES_PER_TURN);
    if (reader.result !== undefined) lists.set(at, reader.result);
    at = text.indexOf('[', Math.max(at + 1, reader.position));
  }
  return lists;
}

/** Returns the list that begins at this offset; undefined if it is more than constants. */
export function readList(text: string, at: number): ReadList | undefined {
  const reader = new ListReader(text, at);
  reader.read(Number.POSITIVE_INFINITY);
  return reader.result;
}

class ListReader {
  /** Set when the closing bracket has been read. */
  result: ReadList | undefined;
  readonly #lexer: Lexer;
  readonly #builder = new ValueListBuilder();

  constructor(text: string, at: number) {
    this.#lexer = new Lexer(text, at);
  }

  /** How far the text has been read. */
  get position(): number {
    return this.#lexer.start;
  }

  /** Reads on; returns how many values, which is less than `countMax` when there are no more. */
  read(countMax: number): number {
    let count = 0;
    try {
      while (count < countMax && this.#readItem()) count += 1;
    } catch (error) {
      // The parser meets the same mistake, and knows what it was about to read.
      if (!(error instanceof FilterError)) throw error;
    }
    return count;
  }

  /** Reads `[` or `,` and the value after it, or the end. */
  #readItem(): boolean {
    const lexer = this.#lexer;
    lexer.next();
    if (lexer.isSymbol(']')) return this.#finish();
    const isNegative = lexer.isSymbol('-');
    if (isNegative) lexer.next();
    if (!this.#readValue(isNegative)) return false;
    lexer.next();
    return lexer.isSymbol(',') || this.#finish();
  }

  #readValue(isNegative: boolean): boolean {
    const lexer = this.#lexer;
    if (lexer.kind === TokenKind.Integer) {
      const value = isNegative ? -lexer.integer : lexer.integer;
      if (BigInt.asIntN(64, value) !== value) return false;
      this.#builder.addInt64(value);
    } else if (lexer.kind === TokenKind.Float) {
      this.#builder.add({ kind: 'double', value: isNegative ? -lexer.float : lexer.float });
    } else if (lexer.kind === TokenKind.String && !isNegative) {
      this.#builder.addString(lexer.text);
    } else if (lexer.kind === TokenKind.Boolean && !isNegative) {
      this.#builder.add({ kind: 'bool', value: lexer.boolean });
    } else {
      return false;
    }
    return true;
  }

  /** Ends a list whose closing bracket should be the current token. */
  #finish(): false {
    const { end } = this.#lexer;
    if (this.#lexer.isSymbol(']')) this.result = { list: this.#builder.finish(), end };
    return false;
  }
}
