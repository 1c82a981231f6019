// The rows of the crash tests: every field follows from key and version, so that a model needs to
// keep only the version, and a row that is found can be compared whole.

import { DataType } from '../../../src/model/data-type.ts';
import { hashKey } from '../../../src/roles/proxy/write/sharding.ts';
import type { CollectionSpec, FieldSpec, Row, Value } from '../milvus-client.ts';

export type Key = bigint | string;

/** Partition key values, and so partitions that rows of one key move between. */
const GROUPS = 7n;
export const BUCKETS = 5;
/** Keys of one owner are this far apart from the next owner's. */
const KEYS_PER_OWNER = 1_000_000n;
/** Past 2^53, so that a double anywhere on the way would show. */
const FIRST_INT64_KEY = 2n ** 53n + 1n;

export function makeSpec(
  name: string,
  options: { keyType: number; shards: number; isPartitioned?: boolean },
): CollectionSpec {
  const key: FieldSpec =
    options.keyType === DataType.Int64
      ? { name: 'key', type: DataType.Int64, isPrimaryKey: true }
      : { name: 'key', type: DataType.VarChar, isPrimaryKey: true, maxLength: 64 };
  return {
    name,
    shards: options.shards,
    ...(options.isPartitioned === true ? { partitions: 4 } : {}),
    hasDynamicField: true,
    fields: [
      key,
      { name: 'vector', type: DataType.FloatVector, dim: 4 },
      { name: 'owner', type: DataType.Int64 },
      {
        name: 'group',
        type: DataType.Int64,
        ...(options.isPartitioned === true ? { isPartitionKey: true } : {}),
      },
      { name: 'bucket', type: DataType.Int32 },
      { name: 'text', type: DataType.VarChar, maxLength: 4096 },
      { name: 'weight', type: DataType.Double, nullable: true },
      { name: 'large', type: DataType.Int64, nullable: true },
      { name: 'flag', type: DataType.Bool },
      { name: 'document', type: DataType.JSON },
      { name: 'tags', type: DataType.Array, elementType: DataType.Int64, maxCapacity: 8 },
    ],
  };
}

export function makeKey(spec: CollectionSpec, owner: number, index: number): Key {
  const isInt64 = spec.fields[0]!.type === DataType.Int64;
  const number = FIRST_INT64_KEY + BigInt(owner) * KEYS_PER_OWNER + BigInt(index);
  return isInt64 ? number : `k${owner}-é${index}`;
}

export function getOwner(key: Key): number {
  if (typeof key === 'string') return Number(/^k(\d+)-/.exec(key)![1]);
  return Number((key - FIRST_INT64_KEY) / KEYS_PER_OWNER);
}

export function getShard(spec: CollectionSpec, key: Key): number {
  return hashKey(key) % (spec.shards ?? 1);
}

/** Which rows the filter deletes take. */
export function getBucket(key: Key, version: number): number {
  return mix(key, version) % BUCKETS;
}

export function makeRow(key: Key, version: number): Row {
  const owner = getOwner(key);
  const noise = mix(key, version);
  const textBytes = noise % 37 === 0 ? 2000 : noise % 80;
  return {
    key,
    vector: [noise % 11, version % 1000, (noise >>> 8) % 13, owner],
    owner: BigInt(owner),
    group: BigInt(noise) % GROUPS,
    bucket: getBucket(key, version),
    text: `v${version} `.padEnd(textBytes, '·x'),
    weight: noise % 3 === 0 ? null : noise / 16,
    large: noise % 4 === 0 ? null : -(2n ** 62n) + BigInt(noise),
    flag: noise % 2 === 0,
    document: `{"version": ${version}, "deep": {"of": [${noise}, null]}}`,
    tags: Array.from({ length: noise % 4 }, (_unused, i) => BigInt(noise) * BigInt(i) - 1n),
    $meta: `{"note":"${noise % 100}","version":${version}}`,
  };
}

/** One text for a row whatever the order of its fields. */
export function printRow(row: Row): string {
  return Object.keys(row)
    .sort()
    .map((name) => `${name}=${printValue(row[name]!)}`)
    .join(' ');
}

function printValue(value: Value): string {
  if (typeof value === 'bigint') return `${value}n`;
  if (Array.isArray(value)) return `[${value.map((each) => printValue(each as Value)).join(',')}]`;
  return JSON.stringify(value);
}

function mix(key: Key, version: number): number {
  return hashKey(`${key}/${version}`);
}
