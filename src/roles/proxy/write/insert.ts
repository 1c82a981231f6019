// Insert and Upsert: check the columns → ids → row batches by shard and partition → the shard
// leaders. The whole request is checked before any part of it is sent; a large one goes through in
// slices, each in a turn of the event loop of its own (R17).

import { nextTurn } from '../../../base/turns.ts';
import type { InsertRequest, UpsertRequest } from '../../../codec/insert-request.ts';
import { mayLackValues } from './check-columns.ts';
import { encodeMutationResult, type MutationResult } from '../../../codec/mutation-result.ts';
import { sliceRows, type RowSlice } from '../../../codec/row-slices.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findDynamicField, findField, getPrimaryKeyField } from '../../../model/schema.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { CollectedRows } from './collected-rows.ts';
import { mergePartialRows, readGivenRows, type GivenRows } from './partial-update.ts';
import { prepareRows, RowIds, type RowsTry } from './prepare-rows.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { measureRowBytes, reserveRows } from './row-bytes.ts';
import { withRowLocks, type LockTokens } from './row-locks.ts';
import { PartialWriteError, ShardWrites } from './shard-writes.ts';
import { joinKeys } from './sharding.ts';

export async function insert(
  proxy: Proxy,
  request: InsertRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  return encodeMutationResult(await new RowsWrite(proxy, request, context, false).run());
}

export async function upsert(
  proxy: Proxy,
  request: UpsertRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  return encodeMutationResult(await new RowsWrite(proxy, request, context, true).run());
}

type RowsRequest = InsertRequest & Partial<Pick<UpsertRequest, 'partialUpdate' | 'fieldOps'>>;

/** The rows of one request on their way into the shards, over all tries. */
class RowsWrite {
  readonly #proxy: Proxy;
  readonly #request: RowsRequest;
  readonly #context: RequestContext;
  readonly #isUpsert: boolean;
  readonly #writes: ShardWrites;
  #rowIds = new RowIds();
  /** In a batch. */
  #rowBytes = 0;
  /** By the last try. */
  #sent: { readonly info: CollectionInfo; readonly rows: CollectedRows } | undefined;

  constructor(proxy: Proxy, request: RowsRequest, context: RequestContext, isUpsert: boolean) {
    this.#proxy = proxy;
    this.#request = request;
    this.#context = context;
    this.#isUpsert = isUpsert;
    this.#writes = new ShardWrites(proxy, context);
  }

