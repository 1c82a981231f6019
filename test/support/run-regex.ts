// Runs a regular expression's program over a text, one set of instructions at a time: the slow
// twin of native's automaton, to see what the compiler in TypeScript makes.

import type { RegexInstruction, RegexProgram } from '../../src/expr/plan.ts';
import { RegexOp } from '../../src/expr/regex-program.ts';

/** Returns whether the program matches anywhere in the text. */
export function runRegex({ start, instructions }: RegexProgram, text: string): boolean {
  const bytes = Buffer.from(text);
  let waiting = new Set<number>();
  for (let at = 0; at <= bytes.length; at += 1) {
    const places = [...waiting, start];
    const seen = new Set<number>();
    const after = new Set<number>();
    for (let place = places.pop(); place !== undefined; place = places.pop()) {
      const instruction = instructions[place];
      if (instruction === undefined) throw new Error(`no instruction ${place}`);
      if (seen.has(place)) continue;
      seen.add(place);
      const { op, low, high, next, other } = instruction;
      const byte = bytes[at] ?? -1;
      if (op === RegexOp.Match) return true;
      if (op === RegexOp.Split) places.push(next, other);
      if (op === RegexOp.Assert && holds(instruction, bytes, at)) places.push(next);
      if (op === RegexOp.Byte && low <= byte && byte <= high) after.add(next);
    }
    waiting = after;
  }
  return false;
}

function holds({ low }: RegexInstruction, bytes: Uint8Array, at: number): boolean {
  const isWord = (byte: number | undefined): boolean =>
    byte !== undefined && byte < 128 && /\w/.test(String.fromCharCode(byte));
  const isBoundary = isWord(bytes[at - 1]) !== isWord(bytes[at]);
  const isStart = at === 0;
  const isEnd = at === bytes.length;
  const newline = 10;
  return [
    isStart, isEnd, isStart || bytes[at - 1] === newline, isEnd || bytes[at] === newline,
    isBoundary, !isBoundary,
  ][low] ?? false;
}
