// Read parameters of the role contracts → the addon's requests, which end when their caller gives
// up (R22). Absent options stay absent.

import {
  native,
  takeJobId,
  type NativeQueryRequest,
  type NativeQueryResult,
  type NativeSearchRequest,
  type NativeSearchResult,
  type NativeSegment,
} from '../index/native.ts';
import { getErrorName, MilvusError } from '../model/error.ts';
import type { ReadOutput } from '../model/read-output.ts';

export interface SearchInput extends ReadOutput {
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
}

export interface QueryInput extends ReadOutput {
  readonly plan?: Uint8Array;
  readonly keys?:
    | { readonly kind: 'int64'; readonly values: BigInt64Array }
    | { readonly kind: 'string'; readonly values: readonly string[] };
  readonly limit: number;
  readonly countOnly: boolean;
}

export function searchSegments(
  segments: readonly NativeSegment[],
  input: SearchInput,
  readTimestamp: bigint,
  signal: AbortSignal | undefined,
): Promise<NativeSearchResult> {
  const request = toNativeSearch(input, readTimestamp);
  return readUntilAborted(signal, (jobId) => native.search(segments, { ...request, ...jobId }));
}

export function querySegments(
  segments: readonly NativeSegment[],
  input: QueryInput,
  readTimestamp: bigint,
  signal: AbortSignal | undefined,
): Promise<NativeQueryResult> {
  const request = toNativeQuery(input, readTimestamp);
  return readUntilAborted(signal, (jobId) => native.query(segments, { ...request, ...jobId }));
}

async function readUntilAborted<Result>(
  signal: AbortSignal | undefined,
  read: (named: { jobId?: number }) => Promise<Result>,
): Promise<Result> {
  const jobId = signal === undefined ? undefined : takeJobId();
  const cancel = (): void => native.cancelJob(jobId!);
  signal?.addEventListener('abort', cancel, { once: true });
  try {
    return await read(jobId === undefined ? {} : { jobId });
  } catch (error) {
    throw asRefusal(error);
  } finally {
    signal?.removeEventListener('abort', cancel);
  }
}

/** Of native's errors those that a request brings about; all others are defects and stay so. */
function asRefusal(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  const name = typeof code === 'number' ? getErrorName(code) : undefined;
  const isRefusal = name === 'ParameterTooLarge' || name === 'MemoryLimitExceeded';
  return isRefusal ? new MilvusError(name, { message }) : error;
}

function toNativeSearch(input: SearchInput, readTimestamp: bigint): NativeSearchRequest {
  const { ef, nprobe, ...rest } = input;
  return { ...rest, readTimestamp, params: { ef, nprobe } };
}

function toNativeQuery(input: QueryInput, readTimestamp: bigint): NativeQueryRequest {
  const { keys, ...rest } = input;
  return keys === undefined
    ? { ...rest, readTimestamp }
    : { ...rest, readTimestamp, keys: keys.values };
}
