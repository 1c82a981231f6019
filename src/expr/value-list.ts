// Lists of constants: built value by value, and seen as single constants where a list is short or
// its values are looked at one by one.

import { FilterError } from './filter-error.ts';
import type { Literal, ValueList } from './plan.ts';

const FIRST_LENGTH = 16;
/** Constants that are an object each, in one list: what is neither all int64 nor all texts. */
const OBJECTS_MAX = 1 << 20;
const TEXTS_MAX = 1 << 22;
const NO_INTEGERS = new BigInt64Array(0);

/** Collects constants; as long as all are int64, or all are strings, without an object for each. */
export class ValueListBuilder {
  #integers: BigInt64Array = NO_INTEGERS;
  #integerCount = 0;
  #strings: string[] = [];
  /** Whatever does not go with the first value. */
  #mixed: Literal[] | undefined;

  addInt64(value: bigint): void {
    if (this.#strings.length > 0) this.#mix();
    if (this.#mixed !== undefined) {
      this.#push({ kind: 'int64', value });
      return;
    }
    if (this.#integerCount === this.#integers.length) {
      const grown = new BigInt64Array(Math.max(FIRST_LENGTH, 2 * this.#integerCount));
      grown.set(this.#integers);
      this.#integers = grown;
    }
    this.#integers[this.#integerCount] = value;
    this.#integerCount += 1;
  }

  addString(value: string): void {
    if (this.#integerCount > 0) this.#mix();
    if (this.#mixed !== undefined) {
      this.#push({ kind: 'string', value });
      return;
    }
    requireRoom(this.#strings.length, TEXTS_MAX);
    this.#strings.push(value);
  }

  add(literal: Literal): void {
    if (literal.kind === 'int64') this.addInt64(literal.value);
    else if (literal.kind === 'string') this.addString(literal.value);
    else {
      this.#mix();
      this.#push(literal);
    }
  }

  finish(): ValueList {
    if (this.#mixed !== undefined) return { kind: 'mixed', values: this.#mixed };
    if (this.#integerCount > 0) {
      return { kind: 'int64', values: this.#integers.slice(0, this.#integerCount) };
    }
    if (this.#strings.length > 0) return { kind: 'string', values: this.#strings };
    return NO_VALUES;
  }

  #push(literal: Literal): void {
    requireRoom(this.#mixed!.length, OBJECTS_MAX);
    this.#mixed!.push(literal);
  }

  #mix(): void {
    if (this.#mixed !== undefined) return;
    this.#mixed = [...toLiterals(this.finish())];
    this.#integerCount = 0;
    this.#strings = [];
  }
}

function requireRoom(count: number, max: number): void {
  if (count < max) return;
  throw new FilterError(`a list of such values holds at most ${max} of them`);
}

/** @throws FilterError when so many values cannot be an object each */
export function requireFewLiterals(count: number): void {
  requireRoom(count - 1, OBJECTS_MAX);
}

export const NO_VALUES: ValueList = { kind: 'mixed', values: [] };

export function toValueList(literals: readonly Literal[]): ValueList {
  const builder = new ValueListBuilder();
  for (const literal of literals) builder.add(literal);
  return builder.finish();
}

/**
 * Returns a list as single constants.
 * @throws FilterError when they are too many to be an object each
 */
export function toLiterals(list: ValueList): readonly Literal[] {
  requireFewLiterals(list.values.length);
  switch (list.kind) {
    case 'int64':
      return Array.from(list.values, (value) => ({ kind: 'int64', value }));
    case 'string':
      return list.values.map((value) => ({ kind: 'string', value }));
    case 'mixed':
      return list.values;
  }
}
