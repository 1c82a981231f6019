// Delete: by primary keys directly, by any other filter through a read of the matching keys first
// (R6).

import { nextTurn, VALUES_PER_TURN } from '../../../base/turns.ts';
import type { DeleteRequest } from '../../../codec/insert-request.ts';
import { encodeMutationResult } from '../../../codec/mutation-result.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { DataType } from '../../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { getPrimaryKeyField } from '../../../model/schema.ts';
import type { Keys } from '../../../model/keys.ts';
import type { DeletePart } from '../../../rpc/contract.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { KeyReader } from '../../../segment/reduce.ts';
import { compileRequestFilter, type Filter } from '../read/filter.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { readWithin } from '../read/read-bounds.ts';
import { PartialWriteError, ShardWrites } from './shard-writes.ts';
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
  const work = { proxy, info, partitionId, context, done: { count: 0, timestamp: 0n } };
  const { done } = work;
  try {
    if (filter.keys === undefined) await deleteMatching(work, filter);
    else await deleteKeys(work, await takeDistinct(filter.keys), 0n);
  } catch (error) {
    if (done.count === 0 || !(error instanceof MilvusError)) throw error;
    const outcome = { deleteCount: done.count, timestamp: done.timestamp };
    throw new PartialWriteError(error, outcome, { isRepeatable: true });
  }
  return encodeMutationResult({
    status: OK_STATUS,
    acknowledged: true,
    deleteCount: done.count,
    timestamp: done.timestamp,
  });
}

interface DeleteWork {
  readonly proxy: Proxy;
  readonly info: CollectionInfo;
  /** 0 = every partition. */
  readonly partitionId: bigint;
  readonly context: RequestContext;
  /** So far. */
  readonly done: { count: number; timestamp: bigint };
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
  work: DeleteWork,
  pieces: readonly Keys[],
  killsUpTo: bigint,
): Promise<void> {
  const { proxy, info, partitionId, context, done } = work;
  const partsByShard: DeletePart[][] = info.vchannels.map(() => []);
  const counts = info.vchannels.map(() => 0);
  for (const [i, piece] of pieces.entries()) {
    if (i > 0) await nextTurn();
    splitKeys(info, piece).forEach((keys, shard) => {
      if (keys === undefined || keys.values.length === 0) return;
      partsByShard[shard]!.push({ kind: 'delete', partitionId, keys, killsUpTo });
      counts[shard]! += keys.values.length;
    });
  }
  const writes = new ShardWrites(proxy, context);
  const { dbName, collectionId } = info;
  const { rootcoord } = proxy.peers;
  try {
    await writes.run(async (attempt) => {
      const ref = { dbName, collectionId };
      const latest = attempt === 0 ? info : await rootcoord.describeCollection(ref, context);
      await writes.send(latest, partsByShard);
    });
  } finally {
    counts.forEach((count, shard) => {
      if (writes.isWritten(shard)) done.count += count;
    });
    if (writes.hasBegun) done.timestamp = writes.timestamp;
  }
}

/** Reads the matching keys of each shard and deletes just the versions read. */
async function deleteMatching(work: DeleteWork, filter: Filter): Promise<void> {
  const { proxy, info, partitionId, context } = work;
  const partitionIds = partitionId !== 0n ? [partitionId] : (filter.partitionIds ?? []);
  const plan = await filter.encode();
  const primary = getPrimaryKeyField(info.schema);
  const all = { rows: Infinity, rowsEach: Infinity, spareRows: 0 };
  const size = { ...all, schema: info.schema, fieldIds: [], isInternal: true };
  for (const vchannel of info.vchannels) {
    // The keys of the shard before are deleted.
    context.memory.settle(0);
    const read = await readWithin(proxy, context, {
      sizes: [size],
      read: ([bounds]) =>
        proxy.peers.shard(vchannel).query(
          {
            vchannel,
            partitionIds,
            ignoreGrowing: false,
            pinnedTimestamp: 0n,
            params: { plan, limit: 0, outputFieldIds: [], countOnly: false, bounds: bounds! },
          },
          context,
        ),
      listRows: ({ rows }) => [rows],
    });
    const batch = new RowBatchReader(read.rows);
    if (batch.rows === 0) continue;
    const reader = new KeyReader(batch, primary);
    for (let from = 0; from < batch.rows; from += KEYS_PER_RECORD) {
      const end = Math.min(batch.rows, from + KEYS_PER_RECORD);
      const pieces = await readKeys(reader, primary.dataType === DataType.Int64, from, end);
      await deleteKeys(work, pieces, read.timestamp);
    }
  }
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
