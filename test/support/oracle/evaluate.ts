// The filter evaluator's slow twin: one row at a time, each rule of docs/formats/plan.md spelled
// out once. Three-valued: true, false, or null where SQL would say unknown.

import { DataType, isIntegerType } from '../../../src/model/data-type.ts';
import { ArithOp, CompareOp, ContainsMode, LikeKind } from '../../../src/expr/plan.ts';
import type { Literal, Operand, PathStep, PlanNode } from '../../../src/expr/plan.ts';
import { toLiterals } from '../../../src/expr/value-list.ts';
import type { JsonValue } from '../json-value.ts';

/**
 * A row's value of a field. Integer fields: bigint or number. FLOAT and DOUBLE: number. Array:
 * a list of those. JSON: what parseJson gives, where null is the document `null`. A null field is
 * undefined, or null for every type but JSON.
 */
export type FieldValue = JsonValue | undefined;

export interface OracleRow {
  getValue(fieldId: bigint): FieldValue;
}

/**
 * A value and how it compares: FLOAT compares in 32 bits. Objects and JSON null compare with
 * nothing.
 */
type Scalar = { readonly value: JsonValue; readonly isFloat: boolean };

/** What an operand reads: SQL's null, nothing there, or a value. */
type Reading = 'null' | 'missing' | Scalar;

/** Returns whether the row satisfies the plan; null is unknown. */
export function evaluateRow(node: PlanNode, row: OracleRow): boolean | null {
  switch (node.node) {
    case 'const':
      return node.value;
    case 'and':
      return evaluateChildren(node.children, row, false);
    case 'or':
      return evaluateChildren(node.children, row, true);
    case 'not': {
      const value = evaluateRow(node.child, row);
      return value === null ? null : !value;
    }
    case 'isNull':
      return isNullOrMissing(node.operand, row);
    case 'exists':
      return !isNullOrMissing(node.operand, row);
    case 'compareOperands': {
      const left = read(node.left, row);
      const right = read(node.right, row);
      if (left === 'null' || right === 'null') return null;
      if (left === 'missing' || right === 'missing') return false;
      return holds(order(left.value, right.value), node.op);
    }
    default: {
      const reading = read(node.operand, row);
      if (node.node === 'regex' && node.negated) return !matchesRegex(reading, node.pattern);
      if (reading === 'null' || reading === 'missing') return null;
      return isComparable(node, reading.value) ? evaluateLeaf(node, reading) : null;
    }
  }
}

/** `and` is decided by false, `or` by true; else one null makes null. */
function evaluateChildren(
  children: readonly PlanNode[],
  row: OracleRow,
  decides: boolean,
): boolean | null {
  const values = children.map((child) => evaluateRow(child, row));
  if (values.includes(decides)) return decides;
  return values.includes(null) ? null : !decides;
}

function isNullOrMissing(operand: Operand, row: OracleRow): boolean {
  const reading = read(operand, row);
  if (reading === 'null' || reading === 'missing') return true;
  return operand.kind === 'path' && reading.value === null;
}

type LeafNode = Exclude<
  PlanNode,
  { node: 'const' | 'and' | 'or' | 'not' | 'isNull' | 'exists' | 'compareOperands' }
>;

/**
 * Whether the leaf can decide about a value of this type: a JSON value of another type is unknown.
 */
function isComparable(leaf: LeafNode, value: JsonValue): boolean {
  switch (leaf.node) {
    case 'compare':
      return hasKind(value, leaf.value);
    case 'range':
      return hasKind(value, leaf.lower);
    case 'in':
      if (leaf.list.values.length === 0) return value !== null && !(value instanceof Map);
      return toLiterals(leaf.list).some((literal) => hasKind(value, literal));
    case 'arith':
      return isNumeric(value);
    case 'like':
    case 'regex':
      return typeof value === 'string';
    case 'contains':
    case 'arrayLength':
      return Array.isArray(value);
  }
}

function hasKind(value: JsonValue, literal: Literal): boolean {
  switch (literal.kind) {
    case 'bool':
      return typeof value === 'boolean';
    case 'string':
      return typeof value === 'string';
    case 'array':
      return Array.isArray(value);
    default:
      return isNumeric(value);
  }
}

