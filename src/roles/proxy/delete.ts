// Delete: by primary keys directly, by any other filter through a read of the matching keys first
// (R6).

import type { DeleteRequest } from '../../codec/insert-request.ts';
import { encodeMutationResult } from '../../codec/mutation-result.ts';
import { RowBatchReader } from '../../codec/row-batch.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { DataType } from '../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import type { Keys } from '../../rpc/contract.ts';
import { OK_STATUS } from '../../rpc/status.ts';
import { KeyReader } from '../../segment/reduce.ts';
import { compileRequestFilter, type Filter } from './filter.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from './proxy.ts';
import { cutKeys, splitKeys } from './sharding.ts';

/** Keys of one delete record: about 4 MiB of int64 (R6). */
const KEYS_PER_RECORD = 500_000;

export async function deleteRows(
  proxy: Proxy,
  request: DeleteRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collectionName, context);
  const partitionId = findPartition(info, request.partitionName);
  if (request.expr.trim() === '') {
    throw invalidParameter(
      'failed to create delete plan: delete with empty or always-true expression is not ' +
        'supported, expr cannot be empty string',
    );
  }
  const filter = compileRequestFilter(
    proxy,
    info,
    request.expr,
    request.exprTemplateValues,
    'delete',
  );
  if (filter === undefined || (filter.node.node === 'const' && filter.node.value === true)) {
    throw invalidParameter(
      `failed to create delete plan: expr[${request.expr}] is always true, which is not supported`,
    );
  }
  const deleted =
    filter.keys !== undefined
      ? await deleteKeys(proxy, info, partitionId, filter.keys, 0n, context)
      : await deleteMatching(proxy, info, partitionId, filter, context);
  return encodeMutationResult({
    status: OK_STATUS,
    acknowledged: true,
    deleteCount: deleted.count,
    timestamp: deleted.timestamp,
  });
}

interface Deleted {
  readonly count: number;
  readonly timestamp: bigint;
}

function findPartition(info: CollectionInfo, name: string): bigint {
  if (name === '') return 0n;
  const partition = info.partitions.find((candidate) => candidate.name === name);
  if (partition === undefined)
    throw new MilvusError('PartitionNotFound', { fields: { partition: name } });
  return partition.partitionId;
}

/** `killsUpTo` 0 = every version older than the delete. */
async function deleteKeys(
  proxy: Proxy,
  info: CollectionInfo,
  partitionId: bigint,
  keys: Keys,
  killsUpTo: bigint,
  context: RequestContext,
): Promise<Deleted> {
  const { collectionId, schema, vchannels } = info;
  const byShard = splitKeys(info, keys);
  const timestamps = await Promise.all(
    vchannels.map(async (vchannel, shard) => {
      const mine = byShard[shard];
      if (mine === undefined || mine.values.length === 0) return 0n;
      const parts = cutKeys(mine).map((piece) => ({
        kind: 'delete' as const,
        partitionId,
        keys: piece,
        killsUpTo,
      }));
      const { timestamp } = await proxy.peers.streamingnode.write(
        { collectionId, vchannel, schemaVersion: schema.version, parts },
        context,
      );
      return timestamp;
    }),
  );
  const timestamp = timestamps.reduce((max, ts) => (ts > max ? ts : max), 0n);
  return { count: keys.values.length, timestamp };
}

/** Reads the matching keys of each shard and deletes just the versions read. */
async function deleteMatching(
  proxy: Proxy,
  info: CollectionInfo,
  partitionId: bigint,
  filter: Filter,
  context: RequestContext,
): Promise<Deleted> {
  const { collectionId } = info;
  const partitionIds = partitionId !== 0n ? [partitionId] : (filter.partitionIds ?? []);
  let count = 0;
  let timestamp = 0n;
  for (const vchannel of info.vchannels) {
    const read = await proxy.peers.streamingnode.query(
      {
        collectionId,
        vchannel,
        partitionIds,
        ignoreGrowing: false,
        pinnedTimestamp: 0n,
        params: { plan: filter.plan, limit: 0, outputFieldIds: [], countOnly: false },
      },
      context,
    );
    for (const keys of readKeyChunks(info, read.rows)) {
      const deleted = await deleteKeys(proxy, info, partitionId, keys, read.timestamp, context);
      count += deleted.count;
      timestamp = deleted.timestamp;
    }
  }
  return { count, timestamp };
}

function readKeyChunks(info: CollectionInfo, rows: Uint8Array): Keys[] {
  const batch = new RowBatchReader(rows);
  if (batch.rows === 0) return [];
  const field = getPrimaryKeyField(info.schema);
  const chunks: Keys[] = [];
  const reader = new KeyReader(batch, field);
  for (let from = 0; from < batch.rows; from += KEYS_PER_RECORD) {
    const length = Math.min(KEYS_PER_RECORD, batch.rows - from);
    const values = Array.from({ length }, (_unused, i) => reader.at(from + i));
    chunks.push(
      field.dataType === DataType.Int64
        ? { kind: 'int64', values: BigInt64Array.from(values as bigint[]) }
        : { kind: 'string', values: values as string[] },
    );
  }
  return chunks;
}
