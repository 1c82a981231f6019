// Insert and Upsert: check the columns → ids → row batches by shard and partition → the shard
// leaders. The whole request is checked before any part of it is sent.

import { checkColumns, type CheckedColumns } from '../../codec/check-columns.ts';
import { buildRowBatch, readKeys } from '../../codec/field-data-to-rows.ts';
import type { InsertRequest, UpsertRequest } from '../../codec/insert-request.ts';
import { encodeMutationResult } from '../../codec/mutation-result.ts';
import { native } from '../../index/native.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { DataType } from '../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { findPartitionKeyField, getPrimaryKeyField } from '../../model/schema.ts';
import type { DeletePart, InsertPart, Keys } from '../../rpc/contract.ts';
import { OK_STATUS } from '../../rpc/status.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from './proxy.ts';
import { notYet } from './read-schema.ts';
import { hashKey, splitKeys, splitRows } from './sharding.ts';

/** A schema that changed between check and write is checked again so often. */
const SCHEMA_RETRIES_MAX = 2;

export async function insert(
  proxy: Proxy,
  request: InsertRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  const written = await withFreshSchema(() => write(proxy, request, context, false));
  return encodeMutationResult({
    status: OK_STATUS,
    ids: toIds(written.keys),
    succIndex: Uint32Array.from({ length: request.numRows }, (_unused, i) => i),
    acknowledged: true,
    insertCount: request.numRows,
    timestamp: written.timestamp,
  });
}

export async function upsert(
  proxy: Proxy,
  request: UpsertRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  if (request.partialUpdate || request.fieldOps.length > 0) throw notYet('partial update');
  const written = await withFreshSchema(() => write(proxy, request, context, true));
  return encodeMutationResult({
    status: OK_STATUS,
    ids: toIds(written.keys),
    succIndex: Uint32Array.from({ length: request.numRows }, (_unused, i) => i),
    acknowledged: true,
    insertCount: request.numRows,
    deleteCount: request.numRows,
    upsertCount: request.numRows,
    timestamp: written.timestamp,
  });
}

interface Written {
  readonly keys: Keys;
  readonly timestamp: bigint;
}

async function withFreshSchema(attempt: () => Promise<Written>): Promise<Written> {
  for (let tries = 0; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      const isStale =
        error instanceof MilvusError && error.errorName === 'CollectionSchemaMismatch';
      // A client's stale schema is the client's to refresh; ours is looked up anew.
      if (!isStale || error.message.includes('schema_timestamp') || tries >= SCHEMA_RETRIES_MAX)
        throw error;
    }
  }
}

async function write(
  proxy: Proxy,
  request: InsertRequest,
  context: RequestContext,
  isUpsert: boolean,
): Promise<Written> {
  const { peers, deps } = proxy;
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collectionName, context);
  requireCurrentSchema(info, request);
  const rowCount = request.numRows;
  if (rowCount <= 0) throw invalidParameter('invalid numRows: num_rows should be greater than 0');
  const primary = getPrimaryKeyField(info.schema);
  const partition = requirePartition(proxy, info, request.partitionName);
  const checked = checkColumns(info.schema, request.fieldsData, {
    collectionName: request.collectionName,
    numRows: rowCount,
    allowInsertAutoId: isUpsert || info.properties['allow_insert_auto_id'] === 'true',
    jsonBytesMax: deps.limits.jsonMaxLength,
  });
  const rowIds = await proxy.ids.take(rowCount);
  const given = readKeys(
    checked.columns.find(({ field }) => field.isPrimaryKey)!,
    rowIds,
  );
  if (isUpsert) requireDistinct(given);
  const { columns, keys } =
    isUpsert && primary.autoId
      ? await drawNewKeys(proxy, info, checked, given, rowIds)
      : { columns: checked, keys: given };
  const partitionKey = findPartitionKeyField(info.schema);
  const partitionValues =
    partitionKey === undefined
      ? partition
      : readKeys(
          checked.columns.find(({ field }) => field === partitionKey)!,
          rowIds,
        );
  const groups = splitRows(
    info,
    rowCount,
    isUpsert && primary.autoId ? given : keys,
    partitionValues,
  );
  const inserts = groups.map((group) => {
    const batch = buildRowBatch(columns, rowIds, group.rows);
    checkJson(info, batch, group.rows);
    const rows = group.rows?.length ?? rowCount;
    const part: InsertPart = { kind: 'insert', partitionId: group.partitionId, rows, batch };
    return { shardIndex: group.shardIndex, part };
  });
  const deletes = isUpsert ? splitKeys(info, given) : [];
  const writes = info.vchannels.map(async (vchannel, shard) => {
    const parts: (InsertPart | DeletePart)[] = [];
    const dead = deletes[shard];
    if (dead !== undefined)
      parts.push({ kind: 'delete', partitionId: 0n, keys: dead, killsUpTo: 0n });
    for (const { shardIndex, part } of inserts) if (shardIndex === shard) parts.push(part);
    if (parts.length === 0) return 0n;
    const { collectionId, schema } = info;
    const { timestamp } = await peers.streamingnode.write(
      { collectionId, vchannel, schemaVersion: schema.version, parts },
      context,
    );
    return timestamp;
  });
  const timestamps = await Promise.all(writes);
  return { keys, timestamp: timestamps.reduce((max, ts) => (ts > max ? ts : max), 0n) };
}

/** pymilvus keeps schemas; a drop and re-create is told to it by code 109. */
function requireCurrentSchema(info: CollectionInfo, request: InsertRequest): void {
  const got = request.schemaTimestamp;
  if (got === 0n || got === info.schemaTimestamp) return;
  throw new MilvusError('CollectionSchemaMismatch', {
    message: 'collection schema mismatch, schema_timestamp is stale',
    fields: { collection: request.collectionName, got, expected: info.schemaTimestamp },
  });
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

function requireDistinct(keys: Keys): void {
  if (new Set<bigint | string>(keys.values).size === keys.values.length) return;
  throw invalidParameter('duplicate primary keys are not allowed in the same batch');
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

function checkJson(info: CollectionInfo, batch: Uint8Array, rows: Uint32Array | undefined): void {
  for (const field of info.schema.fields) {
    if (field.dataType !== DataType.JSON) continue;
    const bad = native.findInvalidJson(batch, field.fieldId);
    if (bad < 0) continue;
    const row = rows?.[bad] ?? bad;
    throw invalidParameter(
      `invalid JSON in field ${field.name} of collection ${info.schema.name}, row ${row}`,
    );
  }
}

function toIds(
  keys: Keys,
): { kind: 'int'; values: BigInt64Array } | { kind: 'string'; values: readonly string[] } {
  return keys.kind === 'int64'
    ? { kind: 'int', values: keys.values }
    : { kind: 'string', values: keys.values };
}
