// Comparisons, ranges and `in` of a typed filter as plan nodes: which types may meet, which side is
// the constant, and integer constants that the field's type cannot hold. Source: Milvus 2.6.

import { DataType, isNumericType } from '../model/data-type.ts';
import type { CompareSign } from './ast.ts';
import { getColumnTypeName } from './column.ts';
import type { Column } from './column.ts';
import {
  COMPARE_OPS, cannotCast, castForCompare, castList, castLiteral, compareToRange, foldCompare,
  getLiteralTypeName, isNumber, notComparable, orderLiterals,
} from './constant.ts';
import { FilterError } from './filter-error.ts';
import { CompareOp } from './plan.ts';
import type { Literal, Operand, PlanNode, ValueList } from './plan.ts';
import { checkNotTemplate, describeValue, toFieldNumber } from './typed-value.ts';
import type { TypedValue } from './typed-value.ts';
import { NO_VALUES } from './value-list.ts';

const FLIPPED: Readonly<Record<CompareSign, CompareSign>> = {
  '==': '==', '!=': '!=', '<': '>', '<=': '>=', '>': '<', '>=': '<=',
};

/** The bounds of a chained range, the lower one first whichever way it was written. */
export interface RangeBounds {
  readonly lower: Literal;
  readonly lowerInclusive: boolean;
  readonly upper: Literal;
  readonly upperInclusive: boolean;
}

/**
 * A comparison of something read from a row with a constant; `flipped` if the constant was left.
 */
interface ConstantCompare {
  readonly sign: CompareSign;
  readonly literal: Literal;
  readonly flipped: boolean;
}

/** Returns the plan of `not plan`. */
export function negate(plan: PlanNode): PlanNode {
  if (plan.node === 'not') return plan.child;
  if (plan.node === 'const' && plan.value !== null) return { node: 'const', value: !plan.value };
  return { node: 'not', child: plan };
}

/** Returns `left sign right`: a constant when both sides are, else a predicate. */
export function compileCompare(left: TypedValue, sign: CompareSign, right: TypedValue): TypedValue {
  if (left.is === 'constant' && right.is === 'constant') {
    checkNotTemplate(left);
    checkNotTemplate(right);
    const value = foldCompare(left.literal, sign, right.literal);
    return { is: 'constant', literal: { kind: 'bool', value } };
  }
  if (right.is === 'constant') {
    const compare = { sign, literal: right.literal, flipped: false };
    return { is: 'predicate', plan: compareWithConstant(left, compare) };
  }
  if (left.is === 'constant') {
    const compare = { sign: FLIPPED[sign], literal: left.literal, flipped: true };
    return { is: 'predicate', plan: compareWithConstant(right, compare) };
  }
  if (left.is === 'column' && right.is === 'column') {
    return { is: 'predicate', plan: compareColumns(left.column, sign, right.column) };
  }
  throw notComparable(describeValue(left), describeValue(right));
}

function compareWithConstant(value: TypedValue, compare: ConstantCompare): PlanNode {
  const { literal } = compare;
  const op = COMPARE_OPS[compare.sign];
  switch (value.is) {
    case 'column':
      return compareColumn(value.column, compare);
    case 'arithmetic':
      if (!isNumber(literal)) throw mismatch(getColumnTypeName(value.column), compare);
      return {
        node: 'arith',
        operand: value.column.operand,
        arith: value.arith,
        right: value.right,
        op,
        value: toFieldNumber(literal, value.column),
      };
    case 'length':
      if (!isNumber(literal)) throw mismatch('Int64', compare);
      return { node: 'arrayLength', operand: value.operand, op, value: literal };
    default:
      throw mismatch(describeValue(value), compare);
  }
}

