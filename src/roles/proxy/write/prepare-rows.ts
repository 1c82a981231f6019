// A slice of an Insert's or Upsert's rows: checked, with ids, ready to be cut into row batches by
// shard and partition.

import { checkColumns, type CheckedColumns, type CheckOptions } from './check-columns.ts';
import { buildRowBatch, readKeys } from './field-data-to-rows.ts';
import type { FieldPartialUpdateOp, InsertRequest } from '../../../codec/insert-request.ts';
import type { RowSlice } from '../../../codec/row-slices.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField, getPrimaryKeyField } from '../../../model/schema.ts';
import type { Keys } from '../../../model/keys.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import { isTrue } from '../read/read-target.ts';
import { hashKey } from './sharding.ts';

/** One try at writing the rows of a request into a collection as it is now. */
export interface RowsTry {
  readonly proxy: Proxy;
  readonly info: CollectionInfo;
  readonly request: InsertRequest;
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

/**
 * The ids of a request's rows, by the first row of each slice. They are drawn once: a row that is
 * sent again is the same row.
 */
export class RowIds {
  readonly #bySlice = new Map<number, BigInt64Array>();

  async get(firstRow: number, draw: () => Promise<BigInt64Array>): Promise<BigInt64Array> {
    const known = this.#bySlice.get(firstRow);
    if (known !== undefined) return known;
    const drawn = await draw();
    this.#bySlice.set(firstRow, drawn);
    return drawn;
  }
}

/** @throws MilvusError ParameterInvalid, PartitionNotFound */
export async function prepareRows(attempt: RowsTry, slice: RowSlice): Promise<PreparedRows> {
  const { proxy, info, isUpsert, rowIds } = attempt;
  const partition = requirePartition(attempt);
  const checked = checkColumns(info.schema, slice.fieldsData, makeCheckOptions(attempt, slice));
  const keyColumn = checked.columns.find(({ field }) => field.isPrimaryKey)!;
  const isRedrawn = isUpsert && getPrimaryKeyField(info.schema).autoId;
  const { firstRow, numRows } = slice;
  const ids = await rowIds.get(firstRow, () => {
    if (!isRedrawn) return proxy.ids.take(numRows);
    const replaced = readKeys(keyColumn, new BigInt64Array(numRows));
    return drawIdsByShard(proxy, info.vchannels.length, replaced);
  });
  const given = readKeys(keyColumn, ids);
  const { columns, keys } = isRedrawn
    ? putNewKeys(checked, given, ids)
    : { columns: checked, keys: given };
  const partitionColumn = checked.columns.find(({ field }) => field.isPartitionKey);
  return {
    rowCount: numRows,
    toRequestRow: (row) => firstRow + row,
    given,
    keys,
    shardKeys: given,
    partition: partitionColumn === undefined ? partition : readKeys(partitionColumn, ids),
    makeBatch: (rows) => buildRowBatch(columns, ids, rows),
  };
}

export function makeCheckOptions(attempt: RowsTry, slice: RowSlice): CheckOptions {
  const { proxy, info, request, isUpsert } = attempt;
  return {
    collectionName: request.collectionName,
    numRows: slice.numRows,
    firstRow: slice.firstRow,
    allowInsertAutoId: isUpsert || isTrue(info.properties['allow_insert_auto_id']),
    jsonBytesMax: proxy.deps.limits.jsonMaxLength,
  };
}

/**
 * Returns the partition that all rows go to; 0 in a collection with a partition key, which has none
 * to name. An upsert replaces the rows of its keys there only; with a partition key, wherever they
 * are.
 */
export function requirePartition({ proxy, info, request }: RowsTry): bigint {
  const { partitionName } = request;
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

/**
 * Draws new ids, each of which hashes to the shard of the given key in its row (R4): the delete of
 * the one and the insert of the other lie in one record.
 */
async function drawIdsByShard(
  proxy: Proxy,
  shardCount: number,
  given: Keys,
): Promise<BigInt64Array> {
  if (shardCount === 1) return proxy.ids.take(given.values.length);
  const rowIds = new BigInt64Array(given.values.length);
  const rowsByShard: number[][] = Array.from({ length: shardCount }, () => []);
  given.values.forEach((key: bigint | string, row: number) => {
    rowsByShard[hashKey(key) % shardCount]!.push(row);
  });
  let missing = rowIds.length;
  while (missing > 0) {
    for (const id of await proxy.ids.take(2 * missing + shardCount)) {
      const key = given.kind === 'int64' ? id : String(id);
      const row = rowsByShard[hashKey(key) % shardCount]!.pop();
      if (row === undefined) continue;
      rowIds[row] = id;
      missing -= 1;
    }
  }
  return rowIds;
}
