// Insert and Upsert: check the columns → ids → row batches by shard and partition → the shard
// leaders. The whole request is checked before any part of it is sent; a large one goes through in
// slices, each in a turn of the event loop of its own (R17).

import { nextTurn } from '../../base/turns.ts';
import { encodeStringIds, type IdsInput } from '../../codec/ids.ts';
import type { InsertRequest, UpsertRequest } from '../../codec/insert-request.ts';
import { encodeMutationResult } from '../../codec/mutation-result.ts';
import { sliceRows } from '../../codec/row-slices.ts';
import { native } from '../../index/native.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { DataType } from '../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import type { DeletePart, InsertPart, Keys } from '../../rpc/contract.ts';
import { OK_STATUS } from '../../rpc/status.ts';
import { preparePartialRows, prepareRows, type PreparedRows } from './prepare-rows.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from './proxy.ts';
import { splitKeys, splitRows } from './sharding.ts';

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
    ids: written.ids,
    succIndex: countFrom0(request.numRows),
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
    ids: written.ids,
    succIndex: countFrom0(request.numRows),
    acknowledged: true,
    insertCount: request.numRows,
    deleteCount: request.numRows,
    upsertCount: request.numRows,
    timestamp: written.timestamp,
  });
}

interface Written {
  readonly ids: IdsInput;
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
  const collected = new CollectedRows(info, isUpsert);
  for (const slice of sliceRows(request.fieldsData, request.numRows)) {
    if (slice.numRows < request.numRows) await nextTurn();
    collected.add(
      isPartial
        ? await preparePartialRows(proxy, info, request, slice, context)
        : await prepareRows(proxy, info, request, slice, isUpsert),
      slice.firstRow,
    );
  }
  return { ids: collected.getIds(), timestamp: await send(proxy, info, collected, context) };
}

/** What the slices of a request add up to: one write for each shard, and the keys of the reply. */
class CollectedRows {
  readonly partsByShard: (InsertPart | DeletePart)[][];
  /** By shard, for rows that were made from stored ones: the oldest read. */
  readonly dependsOn: (bigint | undefined)[];
  readonly #info: CollectionInfo;
  /** Of an upsert: keys seen so far. */
  readonly #given: Set<bigint | string> | undefined;
  readonly #intIds: BigInt64Array[] = [];
  readonly #stringIds: Uint8Array[] = [];
  #rows = 0;

  constructor(info: CollectionInfo, isUpsert: boolean) {
    this.#info = info;
    this.partsByShard = info.vchannels.map(() => []);
    this.dependsOn = info.vchannels.map(() => undefined);
    this.#given = isUpsert ? new Set() : undefined;
  }

  /** @throws MilvusError ParameterInvalid for a key that came before, and for text that is not JSON */
  add(rows: PreparedRows, firstRow: number): void {
    const info = this.#info;
    if (this.#given !== undefined) {
      addDistinct(this.#given, rows.given);
      splitKeys(info, rows.given).forEach((keys, shard) => {
        if (keys === undefined) return;
        this.partsByShard[shard]!.push({ kind: 'delete', partitionId: 0n, keys, killsUpTo: 0n });
      });
    }
    for (const group of splitRows(info, rows.rowCount, rows.shardKeys, rows.partition)) {
      const batch = rows.makeBatch(group.rows);
      checkJson(info, batch, (row) => firstRow + (group.rows?.[row] ?? row));
      const count = group.rows?.length ?? rows.rowCount;
      const { shardIndex, partitionId } = group;
      this.partsByShard[shardIndex]!.push({ kind: 'insert', partitionId, rows: count, batch });
    }
    rows.readTimestamps?.forEach((timestamp, shard) => {
      const before = this.dependsOn[shard];
      this.dependsOn[shard] = before === undefined || timestamp < before ? timestamp : before;
    });
    const { keys } = rows;
    this.#rows += keys.values.length;
    if (keys.kind === 'int64') this.#intIds.push(keys.values);
    else this.#stringIds.push(encodeStringIds(keys.values));
  }

  getIds(): IdsInput {
    if (this.#stringIds.length > 0) {
      return { kind: 'encodedStrings', chunks: this.#stringIds };
    }
    if (this.#intIds.length === 1) return { kind: 'int', values: this.#intIds[0]! };
    const values = new BigInt64Array(this.#rows);
    let at = 0;
    for (const some of this.#intIds) {
      values.set(some, at);
      at += some.length;
    }
    return { kind: 'int', values };
  }
}

/** Returns the timestamp of the last of the writes. */
async function send(
  proxy: Proxy,
  info: CollectionInfo,
  collected: CollectedRows,
  context: RequestContext,
): Promise<bigint> {
  const { collectionId, schema, vchannels } = info;
  const timestamps = await Promise.all(
    vchannels.map(async (vchannel, shard) => {
      const parts = collected.partsByShard[shard]!;
      if (parts.length === 0) return 0n;
      const dependsOn = collected.dependsOn[shard];
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
    }),
  );
  return timestamps.reduce((max, ts) => (ts > max ? ts : max), 0n);
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

/** @throws MilvusError ParameterInvalid when a key is there already */
function addDistinct(seen: Set<bigint | string>, keys: Keys): void {
  const before = seen.size;
  for (const key of keys.values) seen.add(key);
  if (seen.size === before + keys.values.length) return;
  throw invalidParameter('duplicate primary keys are not allowed in the same batch');
}

function checkJson(
  info: CollectionInfo,
  batch: Uint8Array,
  toRequestRow: (row: number) => number,
): void {
  for (const field of info.schema.fields) {
    if (field.dataType !== DataType.JSON) continue;
    const bad = native.findInvalidJson(batch, field.fieldId);
    if (bad < 0) continue;
    throw invalidParameter(
      `invalid JSON in field ${field.name} of collection ${info.schema.name}, ` +
        `row ${toRequestRow(bad)}`,
    );
  }
}

function countFrom0(count: number): Uint32Array {
  const numbers = new Uint32Array(count);
  for (let i = 0; i < count; i++) numbers[i] = i;
  return numbers;
}
