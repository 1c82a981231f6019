// A plan as one short line, for test tables: `(and (age > 5) (name like prefix "ab"))`. Doubles
// have a point, so that 5 and 5.0 differ.

import { ArithOp, CompareOp, ContainsMode, LikeKind } from '../../src/expr/plan.ts';
import type { Literal, Operand, PlanNode, ValueList } from '../../src/expr/plan.ts';
import { toLiterals } from '../../src/expr/value-list.ts';
import type { FilterSchema } from '../../src/expr/filter-schema.ts';

const COMPARE_SIGNS: Readonly<Record<CompareOp, string>> = {
  [CompareOp.Eq]: '==', [CompareOp.Ne]: '!=', [CompareOp.Lt]: '<', [CompareOp.Le]: '<=',
  [CompareOp.Gt]: '>', [CompareOp.Ge]: '>=',
};

const ARITH_SIGNS: Readonly<Record<ArithOp, string>> = {
  [ArithOp.Add]: '+', [ArithOp.Sub]: '-', [ArithOp.Mul]: '*', [ArithOp.Div]: '/',
  [ArithOp.Mod]: '%', [ArithOp.BitAnd]: '&', [ArithOp.BitOr]: '|', [ArithOp.BitXor]: '^',
};

const LIKE_NAMES: Readonly<Record<LikeKind, string>> = {
  [LikeKind.Equal]: 'equal', [LikeKind.Prefix]: 'prefix', [LikeKind.Postfix]: 'postfix',
  [LikeKind.Inner]: 'inner', [LikeKind.Pattern]: 'pattern',
};

const CONTAINS_NAMES: Readonly<Record<ContainsMode, string>> = {
  [ContainsMode.One]: 'contains',
  [ContainsMode.All]: 'containsAll',
  [ContainsMode.Any]: 'containsAny',
};

export function printPlan(plan: PlanNode, schema: FilterSchema): string {
  const operandOf = (operand: Operand): string => printOperand(operand, schema);
  switch (plan.node) {
    case 'const':
      return String(plan.value);
    case 'and':
    case 'or':
      return `(${plan.node} ${plan.children.map((child) => printPlan(child, schema)).join(' ')})`;
    case 'not':
      return `(not ${printPlan(plan.child, schema)})`;
    case 'compareOperands':
      return `(${operandOf(plan.left)} ${COMPARE_SIGNS[plan.op]} ${operandOf(plan.right)})`;
    case 'compare':
      return `(${operandOf(plan.operand)} ${COMPARE_SIGNS[plan.op]} ${printLiteral(plan.value)})`;
    case 'range': {
      const lower = `${printLiteral(plan.lower)} ${plan.lowerInclusive ? '<=' : '<'}`;
      const upper = `${plan.upperInclusive ? '<=' : '<'} ${printLiteral(plan.upper)}`;
      return `(${lower} ${operandOf(plan.operand)} ${upper})`;
    }
    case 'in':
      return `(${operandOf(plan.operand)} in [${printList(plan.list)}])`;
    case 'arith': {
      const right = `${ARITH_SIGNS[plan.arith]} ${printLiteral(plan.right)}`;
      const compare = `${COMPARE_SIGNS[plan.op]} ${printLiteral(plan.value)}`;
      return `((${operandOf(plan.operand)} ${right}) ${compare})`;
    }
    case 'like': {
      const match = `${LIKE_NAMES[plan.like]} ${JSON.stringify(plan.pattern)}`;
      return `(${operandOf(plan.operand)} like ${match})`;
    }
    case 'regex': {
      const sign = plan.negated ? '!~' : '=~';
      return `(${operandOf(plan.operand)} ${sign} ${JSON.stringify(plan.pattern)})`;
    }
    case 'isNull':
    case 'exists':
      return `(${plan.node} ${operandOf(plan.operand)})`;
    case 'contains': {
      const values = printList(plan.list);
      return `(${CONTAINS_NAMES[plan.mode]} ${operandOf(plan.operand)} [${values}])`;
    }
    case 'arrayLength': {
      const compare = `${COMPARE_SIGNS[plan.op]} ${printLiteral(plan.value)}`;
      return `(length ${operandOf(plan.operand)} ${compare})`;
    }
  }
}

function printOperand(operand: Operand, schema: FilterSchema): string {
  const field = schema.fields.find(({ fieldId }) => fieldId === operand.fieldId);
  const name = field?.name ?? String(operand.fieldId);
  if (operand.kind === 'field') return name;
  if (operand.kind === 'element') return `${name}[${operand.index}]`;
  return name + '.' + operand.path.map((step) => `[${JSON.stringify(step)}]`).join('');
}

function printList(list: ValueList): string {
  return toLiterals(list).map(printLiteral).join(', ');
}

function printLiteral(literal: Literal): string {
  switch (literal.kind) {
    case 'string':
      return JSON.stringify(literal.value);
    case 'array':
      return `[${literal.value.map(printLiteral).join(', ')}]`;
    case 'double':
      return Number.isInteger(literal.value) ? literal.value.toFixed(1) : String(literal.value);
    default:
      return String(literal.value);
  }
}
