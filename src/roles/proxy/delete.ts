// Delete: by primary keys directly, by any other filter through a read of the matching keys first
// (R6).

import { nextTurn, VALUES_PER_TURN } from '../../base/turns.ts';
import type { DeleteRequest } from '../../codec/insert-request.ts';
import { encodeMutationResult } from '../../codec/mutation-result.ts';
import { RowBatchReader } from '../../codec/row-batch.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { DataType } from '../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { getPrimaryKeyField } from '../../model/schema.ts';
import type { DeletePart, Keys } from '../../rpc/contract.ts';
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
  const filter = await compileRequestFilter(
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
      ? await deleteKeys(proxy, info, partitionId, await takeDistinct(filter.keys), 0n, context)
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

/** Returns the keys in pieces, each key once. */
async function takeDistinct(keys: Keys): Promise<Keys[]> {
  const seen = new Set<bigint | string>();
  const isNew = (key: bigint | string): boolean => {
    const before = seen.size;
    return seen.add(key).size > before;
  };
  const distinct: Keys[] = [];
  for (const piece of cutKeys(keys)) {
    if (distinct.length > 0) await nextTurn();
    distinct.push(
      piece.kind === 'int64'
        ? { kind: 'int64', values: piece.values.filter(isNew) }
        : { kind: 'string', values: piece.values.filter(isNew) },
    );
  }
  return distinct;
}

/**
 * @param pieces     distinct keys, as cut by cutKeys
 * @param killsUpTo  0 = every version older than the delete
 */
async function deleteKeys(
  proxy: Proxy,
  info: CollectionInfo,
  partitionId: bigint,
  pieces: readonly Keys[],
  killsUpTo: bigint,
  context: RequestContext,
): Promise<Deleted> {
  const { collectionId, schema, vchannels } = info;
  const partsByShard: DeletePart[][] = vchannels.map(() => []);
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) await nextTurn();
    splitKeys(info, piece).forEach((keys, shard) => {
      if (keys === undefined || keys.values.length === 0) return;
      partsByShard[shard]!.push({ kind: 'delete', partitionId, keys, killsUpTo });
    });
  }
  const timestamps = await Promise.all(
    vchannels.map(async (vchannel, shard) => {
      const parts = partsByShard[shard]!;
      if (parts.length === 0) return 0n;
      const { timestamp } = await proxy.peers.streamingnode.write(
        { collectionId, vchannel, schemaVersion: schema.version, parts },
        context,
      );
      return timestamp;
    }),
  );
  const timestamp = timestamps.reduce((max, ts) => (ts > max ? ts : max), 0n);
  return { count: pieces.reduce((sum, { values }) => sum + values.length, 0), timestamp };
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
  const plan = await filter.encode();
  const primary = getPrimaryKeyField(info.schema);
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
        params: { plan, limit: 0, outputFieldIds: [], countOnly: false },
      },
      context,
    );
    const batch = new RowBatchReader(read.rows);
    if (batch.rows === 0) continue;
    const reader = new KeyReader(batch, primary);
    for (let from = 0; from < batch.rows; from += KEYS_PER_RECORD) {
      const end = Math.min(batch.rows, from + KEYS_PER_RECORD);
      const pieces = await readKeys(reader, primary.dataType === DataType.Int64, from, end);
      const deleted = await deleteKeys(proxy, info, partitionId, pieces, read.timestamp, context);
      count += deleted.count;
      timestamp = deleted.timestamp;
    }
  }
  return { count, timestamp };
}

/** Returns the keys of these rows in pieces, in turns of the event loop. */
async function readKeys(
  reader: KeyReader,
  isInt64: boolean,
  from: number,
  end: number,
): Promise<Keys[]> {
  const pieces: Keys[] = [];
  for (let start = from; start < end; start += VALUES_PER_TURN) {
    if (start > 0) await nextTurn();
    const length = Math.min(VALUES_PER_TURN, end - start);
    const values = Array.from({ length }, (_unused, i) => reader.at(start + i));
    pieces.push(
      isInt64
        ? { kind: 'int64', values: BigInt64Array.from(values as bigint[]) }
        : { kind: 'string', values: values as string[] },
    );
  }
  return pieces;
}
