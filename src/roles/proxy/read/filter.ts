// A request's filter text → plan, with the prefixes that Milvus puts before its errors, and what
// the plan says about partitions and keys.

import { getKeyValues } from '../../../expr/key-values.ts';
import type { TemplateValue } from '../../../model/template-value.ts';
import type { PlanNode } from '../../../expr/plan.ts';
import type { CompiledFilter } from '../../../expr/plan-cache.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField, getPrimaryKeyField } from '../../../model/schema.ts';
import type { Keys } from '../../../model/keys.ts';
import type { Proxy } from '../proxy.ts';
import { getPartitionSlot } from '../write/sharding.ts';

/** More values of a partition key are in every partition, or nearly. */
const PRUNED_VALUES_MAX = 4096;

export interface Filter {
  readonly node: PlanNode;
  /** Returns what evaluates the filter. */
  readonly encode: () => Promise<Uint8Array>;
  /** Partitions that can hold matches, by partition key; undefined = any. */
  readonly partitionIds: readonly bigint[] | undefined;
  /** The filter is nothing but this list of primary keys, which may repeat. */
  readonly keys: Keys | undefined;
}

/** Returns undefined for an empty filter. @throws MilvusError ParameterInvalid */
export async function compileRequestFilter(
  proxy: Proxy,
  info: CollectionInfo,
  text: string,
  templates: ReadonlyMap<string, TemplateValue>,
  what: 'query' | 'delete',
): Promise<Filter | undefined> {
  if (text.trim() === '') return undefined;
  const { collectionId, schema } = info;
  let compiled: CompiledFilter;
  try {
    compiled = await proxy.plans.compile({
      text,
      collectionId,
      schemaVersion: schema.version,
      schema,
      templates,
    });
  } catch (error) {
    if (!(error instanceof MilvusError)) throw error;
    throw refuseFilter(text, error.message, what);
  }
  const node = compiled.plan;
  return {
    node,
    encode: () => compiled.encode(),
    partitionIds: prunePartitions(info, node),
    keys: readExactKeys(info, node),
  };
}

/** Milvus words the same mistake differently for reads and for deletes. */
function refuseFilter(text: string, problem: string, what: 'query' | 'delete'): MilvusError {
  const head = `cannot parse expression: ${text}, error: `;
  if (what === 'query' || !problem.startsWith(head)) {
    return invalidParameter(`failed to create ${what} plan: ${problem}`);
  }
  const detail = problem.slice(head.length);
  return invalidParameter(
    `failed to create delete plan: cannot parse expression: ${text}: ${detail}: query plan failed`,
  );
}

function prunePartitions(info: CollectionInfo, node: PlanNode): readonly bigint[] | undefined {
  const field = findPartitionKeyField(info.schema);
  if (field === undefined) return undefined;
  const found = getKeyValues(node, field.fieldId);
  if (found === undefined || found.list.values.length > PRUNED_VALUES_MAX) return undefined;
  // No value at all: nothing matches, wherever it is looked for.
  if (found.list.kind === 'mixed') return undefined;
  const ids = new Set<bigint>();
  for (const value of found.list.values) {
    ids.add(info.partitions[getPartitionSlot(info, value)]!.partitionId);
  }
  return [...ids];
}

function readExactKeys(info: CollectionInfo, node: PlanNode): Keys | undefined {
  const found = getKeyValues(node, getPrimaryKeyField(info.schema).fieldId);
  if (found === undefined || !found.exact) return undefined;
  const { list } = found;
  return list.kind === 'mixed' ? { kind: 'int64', values: new BigInt64Array(0) } : list;
}
