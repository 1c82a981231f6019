// Rows on their way into the shards: a slice of an Insert's or Upsert's rows, checked and with ids,
// and what all slices add up to, the parts of one write for each shard and the keys of the reply.

import type { FieldPartialUpdateOp } from '../../../codec/insert-request.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import type { Keys } from '../../../model/keys.ts';
import { findPartitionKeyField, getPrimaryKeyField } from '../../../model/schema.ts';
import type { DeletePart, InsertPart } from '../../../rpc/contract.ts';
import { isTrue } from '../options.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import { buildRowBatch, readKeys } from './build-row-batch.ts';
import type { CheckedColumns, CheckOptions } from './check-columns.ts';
import { checkJson } from './check-rows.ts';
import type { RowIds } from './row-ids.ts';
import type { RowSlice } from './row-source.ts';
import type { ShardWrites } from './shard-writes.ts';
import { hashKey, splitKeys, splitRows } from './sharding.ts';

/** One try at writing the rows of a request into a collection as it is by then. */
export interface WriteAttempt {
  readonly proxy: Proxy;
  readonly info: CollectionInfo;
  /** As the client says it. */
  readonly collectionName: string;
  /** '' = the default one. */
  readonly partitionName: string;
  readonly isUpsert: boolean;
  /** Of a partial update. */
  readonly fieldOps: readonly FieldPartialUpdateOp[];
  readonly rowIds: RowIds;
  readonly context: RequestContext;
}

export interface PreparedRows {
  readonly rowCount: number;
  /** For messages: the request's row that one of these is. */
  readonly toRequestRow: (row: number) => number;
  /** Keys as the client gave them (or as drawn for an insert): what an upsert deletes. */
  readonly given: Keys;
  /** What the reply lists: the keys of the written rows, in the request's order. */
  readonly keys: Keys;
  /** By row; decides its shard: a new key lies where the old one was (R4). */
  readonly shardKeys: Keys;
  /** All rows' partition, or by row the partition keys that decide. */
  readonly partition: bigint | Keys;
  readonly makeBatch: (rows: Uint32Array | undefined) => Uint8Array;
}

/** @throws MilvusError ParameterInvalid, PartitionNotFound */
export async function prepareRows(
  attempt: WriteAttempt,
  slice: RowSlice,
): Promise<PreparedRows> {
  const { proxy, info, isUpsert, rowIds } = attempt;
  const partition = requirePartition(attempt);
  const checked = slice.check(makeCheckOptions(attempt, slice));
  const keyColumn = checked.columns.find(({ field }) => field.isPrimaryKey)!;
  const isRedrawn = isUpsert && getPrimaryKeyField(info.schema).autoId;
  const { firstRow, rowCount } = slice;
  const ids = await rowIds.get(firstRow, () => {
    if (!isRedrawn) return proxy.rowIds.take(rowCount);
    const replaced = readKeys(keyColumn, new BigInt64Array(rowCount));
    return proxy.rowIds.takeByShard(info.vchannels.length, replaced);
  });
  const given = readKeys(keyColumn, ids);
  const { columns, keys } = isRedrawn
    ? putNewKeys(checked, given, ids)
    : { columns: checked, keys: given };
  const partitionColumn = checked.columns.find(({ field }) => field.isPartitionKey);
  return {
    rowCount,
    toRequestRow: (row) => firstRow + row,
    given,
    keys,
    shardKeys: given,
    partition: partitionColumn === undefined ? partition : readKeys(partitionColumn, ids),
    makeBatch: (rows) => buildRowBatch(columns, ids, rows),
  };
}

export function makeCheckOptions(
  { proxy, info, collectionName, isUpsert }: WriteAttempt,
  { rowCount, firstRow }: RowSlice,
): CheckOptions {
  return {
    collectionName,
    numRows: rowCount,
    firstRow,
    allowInsertAutoId: isUpsert || isTrue(info.properties['allow_insert_auto_id']),
    jsonBytesMax: proxy.deps.limits.jsonMaxLength,
  };
}

/**
 * Returns the partition that all rows go to; 0 in a collection with a partition key, which has none
 * to name. An upsert replaces the rows of its keys there only; with a partition key, wherever they
 * are.
 */
