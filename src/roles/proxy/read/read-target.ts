// What every read has: a collection, partitions, and the timestamp that an iterator pins.

import type { KeyValue } from '../../../codec/request-parts.ts';
import { findPartitions, type CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField } from '../../../model/schema.ts';
import type { Filter } from './filter.ts';
import type { ProxyLimits } from '../proxy.ts';

/** Partition names in a read may be patterns in Milvus' configuration; here they are names. */
export function selectPartitions(
  info: CollectionInfo,
  names: readonly string[],
  filter: Filter | undefined,
): readonly bigint[] {
  if (names.length > 0 && findPartitionKeyField(info.schema) !== undefined) {
    throw invalidParameter(
      'not support manually specifying the partition names if partition key mode is used',
    );
  }
  if (names.length === 0) return filter?.partitionIds ?? [];
  const ids = new Set<bigint>();
  for (const [i, partition] of findPartitions(info, names).entries()) {
    if (partition === undefined) {
      throw new MilvusError('PartitionNotFound', {
        message: `partition name ${names[i]} not found: partition not found`,
        fields: { partition: names[i]! },
      });
    }
    ids.add(partition.partitionId);
  }
  return [...ids];
}

/** @throws MilvusError ParameterInvalid where the configuration wants a partition key */
export function requirePartitionKey(
  { mustUsePartitionKey }: Pick<ProxyLimits, 'mustUsePartitionKey'>,
  info: CollectionInfo,
  verb: 'search' | 'query',
): void {
  if (!mustUsePartitionKey || findPartitionKeyField(info.schema) !== undefined) return;
  throw invalidParameter(
    `must use partition key in the ${verb} request because the mustUsePartitionKey config is true`,
  );
}

/**
 * Iterators send the timestamp of their first page as the guarantee of the others: they must go on
 * in the same version of the data. Other guarantees are met anyway: what is acknowledged is visible
 * (P2).
 */
export function getPinnedTimestamp(
  params: readonly KeyValue[],
  guaranteeTimestamp: bigint,
): bigint {
  const isIterator = params.some(({ key, value }) => key === 'iterator' && isTrue(value));
  // Small values are consistency codes (0 strong, 1 eventually, 2 bounded), not timestamps.
  return isIterator && guaranteeTimestamp > 1024n ? guaranteeTimestamp : 0n;
}

export function isTrue(value: string | undefined): boolean {
  return value !== undefined && value.toLowerCase() === 'true';
}

/** @throws MilvusError ParameterInvalid naming key and value */
export function readInteger(params: readonly KeyValue[], key: string): number | undefined {
  const pair = params.findLast((candidate) => candidate.key === key);
  if (pair === undefined || pair.value === '') return undefined;
  const text = pair.value.trim();
  const value = text === '' ? Number.NaN : Number(text);
  if (!Number.isInteger(value)) throw invalidParameter(`${key} [${text}] is invalid`);
  return value;
}
