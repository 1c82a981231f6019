// Merges the answers of several holders of rows into one: searches by score, queries by primary
// key. Ties keep the smaller primary key first; a repeated key keeps its best row in a search, of
// equal ones the newest, and its newest row in a query (R7). Used by the shard leader over segments
// and by the proxy over shards.

import { runInTurns, type Steps } from '../base/turns.ts';
import { takeRowsOf } from '../codec/row-batch-ops.ts';
import { RowBatchReader, type RowColumn } from '../codec/row-batch.ts';
import { DataType } from '../model/data-type.ts';
import type { QueryParams, QueryReply, SearchParams, SearchReply } from '../model/read.ts';
import { TIMESTAMP_FIELD_ID } from '../model/schema.ts';

/** The primary key field. */
export interface KeyField {
  readonly fieldId: bigint;
  readonly dataType: number;
}

type Key = bigint | string;

/** Choosing a row takes as long as copying so many bytes. */
const HIT_WORK = 512;
const HITS_PER_STEP = 512;

const SURROGATE = /[\ud800-\udfff]/;

export function isHigherBetter(metric: string): boolean {
  return metric !== 'L2';
}

/** Reads primary keys of a row batch by row. */
export class KeyReader {
  readonly #int64: BigInt64Array | undefined;
  readonly #column: RowColumn;

  constructor(batch: RowBatchReader, key: KeyField) {
    const column = batch.findColumn(key.fieldId);
    if (column === undefined) throw new Error('row batch without its primary key');
    this.#column = column;
    this.#int64 = key.dataType === DataType.Int64 ? column.asInt64() : undefined;
  }

  at(row: number): Key {
    return this.#int64 === undefined ? this.#column.getString(row) : this.#int64[row]!;
  }
}

/** In turns of the event loop, when it is long. */
export function mergeSearches(
  parts: readonly SearchReply[],
  params: Pick<SearchParams, 'nq' | 'k' | 'metric'>,
  key: KeyField,
): Promise<SearchReply> {
  return runInTurns(mergeSearchSteps(parts, params, key));
}

function* mergeSearchSteps(
  parts: readonly SearchReply[],
  { nq, k, metric }: Pick<SearchParams, 'nq' | 'k' | 'metric'>,
  key: KeyField,
): Steps<SearchReply> {
  const batches = parts.map((part) => new RowBatchReader(part.rows));
  const keys = batches.map((batch) => new KeyReader(batch, key));
  const timestamps = batches.map(getTimestamps);
  const sign = isHigherBetter(metric) ? 1 : -1;
  const counts = new Int32Array(nq);
  const scores: number[] = [];
  const picked: number[] = [];
  const starts = getRowStarts(batches);
  const cursors = parts.map(() => 0);
  for (let query = 0; query < nq; query++) {
    const ends = parts.map((part, i) => cursors[i]! + part.counts[query]!);
    const seen = new Set<Key>();
    while (seen.size < k) {
      let best = -1;
      for (let i = 0; i < parts.length; i++) {
        if (cursors[i]! >= ends[i]!) continue;
        if (best < 0 || isBefore(i, best)) best = i;
      }
      if (best < 0) break;
      const row = cursors[best]!++;
      const rowKey = keys[best]!.at(row);
      if (seen.has(rowKey)) continue;
      seen.add(rowKey);
      scores.push(parts[best]!.scores[row]!);
      picked.push(starts[best]! + row);
    }
    counts[query] = seen.size;
    ends.forEach((end, i) => {
      cursors[i] = end;
    });
    yield HIT_WORK * seen.size;
  }
  const rows = yield* takeRowsOf(batches, picked);
  const visibleRows = parts.reduce((sum, part) => sum + part.visibleRows, 0);
  return { counts, scores: Float32Array.from(scores), rows, visibleRows };

  function isBefore(a: number, b: number): boolean {
    const scoreA = parts[a]!.scores[cursors[a]!]! * sign;
    const scoreB = parts[b]!.scores[cursors[b]!]! * sign;
    if (scoreA !== scoreB) return scoreA > scoreB;
    const order = compareKeys(keys[a]!.at(cursors[a]!), keys[b]!.at(cursors[b]!));
    if (order !== 0) return order < 0;
    return timestamps[a]![cursors[a]!]! > timestamps[b]![cursors[b]!]!;
  }
}

/** In turns of the event loop, when it is long. */
export function mergeQueries(
  parts: readonly QueryReply[],
  params: Pick<QueryParams, 'limit' | 'countOnly'>,
  key: KeyField,
): Promise<QueryReply> {
  return runInTurns(mergeQuerySteps(parts, params, key));
}

function* mergeQuerySteps(
  parts: readonly QueryReply[],
  { limit, countOnly }: Pick<QueryParams, 'limit' | 'countOnly'>,
  key: KeyField,
): Steps<QueryReply> {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  if (countOnly) return { count, rows: parts[0]!.rows };
  const found = parts.filter((part) => part.count > 0);
  if (found.length < 2) return found[0] ?? parts[0]!;
  const batches = found.map((part) => new RowBatchReader(part.rows));
  const keys = batches.map((batch) => new KeyReader(batch, key));
  const timestamps = batches.map(getTimestamps);
  const starts = getRowStarts(batches);
  const cursors = found.map(() => 0);
  const picked: number[] = [];
  let lastKey: Key | undefined;
  while (limit === 0 || picked.length < limit) {
    let best = -1;
    for (let i = 0; i < found.length; i++) {
      if (cursors[i]! >= batches[i]!.rows) continue;
      if (best < 0 || isBefore(i, best)) best = i;
    }
    if (best < 0) break;
    const row = cursors[best]!++;
    const rowKey = keys[best]!.at(row);
    if (rowKey === lastKey) continue; // An older row of the same key.
    lastKey = rowKey;
    picked.push(starts[best]! + row);
    if (picked.length % HITS_PER_STEP === 0) yield HIT_WORK * HITS_PER_STEP;
  }
  const rows = yield* takeRowsOf(batches, picked);
  return { count: picked.length, rows };

  function isBefore(a: number, b: number): boolean {
    const keyA = keys[a]!.at(cursors[a]!);
    const keyB = keys[b]!.at(cursors[b]!);
    if (keyA !== keyB) return compareKeys(keyA, keyB) < 0;
    return timestamps[a]![cursors[a]!]! > timestamps[b]![cursors[b]!]!;
  }
}

/**
 * Strings by their UTF-8 bytes, as native sorts them. JavaScript's own order, by UTF-16 units, is
 * another one where a surrogate meets a unit above all surrogates.
 */
function compareKeys(a: Key, b: Key): number {
  if (typeof a === 'string' && typeof b === 'string' && (SURROGATE.test(a) || SURROGATE.test(b))) {
    return Buffer.compare(Buffer.from(a), Buffer.from(b));
  }
  return a < b ? -1 : a > b ? 1 : 0;
}

function getTimestamps(batch: RowBatchReader): BigInt64Array {
  return batch.findColumn(TIMESTAMP_FIELD_ID)!.asInt64();
}

function getRowStarts(batches: readonly RowBatchReader[]): number[] {
  let at = 0;
  return batches.map((batch) => {
    const start = at;
    at += batch.rows;
    return start;
  });
}