function compareColumn(column: Column, compare: ConstantCompare): PlanNode {
  const { dataType, operand } = column;
  const op = COMPARE_OPS[compare.sign];
  const isEquality = op === CompareOp.Eq || op === CompareOp.Ne;
  if (operand.kind === 'path') {
    const hasOrder = isNumber(compare.literal) || compare.literal.kind === 'string';
    if (!isEquality && !hasOrder) throw noOrder(compare);
    return { node: 'compare', operand, op, value: compare.literal };
  }
  if (!isEquality || compare.literal.kind !== 'array') checkNotArray(column);
  if (operand.kind === 'field' && dataType === DataType.Array) {
    return { node: 'compare', operand, op, value: castArray(column, compare) };
  }
  const value = castForCompare(compare.literal, dataType);
  if (value === undefined) throw mismatch(getColumnTypeName(column), compare);
  if (value.kind === 'bool' && !isEquality) throw noOrder(compare);
  const side =
    operand.kind === 'field' && value.kind === 'int64' ? compareToRange(value.value, dataType) : 0;
  if (side === 0) return { node: 'compare', operand, op, value };
  return makeAlways(column, isTrueBeside(op, side));
}

/**
 * Whether `x op constant` holds for all x when the constant is above (1) or below (-1) all of them.
 */
function isTrueBeside(op: CompareOp, side: -1 | 1): boolean {
  if (op === CompareOp.Ne) return true;
  if (side > 0) return op === CompareOp.Lt || op === CompareOp.Le;
  return op === CompareOp.Gt || op === CompareOp.Ge;
}

/** Returns a plan that has this value for each row, but null where the field is null. */
function makeAlways({ field, operand }: Column, value: boolean): PlanNode {
  if (operand.kind === 'field' && !field.nullable) return { node: 'const', value };
  const never: PlanNode = { node: 'in', operand, list: NO_VALUES };
  return value ? negate(never) : never;
}

function checkNotArray({ operand, dataType }: Column): void {
  if (operand.kind !== 'field' || dataType !== DataType.Array) return;
  throw new FilterError('can not comparisons array fields directly');
}

function castArray(column: Column, compare: ConstantCompare): Literal {
  if (compare.literal.kind !== 'array') throw mismatch('Array', compare);
  const { elementType } = column.field;
  const value = compare.literal.value.map((item) => castElement(item, elementType));
  return { kind: 'array', value };
}

function castElement(literal: Literal, dataType: number): Literal {
  const value = castLiteral(literal, dataType);
  if (value === undefined) throw cannotCast(literal, dataType);
  return value;
}

function mismatch(typeName: string, { literal, flipped }: ConstantCompare): FilterError {
  const literalName = getLiteralTypeName(literal);
  return flipped ? notComparable(literalName, typeName) : notComparable(typeName, literalName);
}

function noOrder({ sign, literal, flipped }: ConstantCompare): FilterError {
  const written = flipped ? FLIPPED[sign] : sign;
  return new FilterError(`'${written}' is not supported on ${getLiteralTypeName(literal)} values`);
}

function compareColumns(left: Column, sign: CompareSign, right: Column): PlanNode {
  for (const container of [DataType.JSON, DataType.Array] as const) {
    if (left.field.dataType === container || right.field.dataType === container) {
      const name = container === DataType.JSON ? 'JSON' : 'Array';
      throw new FilterError(`two column comparison with ${name} type is not supported`);
    }
  }
  const op = COMPARE_OPS[sign];
  const { dataType } = left;
  const areNumbers = isNumericType(dataType) && isNumericType(right.dataType);
  const areStrings = dataType === DataType.VarChar && right.dataType === DataType.VarChar;
  if (areNumbers || areStrings) {
    return { node: 'compareOperands', left: left.operand, op, right: right.operand };
  }
  const areBools = dataType === DataType.Bool && right.dataType === DataType.Bool;
  if (areBools && (op === CompareOp.Eq || op === CompareOp.Ne)) {
    return compareBools(left.operand, op, right.operand);
  }
  throw notComparable(getColumnTypeName(left), getColumnTypeName(right));
}

