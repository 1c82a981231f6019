// Writes a plan in the binary form that native reads; docs/formats/plan.md is the byte table.
// Little-endian, no padding, pre-order. The bytes live only in memory, so there is no version but
// the magic number.

import { strict as assert } from 'node:assert';

import { nextTurn, VALUES_PER_TURN } from '../base/turns.ts';
import type { Literal, Operand, PlanNode, RegexProgram, ValueList } from './plan.ts';

export const PLAN_MAGIC = 0x31504c45;

/** Children of one `and` or `or`: the count is a u16, longer chains are nested. */
export const CHILDREN_MAX = 0xffff;

export const NODE_TAGS = {
  const: 0x01, and: 0x02, or: 0x03, not: 0x04, compare: 0x10, compareOperands: 0x11, range: 0x12,
  in: 0x13, arith: 0x14, like: 0x15, isNull: 0x16, exists: 0x17, contains: 0x18, arrayLength: 0x19,
  regex: 0x1a,
} as const satisfies Record<PlanNode['node'], number>;

export const OPERAND_TAGS = { field: 0, element: 1, path: 2 } as const;

export const LITERAL_TAGS = { bool: 1, int64: 2, double: 3, string: 4, array: 5 } as const;

const INITIAL_BYTES = 256;

/** Returns the binary form of a plan; the buffer belongs to the caller. */
export function encodePlan(plan: PlanNode): Uint8Array {
  const writer = new PlanWriter();
  writer.u32(PLAN_MAGIC);
  for (const _step of writeNode(writer, plan));
  return writer.finish();
}

/** The same; long lists take several turns of the event loop. */
export async function encodePlanInTurns(plan: PlanNode): Promise<Uint8Array> {
  const writer = new PlanWriter();
  writer.u32(PLAN_MAGIC);
  for (const _step of writeNode(writer, plan)) await nextTurn();
  return writer.finish();
}

/** Writes a node in steps. */
function* writeNode(writer: PlanWriter, plan: PlanNode): Generator<void> {
  writer.u8(NODE_TAGS[plan.node]);
  switch (plan.node) {
    case 'const':
      writer.u8(plan.value === null ? 2 : Number(plan.value));
      return;
    case 'and':
    case 'or':
      yield* writeChildren(writer, plan.node, plan.children);
      return;
    case 'not':
      yield* writeNode(writer, plan.child);
      return;
    case 'in':
      writeOperand(writer, plan.operand);
      yield* writeList(writer, plan.list);
      return;
    case 'contains':
      writeOperand(writer, plan.operand);
      writer.u8(plan.mode);
      yield* writeList(writer, plan.list);
      return;
    default:
      writeLeaf(writer, plan);
  }
}

function* writeChildren(
  writer: PlanWriter,
  node: 'and' | 'or',
  children: readonly PlanNode[],
): Generator<void> {
  if (children.length <= CHILDREN_MAX) {
    writer.u16(children.length);
    for (const child of children) yield* writeNode(writer, child);
    return;
  }
  // 65,535 groups of 65,535 are more than any text holds, so one more level is always enough.
  const groups: PlanNode[] = [];
  for (let start = 0; start < children.length; start += CHILDREN_MAX) {
    groups.push({ node, children: children.slice(start, start + CHILDREN_MAX) });
  }
  yield* writeChildren(writer, node, groups);
}

type LeafNode = Exclude<PlanNode, { node: 'const' | 'and' | 'or' | 'not' | 'in' | 'contains' }>;

function writeLeaf(writer: PlanWriter, leaf: LeafNode): void {
  if (leaf.node === 'compareOperands') {
    writeOperand(writer, leaf.left);
    writer.u8(leaf.op);
    writeOperand(writer, leaf.right);
    return;
  }
  writeOperand(writer, leaf.operand);
  switch (leaf.node) {
    case 'compare':
    case 'arrayLength':
      writer.u8(leaf.op);
      writeLiteral(writer, leaf.value);
      return;
    case 'range':
      writer.u8(Number(leaf.lowerInclusive) + 2 * Number(leaf.upperInclusive));
      writeLiteral(writer, leaf.lower);
      writeLiteral(writer, leaf.upper);
      return;
    case 'arith':
      writer.u8(leaf.arith);
      writeLiteral(writer, leaf.right);
      writer.u8(leaf.op);
      writeLiteral(writer, leaf.value);
      return;
    case 'like':
      writer.u8(leaf.like);
      writer.string(leaf.pattern);
      return;
    case 'regex':
      writer.u8(Number(leaf.negated));
      writer.string(leaf.pattern);
      writeProgram(writer, leaf.program);
      return;
    case 'isNull':
    case 'exists':
      return;
  }
}

