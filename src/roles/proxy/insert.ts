// Insert and Upsert: check the columns → ids → row batches by shard and partition → the shard
// leaders. The whole request is checked before any part of it is sent.

import { checkColumns, type CheckedColumns, type CheckOptions } from '../../codec/check-columns.ts';
import { buildRowBatch, readKeys } from '../../codec/field-data-to-rows.ts';
import type { InsertRequest, UpsertRequest } from '../../codec/insert-request.ts';
import { encodeMutationResult } from '../../codec/mutation-result.ts';
import { takeRows } from '../../codec/row-batch-ops.ts';
import { native } from '../../index/native.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { DataType } from '../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { findPartitionKeyField, getPrimaryKeyField } from '../../model/schema.ts';
import type { DeletePart, InsertPart, Keys } from '../../rpc/contract.ts';
import { OK_STATUS } from '../../rpc/status.ts';
import { mergePartialRows, readKeyColumn } from './partial-update.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from './proxy.ts';
import { hashKey, splitKeys, splitRows } from './sharding.ts';

/** A schema that changed between check and write is looked up again. */
const SCHEMA_TRIES_MAX = 3;
/** A partial update whose rows others keep writing gives up then, with a retriable error. */
const CONFLICT_TRIES_MAX = 16;

export async function insert(
  proxy: Proxy,
  request: InsertRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  const written = await withRetries(() => write(proxy, request, context, false));
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
  const written = await withRetries(() => write(proxy, request, context, true));
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

/**
 * Tries again after what another writer did in between; a client's own stale schema is the client's
 * to refresh.
 */
async function withRetries(attempt: () => Promise<Written>): Promise<Written> {
  for (let tries = 1; ; tries++) {
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof MilvusError)) throw error;
      const isStaleHere =
        error.errorName === 'CollectionSchemaMismatch' &&
        !error.message.includes('schema_timestamp');
      const isConflict = error.errorName === 'InconsistentRequery';
      const triesMax = isStaleHere ? SCHEMA_TRIES_MAX : isConflict ? CONFLICT_TRIES_MAX : 0;
      if (tries >= triesMax) throw error;
    }
  }
}

/** A request's rows, checked, and how to cut them into batches. */
interface PreparedRows {
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

async function write(
  proxy: Proxy,
  request: InsertRequest | UpsertRequest,
  context: RequestContext,
  isUpsert: boolean,
): Promise<Written> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collectionName, context);
  requireCurrentSchema(info, request);
  if (request.numRows <= 0) {
    throw invalidParameter('invalid numRows: num_rows should be greater than 0');
  }
  const isPartial =
    'partialUpdate' in request && (request.partialUpdate || request.fieldOps.length > 0);
  const rows = isPartial
    ? await preparePartialRows(proxy, info, request, context)
    : await prepareRows(proxy, info, request, isUpsert);
  return sendRows(proxy, info, rows, context, isUpsert);
}

async function prepareRows(
  proxy: Proxy,
  info: CollectionInfo,
  request: InsertRequest,
  isUpsert: boolean,
): Promise<PreparedRows> {
  const partition = requirePartition(proxy, info, request.partitionName);
  const rowCount = request.numRows;
  const checked = checkColumns(
    info.schema,
    request.fieldsData,
    makeCheckOptions(proxy, info, request, isUpsert),
  );
  const rowIds = await proxy.ids.take(rowCount);
  const given = readKeys(
    checked.columns.find(({ field }) => field.isPrimaryKey)!,
    rowIds,
  );
  if (isUpsert) requireDistinct(given);
  const isRedrawn = isUpsert && getPrimaryKeyField(info.schema).autoId;
  const { columns, keys } = isRedrawn
    ? await drawNewKeys(proxy, info, checked, given, rowIds)
    : { columns: checked, keys: given };
  const partitionColumn = checked.columns.find(({ field }) => field.isPartitionKey);
  return {
    rowCount,
    given,
    keys,
    shardKeys: given,
    partition: partitionColumn === undefined ? partition : readKeys(partitionColumn, rowIds),
    makeBatch: (rows) => buildRowBatch(columns, rowIds, rows),
  };
}

/** Rows of which the request gives some fields: the others come from the stored rows. */
async function preparePartialRows(
  proxy: Proxy,
  info: CollectionInfo,
  request: UpsertRequest,
  context: RequestContext,
): Promise<PreparedRows> {
  const partition = requirePartition(proxy, info, request.partitionName);
  const options = makeCheckOptions(proxy, info, request, true);
  const checked = checkColumns(info.schema, request.fieldsData, {
    ...options,
    allowMissingFields: true,
  });
  const rowIds = await proxy.ids.take(request.numRows);
  const keyColumn = checked.columns.find(({ field }) => field.isPrimaryKey);
  if (keyColumn === undefined || keyColumn.values.kind === 'generated') {
    throw invalidParameter('partial update needs the primary keys of its rows');
  }
  const given = readKeys(keyColumn, rowIds);
  requireDistinct(given);
  const merged = await mergePartialRows(proxy, info, request, given, rowIds, options, context);
  const partitionField = findPartitionKeyField(info.schema);
  return {
    rowCount: request.numRows,
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
  isUpsert: boolean,
): CheckOptions {
  return {
    collectionName: request.collectionName,
    numRows: request.numRows,
    allowInsertAutoId: isUpsert || info.properties['allow_insert_auto_id'] === 'true',
    jsonBytesMax: proxy.deps.limits.jsonMaxLength,
  };
}

/** Builds and checks every batch before any is sent. */
async function sendRows(
  proxy: Proxy,
  info: CollectionInfo,
  rows: PreparedRows,
  context: RequestContext,
  isUpsert: boolean,
): Promise<Written> {
  const groups = splitRows(info, rows.rowCount, rows.shardKeys, rows.partition);
  const inserts = groups.map((group) => {
    const batch = rows.makeBatch(group.rows);
    checkJson(info, batch, group.rows);
    const count = group.rows?.length ?? rows.rowCount;
    const { shardIndex, partitionId } = group;
    const part: InsertPart = { kind: 'insert', partitionId, rows: count, batch };
    return { shardIndex, part };
  });
  const deletes = isUpsert ? splitKeys(info, rows.given) : [];
  const { collectionId, schema } = info;
  const writes = info.vchannels.map(async (vchannel, shard) => {
    const parts: (InsertPart | DeletePart)[] = [];
    const dead = deletes[shard];
    if (dead !== undefined) {
      parts.push({ kind: 'delete', partitionId: 0n, keys: dead, killsUpTo: 0n });
    }
    for (const { shardIndex, part } of inserts) if (shardIndex === shard) parts.push(part);
    if (parts.length === 0) return 0n;
    const dependsOn = rows.readTimestamps?.[shard];
    const { timestamp } = await proxy.peers.streamingnode.write(
      {
        collectionId,
        vchannel,
        schemaVersion: schema.version,
        parts,
        ...(dependsOn === undefined ? {} : { dependsOn }),
      },
      context,
    );
    return timestamp;
  });
  const timestamps = await Promise.all(writes);
  const timestamp = timestamps.reduce((max, ts) => (ts > max ? ts : max), 0n);
  return { keys: rows.keys, timestamp };
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
