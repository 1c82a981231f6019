// Search iterators, second form: a page is the best hits behind the bound where the page before it
// ended. The client brings the bound and the pinned timestamp back, so nothing is kept here.
// Invariant: hits of equal score are never split over two pages: the bound could not tell them
// apart.

import { randomUUID } from 'node:crypto';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import { takeRows } from '../../../codec/row-batch-ops.ts';
import { invalidParameter } from '../../../model/error.ts';
import { getMetric } from '../../../model/metric.ts';
import type { SearchIteratorResult, SearchReply } from '../../../model/read.ts';
import { isTrue, type Options } from '../options.ts';

export interface IteratorSettings {
  readonly batchSize: number;
  readonly token: string;
  /** Score of the last hit that the client has; undefined before its first page. */
  readonly lastBound?: number;
}

/**
 * Returns undefined when the request is none of an iterator's.
 * @throws MilvusError ParameterInvalid
 */
export function readIteratorSettings(
  flat: Options,
  batchSizeMax: number,
): IteratorSettings | undefined {
  if (!isTrue(flat['search_iter_v2'])) return undefined;
  if (!isTrue(flat['iterator'])) throw invalidParameter('search_iter_v2 needs iterator to be set');
  if (Number(flat['offset'] ?? 0) !== 0) {
    throw invalidParameter('offset is not supported for search_iterator_v2');
  }
  const text = flat['search_iter_batch_size'] ?? '';
  const batchSize = Number(text);
  if (text === '' || !Number.isInteger(batchSize) || batchSize < 1 || batchSize > batchSizeMax) {
    throw invalidParameter(
      `batch size [${text}] is invalid, it should be in range [1, ${batchSizeMax}]`,
    );
  }
  const token = flat['search_iter_id'] || randomUUID();
  const bound = flat['search_iter_last_bound'] ?? '';
  if (bound === '') return { batchSize, token };
  const lastBound = Number(bound);
  if (!Number.isFinite(lastBound)) {
    throw invalidParameter(`search_iter_last_bound [${bound}] is invalid, it should be a number`);
  }
  return { batchSize, token, lastBound: Math.fround(lastBound) };
}

/**
 * The best score that the next page may have: just worse than the last bound, and within the
 * client's own range.
 */
export function getPageBound(
  { lastBound }: IteratorSettings,
  metric: string,
  rangeFilter: number | undefined,
): number | undefined {
  if (lastBound === undefined) return rangeFilter;
  const { isHigherBetter } = getMetric(metric);
  const next = nextFloat32(lastBound, isHigherBetter ? -1 : 1);
  if (rangeFilter === undefined) return next;
  return isHigherBetter ? Math.min(next, rangeFilter) : Math.max(next, rangeFilter);
}

/**
 * Reads one page through `run`, a search of one query for its best k hits.
 * A page is shorter than the batch where equal scores would be cut, and longer where all of a batch
 * is equal; of more than `windowMax` equal scores the rest is lost.
 */
export async function readPage<Reply extends SearchReply>(
  batchSize: number,
  windowMax: number,
  run: (k: number) => Promise<Reply>,
): Promise<Reply> {
  const reply = await run(batchSize + 1);
  const { scores } = reply;
  if (scores.length <= batchSize) return reply;
  const kept = scores.indexOf(scores[batchSize]!);
  if (kept > 0) return keepHits(reply, kept);
  const wide = await run(windowMax);
  const end = wide.scores.findIndex((score) => score !== wide.scores[0]);
  return end < 0 ? wide : keepHits(wide, end);
}

function keepHits<Reply extends SearchReply>(reply: Reply, count: number): Reply {
  const kept = Array.from({ length: count }, (_unused, i) => i);
  return {
    ...reply,
    counts: Int32Array.of(count),
    scores: reply.scores.slice(0, count),
    rows: takeRows(new RowBatchReader(reply.rows), kept),
  };
}

export function toIteratorResult(
  { token, lastBound = 0 }: IteratorSettings,
  scores: Float32Array,
): SearchIteratorResult {
  return { token, lastBound: scores.at(-1) ?? lastBound };
}

/** The neighbour of a finite 32-bit value, upwards (1) or downwards (-1). */
function nextFloat32(value: number, direction: 1 | -1): number {
  const view = new DataView(new ArrayBuffer(4));
  if (value === 0) view.setUint32(0, direction > 0 ? 1 : 0x80000001);
  else {
    view.setFloat32(0, value);
    const isAway = value > 0 === direction > 0;
    view.setUint32(0, view.getUint32(0) + (isAway ? 1 : -1));
  }
  return view.getFloat32(0);
}
