// The RPCs about indexes, loading and releasing.

import type { IndexStatus } from '../../../rpc/contract.ts';
import * as indexes from '../catalog/indexes.ts';
import * as loading from '../catalog/load.ts';
import { toPairs, toRecord, type KeyValuePair } from './pairs.ts';
import { cold, type Rpc } from './rpc.ts';

interface IndexMessage {
  readonly collection_name: string;
  readonly field_name: string;
  readonly index_name: string;
}
interface PartitionsMessage {
  readonly collection_name: string;
  readonly partition_names: readonly string[];
}
interface LoadMessage {
  readonly collection_name: string;
  readonly replica_number: number;
  readonly load_fields: readonly string[];
  readonly resource_groups: readonly string[];
}

/** Number of common.IndexState. */
const FINISHED = 3;
/** Numbers of common.LoadState. */
const LOAD_STATE = { notExist: 0, notLoad: 1, loaded: 3 } as const;

const readIndex = (message: IndexMessage) => ({
  collectionName: message.collection_name,
  fieldName: message.field_name,
  indexName: message.index_name,
});
const readPartitions = (message: PartitionsMessage) => ({
  collectionName: message.collection_name,
  partitionNames: message.partition_names,
});
const readLoad = (message: LoadMessage) => ({
  collectionName: message.collection_name,
  replicaNumber: message.replica_number,
  loadFields: message.load_fields,
  resourceGroups: message.resource_groups,
});
const replyIndexes = (found: readonly IndexStatus[]): object => ({
  index_descriptions: found.map(toDescription),
});

export const INDEX_RPCS: Readonly<Record<string, Rpc>> = {
  CreateIndex: cold({
    access: 'index',
    read: (message: IndexMessage & { readonly extra_params: readonly KeyValuePair[] }) => ({
      ...readIndex(message),
      params: toRecord(message.extra_params),
    }),
    run: indexes.createIndex,
  }),
  AlterIndex: cold({
    access: 'index',
    read: (
      message: IndexMessage & {
        readonly extra_params: readonly KeyValuePair[];
        readonly delete_keys: readonly string[];
      },
    ) => ({
      ...readIndex(message),
      properties: toRecord(message.extra_params),
      deleteKeys: message.delete_keys,
    }),
    run: indexes.alterIndex,
  }),
  DescribeIndex: cold({ read: readIndex, run: indexes.describeIndexes, reply: replyIndexes }),
  DropIndex: cold({ access: 'index', read: readIndex, run: indexes.dropIndex }),
  GetIndexState: cold({
    read: readIndex,
    run: indexes.describeIndexes,
    reply: (found) => {
      const worst = found.find(({ state }) => state !== FINISHED) ?? found[0]!;
      return { state: worst.state, fail_reason: worst.failReason };
    },
  }),
  GetIndexBuildProgress: cold({
    read: readIndex,
    run: indexes.describeIndexes,
    reply: ([first]) => ({
      indexed_rows: String(first!.indexedRows),
      total_rows: String(first!.totalRows),
    }),
  }),
  GetIndexStatistics: cold({
    read: (message: IndexMessage) => ({ ...readIndex(message), fieldName: '' }),
    run: indexes.describeIndexes,
    reply: replyIndexes,
  }),

  LoadCollection: cold({
    access: 'collectionDDL',
    read: readLoad,
    run: loading.loadCollection,
  }),
  LoadPartitions: cold({
    access: 'partitionDDL',
    read: (message: LoadMessage & PartitionsMessage) => ({
      ...readLoad(message),
      ...readPartitions(message),
    }),
    run: loading.loadPartitions,
  }),
  ReleaseCollection: cold({
    access: 'collectionDDL',
    read: ({ collection_name }: Pick<PartitionsMessage, 'collection_name'>) => ({
      collectionName: collection_name,
    }),
    run: loading.releaseCollection,
  }),
  ReleasePartitions: cold({
    access: 'partitionDDL',
    read: readPartitions,
    run: loading.releasePartitions,
  }),
  GetLoadState: cold({
    read: readPartitions,
    run: loading.getLoadState,
    reply: (state) => ({ state: LOAD_STATE[state] }),
  }),
  GetLoadingProgress: cold({
    read: readPartitions,
    run: loading.requireLoaded,
    reply: () => ({ progress: '100', refresh_progress: '100' }),
  }),
};

/** Each parameter as it came: those in the JSON under `params` stay in there. */
function toDescription(status: IndexStatus): object {
  const { index } = status;
  const inJson = indexes.parseParams(index.params['params'] ?? '');
  const flat = Object.entries(index.params).filter(([key, value]) => inJson[key] !== value);
  const metric = index.metric === '' ? {} : { metric_type: index.metric };
  return {
    index_name: index.name,
    indexID: String(index.indexId),
    field_name: index.fieldName,
    params: [
      ...toPairs({ index_type: index.indexType, ...metric }),
      ...toPairs(Object.fromEntries(flat)),
    ],
    indexed_rows: String(status.indexedRows),
    total_rows: String(status.totalRows),
    pending_index_rows: String(status.pendingRows),
    state: status.state,
    index_state_fail_reason: status.failReason,
    min_index_version: 0,
    max_index_version: 0,
  };
}
