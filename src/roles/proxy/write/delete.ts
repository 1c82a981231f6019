// Delete: by primary keys directly, by any other filter through a read of the matching keys first
// (R6).

import { nextTurn, VALUES_PER_TURN } from '../../../base/turns.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { DataType } from '../../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import type { Keys } from '../../../model/keys.ts';
import { getPrimaryKeyField } from '../../../model/schema.ts';
import type { TemplateValues } from '../../../model/template-value.ts';
import type { DeletePart } from '../../../rpc/contract.ts';
import { KeyReader } from '../../../segment/reduce.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { compileRequestFilter, type Filter } from '../read/filter.ts';
import { queryEachShard } from '../read/read-shards.ts';
import { PartialWriteError, ShardWrites, type WriteResult } from './shard-writes.ts';
import { cutKeys, splitKeys } from './sharding.ts';

/** Keys of one delete record: about 4 MiB of int64 (R6). */
const KEYS_PER_RECORD = 500_000;

export interface DeleteInput {
  readonly collectionName: string;
  /** '' = every one. */
  readonly partitionName: string;
  readonly filter: string;
  readonly templates: TemplateValues;
}

export async function deleteRows(
  proxy: Proxy,
  input: DeleteInput,
  context: RequestContext,
): Promise<WriteResult> {
  const info = await requireCollection(proxy, input.collectionName, context);
  const partitionId = findPartition(info, input.partitionName);
  if (input.filter.trim() === '') {
    throw invalidParameter(
      'failed to create delete plan: delete with empty or always-true expression is not ' +
        'supported, expr cannot be empty string',
    );
  }
  const filter = await compileRequestFilter(proxy, info, input.filter, input.templates, 'delete');
  if (filter === undefined || (filter.node.node === 'const' && filter.node.value === true)) {
    throw invalidParameter(
      `failed to create delete plan: expr[${input.filter}] is always true, which is not supported`,
    );
  }
  const work = { proxy, info, partitionId, context, done: { count: 0, timestamp: 0n } };
  const { done } = work;
  try {
    if (filter.keys === undefined) await deleteMatching(work, filter);
    else await deleteKeys(work, await takeDistinct(filter.keys), 0n);
  } catch (error) {
    if (done.count === 0 || !(error instanceof MilvusError)) throw error;
    throw new PartialWriteError(error, toResult(done), { isRepeatable: true });
  }
  return toResult(done);
}

function toResult({ count, timestamp }: DeleteWork['done']): WriteResult {
  const rows = { keys: [], written: [], missing: [] };
  return { ...rows, insertCount: 0, deleteCount: count, upsertCount: 0, timestamp };
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
  const query = {
    target: { partitionIds, ignoreGrowing: false, pinnedTimestamp: 0n },
    params: { plan, limit: 0, outputFieldIds: [], countOnly: false },
    size: { rows: Infinity, rowsEach: Infinity, spareRows: 0, isInternal: true },
  };
  for (const shard of info.vchannels.keys()) {
    // The keys of the shard before are deleted.
    context.memory.settle(0);
    const ofShard = (each: number) => (each === shard ? {} : undefined);
    const [read] = await queryEachShard(proxy, info, { ...query, ofShard }, context);
    const batch = new RowBatchReader(read!.rows);
    if (batch.rows === 0) continue;
    const reader = new KeyReader(batch, primary);
    for (let from = 0; from < batch.rows; from += KEYS_PER_RECORD) {
      const end = Math.min(batch.rows, from + KEYS_PER_RECORD);
      const pieces = await readKeys(reader, primary.dataType === DataType.Int64, from, end);
      await deleteKeys(work, pieces, read!.timestamp);
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
