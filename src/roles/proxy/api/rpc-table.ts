// The client API: every RPC that this server answers, by its name in milvus.proto. All others
// answer gRPC UNIMPLEMENTED naming the RPC. docs/compatibility.md is generated from this table.

import {
  decodeDeleteRequest,
  decodeInsertRequest,
  decodeUpsertRequest,
} from '../../../codec/insert-request.ts';
import { encodeQueryResults } from '../../../codec/query-results.ts';
import {
  decodeHybridSearchRequest,
  decodeQueryRequest,
  decodeSearchRequest,
} from '../../../codec/read-requests.ts';
import { encodeSearchResults } from '../../../codec/search-results.ts';
import type { Status } from '../../../rpc/status.ts';
import { requireAccess, type Access } from './access.ts';
import * as aliases from '../catalog/aliases.ts';
import * as collections from '../catalog/collections.ts';
import * as databases from '../catalog/databases.ts';
import { deleteRows } from '../write/delete.ts';
import * as flushing from '../catalog/flush.ts';
import { hybridSearch } from '../read/hybrid-search.ts';
import * as indexes from '../catalog/indexes.ts';
import { insert, upsert } from '../write/insert.ts';
import * as loading from '../catalog/load.ts';
import * as partitions from '../catalog/partitions.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import { query } from '../read/query.ts';
import { search } from '../read/search.ts';
import { encodeMutationError } from '../write/shard-writes.ts';
import * as serverInfo from './server-info.ts';

/** A verb whose message goes through the protobuf library: objects in, objects out. */
interface ColdRpc {
  readonly kind: 'cold';
  /** What a database may forbid; undefined = nothing. */
  readonly access: Access | undefined;
  readonly run: (proxy: Proxy, request: never, context: RequestContext) => Promise<object>;
}

/** A verb on the hot path: bytes in, bytes out, through the hand codec. */
interface HotRpc {
  readonly kind: 'hot';
  readonly run: (proxy: Proxy, message: Uint8Array, context: RequestContext) => Promise<Uint8Array>;
  readonly encodeError: (status: Status, error: unknown) => Uint8Array;
}

export type Rpc = ColdRpc | HotRpc;

const cold = (run: ColdRpc['run'], access?: Access): Rpc => ({ kind: 'cold', access, run });

function hot<Request extends { readonly dbName: string }>(
  access: Access,
  decode: (message: Uint8Array) => Request,
  run: (proxy: Proxy, request: Request, context: RequestContext) => Promise<Uint8Array>,
  encodeError: (status: Status, error: unknown) => Uint8Array,
): Rpc {
  return {
    kind: 'hot',
    run: async (proxy, message, context) => {
      const request = decode(message);
      await requireAccess(proxy, access, request, context);
      return run(proxy, request, context);
    },
    encodeError,
  };
}

const encodeSearchError = (status: Status): Uint8Array => encodeSearchResults({ status });

export const RPC_TABLE: Readonly<Record<string, Rpc>> = {
  Insert: hot('writing', decodeInsertRequest, insert, encodeMutationError),
  Upsert: hot('writing', decodeUpsertRequest, upsert, encodeMutationError),
  Delete: hot('writing', decodeDeleteRequest, deleteRows, encodeMutationError),
  Search: hot('reading', decodeSearchRequest, search, encodeSearchError),
  HybridSearch: hot('reading', decodeHybridSearchRequest, hybridSearch, encodeSearchError),
  Query: hot('reading', decodeQueryRequest, query, (status) => encodeQueryResults({ status })),

  CreateCollection: cold(collections.createCollection, 'collectionDDL'),
  DropCollection: cold(collections.dropCollection, 'collectionDDL'),
  HasCollection: cold(collections.hasCollection),
  DescribeCollection: cold(collections.describeCollection),
  ShowCollections: cold(collections.showCollections),
  RenameCollection: cold(collections.renameCollection, 'collectionDDL'),
  AlterCollection: cold(collections.alterCollection, 'collectionDDL'),
  AlterCollectionField: cold(collections.alterCollectionField, 'collectionDDL'),
  AddCollectionField: cold(collections.addCollectionField, 'collectionDDL'),
  GetCollectionStatistics: cold(partitions.getCollectionStatistics),

  CreatePartition: cold(partitions.createPartition, 'partitionDDL'),
  DropPartition: cold(partitions.dropPartition, 'partitionDDL'),
  HasPartition: cold(partitions.hasPartition),
  ShowPartitions: cold(partitions.showPartitions),
  GetPartitionStatistics: cold(partitions.getPartitionStatistics),

  CreateAlias: cold(aliases.createAlias),
  AlterAlias: cold(aliases.alterAlias),
  DropAlias: cold(aliases.dropAlias),
  DescribeAlias: cold(aliases.describeAlias),
  ListAliases: cold(aliases.listAliases),

  CreateDatabase: cold(databases.createDatabase),
  DropDatabase: cold(databases.dropDatabase),
  ListDatabases: cold(databases.listDatabases),
  AlterDatabase: cold(databases.alterDatabase),
  DescribeDatabase: cold(databases.describeDatabase),

  CreateIndex: cold(indexes.createIndex, 'index'),
  AlterIndex: cold(indexes.alterIndex, 'index'),
  DescribeIndex: cold(indexes.describeIndex),
  DropIndex: cold(indexes.dropIndex, 'index'),
  GetIndexState: cold(indexes.getIndexState),
  GetIndexBuildProgress: cold(indexes.getIndexBuildProgress),
  GetIndexStatistics: cold(indexes.getIndexStatistics),

  LoadCollection: cold(loading.loadCollection, 'collectionDDL'),
  LoadPartitions: cold(loading.loadPartitions, 'partitionDDL'),
  ReleaseCollection: cold(loading.releaseCollection, 'collectionDDL'),
  ReleasePartitions: cold(loading.releasePartitions, 'partitionDDL'),
  GetLoadState: cold(loading.getLoadState),
  GetLoadingProgress: cold(loading.getLoadingProgress),

  Flush: cold(flushing.flush, 'flush'),
  FlushAll: cold(flushing.flushAll),
  GetFlushState: cold(flushing.getFlushState),
  GetFlushAllState: cold(flushing.getFlushAllState),
  ManualCompaction: cold(flushing.manualCompaction, 'compaction'),
  GetCompactionState: cold(flushing.getCompactionState),
  GetCompactionStateWithPlans: cold(flushing.getCompactionStateWithPlans),
  GetPersistentSegmentInfo: cold(flushing.getPersistentSegmentInfo),
  GetQuerySegmentInfo: cold(flushing.getQuerySegmentInfo),

  Connect: cold(serverInfo.connect),
  GetVersion: cold(serverInfo.getVersion),
  AllocTimestamp: cold(serverInfo.allocTimestamp),
  CheckHealth: cold(serverInfo.checkHealth),
  GetComponentStates: cold(serverInfo.getComponentStates),
  ClientHeartbeat: cold(serverInfo.clientHeartbeat),
};