function writeProgram(writer: PlanWriter, { start, instructions }: RegexProgram): void {
  writer.u32(instructions.length);
  writer.u32(start);
  for (const { op, low, high, next, other } of instructions) {
    writer.u8(op);
    writer.u8(low);
    writer.u8(high);
    writer.u32(next);
    writer.u32(other);
  }
}

function writeOperand(writer: PlanWriter, operand: Operand): void {
  writer.i64(operand.fieldId);
  writer.u8(operand.dataType);
  writer.u8(operand.elementType);
  writer.u8(OPERAND_TAGS[operand.kind]);
  if (operand.kind === 'element') writer.u32(operand.index);
  if (operand.kind !== 'path') return;
  writer.u16(operand.path.length);
  for (const step of operand.path) {
    if (typeof step === 'string') {
      writer.u8(0);
      writer.string(step);
    } else {
      writer.u8(1);
      writer.u32(step);
    }
  }
}

function* writeList(writer: PlanWriter, list: ValueList): Generator<void> {
  if (list.kind === 'mixed') {
    writeLiterals(writer, list.values);
    return;
  }
  writer.u32(list.values.length);
  if (list.kind === 'int64') {
    writer.integers(LITERAL_TAGS.int64, list.values);
    return;
  }
  for (let from = 0; from < list.values.length; from += VALUES_PER_TURN) {
    if (from > 0) yield;
    for (const value of list.values.slice(from, from + VALUES_PER_TURN)) {
      writer.u8(LITERAL_TAGS.string);
      writer.string(value);
    }
  }
}

function writeLiterals(writer: PlanWriter, literals: readonly Literal[]): void {
  writer.u32(literals.length);
  for (const literal of literals) writeLiteral(writer, literal);
}

function writeLiteral(writer: PlanWriter, literal: Literal): void {
  writer.u8(LITERAL_TAGS[literal.kind]);
  switch (literal.kind) {
    case 'bool':
      writer.u8(Number(literal.value));
      return;
    case 'int64':
      writer.i64(literal.value);
      return;
    case 'double':
      writer.f64(literal.value);
      return;
    case 'string':
      writer.string(literal.value);
      return;
    case 'array':
      writeLiterals(writer, literal.value);
  }
}

/** A buffer that doubles; writes check the ranges of their arguments. */
class PlanWriter {
  private bytes = Buffer.from(new ArrayBuffer(INITIAL_BYTES));
  private view = new DataView(this.bytes.buffer);
  private length = 0;

  u8(value: number): void {
    assert(value >= 0 && value <= 0xff);
    const at = this.reserve(1);
    this.bytes[at] = value;
  }

  u16(value: number): void {
    assert(value >= 0 && value <= 0xffff);
    const at = this.reserve(2);
    this.view.setUint16(at, value, true);
  }

  u32(value: number): void {
    assert(value >= 0 && value <= 0xffffffff);
    const at = this.reserve(4);
    this.view.setUint32(at, value, true);
  }

  i64(value: bigint): void {
    const at = this.reserve(8);
    this.view.setBigInt64(at, value, true);
  }

  f64(value: number): void {
    const at = this.reserve(8);
    this.view.setFloat64(at, value, true);
  }

  /** Each with the tag before it. */
  integers(tag: number, values: BigInt64Array): void {
    let at = this.reserve(9 * values.length);
    const { bytes, view } = this;
    // By halves: a bigint for each value would be garbage.
    const words = new Uint32Array(values.buffer, values.byteOffset, 2 * values.length);
    for (let i = 0; i < words.length; i += 2) {
      bytes[at] = tag;
      view.setUint32(at + 1, words[i]!, true);
      view.setUint32(at + 5, words[i + 1]!, true);
      at += 9;
    }
  }

  string(value: string): void {
    const byteCount = Buffer.byteLength(value);
    this.u32(byteCount);
    const at = this.reserve(byteCount);
    this.bytes.write(value, at, byteCount, 'utf8');
  }

  finish(): Uint8Array {
    return Uint8Array.prototype.slice.call(this.bytes, 0, this.length);
  }

  /**
   * Makes room for `count` bytes and returns where they begin; `bytes` and `view` may be new ones
   * after.
   */
  private reserve(count: number): number {
    const at = this.length;
    this.length += count;
    if (this.length > this.bytes.length) {
      const grown = Buffer.from(new ArrayBuffer(Math.max(2 * this.bytes.length, this.length)));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
      this.view = new DataView(grown.buffer);
    }
    return at;
  }
}
