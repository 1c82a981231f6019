// Insert and Upsert: check the columns → ids → row batches by shard and partition → the shard
// leaders. The whole request is checked before any part of it is sent; a large one goes through in
// slices, each in a turn of the event loop of its own (R17).

import { nextTurn } from '../../../base/turns.ts';
import type { FieldPartialUpdateOp } from '../../../codec/insert-request.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { getPrimaryKeyField } from '../../../model/schema.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { mergePartialRows, readGivenRows, type GivenRows } from './partial-update.ts';
import { measureRowBytes, reserveRows } from './row-bytes.ts';
import { RowIds } from './row-ids.ts';
import { withRowLocks, type LockTokens } from './row-locks.ts';
import type { RowSlice, RowSource } from './row-source.ts';
import { CollectedRows, prepareRows, type WriteAttempt } from './shard-rows.ts';
import { PartialWriteError, ShardWrites, type WriteResult } from './shard-writes.ts';
import { joinKeys } from './sharding.ts';

export interface InsertInput {
  readonly collectionName: string;
  /** '' = the default one, or what the partition key says. */
  readonly partitionName: string;
  /** Of the schema that the rows were made for; 0 = nobody says. */
  readonly schemaTimestamp: bigint;
  readonly rows: RowSource;
}

export interface UpsertInput extends InsertInput {
  /** The rows have some fields only: the others stay as they are. */
  readonly partialUpdate: boolean;
  readonly fieldOps: readonly FieldPartialUpdateOp[];
}

export async function insert(
  proxy: Proxy,
  input: InsertInput,
  context: RequestContext,
): Promise<WriteResult> {
  return new RowsWrite(proxy, input, context, false).run();
}

export async function upsert(
  proxy: Proxy,
  input: UpsertInput,
  context: RequestContext,
): Promise<WriteResult> {
  return new RowsWrite(proxy, input, context, true).run();
}

type RowsInput = InsertInput & Partial<UpsertInput>;

/** The rows of one request on their way into the shards, over all tries. */
class RowsWrite {
  readonly #proxy: Proxy;
  readonly #input: RowsInput;
  readonly #context: RequestContext;
  readonly #isUpsert: boolean;
  readonly #writes: ShardWrites;
  #rowIds = new RowIds();
  /** In a batch. */
  #rowBytes = 0;
  /** By the last try. */
  #sent: { readonly info: CollectionInfo; readonly rows: CollectedRows } | undefined;

  constructor(proxy: Proxy, input: RowsInput, context: RequestContext, isUpsert: boolean) {
    this.#proxy = proxy;
    this.#input = input;
    this.#context = context;
    this.#isUpsert = isUpsert;
    this.#writes = new ShardWrites(proxy, context);
  }

  /** @throws PartialWriteError when some shards have written their rows and others will not */
  async run(): Promise<WriteResult> {
    this.#checkSize();
    try {
      await this.#writes.run(() => this.#try());
    } catch (error) {
      if (this.#sent === undefined || !this.#writes.hasFailedInPart(error)) throw error;
      const { written, missing } = this.#sent.rows.splitByOutcome();
      const result = this.#describe(written, missing);
      throw new PartialWriteError(error, result, { isRepeatable: false });
    }
    return this.#describe(countFrom0(this.#input.rows.rowCount), []);
  }

  #describe(written: ArrayLike<number>, missing: ArrayLike<number>): WriteResult {
    const { length } = written;
    return {
      keys: this.#sent!.rows.keys,
      written,
      missing,
      insertCount: length,
      deleteCount: this.#isUpsert ? length : 0,
      upsertCount: this.#isUpsert ? length : 0,
      timestamp: this.#writes.timestamp,
    };
  }

  async #try(): Promise<void> {
    const attempt = await this.#begin();
    const { info } = attempt;
    const { rows: source, partialUpdate = false } = this.#input;
    // The rows of an earlier try are done with.
    this.#context.memory.settle(0);
    this.#rowBytes = measureRowBytes(info.schema, source);
    await reserveRows(info, source, this.#rowBytes, this.#context);
    if (partialUpdate || attempt.fieldOps.length > 0) {
      await this.#update(attempt);
      return;
    }
    const rows = new CollectedRows(info, this.#writes, attempt.isUpsert);
    for (const slice of this.#cut(info)) {
      if (slice.rowCount < source.rowCount) await nextTurn();
      rows.add(await prepareRows(attempt, slice));
    }
    await this.#send(info, rows);
  }

  /** Checks what can be told before the rows are looked at. */
  async #begin(): Promise<WriteAttempt> {
    const { collectionName, partitionName, rows, fieldOps = [] } = this.#input;
    const info = await this.#findCollection();
    if (!this.#writes.hasBegun) {
      requireCurrentSchema(info, this.#input);
      this.#rowIds = new RowIds();
    }
    this.#context.facts.units = rows.rowCount;
    if (rows.rowCount <= 0) {
      throw invalidParameter('invalid numRows: num_rows should be greater than 0');
    }
    if (this.#isUpsert) requireKeyColumn(info, rows);
    return {
      proxy: this.#proxy,
      info,
      collectionName,
      partitionName,
      isUpsert: this.#isUpsert,
      fieldOps,
      rowIds: this.#rowIds,
      context: this.#context,
    };
  }

  /** Once a shard has written: the same collection, whatever its name and schema are by then. */
  #findCollection(): Promise<CollectionInfo> {
    if (!this.#writes.hasBegun) {
      return requireCollection(this.#proxy, this.#input.collectionName, this.#context);
    }
    const { dbName } = this.#context;
    const { collectionId } = this.#sent!.info;
    const { rootcoord } = this.#proxy.peers;
    return rootcoord.describeCollection({ dbName, collectionId }, this.#context);
  }

  /** Reads the rows that are there, changes them, writes them back; others wait meanwhile. */
  async #update(attempt: WriteAttempt): Promise<void> {
    const { info } = attempt;
    const given: GivenRows[] = [];
    for (const slice of this.#cut(info)) {
      if (slice.rowCount < this.#input.rows.rowCount) await nextTurn();
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

  #cut({ schema }: CollectionInfo): Iterable<RowSlice> {
    return this.#input.rows.cut(schema, this.#rowBytes);
  }

  async #send(info: CollectionInfo, rows: CollectedRows, tokens?: LockTokens): Promise<void> {
    this.#sent = { info, rows };
    await this.#writes.send(info, rows.partsByShard, tokens);
  }

  #checkSize(): void {
    const { maxInsertSize } = this.#proxy.deps.limits;
    const { byteLength } = this.#input.rows;
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
function requireCurrentSchema(info: CollectionInfo, input: InsertInput): void {
  const got = input.schemaTimestamp;
  if (got === 0n || got === info.schemaTimestamp) return;
  throw new MilvusError('CollectionSchemaMismatch', {
    message: 'collection schema mismatch, schema_timestamp is stale',
    fields: { collection: input.collectionName, got, expected: info.schemaTimestamp },
  });
}

/** An upsert replaces the rows of these keys, also where the new rows get drawn ones. */
function requireKeyColumn({ schema }: CollectionInfo, rows: RowSource): void {
  const field = getPrimaryKeyField(schema);
  if (rows.has(field)) return;
  throw invalidParameter(`must assign pk when upsert, primary field: ${field.name}`);
}

function countFrom0(count: number): Uint32Array {
  const numbers = new Uint32Array(count);
  for (let i = 0; i < count; i++) numbers[i] = i;
  return numbers;
}
