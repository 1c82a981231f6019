// One collection of a sandbox as a client has it: rows in, rows out, over all shards. Every read
// can be compared with `model`, which keeps every version of every row.

import assert from 'node:assert/strict';
import { encodeRowBatch } from '../../src/codec/row-batch-ops.ts';
import { RowBatchReader } from '../../src/codec/row-batch.ts';
import { compileFilter } from '../../src/expr/compile.ts';
import { encodePlan } from '../../src/expr/encode-plan.ts';
import type { CollectionInfo } from '../../src/model/collection-info.ts';
import { DataType } from '../../src/model/data-type.ts';
import { TIMESTAMP_FIELD_ID, type CollectionSchema } from '../../src/model/schema.ts';
import { hashKey } from '../../src/roles/proxy/write/sharding.ts';
import type { QueryParams } from '../../src/model/read.ts';
import type { DeletePart, InsertPart, Peers } from '../../src/rpc/contract.ts';
import { mergeQueries, mergeSearches } from '../../src/segment/reduce.ts';
import { encodeColumn, makeField, type CellValue } from './codec/random-batch.ts';
import { CollectionModel, type ModelRow, type ReadOptions, type Row } from './collection-model.ts';

const FIELDS = {
  id: makeField({ name: 'id', dataType: DataType.Int64, isPrimaryKey: true }),
  vec: makeField({ name: 'vec', dataType: DataType.FloatVector, dim: 4 }),
  n: makeField({ name: 'n', dataType: DataType.Int64, nullable: true }),
  s: makeField({ name: 's', dataType: DataType.VarChar }),
} as const;

/** A row as a query returns it. */
export interface FoundRow {
  readonly id: bigint;
  readonly n: bigint | null;
  readonly s: string;
  readonly timestamp: bigint;
}

export class SandboxCollection {
  readonly model = new CollectionModel();
  readonly #peers: Peers;
  readonly #name: string;
  info: CollectionInfo;
  /** Larger writes are cut, as the proxy does it. */
  rowsPerPart = Infinity;

  private constructor(peers: Peers, name: string, info: CollectionInfo) {
    this.#peers = peers;
    this.#name = name;
    this.info = info;
  }

  /** Creates and loads it. */
  static async create(peers: Peers, name: string, shardCount = 1): Promise<SandboxCollection> {
    const schema: CollectionSchema = {
      name,
      description: '',
      fields: Object.values(FIELDS),
      enableDynamicField: false,
      version: 0,
      properties: {},
    };
    const info = await peers.rootcoord.createCollection(
      {
        dbName: 'default',
        schema,
        shardCount,
        partitionCount: 1,
        consistencyLevel: 0,
        properties: {},
      },
      {},
    );
    const { collectionId } = info;
    await peers.querycoord.load(
      { collectionId, partitionIds: [], replicaNumber: 1, loadFields: [] },
      {},
    );
    return new SandboxCollection(peers, name, info);
  }

  /** The same collection as others of its peers see it. */
  through(peers: Peers): SandboxCollection {
    return new SandboxCollection(peers, this.#name, this.info);
  }

  get defaultPartition(): bigint {
    return this.info.partitions[0]!.partitionId;
  }

  /** Looks the record up again: partitions, schema. */
  async refresh(): Promise<void> {
    const { collectionId } = this.info;
    this.info = await this.#peers.rootcoord.describeCollection(
      { dbName: 'default', collectionId },
      {},
    );
  }

  async createPartition(partitionName: string): Promise<bigint> {
    const ref = { dbName: 'default', name: this.#name, partitionName };
    const { partitionId } = await this.#peers.rootcoord.createPartition(ref, {});
    await this.refresh();
    return partitionId;
  }

  async dropPartition(partitionName: string): Promise<void> {
    const partition = this.info.partitions.find(({ name }) => name === partitionName);
    const ref = { dbName: 'default', name: this.#name, partitionName };
    await this.#peers.rootcoord.dropPartition(ref, {});
    if (partition !== undefined) this.model.dropPartition(partition.partitionId);
    await this.refresh();
  }

  // --- writes ---

  async insert(rows: readonly Row[], partitionId = this.defaultPartition): Promise<void> {
    await this.#write(rows, partitionId, false);
  }

  async upsert(rows: readonly Row[], partitionId = this.defaultPartition): Promise<void> {
    await this.#write(rows, partitionId, true);
  }

  async #write(rows: readonly Row[], partitionId: bigint, isUpsert: boolean): Promise<void> {
    await this.#forEachShard(
      rows,
      ({ id }) => id,
      async (mine, vchannel) => {
        const keys = BigInt64Array.from(mine, ({ id }) => id);
        const dead: DeletePart = {
          kind: 'delete',
          partitionId: 0n,
          keys: { kind: 'int64', values: keys },
          killsUpTo: 0n,
        };
        const parts: (InsertPart | DeletePart)[] = isUpsert ? [dead] : [];
        for (let from = 0; from < mine.length; from += this.rowsPerPart) {
          const some = mine.slice(from, from + this.rowsPerPart);
          const batch = this.#encode(some);
          parts.push({ kind: 'insert', partitionId, rows: some.length, batch });
        }
        const timestamp = await this.#send(vchannel, parts);
        if (isUpsert) this.model.delete(keys, timestamp, timestamp - 1n, 0n);
        this.model.insert(mine, timestamp, partitionId);
      },
    );
  }

