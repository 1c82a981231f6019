// What a part of a filter is once names are looked up: a constant, something read from a row, or a
// predicate. The compiler folds constants with constants and lets only predicates reach the plan's
// root.

import type { ArithmeticSign } from './ast.ts';
import { checkDivisor, foldArithmetic, getLiteralTypeName, isNumber } from './constant.ts';
import { getColumnTypeName } from './column.ts';
import type { Column } from './column.ts';
import { FilterError } from './filter-error.ts';
import { ArithOp } from './plan.ts';
import type { Literal, Operand, PlanNode } from './plan.ts';
import { DataType, isIntegerType, isNumericType } from '../model/data-type.ts';

export type TypedValue =
  /** `template` is the placeholder's name when the constant came from one. */
  | { readonly is: 'constant'; readonly literal: Literal; readonly template?: string }
  | { readonly is: 'column'; readonly column: Column }
  /** `column arith right`, not yet compared with anything. */
  | {
      readonly is: 'arithmetic';
      readonly column: Column;
      readonly arith: ArithOp;
      readonly right: Literal;
    }
  /** `array_length(operand)`, not yet compared with anything. */
  | { readonly is: 'length'; readonly operand: Operand }
  | { readonly is: 'predicate'; readonly plan: PlanNode };

type Constant = TypedValue & { is: 'constant' };

const ARITH_OPS: Readonly<Partial<Record<ArithmeticSign, ArithOp>>> = {
  '+': ArithOp.Add, '-': ArithOp.Sub, '*': ArithOp.Mul, '/': ArithOp.Div, '%': ArithOp.Mod,
  '&': ArithOp.BitAnd, '|': ArithOp.BitOr, '^': ArithOp.BitXor,
};

const COMMUTATIVE: ReadonlySet<ArithmeticSign> = new Set(['+', '*', '&', '|', '^']);
const INTEGER_ONLY: ReadonlySet<ArithmeticSign> = new Set(['%', '&', '|', '^']);

/** Returns what a value is, for messages. */
export function describeValue(value: TypedValue): string {
  switch (value.is) {
    case 'constant':
      return getLiteralTypeName(value.literal);
    case 'column':
      return getColumnTypeName(value.column);
    case 'arithmetic':
      return 'an arithmetic expression';
    case 'length':
      return 'array_length';
    case 'predicate':
      return 'a boolean expression';
  }
}

/** Throws when a placeholder stands where only a written constant may. */
export function checkNotTemplate(value: Constant): void {
  if (value.template !== undefined) {
    throw new FilterError(
      `template variable {${value.template}} can only be used on one side of a field's operator`,
    );
  }
}

/**
 * Returns `left sign right`: folded when both are constants, else one operator on one column, which
 * is all that a plan can hold.
 */
export function applyArithmetic(
  left: TypedValue,
  sign: ArithmeticSign,
  right: TypedValue,
): TypedValue {
  if (sign === '<<' || sign === '>>') throw new FilterError(`'${sign}' is not supported`);
  if (left.is === 'constant' && right.is === 'constant') {
    checkNotTemplate(left);
    checkNotTemplate(right);
    return { is: 'constant', literal: foldArithmetic(left.literal, sign, right.literal) };
  }
  if (sign === '**') throw new FilterError("'**' can only be used between constants");
  if (left.is === 'column' && right.is === 'constant') {
    return makeArithmetic(left.column, sign, right.literal);
  }
  if (left.is === 'constant' && right.is === 'column') {
    if (COMMUTATIVE.has(sign)) return makeArithmetic(right.column, sign, left.literal);
    throw new FilterError(`'${sign}' with a field on the right side is not supported`);
  }
  if (left.is === 'predicate' || right.is === 'predicate') {
    const types = `${describeValue(left)} and ${describeValue(right)}`;
    throw new FilterError(`'${sign}' can only be used between numbers, but got: ${types}`);
  }
  throw new FilterError('complicated arithmetic operations are not supported');
}

function makeArithmetic(column: Column, sign: ArithmeticSign, right: Literal): TypedValue {
  const isPath = column.operand.kind === 'path';
  if ((!isPath && !isNumericType(column.dataType)) || !isNumber(right)) {
    const types = `${getColumnTypeName(column)} and ${getLiteralTypeName(right)}`;
    throw new FilterError(`'${sign}' can only be used between numbers, but got: ${types}`);
  }
  if (INTEGER_ONLY.has(sign)) {
    if ((!isPath && !isIntegerType(column.dataType)) || right.kind !== 'int64') {
      const name = sign === '%' ? 'modulo' : `'${sign}'`;
      throw new FilterError(`${name} can only apply on integer types`);
    }
  }
  checkDivisor(sign, right);
  const arith = ARITH_OPS[sign];
  if (arith === undefined) throw new FilterError(`'${sign}' is not supported`);
  return { is: 'arithmetic', column, arith, right: toFieldNumber(right, column) };
}

/** Returns the number as a double for FLOAT and DOUBLE columns, else as it is. */
export function toFieldNumber(literal: Literal, column: Column): Literal {
  const isFloating = column.dataType === DataType.Float || column.dataType === DataType.Double;
  if (!isFloating || literal.kind !== 'int64') return literal;
  return { kind: 'double', value: Number(literal.value) };
}