function evaluateLeaf(leaf: LeafNode, reading: Scalar): boolean {
  switch (leaf.node) {
    case 'compare':
      return holds(orderLiteral(reading, leaf.value), leaf.op);
    case 'range':
      return isInRange(reading, leaf);
    case 'in':
      return toLiterals(leaf.list).some((value) => orderLiteral(reading, value) === 0);
    case 'arith':
      return evaluateArith(leaf, reading.value);
    case 'like':
      return typeof reading.value === 'string' && matchLike(reading.value, leaf.like, leaf.pattern);
    case 'regex':
      return matchesRegex(reading, leaf.pattern);
    case 'contains':
      return evaluateContains(leaf, reading.value);
    case 'arrayLength': {
      if (!Array.isArray(reading.value)) return false;
      const length: Scalar = { value: BigInt(reading.value.length), isFloat: false };
      return holds(orderLiteral(length, leaf.value), leaf.op);
    }
  }
}

function isInRange(reading: Scalar, leaf: LeafNode & { node: 'range' }): boolean {
  const above = leaf.lowerInclusive ? CompareOp.Ge : CompareOp.Gt;
  const below = leaf.upperInclusive ? CompareOp.Le : CompareOp.Lt;
  return (
    holds(orderLiteral(reading, leaf.lower), above) &&
    holds(orderLiteral(reading, leaf.upper), below)
  );
}

function evaluateContains(leaf: LeafNode & { node: 'contains' }, list: JsonValue): boolean {
  if (!Array.isArray(list)) return false;
  const isFloat = leaf.operand.elementType === DataType.Float;
  const has = (literal: Literal): boolean =>
    list.some((value) => orderLiteral({ value, isFloat }, literal) === 0);
  const values = toLiterals(leaf.list);
  return leaf.mode === ContainsMode.All ? values.every(has) : values.some(has);
}

/** Reads what the operand names in the row. Integers come as bigint, whatever the row holds. */
function read(operand: Operand, row: OracleRow): Reading {
  const { dataType, elementType } = operand;
  const value = row.getValue(operand.fieldId);
  if (value === undefined || (value === null && dataType !== DataType.JSON)) return 'null';
  switch (operand.kind) {
    case 'field':
      return { value: normalize(value, dataType, elementType), isFloat: isFloatLike(operand) };
    case 'element': {
      const element = Array.isArray(value) ? value[operand.index] : undefined;
      if (element === undefined) return 'missing';
      return { value: normalize(element, elementType, 0), isFloat: isFloatLike(operand) };
    }
    case 'path': {
      const found = walk(value, operand.path);
      return found === undefined ? 'missing' : { value: found, isFloat: false };
    }
  }
}

function isFloatLike({ dataType, elementType }: Operand): boolean {
  return (dataType === DataType.Array ? elementType : dataType) === DataType.Float;
}

function normalize(value: JsonValue, dataType: number, elementType: number): JsonValue {
  if (Array.isArray(value) && dataType === DataType.Array) {
    return value.map((element) => normalize(element, elementType, 0));
  }
  return isIntegerType(dataType) && typeof value === 'number' ? BigInt(value) : value;
}

/** A text step is a key of an object, a number an index of an array; never the other way round. */
function walk(document: JsonValue, path: readonly PathStep[]): JsonValue | undefined {
  let value: JsonValue | undefined = document;
  for (const step of path) {
    if (value instanceof Map && typeof step === 'string') value = value.get(step);
    else if (Array.isArray(value) && typeof step === 'number') value = value[step];
    else return undefined;
  }
  return value;
}

function orderLiteral({ value, isFloat }: Scalar, literal: Literal): number {
  if (literal.kind === 'array') return equalsList(value, literal.value, isFloat) ? 0 : Number.NaN;
  if (!isFloat || typeof value !== 'number') return order(value, literal.value);
  return order(Math.fround(value), Math.fround(Number(literal.value)));
}

function equalsList(value: JsonValue, literals: readonly Literal[], isFloat: boolean): boolean {
  if (!Array.isArray(value) || value.length !== literals.length) return false;
  return literals.every((literal, i) => {
    const element = value[i];
    return element !== undefined && orderLiteral({ value: element, isFloat }, literal) === 0;
  });
}