  /** @throws PartialWriteError when some shards have written their rows and others will not */
  async run(): Promise<MutationResult> {
    this.#checkSize();
    try {
      await this.#writes.run(() => this.#try());
    } catch (error) {
      if (this.#sent === undefined || !this.#writes.hasFailedInPart(error)) throw error;
      const { written, missing } = this.#sent.rows.splitByOutcome();
      const outcome = { ...this.#describe(written), errIndex: missing };
      throw new PartialWriteError(error, outcome, { isRepeatable: false });
    }
    return { status: OK_STATUS, ...this.#describe(countFrom0(this.#request.numRows)) };
  }

  #describe(written: ArrayLike<number>): Omit<MutationResult, 'status'> {
    const { length } = written;
    return {
      ids: this.#sent!.rows.getIds(),
      succIndex: written,
      acknowledged: true,
      insertCount: length,
      deleteCount: this.#isUpsert ? length : 0,
      upsertCount: this.#isUpsert ? length : 0,
      timestamp: this.#writes.timestamp,
    };
  }

  async #try(): Promise<void> {
    const attempt = await this.#begin();
    const { info } = attempt;
    const { partialUpdate = false } = this.#request;
    // The rows of an earlier try are done with.
    this.#context.memory.settle(0);
    this.#rowBytes = measureRowBytes(info.schema, this.#request.fieldsData);
    await reserveRows(info, this.#request, this.#rowBytes, this.#context);
    if (partialUpdate || attempt.fieldOps.length > 0) {
      await this.#update(attempt);
      return;
    }
    const rows = new CollectedRows(info, this.#writes, attempt.isUpsert);
    for (const slice of this.#cut(info)) {
      if (slice.numRows < this.#request.numRows) await nextTurn();
      rows.add(await prepareRows(attempt, slice));
    }
    await this.#send(info, rows);
  }

  /** Checks what can be told before the rows are looked at. */
  async #begin(): Promise<RowsTry> {
    const request = this.#request;
    const info = await this.#findCollection();
    if (!this.#writes.hasBegun) {
      requireCurrentSchema(info, request);
      this.#rowIds = new RowIds();
    }
    this.#context.units = request.numRows;
    if (request.numRows <= 0) {
      throw invalidParameter('invalid numRows: num_rows should be greater than 0');
    }
    if (this.#isUpsert) requireKeyColumn(info, request);
    return {
      proxy: this.#proxy,
      info,
      request,
      isUpsert: this.#isUpsert,
      fieldOps: request.fieldOps ?? [],
      rowIds: this.#rowIds,
      context: this.#context,
    };
  }

  /** Once a shard has written: the same collection, whatever its name and schema are by then. */
  #findCollection(): Promise<CollectionInfo> {
    const dbName = getDbName(this.#request, this.#context);
    if (!this.#writes.hasBegun) {
      const { collectionName } = this.#request;
      return requireCollection(this.#proxy, dbName, collectionName, this.#context);
    }
    const { collectionId } = this.#sent!.info;
    const { rootcoord } = this.#proxy.peers;
    return rootcoord.describeCollection({ dbName, collectionId }, this.#context);
  }

  /** Reads the rows that are there, changes them, writes them back; others wait meanwhile. */
  async #update(attempt: RowsTry): Promise<void> {
    const { info } = attempt;
    const given: GivenRows[] = [];
    for (const slice of this.#cut(info)) {
      if (slice.numRows < this.#request.numRows) await nextTurn();
      given.push(await readGivenRows(attempt, slice));
    }
    const keys = info.vchannels.map((_vchannel, shard) => {
      if (this.#writes.isWritten(shard)) return undefined;
      const lists = given.map(({ keysByShard }) => keysByShard[shard]);
      return joinKeys(lists.filter((list) => list !== undefined));
    });
    await withRowLocks(this.#proxy, info, keys, this.#context, async (tokens) => {
      const rows = new CollectedRows(info, this.#writes, true);
      for (const some of given) {
        if (given.length > 1) await nextTurn();
        rows.add(await mergePartialRows(attempt, some, this.#writes));
      }
      await this.#send(info, rows, tokens);
    });
  }

  #cut({ schema }: CollectionInfo): Generator<RowSlice> {
    const { fieldsData, numRows } = this.#request;
    return sliceRows(fieldsData, numRows, {
      rowBytes: this.#rowBytes,
      mayBeEmpty: ({ fieldName, isDynamic }) => {
        const field = isDynamic ? findDynamicField(schema) : findField(schema, fieldName);
        return field !== undefined && mayLackValues(field);
      },
    });
  }

  async #send(info: CollectionInfo, rows: CollectedRows, tokens?: LockTokens): Promise<void> {
    this.#sent = { info, rows };
    await this.#writes.send(info, rows.partsByShard, tokens);
  }

  #checkSize(): void {
    const { maxInsertSize } = this.#proxy.deps.limits;
    const { byteLength } = this.#request;
    if (maxInsertSize < 0 || byteLength <= maxInsertSize) return;
    const verb = this.#isUpsert ? 'upsert' : 'insert';
    throw new MilvusError('ParameterTooLarge', {
      fields: {
        message: `${verb} request size exceeds maxInsertSize`,
        need: byteLength,
        limit: maxInsertSize,
      },
    });
  }
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

/** An upsert replaces the rows of these keys, also where the new rows get drawn ones. */
function requireKeyColumn({ schema }: CollectionInfo, { fieldsData }: InsertRequest): void {
  const { name } = getPrimaryKeyField(schema);
  if (fieldsData.some((view) => view.fieldName === name)) return;
  throw invalidParameter(`must assign pk when upsert, primary field: ${name}`);
}

function countFrom0(count: number): Uint32Array {
  const numbers = new Uint32Array(count);
  for (let i = 0; i < count; i++) numbers[i] = i;
  return numbers;
}
