// What a build or a merge needs of memory besides the mapped files that it reads: upper bounds, to
// be reserved before it begins (R19).

import type { ByteBudget } from '../base/byte-budget.ts';
import { native, type NativeColumnLayout, type NativeIndexParams } from '../index/native.ts';
import { DataType } from '../model/data-type.ts';
import { MilvusError } from '../model/error.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';
import { getFixedWidth } from '../model/stored-types.ts';

/**
 * (key, row) as it is gathered and sorted, twice while the list grows; where the key and its rows
 * begin; at a JSON path the value itself.
 */
const ENTRY_BYTES = 2 * 24 + 8 + 4 + 17;
/** (key, timestamp, place) as it is sorted, then its place alone. */
const MERGED_ROW_BYTES = 40 + 8;
/** Where a value of variable width ends, for each array of them. */
const OFFSET_BYTES = 8;
/** Pieces of files on their way, tables, threads. */
const FIXED_BYTES = 16 * 1024 * 1024;

/** @param column  where the field lies in the segment's file */
export function getIndexBuildBytes(
  field: FieldSchema,
  params: NativeIndexParams,
  rows: number,
  column: NativeColumnLayout,
): number {
  if (params.kind !== 'SCALAR') return native.indexBuildBytes(params, rows, field.dim);
  const { dataBytes, child } = column;
  const width = getFixedWidth(field.elementType);
  const elements =
    field.dataType !== DataType.Array
      ? rows
      : child === undefined
        ? dataBytes / Math.max(1, width)
        : child.offsetsBytes / OFFSET_BYTES;
  return FIXED_BYTES + ENTRY_BYTES * elements;
}

export function getMergeBytes({ fields }: CollectionSchema, rows: number): number {
  const arrays = fields.filter(({ dataType, dim }) => getFixedWidth(dataType, dim) === 0).length;
  // JSON and arrays of text have two each.
  return FIXED_BYTES + rows * (MERGED_ROW_BYTES + 2 * OFFSET_BYTES * arrays);
}

/**
 * Runs a build with its memory reserved; it waits for others to end.
 * @throws MilvusError MemoryLimitExceeded when all of the budget does not do; the signal's reason
 */
export async function buildWithin<Result>(
  budget: ByteBudget,
  bytes: number,
  signal: AbortSignal | undefined,
  build: () => Promise<Result>,
): Promise<Result> {
  if (bytes > budget.bytesMax) {
    throw new MilvusError('MemoryLimitExceeded', {
      message: 'memory limit exceeded: elanus.build.memoryBytesMax is too small for this build',
      fields: { need: Math.ceil(bytes), have: budget.bytesMax },
    });
  }
  await budget.take(bytes, undefined, signal);
  try {
    return await build();
  } finally {
    budget.give(bytes);
  }
}