export function requirePartition({ proxy, info, partitionName }: WriteAttempt): bigint {
  if (findPartitionKeyField(info.schema) !== undefined) {
    if (partitionName !== '') {
      throw invalidParameter(
        'not support manually specifying the partition names if partition key mode is used',
      );
    }
    return 0n;
  }
  const wanted = partitionName === '' ? proxy.deps.defaultPartitionName : partitionName;
  const partition = info.partitions.find((candidate) => candidate.name === wanted);
  if (partition === undefined) {
    throw new MilvusError('PartitionNotFound', { fields: { partition: wanted } });
  }
  return partition.partitionId;
}

/** Upsert with auto id: the given keys are deleted, the rows get new ones. */
function putNewKeys(
  checked: CheckedColumns,
  given: Keys,
  rowIds: BigInt64Array,
): { columns: CheckedColumns; keys: Keys } {
  const columns = {
    ...checked,
    columns: checked.columns.map((column) =>
      column.field.isPrimaryKey
        ? { ...column, values: { kind: 'generated' as const }, physical: undefined }
        : column,
    ),
  };
  const keys: Keys =
    given.kind === 'int64'
      ? { kind: 'int64', values: rowIds }
      : { kind: 'string', values: Array.from(rowIds, String) };
  return { columns, keys };
}

export class CollectedRows {
  readonly partsByShard: (InsertPart | DeletePart)[][];
  readonly #info: CollectionInfo;
  readonly #writes: ShardWrites;
  /** Of an upsert: keys seen so far. */
  readonly #given: Set<bigint | string> | undefined;
  /** They decide the shard of each row of the request. */
  readonly #shardKeys: Keys[] = [];
  /** Of the rows that are written, slice by slice. */
  readonly keys: Keys[] = [];

  /** @param writes  shards that have written their part need no rows any more */
  constructor(info: CollectionInfo, writes: ShardWrites, isUpsert: boolean) {
    this.#info = info;
    this.#writes = writes;
    this.partsByShard = info.vchannels.map(() => []);
    this.#given = isUpsert ? new Set() : undefined;
  }

  /** @throws MilvusError ParameterInvalid for a key that came before, for text that is not JSON */
  add(rows: PreparedRows): void {
    const info = this.#info;
    if (this.#given !== undefined) {
      addDistinct(this.#given, rows.given);
      const partitionId = typeof rows.partition === 'bigint' ? rows.partition : 0n;
      splitKeys(info, rows.given).forEach((keys, shard) => {
        if (keys === undefined) return;
        this.partsByShard[shard]!.push({ kind: 'delete', partitionId, keys, killsUpTo: 0n });
      });
    }
    for (const group of splitRows(info, rows.rowCount, rows.shardKeys, rows.partition)) {
      const { shardIndex, partitionId } = group;
      if (this.#writes.isWritten(shardIndex)) continue;
      const batch = rows.makeBatch(group.rows);
      const toRequestRow = (row: number): number => rows.toRequestRow(group.rows?.[row] ?? row);
      checkJson(info.schema.fields, batch, info.schema.name, toRequestRow);
      const count = group.rows?.length ?? rows.rowCount;
      this.partsByShard[shardIndex]!.push({ kind: 'insert', partitionId, rows: count, batch });
    }
    this.#shardKeys.push(rows.given);
    this.keys.push(rows.keys);
  }

  /** Returns the request's rows that shards have written, and the others. */
  splitByOutcome(): { readonly written: number[]; readonly missing: number[] } {
    const written: number[] = [];
    const missing: number[] = [];
    let row = 0;
    for (const { values } of this.#shardKeys) {
      for (const key of values) {
        const shard = hashKey(key) % this.#info.vchannels.length;
        (this.#writes.isWritten(shard) ? written : missing).push(row++);
      }
    }
    return { written, missing };
  }
}

/** @throws MilvusError ParameterInvalid when a key is there already */
function addDistinct(seen: Set<bigint | string>, keys: Keys): void {
  const before = seen.size;
  for (const key of keys.values) seen.add(key);
  if (seen.size === before + keys.values.length) return;
  throw invalidParameter('duplicate primary keys are not allowed in the same batch');
}
