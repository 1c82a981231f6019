// The proxy: the client API over the roles behind it. A table RPC name → function; each verb or
// noun has its file. It keeps no data: it validates, plans, splits by shard, asks the leaders,
// merges, encodes.

import type { Runtime } from '../../base/clock.ts';
import type { Health } from '../../base/health.ts';
import type { Logger } from '../../base/logger.ts';
import { PlanCache } from '../../expr/plan-cache.ts';
import { findPartitions, type CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import type { CallMemory } from '../../rpc/admission.ts';
import type { CallContext, Peers } from '../../rpc/contract.ts';
import { IdStock } from './write/id-stock.ts';
import { checkName } from './names.ts';

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
  /** Decodes a message of milvus.proto by its full name, for fields that carry encoded messages. */
  readonly decodeMessage: (typeName: string, bytes: Uint8Array) => object;
}

/** What a call brings beside its message. */
export interface RequestContext extends CallContext {
  /** gRPC metadata `dbname`; '' when absent. */
  readonly dbName: string;
  /** For what its reply is made from. */
  readonly memory: CallMemory;
  /** For metrics, filled in on the way: the collection that the call is about, */
  collection?: { readonly dbName: string; readonly schema: { readonly name: string } } | undefined;
  /** and how many query vectors it searches for, or rows it writes. */
  units?: number;
}

export interface Proxy {
  readonly deps: ProxyDeps;
  readonly peers: Peers;
  readonly plans: PlanCache;
  readonly ids: IdStock;
}

export function createProxy(deps: ProxyDeps): Proxy {
  return {
    deps,
    peers: deps.peers,
    plans: new PlanCache(),
    ids: new IdStock(deps.peers.rootcoord),
  };
}

const DEFAULT_DATABASE = 'default';

/** The request's own database, else the connection's, else the default one. */
export function getDbName(
  request: { db_name?: string; dbName?: string },
  context: RequestContext,
): string {
  return request.db_name || request.dbName || context.dbName || DEFAULT_DATABASE;
}

/**
 * Looks a collection up by name or alias. @throws MilvusError ParameterInvalid, DatabaseNotFound,
 * CollectionNotFound
 */
export async function requireCollection(
  proxy: Proxy,
  dbName: string,
  name: string,
  context: RequestContext,
): Promise<CollectionInfo> {
  checkName('collection', name, proxy.deps.limits.maxNameLength);
  const info = await proxy.peers.rootcoord.describeCollection({ dbName, name }, context);
  context.collection = info;
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
