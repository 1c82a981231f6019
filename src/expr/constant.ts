// Constants of a filter: their types' names, folding of operators on them, and casts to a field's
// type. int64 stays exact; an int and a double meet as doubles. Source: Milvus 2.6.

import { DataType, getDataTypeName, isIntegerType } from '../model/data-type.ts';
import type { ArithmeticSign, CompareSign } from './ast.ts';
import { FilterError } from './filter-error.ts';
import type { TemplateValue } from '../model/template-value.ts';
import { CompareOp } from './plan.ts';
import type { Literal, ValueList } from './plan.ts';
import { requireFewLiterals, toLiterals, toValueList } from './value-list.ts';

const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
/** Lists in lists of one template: with the deepest tree still below native's bound of 600. */
const TEMPLATE_DEPTH_MAX = 64;

export const COMPARE_OPS: Readonly<Record<CompareSign, CompareOp>> = {
  '==': CompareOp.Eq,
  '!=': CompareOp.Ne,
  '<': CompareOp.Lt,
  '<=': CompareOp.Le,
  '>': CompareOp.Gt,
  '>=': CompareOp.Ge,
};

/** Smallest and largest value of the integer types, by DataType. */
const INTEGER_RANGES: Readonly<Record<number, readonly [bigint, bigint]>> = {
  [DataType.Int8]: [-(2n ** 7n), 2n ** 7n - 1n],
  [DataType.Int16]: [-(2n ** 15n), 2n ** 15n - 1n],
  [DataType.Int32]: [-(2n ** 31n), 2n ** 31n - 1n],
  [DataType.Int64]: [INT64_MIN, INT64_MAX],
};

/** Returns -1, 0 or 1: whether an integer is below, in or above the range of an integer type. */
export function compareToRange(value: bigint, dataType: number): -1 | 0 | 1 {
  const [low, high] = INTEGER_RANGES[dataType] ?? [INT64_MIN, INT64_MAX];
  if (value < low) return -1;
  return value > high ? 1 : 0;
}

/** Returns the type of a constant as Milvus names it. */
export function getLiteralTypeName(literal: Literal): string {
  switch (literal.kind) {
    case 'bool':
      return 'Bool';
    case 'int64':
      return 'Int64';
    case 'double':
      return 'Double';
    case 'string':
      return 'VarChar';
    case 'array':
      return 'Array';
  }
}

/** Returns a constant as it may be written in a filter, for messages. */
export function formatLiteral(literal: Literal): string {
  if (literal.kind === 'array') return `[${literal.value.map(formatLiteral).join(', ')}]`;
  return literal.kind === 'string' ? JSON.stringify(literal.value) : String(literal.value);
}

export function isNumber(literal: Literal): literal is Literal & { kind: 'int64' | 'double' } {
  return literal.kind === 'int64' || literal.kind === 'double';
}

/** Returns the constant as a value of that scalar type, or undefined if there is no such cast. */
export function castLiteral(literal: Literal, dataType: number): Literal | undefined {
  if (isIntegerType(dataType)) return literal.kind === 'int64' ? literal : undefined;
  switch (dataType) {
    case DataType.Bool:
      return literal.kind === 'bool' ? literal : undefined;
    case DataType.VarChar:
      return literal.kind === 'string' ? literal : undefined;
    case DataType.Float:
    case DataType.Double:
      if (literal.kind === 'int64') return { kind: 'double', value: Number(literal.value) };
      return literal.kind === 'double' ? literal : undefined;
    default:
      return undefined;
  }
}

/**
 * Returns the list as values of that scalar type.
 * @param refuse  makes the error for a value that has no such cast
 */
export function castList(
  list: ValueList,
  dataType: number,
  refuse: (literal: Literal) => FilterError,
): ValueList {
  const isCast =
    (list.kind === 'int64' && isIntegerType(dataType)) ||
    (list.kind === 'string' && dataType === DataType.VarChar);
  if (isCast) return list;
  const cast = toLiterals(list).map((literal) => {
    const value = castLiteral(literal, dataType);
    if (value === undefined) throw refuse(literal);
    return value;
  });
  return toValueList(cast);
}

/**
 * Returns the constant for a comparison with that scalar type: as `castLiteral`, and an integer
 * may meet a double.
 */
export function castForCompare(literal: Literal, dataType: number): Literal | undefined {
  if (isIntegerType(dataType) && literal.kind === 'double') return literal;
  return castLiteral(literal, dataType);
}

/** Returns -1, 0, 1 as for sorting, or NaN if not comparable: NaN, or constants of two types. */
export function orderLiterals(left: Literal, right: Literal): number {
  if (left.kind === 'int64' && right.kind === 'int64') return order(left.value, right.value);
  if (isNumber(left) && isNumber(right)) return order(Number(left.value), Number(right.value));
  if (left.kind === 'string' && right.kind === 'string') {
    return orderByCodePoint(left.value, right.value);
  }
  if (left.kind === 'bool' && right.kind === 'bool') return left.value === right.value ? 0 : 1;
  return Number.NaN;
}

function order<T extends bigint | number | string>(left: T, right: T): number {
  if (left < right) return -1;
  if (left > right) return 1;
  return left === right ? 0 : Number.NaN;
}