/** Returns negative, 0, positive, or NaN for values that do not compare. */
function order(left: JsonValue, right: JsonValue): number {
  if (isNumeric(left) && isNumeric(right)) {
    if (typeof left === 'bigint' && typeof right === 'bigint') {
      if (left === right) return 0;
      return left < right ? -1 : 1;
    }
    const [a, b] = [Number(left), Number(right)];
    if (a === b) return 0;
    if (a < b) return -1;
    return a > b ? 1 : Number.NaN;
  }
  if (typeof left === 'string' && typeof right === 'string') {
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  if (typeof left === 'boolean' && typeof right === 'boolean') return Number(left) - Number(right);
  return Number.NaN;
}

function isNumeric(value: JsonValue): value is bigint | number {
  return typeof value === 'bigint' || typeof value === 'number';
}

/** NaN satisfies `!=` only. */
function holds(sorted: number, op: CompareOp): boolean {
  switch (op) {
    case CompareOp.Eq:
      return sorted === 0;
    case CompareOp.Ne:
      return sorted !== 0;
    case CompareOp.Lt:
      return sorted < 0;
    case CompareOp.Le:
      return sorted <= 0;
    case CompareOp.Gt:
      return sorted > 0;
    case CompareOp.Ge:
      return sorted >= 0;
  }
}

function evaluateArith(leaf: LeafNode & { node: 'arith' }, value: JsonValue): boolean {
  const right = leaf.right.value;
  let result: bigint | number | undefined;
  if (typeof value === 'bigint' && typeof right === 'bigint') {
    result = calculateIntegers(value, leaf.arith, right);
  } else if (isNumeric(value) && (typeof right === 'bigint' || typeof right === 'number')) {
    result = calculateDoubles(Number(value), leaf.arith, Number(right));
  }
  // Not a number, or the bits of a double: false, `!=` too.
  if (result === undefined) return false;
  return holds(orderLiteral({ value: result, isFloat: false }, leaf.value), leaf.op);
}

/** BigInt's `/` truncates and its `%` has the dividend's sign, as the plan wants. */
function calculateIntegers(left: bigint, arith: ArithOp, right: bigint): bigint {
  switch (arith) {
    case ArithOp.Add:
      return left + right;
    case ArithOp.Sub:
      return left - right;
    case ArithOp.Mul:
      return left * right;
    case ArithOp.Div:
      return left / right;
    case ArithOp.Mod:
      return left % right;
    case ArithOp.BitAnd:
      return left & right;
    case ArithOp.BitOr:
      return left | right;
    case ArithOp.BitXor:
      return left ^ right;
  }
}

function calculateDoubles(left: number, arith: ArithOp, right: number): number | undefined {
  switch (arith) {
    case ArithOp.Add:
      return left + right;
    case ArithOp.Sub:
      return left - right;
    case ArithOp.Mul:
      return left * right;
    case ArithOp.Div:
      return left / right;
    case ArithOp.Mod:
      return left % right;
    default:
      return undefined;
  }
}

/** For patterns that mean the same in RE2 and in JavaScript. */
function matchesRegex(reading: Reading, pattern: string): boolean {
  if (typeof reading === 'string' || typeof reading.value !== 'string') return false;
  return new RegExp(pattern, 'u').test(reading.value);
}

function matchLike(text: string, like: LikeKind, pattern: string): boolean {
  switch (like) {
    case LikeKind.Equal:
      return text === pattern;
    case LikeKind.Prefix:
      return text.startsWith(pattern);
    case LikeKind.Postfix:
      return text.endsWith(pattern);
    case LikeKind.Inner:
      return text.includes(pattern);
    case LikeKind.Pattern:
      return toRegExp(pattern).test(text);
  }
}

function toRegExp(pattern: string): RegExp {
  const source = pattern.replace(/\\([\s\S])|[\s\S]/gu, (piece, escaped: string | undefined) => {
    if (piece === '%') return '[\\s\\S]*';
    if (piece === '_') return '[\\s\\S]';
    return (escaped ?? piece).replace(/[\\^$.*+?()[\]{}|/]/g, '\\$&');
  });
  return new RegExp(`^${source}$`, 'u');
}
