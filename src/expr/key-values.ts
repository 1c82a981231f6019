// Finds the key values that a plan restricts itself to: of the partition key, to prune partitions,
// and of the primary key, to find rows by key and to delete without a query. Undefined means: no
// restriction known.

import { CompareOp } from './plan.ts';
import type { Operand, PlanNode, ValueList } from './plan.ts';
import { NO_VALUES, ValueListBuilder, toValueList } from './value-list.ts';

/** The values may repeat; `exact` when the plan says nothing but `key in values`. */
export interface KeyValues {
  /** Never mixed, unless empty. */
  readonly list: ValueList;
  readonly exact: boolean;
}

/**
 * Returns the only values that a key can have in rows that the plan keeps; undefined when it can
 * have any. An empty list means that no row is kept. With `exact`, every row that has one of the
 * values is kept.
 */
export function getKeyValues(plan: PlanNode, fieldId: bigint): KeyValues | undefined {
  switch (plan.node) {
    case 'const':
      return plan.value === true ? undefined : { list: NO_VALUES, exact: true };
    case 'and':
      return intersect(plan.children.map((child) => getKeyValues(child, fieldId)));
    case 'or':
      return unite(plan.children.map((child) => getKeyValues(child, fieldId)));
    case 'compare':
      if (plan.op !== CompareOp.Eq || !isKey(plan.operand, fieldId)) return undefined;
      return toKeyValues(toValueList([plan.value]));
    case 'in':
      return isKey(plan.operand, fieldId) ? toKeyValues(plan.list) : undefined;
    default:
      return undefined;
  }
}

function isKey(operand: Operand, fieldId: bigint): boolean {
  return operand.kind === 'field' && operand.fieldId === fieldId;
}

function toKeyValues(list: ValueList): KeyValues | undefined {
  // A double equals several keys or none; such a filter is left to the evaluator.
  return list.kind === 'mixed' && list.values.length > 0 ? undefined : { list, exact: true };
}

function intersect(parts: readonly (KeyValues | undefined)[]): KeyValues | undefined {
  const known = parts.filter((part) => part !== undefined);
  const [first, ...others] = known;
  if (first === undefined) return undefined;
  const exact = known.length === parts.length && known.every((part) => part.exact);
  let { list } = first;
  for (const other of others) list = keepCommon(list, other.list);
  return { list, exact };
}

function unite(parts: readonly (KeyValues | undefined)[]): KeyValues | undefined {
  const builder = new ValueListBuilder();
  let exact = true;
  for (const part of parts) {
    if (part === undefined) return undefined;
    exact &&= part.exact;
    addAll(builder, part.list);
  }
  return { list: builder.finish(), exact };
}

function keepCommon(list: ValueList, other: ValueList): ValueList {
  const wanted: ReadonlySet<unknown> = new Set<unknown>(other.values);
  const builder = new ValueListBuilder();
  if (list.kind === 'int64') {
    for (const value of list.values) if (wanted.has(value)) builder.addInt64(value);
  } else if (list.kind === 'string') {
    for (const value of list.values) if (wanted.has(value)) builder.addString(value);
  }
  return builder.finish();
}

function addAll(builder: ValueListBuilder, list: ValueList): void {
  if (list.kind === 'int64') for (const value of list.values) builder.addInt64(value);
  else if (list.kind === 'string') for (const value of list.values) builder.addString(value);
}