  /** `killsUpTo` 0 = every version before the delete. */
  async delete(ids: readonly bigint[], killsUpTo = 0n, partitionId = 0n): Promise<void> {
    await this.#forEachShard(
      ids,
      (id) => id,
      async (mine, vchannel) => {
        const keys = BigInt64Array.from(mine);
        const part: DeletePart = {
          kind: 'delete',
          partitionId,
          keys: { kind: 'int64', values: keys },
          killsUpTo,
        };
        const timestamp = await this.#send(vchannel, [part]);
        const bound = killsUpTo === 0n ? timestamp - 1n : killsUpTo;
        this.model.delete(keys, timestamp, bound, partitionId);
      },
    );
  }

  /**
   * As the proxy does it (R6): a read of the matching keys, then a delete of the versions read.
   * `between` runs after the read.
   */
  async deleteByFilter(filter: string, between?: () => Promise<void>): Promise<number> {
    const read = await this.#queryShards({ filter }, false);
    await between?.();
    let count = 0;
    for (const { reply } of read) {
      const ids = [...new RowBatchReader(reply.rows).findColumn(this.#id('id'))!.asInt64()];
      if (ids.length > 0) await this.delete(ids, reply.timestamp);
      count += ids.length;
    }
    return count;
  }

  async #send(vchannel: string, parts: readonly (InsertPart | DeletePart)[]): Promise<bigint> {
    const request = { vchannel, schemaVersion: this.info.schema.version, parts };
    return (await this.#peers.shard(vchannel).write(request, {})).timestamp;
  }

  async #forEachShard<Item>(
    items: readonly Item[],
    keyOf: (item: Item) => bigint,
    task: (items: readonly Item[], vchannel: string) => Promise<void>,
  ): Promise<void> {
    const { vchannels } = this.info;
    const byShard = vchannels.map((): Item[] => []);
    for (const item of items) byShard[hashKey(keyOf(item)) % vchannels.length]!.push(item);
    await Promise.all(
      byShard.map((mine, shard) => mine.length > 0 && task(mine, vchannels[shard]!)),
    );
  }

  #encode(rows: readonly Row[]): Uint8Array {
    const columns = this.info.schema.fields.map((field) =>
      encodeColumn(
        field,
        rows.map((row) => row[field.name as keyof Row] as CellValue),
      ),
    );
    const data = new BigInt64Array(rows.length);
    return encodeRowBatch(
      [{ fieldId: 0n, dataType: DataType.Int64, data }, ...columns],
      rows.length,
    );
  }

  // --- life cycle ---

  /** Returns once every row written before is in a segment file. */
  async flush(): Promise<void> {
    const { collectionId } = this.info;
    const { datacoord } = this.#peers;
    const { segmentIds, timestamp } = await datacoord.flush({ collectionId }, {});
    await until(async () => {
      const state = await datacoord.getFlushState({ collectionId, segmentIds, timestamp }, {});
      return state.flushed;
    });
  }

  /** Returns once all that fits together has been merged; how many merges failed. */
  async compact(): Promise<number> {
    const { datacoord } = this.#peers;
    const { collectionId } = this.info;
    const { compactionId } = await datacoord.compact({ collectionId }, {});
    let failed = 0;
    await until(async () => {
      const status = await datacoord.getCompactionState({ compactionId }, {});
      failed = status.failed;
      return status.state === 'completed';
    });
    return failed;
  }

  async segmentCount(): Promise<number> {
    const { collectionId } = this.info;
    const { segments } = await this.#peers.datacoord.listSegments({ collectionId }, {});
    return segments.length;
  }

  // --- reads ---

  async query(options: ReadOptions = {}): Promise<FoundRow[]> {
    const replies = await this.#queryShards(options, false);
    const params = { limit: options.limit ?? 0, countOnly: false };
    const parts = replies.map(({ reply }) => reply);
    const { rows } = await mergeQueries(parts, params, this.#key());
    return this.#decode(rows);
  }

  async count(options: ReadOptions = {}): Promise<number> {
    const replies = await this.#queryShards(options, true);
    return replies.reduce((sum, { reply }) => sum + reply.count, 0);
  }

  /** Values of an Int64 or VarChar field in all rows, ascending by key; null where it has none. */
  async values(name: string): Promise<(bigint | string | null)[]> {
    const fieldId = this.#id(name);
    const replies = await this.#queryShards({}, false, { outputFieldIds: [fieldId] });
    const parts = replies.map(({ reply }) => reply);
    const { rows } = await mergeQueries(parts, { limit: 0, countOnly: false }, this.#key());
    const batch = new RowBatchReader(rows);
    const column = batch.findColumn(fieldId)!;
    return Array.from({ length: batch.rows }, (_unused, row) => {
      if (!column.isValid(row)) return null;
      return column.dataType === DataType.VarChar ? column.getString(row) : column.asInt64()[row]!;
    });
  }

  /** The timestamp that a read of everything is made at: an iterator's pin. */
  async readTimestamp(): Promise<bigint> {
    const replies = await this.#queryShards({ limit: 1 }, false);
    return replies.reduce((max, { reply }) => (reply.timestamp > max ? reply.timestamp : max), 0n);
  }

  /** Keys and scores, best first. */
  async search(
    vector: readonly number[],
    k: number,
    options: ReadOptions = {},
  ): Promise<{ id: bigint; score: number }[]> {
    const params = {
      fieldId: this.#id('vec'),
      metric: 'L2',
      nq: 1,
      k,
      queries: new Uint8Array(Float32Array.from(vector).buffer),
      ...this.#plan(options),
      indexParams: {},
      outputFieldIds: [],
    };
    const replies = await Promise.all(
      this.info.vchannels.map((vchannel) =>
        this.#peers.shard(vchannel).search({ ...this.#target(vchannel, options), params }, {}),
      ),
    );
    const { rows, scores } = await mergeSearches(replies, params, this.#key());
    const ids = new RowBatchReader(rows).findColumn(this.#id('id'))!.asInt64();
    return Array.from(ids, (id, i) => ({ id, score: scores[i]! }));
  }

  async get(ids: readonly bigint[]): Promise<FoundRow[]> {
    const values = BigInt64Array.from(ids);
    const replies = await this.#queryShards({}, false, { keys: { kind: 'int64', values } });
    const parts = replies.map(({ reply }) => reply);
    const { rows } = await mergeQueries(parts, { limit: 0, countOnly: false }, this.#key());
    return this.#decode(rows);
  }

  async #queryShards(
    options: ReadOptions,
    countOnly: boolean,
    more: Partial<QueryParams> = {},
  ): Promise<{ reply: { timestamp: bigint; count: number; rows: Uint8Array } }[]> {
    const params = {
      ...this.#plan(options),
      limit: options.limit ?? 0,
      outputFieldIds: countOnly ? [] : [this.#id('n'), this.#id('s')],
      countOnly,
      ...more,
    };
    return Promise.all(
      this.info.vchannels.map(async (vchannel) => {
        const request = { ...this.#target(vchannel, options), params };
        return { reply: await this.#peers.shard(vchannel).query(request, {}) };
      }),
    );
  }

  #target(vchannel: string, { partitionIds = [], pinned = 0n }: ReadOptions) {
    return { vchannel, partitionIds, ignoreGrowing: false, pinnedTimestamp: pinned };
  }

  #plan({ filter }: ReadOptions): { plan?: Uint8Array } {
    if (filter === undefined) return {};
    return { plan: encodePlan(compileFilter(filter, this.info.schema, new Map())) };
  }

  #decode(rows: Uint8Array): FoundRow[] {
    const batch = new RowBatchReader(rows);
    const ids = batch.findColumn(this.#id('id'))!.asInt64();
    const timestamps = batch.findColumn(TIMESTAMP_FIELD_ID)!.asInt64();
    const n = batch.findColumn(this.#id('n'))!;
    const s = batch.findColumn(this.#id('s'))!;
    return Array.from(ids, (id, row) => ({
      id,
      n: n.isValid(row) ? n.asInt64()[row]! : null,
      s: s.getString(row),
      timestamp: timestamps[row]!,
    }));
  }

  #id(name: string): bigint {
    return this.info.schema.fields.find((field) => field.name === name)!.fieldId;
  }

  #key(): { fieldId: bigint; dataType: number } {
    return { fieldId: this.#id('id'), dataType: DataType.Int64 };
  }
}

/** Asks again, letting other work run, until it is true; a minute at most. */
export async function until(isTrue: () => Promise<boolean>): Promise<void> {
  const deadline = Date.now() + 60_000;
  while (!(await isTrue())) {
    assert.ok(Date.now() < deadline, 'not true within a minute');
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function toFound({ id, n, s, insertedAt }: ModelRow): FoundRow {
  return { id, n, s, timestamp: insertedAt };
}
