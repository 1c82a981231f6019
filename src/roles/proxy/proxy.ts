// The proxy: what its verbs have in common. `api` reads messages and makes replies, `catalog`,
// `write` and `read` have a verb or noun in each file: functions of plain values, which validate,
// plan, split by shard, ask the leaders and merge. The proxy keeps no data.

import type { Runtime } from '../../base/clock.ts';
import type { Health } from '../../base/health.ts';
import type { Logger } from '../../base/logger.ts';
import { PlanCache } from '../../expr/plan-cache.ts';
import { findPartitions, type CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import type { CallMemory } from '../../rpc/admission.ts';
import type { CallFacts } from '../../rpc/client-call.ts';
import type { CallContext, Peers } from '../../rpc/contract.ts';
import { checkName } from './names.ts';
import { RowIdAllocator } from './write/row-ids.ts';

/** Milvus' limits, by its own names; from the configuration. */
export interface ProxyLimits {
  readonly maxNameLength: number;
  readonly maxFieldNum: number;
  readonly maxVectorFieldNum: number;
  readonly maxShardNum: number;
  readonly maxDimension: number;
  readonly maxVarCharLength: number;
  readonly maxArrayCapacity: number;
  readonly maxCollectionDescriptionLength: number;
  readonly maxIndexParamsSize: number;
  readonly maxPartitionNum: number;
  readonly mustUsePartitionKey: boolean;
  readonly jsonMaxLength: number;
  readonly topK: number;
  readonly nq: number;
  readonly maxQueryResultWindow: number;
  /** -1 = none. */
  readonly maxResultEntries: number;
  readonly maxOutputSize: number;
  readonly maxInsertSize: number;
}

export interface ProxyDeps {
  readonly peers: Peers;
  readonly logger: Logger;
  readonly limits: ProxyLimits;
  readonly defaultPartitionName: string;
  /** What GetVersion answers; SDKs parse it. */
  readonly version: string;
  readonly buildTime: string;
  readonly runtime: Runtime;
  /** Of this process. */
  readonly health: Health;
}

/** Who calls. There is no authorization: everybody is the same. */
export interface Principal {
  readonly name: string;
}

export const ANONYMOUS: Principal = { name: '' };
export const DEFAULT_DATABASE = 'default';

/** What a verb gets beside its input. */
export interface RequestContext extends CallContext {
  /** Where names are looked up. */
  readonly dbName: string;
  readonly principal: Principal;
  /** For what its reply is made from. */
  readonly memory: CallMemory;
  /** Filled in on the way. */
  readonly facts: CallFacts;
}

export interface Proxy {
  readonly deps: ProxyDeps;
  readonly peers: Peers;
  readonly plans: PlanCache;
  readonly rowIds: RowIdAllocator;
}

export function createProxy(deps: ProxyDeps): Proxy {
  return {
    deps,
    peers: deps.peers,
    plans: new PlanCache(),
    rowIds: new RowIdAllocator(deps.peers.rootcoord),
  };
}

/**
 * Looks a collection up by name or alias. @throws MilvusError ParameterInvalid, DatabaseNotFound,
 * CollectionNotFound
 */
export async function requireCollection(
  proxy: Proxy,
  name: string,
  context: RequestContext,
): Promise<CollectionInfo> {
  checkName('collection', name, proxy.deps.limits.maxNameLength);
  const { dbName, facts } = context;
  const info = await proxy.peers.rootcoord.describeCollection({ dbName, name }, context);
  facts.collection = info;
  return info;
}

/** Returns the ids of named partitions; none named = none returned, which means all. */
export function findPartitionIds(
  info: CollectionInfo,
  names: readonly string[],
): readonly bigint[] {
  return findPartitions(info, names).map((partition, i) => {
    if (partition === undefined) {
      throw new MilvusError('PartitionNotFound', { fields: { partition: names[i]! } });
    }
    return partition.partitionId;
  });
}
