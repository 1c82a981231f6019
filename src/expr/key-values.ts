// Finds the key values that a plan restricts itself to: of the partition key, to prune partitions,
// and of the primary key, to prune segments and to delete without a query. Undefined means: no
// restriction known.

import { CompareOp } from './plan.ts';
import type { Literal, Operand, PlanNode } from './plan.ts';

/** Distinct values; `exact` when the plan says nothing but `key in values`. */
export interface KeyValues {
  readonly values: readonly Literal[];
  readonly exact: boolean;
}

type KeyLiteral = Literal & { kind: 'int64' | 'string' };
type KeySet = ReadonlyMap<bigint | string, KeyLiteral>;

interface KeyRestriction {
  readonly set: KeySet;
  readonly exact: boolean;
}

/**
 * Returns the only values that the partition key can have in rows that the plan keeps; undefined
 * when it can have any. An empty list means that no row is kept.
 */
export function getPartitionKeyValues(
  plan: PlanNode,
  partitionKeyFieldId: bigint,
): Literal[] | undefined {
  const restriction = restrict(plan, partitionKeyFieldId);
  return restriction === undefined ? undefined : [...restriction.set.values()];
}

/**
 * Returns the only values that the primary key can have in rows that the plan keeps; undefined when
 * it can have any. With `exact`, every row that has one of the values is kept.
 */
export function getPrimaryKeyValues(
  plan: PlanNode,
  primaryKeyFieldId: bigint,
): KeyValues | undefined {
  const restriction = restrict(plan, primaryKeyFieldId);
  if (restriction === undefined) return undefined;
  return { values: [...restriction.set.values()], exact: restriction.exact };
}

function restrict(plan: PlanNode, fieldId: bigint): KeyRestriction | undefined {
  switch (plan.node) {
    case 'const':
      return plan.value === true ? undefined : { set: new Map(), exact: true };
    case 'and':
      return intersect(plan.children.map((child) => restrict(child, fieldId)));
    case 'or':
      return unite(plan.children.map((child) => restrict(child, fieldId)));
    case 'compare':
      if (plan.op !== CompareOp.Eq || !isKey(plan.operand, fieldId)) return undefined;
      return toRestriction([plan.value]);
    case 'in':
      return isKey(plan.operand, fieldId) ? toRestriction(plan.values) : undefined;
    default:
      return undefined;
  }
}

function isKey(operand: Operand, fieldId: bigint): boolean {
  return operand.kind === 'field' && operand.fieldId === fieldId;
}

function toRestriction(values: readonly Literal[]): KeyRestriction | undefined {
  const set = new Map<bigint | string, KeyLiteral>();
  for (const literal of values) {
    // A double equals several keys or none; such a filter is left to the evaluator.
    if (literal.kind !== 'int64' && literal.kind !== 'string') return undefined;
    set.set(literal.value, literal);
  }
  return { set, exact: true };
}

function intersect(
  parts: readonly (KeyRestriction | undefined)[],
): KeyRestriction | undefined {
  let result: KeyRestriction | undefined;
  let exact = true;
  for (const part of parts) {
    exact &&= part !== undefined && part.exact;
    if (part === undefined) continue;
    const kept = [...part.set].filter(([key]) => result === undefined || result.set.has(key));
    result = { set: new Map(kept), exact: true };
  }
  return result === undefined ? undefined : { set: result.set, exact };
}

function unite(parts: readonly (KeyRestriction | undefined)[]): KeyRestriction | undefined {
  const set = new Map<bigint | string, KeyLiteral>();
  let exact = true;
  for (const part of parts) {
    if (part === undefined) return undefined;
    exact &&= part.exact;
    for (const [key, literal] of part.set) set.set(key, literal);
  }
  return { set, exact };
}
