// Makes a plan that fails a check smaller while it goes on failing: puts children in place of their
// parents, leaves out children and list values.

import type { PlanNode } from '../../src/expr/plan.ts';
import { toLiterals, toValueList } from '../../src/expr/value-list.ts';

/** Returns the smallest plan that still fails which greedy steps find. */
export async function shrinkPlan(
  plan: PlanNode,
  fails: (plan: PlanNode) => Promise<boolean>,
): Promise<PlanNode> {
  let smallest = plan;
  for (let isSmaller = true; isSmaller; ) {
    isSmaller = false;
    for (const candidate of reduce(smallest)) {
      if (!(await fails(candidate))) continue;
      smallest = candidate;
      isSmaller = true;
      break;
    }
  }
  return smallest;
}

/** Yields plans that are each a little smaller, largest steps first. */
function* reduce(plan: PlanNode): Generator<PlanNode> {
  switch (plan.node) {
    case 'and':
    case 'or': {
      const { node, children } = plan;
      yield* children;
      for (let i = 0; children.length > 2 && i < children.length; i += 1) {
        yield { node, children: children.filter((_, j) => j !== i) };
      }
      for (let i = 0; i < children.length; i += 1) {
        for (const child of reduce(children[i]!)) {
          yield { node, children: children.with(i, child) };
        }
      }
      return;
    }
    case 'not':
      yield plan.child;
      for (const child of reduce(plan.child)) yield { node: 'not', child };
      return;
    case 'in':
    case 'contains':
      for (let i = 0; i < plan.list.values.length; i += 1) {
        yield { ...plan, list: toValueList(toLiterals(plan.list).filter((_, j) => j !== i)) };
      }
      return;
    default:
  }
}
