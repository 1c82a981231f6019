// A request's filter text → plan, with the prefixes that Milvus puts before its errors, and what
// the plan says about partitions and keys.

import { getPartitionKeyValues, getPrimaryKeyValues } from '../../expr/key-values.ts';
import type { TemplateValue } from '../../expr/filter-schema.ts';
import type { PlanNode } from '../../expr/plan.ts';
import type { CompiledFilter } from '../../expr/plan-cache.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { findPartitionKeyField, getPrimaryKeyField } from '../../model/schema.ts';
import type { Keys } from '../../rpc/contract.ts';
import type { Proxy } from './proxy.ts';
import { getPartitionSlot } from './sharding.ts';

export interface Filter {
  readonly node: PlanNode;
  /** Encoded when it is first read. */
  readonly plan: Uint8Array;
  /** Partitions that can hold matches, by partition key; undefined = any. */
  readonly partitionIds: readonly bigint[] | undefined;
  /** The filter is nothing but a list of primary keys. */
  readonly keys: Keys | undefined;
}

/** Returns undefined for an empty filter. @throws MilvusError ParameterInvalid */
export function compileRequestFilter(
  proxy: Proxy,
  info: CollectionInfo,
  text: string,
  templates: ReadonlyMap<string, TemplateValue>,
  what: 'query' | 'delete',
): Filter | undefined {
  if (text.trim() === '') return undefined;
  const { collectionId, schema } = info;
  let compiled: CompiledFilter;
  try {
    compiled = proxy.plans.compile({
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
    get plan() {
      return compiled.bytes;
    },
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
  const values = getPartitionKeyValues(node, field.fieldId);
  if (values === undefined) return undefined;
  const ids = new Set<bigint>();
  for (const literal of values) {
    if (literal.kind !== 'int64' && literal.kind !== 'string') return undefined;
    ids.add(info.partitions[getPartitionSlot(info, literal.value)]!.partitionId);
  }
  // No value at all: nothing matches, wherever it is looked for.
  return ids.size === 0 ? undefined : [...ids];
}

function readExactKeys(info: CollectionInfo, node: PlanNode): Keys | undefined {
  const found = getPrimaryKeyValues(node, getPrimaryKeyField(info.schema).fieldId);
  if (found === undefined || !found.exact) return undefined;
  const int64: bigint[] = [];
  const strings: string[] = [];
  for (const literal of found.values) {
    if (literal.kind === 'int64') int64.push(literal.value);
    else if (literal.kind === 'string') strings.push(literal.value);
    else return undefined;
  }
  if (strings.length > 0) return { kind: 'string', values: strings };
  return { kind: 'int64', values: BigInt64Array.from(int64) };
}