/** Orders as the bytes of UTF-8 do, which is by code point and not by UTF-16 unit. */
function orderByCodePoint(left: string, right: string): number {
  const a = Array.from(left);
  const b = Array.from(right);
  for (let i = 0; i < a.length && i < b.length; i += 1) {
    const difference = order(a[i]?.codePointAt(0) ?? 0, b[i]?.codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return order(a.length, b.length);
}

/** Returns the value of `left sign right` on two constants. */
export function foldCompare(left: Literal, sign: CompareSign, right: Literal): boolean {
  const isEquality = sign === '==' || sign === '!=';
  const comparable =
    (isNumber(left) && isNumber(right)) ||
    (left.kind === 'string' && right.kind === 'string') ||
    (left.kind === 'bool' && right.kind === 'bool' && isEquality);
  if (!comparable) throw notComparable(getLiteralTypeName(left), getLiteralTypeName(right));
  const sorted = orderLiterals(left, right);
  switch (sign) {
    case '==':
      return sorted === 0;
    case '!=':
      return sorted !== 0;
    case '<':
      return sorted < 0;
    case '<=':
      return sorted <= 0;
    case '>':
      return sorted > 0;
    case '>=':
      return sorted >= 0;
  }
}

export function notComparable(left: string, right: string): FilterError {
  return new FilterError(`comparisons between ${left} and ${right} are not supported`);
}

/** Returns the value of `left sign right` on two constants; int64 in, int64 out, but for `**`. */
export function foldArithmetic(left: Literal, sign: ArithmeticSign, right: Literal): Literal {
  if (!isNumber(left) || !isNumber(right)) {
    const types = `${getLiteralTypeName(left)} and ${getLiteralTypeName(right)}`;
    throw new FilterError(`'${sign}' can only be used between numbers, but got: ${types}`);
  }
  checkDivisor(sign, right);
  if (sign === '**') {
    return { kind: 'double', value: Number(left.value) ** Number(right.value) };
  }
  if (left.kind === 'int64' && right.kind === 'int64') {
    const value = foldIntegers(left.value, sign, right.value);
    if (value < INT64_MIN || value > INT64_MAX) {
      throw new FilterError(`${left.value} ${sign} ${right.value} is out of the range of int64`);
    }
    return { kind: 'int64', value };
  }
  return { kind: 'double', value: foldDoubles(Number(left.value), sign, Number(right.value)) };
}

/** Throws if the right side of `/` or `%` is zero. */
export function checkDivisor(sign: ArithmeticSign, right: Literal): void {
  if (!isNumber(right) || Number(right.value) !== 0) return;
  if (sign === '/') throw new FilterError('cannot divide by zero');
  if (sign === '%') throw new FilterError('cannot modulo by zero');
}

function foldIntegers(left: bigint, sign: ArithmeticSign, right: bigint): bigint {
  switch (sign) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
    case '%':
      return left % right;
    case '&':
      return left & right;
    case '|':
      return left | right;
    case '^':
      return left ^ right;
    default:
      throw new FilterError(`'${sign}' is not supported`);
  }
}

function foldDoubles(left: number, sign: ArithmeticSign, right: number): number {
  switch (sign) {
    case '+':
      return left + right;
    case '-':
      return left - right;
    case '*':
      return left * right;
    case '/':
      return left / right;
    case '%':
      throw new FilterError('modulo can only apply on integer types');
    default:
      throw new FilterError(`'${sign}' can only apply on integer types`);
  }
}

/**
 * Returns the constant that a template's value stands for.
 * @throws FilterError for an integer beyond int64 and for lists in lists in lists …
 */
export function toLiteral(value: TemplateValue, depth = 1): Literal {
  if (depth > TEMPLATE_DEPTH_MAX) throw new FilterError('template value is nested too deep');
  switch (typeof value) {
    case 'boolean':
      return { kind: 'bool', value };
    case 'bigint':
      if (compareToRange(value, DataType.Int64) !== 0) {
        throw new FilterError(`integer ${value} is out of the range of int64`);
      }
      return { kind: 'int64', value };
    case 'number':
      return { kind: 'double', value };
    case 'string':
      return { kind: 'string', value };
    default:
      requireFewLiterals(value.length);
      return { kind: 'array', value: Array.from(value, (item) => toLiteral(item, depth + 1)) };
  }
}

/** Returns the constants of a template's list; undefined if the value is none. Throws as above. */
export function readTemplateList(value: TemplateValue): ValueList | undefined {
  if (typeof value !== 'object') return undefined;
  if (value instanceof BigInt64Array && value.length > 0) return { kind: 'int64', values: value };
  if (value.length > 0 && isStrings(value)) return { kind: 'string', values: value };
  return toValueList(Array.from(value, (item) => toLiteral(item, 2)));
}

function isStrings(value: readonly unknown[] | BigInt64Array): value is readonly string[] {
  return Array.isArray(value) && value.every((item) => typeof item === 'string');
}

/** Milvus prints the constant as the member of its plan message that holds it. */
const WIRE_MEMBER: Readonly<Record<Literal['kind'], string>> = {
  bool: 'bool_val:',
  int64: 'int64_val:',
  double: 'float_val:',
  string: 'string_val:',
  array: '',
};

/** Returns the error for a list element that the field's type cannot hold. */
export function cannotCast(literal: Literal, dataType: number): FilterError {
  const value = `${WIRE_MEMBER[literal.kind]}${formatLiteral(literal)}`;
  return new FilterError(
    `value '${value}' in list cannot be casted to ${getDataTypeName(dataType)}`,
  );
}
