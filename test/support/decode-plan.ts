// Reads the binary form of a plan back, for tests: the opposite of encodePlan. Any deviation from
// the byte table of docs/formats/plan.md is an assertion failure.

import assert from 'node:assert/strict';

import { LITERAL_TAGS, NODE_TAGS, OPERAND_TAGS, PLAN_MAGIC } from '../../src/expr/encode-plan.ts';
import type {
  ArithOp, CompareOp, ContainsMode, LikeKind, Literal, Operand, PathStep, PlanNode, RegexProgram,
} from '../../src/expr/plan.ts';
import { toValueList } from '../../src/expr/value-list.ts';

const NODE_BY_TAG = invert(NODE_TAGS);
const OPERAND_BY_TAG = invert(OPERAND_TAGS);
const LITERAL_BY_TAG = invert(LITERAL_TAGS);

export function decodePlan(bytes: Uint8Array): PlanNode {
  const reader = new PlanReader(bytes);
  assert.equal(reader.u32(), PLAN_MAGIC);
  const plan = readNode(reader);
  assert.equal(reader.left, 0, 'bytes after the plan');
  return plan;
}

function readNode(reader: PlanReader): PlanNode {
  const node = require(NODE_BY_TAG, reader.u8());
  switch (node) {
    case 'const': {
      const value = reader.u8();
      return { node, value: value === 2 ? null : value === 1 };
    }
    case 'and':
    case 'or': {
      const count = reader.u16();
      return { node, children: Array.from({ length: count }, () => readNode(reader)) };
    }
    case 'not':
      return { node, child: readNode(reader) };
    default:
      return readLeaf(reader, node);
  }
}

function readLeaf(
  reader: PlanReader,
  node: Exclude<PlanNode['node'], 'const' | 'and' | 'or' | 'not'>,
): PlanNode {
  const operand = readOperand(reader);
  switch (node) {
    case 'compareOperands': {
      const op = reader.u8() as CompareOp;
      return { node, left: operand, op, right: readOperand(reader) };
    }
    case 'compare':
    case 'arrayLength':
      return { node, operand, op: reader.u8() as CompareOp, value: readLiteral(reader) };
    case 'range': {
      const flags = reader.u8();
      const lower = readLiteral(reader);
      const upper = readLiteral(reader);
      const lowerInclusive = (flags & 1) !== 0;
      return { node, operand, lower, lowerInclusive, upper, upperInclusive: (flags & 2) !== 0 };
    }
    case 'in':
      return { node, operand, list: toValueList(readLiterals(reader)) };
    case 'arith': {
      const arith = reader.u8() as ArithOp;
      const right = readLiteral(reader);
      const op = reader.u8() as CompareOp;
      return { node, operand, arith, right, op, value: readLiteral(reader) };
    }
    case 'like':
      return { node, operand, like: reader.u8() as LikeKind, pattern: reader.string() };
    case 'regex': {
      const negated = reader.u8() === 1;
      const pattern = reader.string();
      return { node, operand, negated, pattern, program: readProgram(reader) };
    }
    case 'contains': {
      const mode = reader.u8() as ContainsMode;
      return { node, operand, mode, list: toValueList(readLiterals(reader)) };
    }
    case 'isNull':
    case 'exists':
      return { node, operand };
  }
}

function readProgram(reader: PlanReader): RegexProgram {
  const count = reader.u32();
  const start = reader.u32();
  const instructions = Array.from({ length: count }, () => ({
    op: reader.u8(), low: reader.u8(), high: reader.u8(), next: reader.u32(), other: reader.u32(),
  }));
  return { start, instructions };
}

function readOperand(reader: PlanReader): Operand {
  const base = { fieldId: reader.i64(), dataType: reader.u8(), elementType: reader.u8() };
  const kind = require(OPERAND_BY_TAG, reader.u8());
  switch (kind) {
    case 'field':
      return { ...base, kind };
    case 'element':
      return { ...base, kind, index: reader.u32() };
    case 'path': {
      const count = reader.u16();
      const path = Array.from({ length: count }, (): PathStep =>
        reader.u8() === 0 ? reader.string() : reader.u32(),
      );
      return { ...base, kind, path };
    }
  }
}

function readLiterals(reader: PlanReader): Literal[] {
  const count = reader.u32();
  return Array.from({ length: count }, () => readLiteral(reader));
}

function readLiteral(reader: PlanReader): Literal {
  const kind = require(LITERAL_BY_TAG, reader.u8());
  switch (kind) {
    case 'bool':
      return { kind, value: reader.u8() === 1 };
    case 'int64':
      return { kind, value: reader.i64() };
    case 'double':
      return { kind, value: reader.f64() };
    case 'string':
      return { kind, value: reader.string() };
    case 'array':
      return { kind, value: readLiterals(reader) };
  }
}

function invert<Name extends string>(tags: Readonly<Record<Name, number>>): Map<number, Name> {
  return new Map((Object.keys(tags) as Name[]).map((name) => [tags[name], name]));
}

function require<Value>(map: ReadonlyMap<number, Value>, tag: number): Value {
  const value = map.get(tag);
  assert.ok(value !== undefined, `unknown tag ${tag}`);
  return value;
}

class PlanReader {
  private readonly bytes: Uint8Array;
  private readonly view: DataView;
  private offset = 0;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  get left(): number {
    return this.bytes.length - this.offset;
  }

  u8(): number {
    return this.view.getUint8(this.skip(1));
  }

  u16(): number {
    return this.view.getUint16(this.skip(2), true);
  }

  u32(): number {
    return this.view.getUint32(this.skip(4), true);
  }

  i64(): bigint {
    return this.view.getBigInt64(this.skip(8), true);
  }

  f64(): number {
    return this.view.getFloat64(this.skip(8), true);
  }

  string(): string {
    const length = this.u32();
    const start = this.skip(length);
    const bytes = this.bytes.subarray(start, start + length);
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
  }

  private skip(count: number): number {
    const at = this.offset;
    this.offset += count;
    return at;
  }
}