/** Two bool fields, spelled out: the plan compares only numbers and strings of two fields. */
function compareBools(left: Operand, op: CompareOp, right: Operand): PlanNode {
  const is = (operand: Operand, value: boolean): PlanNode => ({
    node: 'compare', operand, op: CompareOp.Eq, value: { kind: 'bool', value },
  });
  const both = (value: boolean): PlanNode => ({
    node: 'and', children: [is(left, value), is(right, (op === CompareOp.Eq) === value)],
  });
  return { node: 'or', children: [both(true), both(false)] };
}

/** Returns the plan of `lower < column < upper`. */
export function compileRange(column: Column, bounds: RangeBounds): PlanNode {
  const { operand, dataType } = column;
  checkNotArray(column);
  const lower = castBound(column, bounds.lower);
  const upper = castBound(column, bounds.upper);
  if (isNumber(lower) !== isNumber(upper)) {
    throw notComparable(getLiteralTypeName(lower), getLiteralTypeName(upper));
  }
  const sorted = orderLiterals(bounds.lower, bounds.upper);
  if (sorted > 0 || (sorted === 0 && !(bounds.lowerInclusive && bounds.upperInclusive))) {
    throw new FilterError(
      'invalid range operations: lowerbound is greater than or equal to upperbound',
    );
  }
  const lowerSide = getSide(lower, operand, dataType);
  const upperSide = getSide(upper, operand, dataType);
  if (lowerSide === 0 && upperSide === 0) {
    return { ...bounds, node: 'range', operand, lower, upper };
  }
  if (lowerSide > 0 || upperSide < 0) return makeAlways(column, false);
  if (lowerSide < 0 && upperSide > 0) return makeAlways(column, true);
  if (lowerSide < 0) {
    const op = bounds.upperInclusive ? CompareOp.Le : CompareOp.Lt;
    return { node: 'compare', operand, op, value: upper };
  }
  const op = bounds.lowerInclusive ? CompareOp.Ge : CompareOp.Gt;
  return { node: 'compare', operand, op, value: lower };
}

function getSide(bound: Literal, operand: Operand, dataType: number): -1 | 0 | 1 {
  if (bound.kind !== 'int64' || operand.kind !== 'field') return 0;
  return compareToRange(bound.value, dataType);
}

function castBound(column: Column, literal: Literal): Literal {
  const isPath = column.operand.kind === 'path';
  const value = isPath ? literal : castForCompare(literal, column.dataType);
  if (value === undefined || value.kind === 'bool' || value.kind === 'array') {
    throw notComparable(getColumnTypeName(column), getLiteralTypeName(literal));
  }
  return value;
}

/** Returns the plan of `column in values`. Values that the type cannot hold are left out. */
export function compileIn(column: Column, list: ValueList): PlanNode {
  const { operand, dataType, field } = column;
  const isScalar =
    isNumericType(dataType) || dataType === DataType.Bool || dataType === DataType.VarChar;
  if (operand.kind !== 'path' && !isScalar) {
    const typeName = getColumnTypeName(column);
    throw new FilterError(`'in' is not supported on ${typeName} field ${field.name}`);
  }
  const kept = operand.kind === 'path' ? checkScalars(list) : castValues(list, dataType);
  if (kept.values.length === 0) return makeAlways(column, false);
  return { node: 'in', operand, list: kept };
}

function checkScalars(list: ValueList): ValueList {
  if (list.kind !== 'mixed') return list;
  for (const value of list.values) {
    if (value.kind === 'array') throw cannotCast(value, DataType.JSON);
  }
  return list;
}

function castValues(list: ValueList, dataType: number): ValueList {
  const cast = castList(list, dataType, (literal) => cannotCast(literal, dataType));
  if (cast.kind !== 'int64' || dataType === DataType.Int64) return cast;
  const values = cast.values.filter((value) => compareToRange(value, dataType) === 0);
  return { kind: 'int64', values };
}
