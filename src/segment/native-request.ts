// Read parameters of the role contracts → the addon's request objects. Absent options stay absent.

import type { NativeQueryRequest, NativeSearchRequest } from '../index/native.ts';

export interface SearchInput {
  readonly fieldId: bigint;
  readonly metric: string;
  readonly nq: number;
  readonly k: number;
  readonly queries: Uint8Array;
  readonly plan?: Uint8Array;
  readonly ef: number;
  readonly nprobe: number;
  readonly radius?: number;
  readonly rangeFilter?: number;
  readonly outputFieldIds: readonly bigint[];
}

export interface QueryInput {
  readonly plan?: Uint8Array;
  readonly keys?:
    | { readonly kind: 'int64'; readonly values: BigInt64Array }
    | { readonly kind: 'string'; readonly values: readonly string[] };
  readonly limit: number;
  readonly outputFieldIds: readonly bigint[];
  readonly countOnly: boolean;
}

export function toNativeSearch(input: SearchInput, readTimestamp: bigint): NativeSearchRequest {
  const { ef, nprobe, ...rest } = input;
  return { ...rest, readTimestamp, params: { ef, nprobe } };
}

export function toNativeQuery(input: QueryInput, readTimestamp: bigint): NativeQueryRequest {
  const { keys, ...rest } = input;
  return keys === undefined
    ? { ...rest, readTimestamp }
    : { ...rest, readTimestamp, keys: keys.values };
}
