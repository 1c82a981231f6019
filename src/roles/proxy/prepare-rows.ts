// A slice of an Insert's or Upsert's rows: checked, with ids, ready to be cut into row batches by
// shard and partition.

import { checkColumns, type CheckedColumns, type CheckOptions } from '../../codec/check-columns.ts';
import { buildRowBatch, readKeys } from '../../codec/field-data-to-rows.ts';
import type { InsertRequest, UpsertRequest } from '../../codec/insert-request.ts';
import { takeRows } from '../../codec/row-batch-ops.ts';
import type { RowSlice } from '../../codec/row-slices.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { findPartitionKeyField, getPrimaryKeyField } from '../../model/schema.ts';
import type { Keys } from '../../rpc/contract.ts';
import { mergePartialRows, readKeyColumn } from './partial-update.ts';
import type { Proxy, RequestContext } from './proxy.ts';
import { isTrue } from './read-target.ts';
import { hashKey } from './sharding.ts';

export interface PreparedRows {
  readonly rowCount: number;
  /** Keys as the client gave them (or as drawn for an insert): what an upsert deletes. */
  readonly given: Keys;
  /** What the reply lists: the keys of the written rows. */
  readonly keys: Keys;
  /** By row; decides its shard: a new key lies where the old one was (R4). */
  readonly shardKeys: Keys;
  readonly partition: bigint | Keys;
  readonly makeBatch: (rows: Uint32Array | undefined) => Uint8Array;
  /** By shard, for rows that were made from stored ones. */
  readonly readTimestamps?: readonly bigint[];
}

/** @throws MilvusError ParameterInvalid, PartitionNotFound */
export async function prepareRows(
  proxy: Proxy,
  info: CollectionInfo,
  request: InsertRequest,
  slice: RowSlice,
  isUpsert: boolean,
): Promise<PreparedRows> {
  const partition = requirePartition(proxy, info, request.partitionName);
  const options = makeCheckOptions(proxy, info, request, slice, isUpsert);
  const checked = checkColumns(info.schema, slice.fieldsData, options);
  const rowIds = await proxy.ids.take(slice.numRows);
  const given = readKeys(
    checked.columns.find(({ field }) => field.isPrimaryKey)!,
    rowIds,
  );
  const isRedrawn = isUpsert && getPrimaryKeyField(info.schema).autoId;
  const { columns, keys } = isRedrawn
    ? await drawNewKeys(proxy, info, checked, given, rowIds)
    : { columns: checked, keys: given };
  const partitionColumn = checked.columns.find(({ field }) => field.isPartitionKey);
  return {
    rowCount: slice.numRows,
    given,
    keys,
    shardKeys: given,
    partition: partitionColumn === undefined ? partition : readKeys(partitionColumn, rowIds),
    makeBatch: (rows) => buildRowBatch(columns, rowIds, rows),
  };
}

/** Rows of which the request gives some fields: the others come from the stored rows. */
export async function preparePartialRows(
  proxy: Proxy,
  info: CollectionInfo,
  request: UpsertRequest,
  slice: RowSlice,
  context: RequestContext,
): Promise<PreparedRows> {
  const partition = requirePartition(proxy, info, request.partitionName);
  const options = makeCheckOptions(proxy, info, request, slice, true);
  const checked = checkColumns(info.schema, slice.fieldsData, {
    ...options,
    allowMissingFields: true,
  });
  const rowIds = await proxy.ids.take(slice.numRows);
  const keyColumn = checked.columns.find(({ field }) => field.isPrimaryKey);
  if (keyColumn === undefined || keyColumn.values.kind === 'generated') {
    throw invalidParameter('partial update needs the primary keys of its rows');
  }
  const given = readKeys(keyColumn, rowIds);
  const merged = await mergePartialRows(
    proxy,
    info,
    { ...request, fieldsData: slice.fieldsData },
    { checked, given, rowIds },
    options,
    context,
  );
  const partitionField = findPartitionKeyField(info.schema);
  return {
    rowCount: slice.numRows,
    given,
    keys: given, // The reply lists them as the client did; the rows lie in another order.
    shardKeys: merged.keys,
    partition:
      partitionField === undefined ? partition : readKeyColumn(merged.batch, partitionField),
    makeBatch: (rows) => (rows === undefined ? merged.batch.bytes : takeRows(merged.batch, rows)),
    readTimestamps: merged.readTimestamps,
  };
}

function makeCheckOptions(
  proxy: Proxy,
  info: CollectionInfo,
  request: InsertRequest,
  slice: RowSlice,
  isUpsert: boolean,
): CheckOptions {
  return {
    collectionName: request.collectionName,
    numRows: slice.numRows,
    firstRow: slice.firstRow,
    allowInsertAutoId: isUpsert || isTrue(info.properties['allow_insert_auto_id']),
    jsonBytesMax: proxy.deps.limits.jsonMaxLength,
  };
}

/** The partition that all rows go to; partition-key collections have none to name. */
function requirePartition(proxy: Proxy, info: CollectionInfo, name: string): bigint {
  if (findPartitionKeyField(info.schema) !== undefined) {
    if (name !== '') {
      throw invalidParameter(
        'not support manually specifying the partition names if partition key mode is used',
      );
    }
    return 0n;
  }
  const wanted = name === '' ? proxy.deps.defaultPartitionName : name;
  const partition = info.partitions.find((candidate) => candidate.name === wanted);
  if (partition === undefined) {
    throw new MilvusError('PartitionNotFound', { fields: { partition: wanted } });
  }
  return partition.partitionId;
}

/**
 * Upsert with auto id: the given key is deleted and a new one drawn that hashes to the same shard
 * (R4), so that both lie in one record.
 */
async function drawNewKeys(
  proxy: Proxy,
  info: CollectionInfo,
  checked: CheckedColumns,
  given: Keys,
  rowIds: BigInt64Array,
): Promise<{ columns: CheckedColumns; keys: Keys }> {
  if (info.vchannels.length > 1) await drawIdsByShard(proxy, info.vchannels.length, given, rowIds);
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

/** Fills `rowIds` with new ids, each of which hashes to the shard of the given key in its row. */
async function drawIdsByShard(
  proxy: Proxy,
  shardCount: number,
  given: Keys,
  rowIds: BigInt64Array,
): Promise<void> {
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
}
