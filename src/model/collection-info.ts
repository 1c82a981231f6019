// What the root coordinator knows of a collection. Plain data: it crosses role borders and is
// stored.

import type { CollectionSchema } from './schema.ts';

export interface PartitionInfo {
  readonly partitionId: bigint;
  readonly name: string;
  readonly createdTimestamp: bigint;
}

/** A database's property: how many collections it may have. */
export const MAX_COLLECTIONS = 'database.max.collections';

export interface DatabaseInfo {
  readonly dbId: bigint;
  readonly name: string;
  readonly createdTimestamp: bigint;
  readonly properties: Readonly<Record<string, string>>;
}

export interface CollectionInfo {
  readonly collectionId: bigint;
  readonly dbId: bigint;
  readonly dbName: string;
  readonly schema: CollectionSchema;
  /** Milvus' shard names, `<pchannel>_<collectionId>v<shardIndex>`. */
  readonly vchannels: readonly string[];
  readonly partitions: readonly PartitionInfo[];
  readonly aliases: readonly string[];
  /** Number of common.ConsistencyLevel; what a read gets when it asks for the default. */
  readonly consistencyLevel: number;
  readonly properties: Readonly<Record<string, string>>;
  readonly createdTimestamp: bigint;
  /** Timestamp of the last change of the schema; clients send it back with inserts. */
  readonly schemaTimestamp: bigint;
}

export function findPartition(info: CollectionInfo, name: string): PartitionInfo | undefined {
  return info.partitions.find((partition) => partition.name === name);
}

/** More names than this are looked up in a map: both lists may have thousands. */
const FEW_NAMES = 4;

/** Returns the partitions of these names, in their order; undefined where there is none. */
export function findPartitions(
  info: CollectionInfo,
  names: readonly string[],
): readonly (PartitionInfo | undefined)[] {
  if (names.length <= FEW_NAMES) return names.map((name) => findPartition(info, name));
  const byName = new Map(info.partitions.map((partition) => [partition.name, partition]));
  return names.map((name) => byName.get(name));
}
