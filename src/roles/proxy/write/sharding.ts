// Which shard and which partition a row belongs to. The hash is fixed for ever: stored rows depend
// on it.

import { VALUES_PER_TURN } from '../../../base/turns.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import type { Keys } from '../../../model/keys.ts';

const FNV_OFFSET = 0x811c9dc5;
const FNV_PRIME = 0x01000193;

/**
 * Murmur3's finalizer over both halves of an int64; FNV-1a over the UTF-8 bytes of a string.
 * uint32.
 */
export function hashKey(key: bigint | string): number {
  if (typeof key === 'bigint') {
    const low = Number(BigInt.asUintN(32, key));
    const high = Number(BigInt.asUintN(32, key >> 32n));
    return mix(low ^ Math.imul(mix(high), 0x9e3779b1));
  }
  let hash = FNV_OFFSET;
  for (const byte of Buffer.from(key, 'utf8')) hash = Math.imul(hash ^ byte, FNV_PRIME);
  return mix(hash);
}

function mix(value: number): number {
  let h = value >>> 0;
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b);
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

/** Rows of one shard and partition; `rows` undefined = all rows of the request. */
export interface RowGroup {
  readonly shardIndex: number;
  readonly partitionId: bigint;
  readonly rows: Uint32Array | undefined;
}

/**
 * Splits a request's rows.
 * @param primary    primary keys, for the shard
 * @param partition  one partition id for all rows, or the partition keys that decide
 */
export function splitRows(
  info: CollectionInfo,
  rowCount: number,
  primary: Keys,
  partition: bigint | Keys,
): RowGroup[] {
  const shardCount = info.vchannels.length;
  if (shardCount === 1 && typeof partition === 'bigint') {
    return [{ shardIndex: 0, partitionId: partition, rows: undefined }];
  }
  const groups = new Map<number, { shardIndex: number; partitionId: bigint; rows: number[] }>();
  for (let row = 0; row < rowCount; row++) {
    const shardIndex = shardCount === 1 ? 0 : hashKey(primary.values[row]!) % shardCount;
    const slot = typeof partition === 'bigint' ? 0 : getPartitionSlot(info, partition.values[row]!);
    const key = shardIndex * info.partitions.length + slot;
    let group = groups.get(key);
    if (group === undefined) {
      const partitionId =
        typeof partition === 'bigint' ? partition : info.partitions[slot]!.partitionId;
      group = { shardIndex, partitionId, rows: [] };
      groups.set(key, group);
    }
    group.rows.push(row);
  }
  return [...groups.values()].map((group) => ({ ...group, rows: Uint32Array.from(group.rows) }));
}

/** Index into the collection's partitions for a partition key's value. */
export function getPartitionSlot(info: CollectionInfo, key: bigint | string): number {
  return hashKey(key) % info.partitions.length;
}

/** Cuts a long list of keys into pieces for a turn of the event loop each. */
export function cutKeys(keys: Keys): Keys[] {
  const pieces: Keys[] = [];
  for (let from = 0; from < keys.values.length; from += VALUES_PER_TURN) {
    const end = from + VALUES_PER_TURN;
    pieces.push(
      keys.kind === 'int64'
        ? { kind: 'int64', values: keys.values.subarray(from, end) }
        : { kind: 'string', values: keys.values.slice(from, end) },
    );
  }
  return pieces;
}

/** Splits keys to delete by shard; index = shard. */
export function splitKeys(info: CollectionInfo, keys: Keys): (Keys | undefined)[] {
  const shardCount = info.vchannels.length;
  if (shardCount === 1) return [keys];
  if (keys.kind === 'int64') {
    const { values } = keys;
    const counts = new Uint32Array(shardCount);
    const shards = new Uint32Array(values.length);
    for (let i = 0; i < values.length; i++) {
      const shard = hashKey(values[i]!) % shardCount;
      shards[i] = shard;
      counts[shard]! += 1;
    }
    return Array.from(counts, (count, shard) => {
      if (count === 0) return undefined;
      const mine = new BigInt64Array(count);
      for (let i = 0, at = 0; i < values.length; i++) {
        if (shards[i] === shard) mine[at++] = values[i]!;
      }
      return { kind: 'int64', values: mine };
    });
  }
  const byShard: string[][] = Array.from({ length: shardCount }, () => []);
  for (const key of keys.values) byShard[hashKey(key) % shardCount]!.push(key);
  return byShard.map((values) => (values.length === 0 ? undefined : { kind: 'string', values }));
}

/** Joins lists of keys of one kind; undefined when there is none. */
export function joinKeys(lists: readonly Keys[]): Keys | undefined {
  if (lists.length < 2) return lists[0];
  if (lists[0]!.kind === 'string') {
    return { kind: 'string', values: lists.flatMap(({ values }) => values as readonly string[]) };
  }
  const values = new BigInt64Array(lists.reduce((sum, list) => sum + list.values.length, 0));
  let at = 0;
  for (const list of lists) {
    values.set(list.values as BigInt64Array, at);
    at += list.values.length;
  }
  return { kind: 'int64', values };
}
