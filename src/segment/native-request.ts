// Read parameters of the role contracts → the addon's requests, which end when their caller gives
// up (R22). Absent options stay absent.

import { whenCanceled, type Cancelable } from '../base/cancelable.ts';
import { native, takeJobId, type NativeSegment } from '../index/native.ts';
import { getErrorName, MilvusError } from '../model/error.ts';
import type { QueryParams, QueryReply, SearchParams, SearchReply } from '../model/read.ts';

export function searchSegments(
  segments: readonly NativeSegment[],
  params: SearchParams,
  readTimestamp: bigint,
  call: Cancelable,
): Promise<SearchReply> {
  const jobId = takeJobId();
  const request = { ...params, readTimestamp, jobId };
  return readUntilCanceled(call, jobId, native.search(segments, request));
}

export function querySegments(
  segments: readonly NativeSegment[],
  params: QueryParams,
  readTimestamp: bigint,
  call: Cancelable,
): Promise<QueryReply> {
  const { keys, ...rest } = params;
  const jobId = takeJobId();
  const read = { ...rest, readTimestamp, jobId };
  const request = keys === undefined ? read : { ...read, keys: keys.values };
  return readUntilCanceled(call, jobId, native.query(segments, request));
}

async function readUntilCanceled<Result>(
  call: Cancelable,
  jobId: number,
  result: Promise<Result>,
): Promise<Result> {
  const forget = whenCanceled(call, () => native.cancelJob(jobId));
  try {
    return await result;
  } catch (error) {
    throw asRefusal(error);
  } finally {
    forget();
  }
}

/** Of native's errors those that a request brings about; all others are defects and stay so. */
function asRefusal(error: unknown): unknown {
  const { code, message } = error as { code?: unknown; message: string };
  const name = typeof code === 'number' ? getErrorName(code) : undefined;
  const isRefusal = name === 'ParameterTooLarge' || name === 'MemoryLimitExceeded';
  return isRefusal ? new MilvusError(name, { message }) : error;
}
