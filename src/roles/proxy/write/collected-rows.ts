// What the slices of an Insert or Upsert add up to: the parts of one write for each shard, and the
// keys of the reply.

import { encodeStringIds, type IdsInput } from '../../../codec/ids.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { invalidParameter } from '../../../model/error.ts';
import type { Keys } from '../../../model/keys.ts';
import type { DeletePart, InsertPart } from '../../../rpc/contract.ts';
import { checkJson } from './check-json.ts';
import type { PreparedRows } from './prepare-rows.ts';
import type { ShardWrites } from './shard-writes.ts';
import { hashKey, splitKeys, splitRows } from './sharding.ts';

export class CollectedRows {
  readonly partsByShard: (InsertPart | DeletePart)[][];
  readonly #info: CollectionInfo;
  readonly #writes: ShardWrites;
  /** Of an upsert: keys seen so far. */
  readonly #given: Set<bigint | string> | undefined;
  /** They decide the shard of each row of the request. */
  readonly #shardKeys: Keys[] = [];
  readonly #intIds: BigInt64Array[] = [];
  readonly #stringIds: Uint8Array[] = [];
  #rows = 0;

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
    const { keys } = rows;
    this.#shardKeys.push(rows.given);
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
