// Merges the answers of several holders of rows into one: searches by score, queries by primary
// key. What comes first, and which row of a repeated key stays, is native's one description
// (native/core/read/reduce.h), the same as inside one holder; the rows are copied here, in turns of
// the event loop. Used by the shard leader over segments and by the proxy over shards and over the
// lists of a hybrid search.

import { runInTurns } from '../base/turns.ts';
import { takeRowsOf } from '../codec/row-batch-ops.ts';
import { RowBatchReader, type RowColumn } from '../codec/row-batch.ts';
import { native, type NativeReducedRows } from '../index/native.ts';
import { DataType } from '../model/data-type.ts';
import { getMetric } from '../model/metric.ts';
import type { QueryParams, QueryReply, SearchParams, SearchReply } from '../model/read.ts';

/** The primary key field. */
export interface KeyField {
  readonly fieldId: bigint;
  readonly dataType: number;
}

type Key = bigint | string;

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

/** Hits of one holder, or rows by primary key where there are no scores. */
export interface AnswerList {
  readonly counts: Int32Array;
  readonly scores?: Float32Array | Float64Array;
  readonly rows: Uint8Array;
}

export interface ReduceOptions {
  readonly nq: number;
  readonly offset?: number;
  /** 0 = all. */
  readonly limit: number;
  readonly smallerFirst?: boolean;
  /** A key's scores are added up over the lists. */
  readonly addsUp?: boolean;
}

export async function reduceLists(
  lists: readonly AnswerList[],
  { nq, offset = 0, limit, smallerFirst = false, addsUp = false }: ReduceOptions,
  key: KeyField,
): Promise<Omit<NativeReducedRows, 'rows'> & { rows: Buffer }> {
  const batches = lists.map(({ rows }) => new RowBatchReader(rows));
  const rows = batches.reduce((sum, batch) => sum + batch.rows, 0);
  const what = { keyFieldId: key.fieldId, nq, offset, limit, smallerFirst, addsUp, rows };
  const reduced = await native.reduce(
    lists.map((list) => ({
      rows: list.rows,
      counts: asBytes(list.counts),
      scores: list.scores === undefined ? new Uint8Array() : asBytes(list.scores),
    })),
    what,
  );
  return { ...reduced, rows: await runInTurns(takeRowsOf(batches, reduced.rows)) };
}

function asBytes({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength);
}

export async function mergeSearches(
  parts: readonly SearchReply[],
  { nq, k, metric }: Pick<SearchParams, 'nq' | 'k' | 'metric'>,
  key: KeyField,
): Promise<SearchReply> {
  const smallerFirst = !getMetric(metric).isHigherBetter;
  const reduced = await reduceLists(parts, { nq, limit: k, smallerFirst }, key);
  return { ...reduced, visibleRows: parts.reduce((sum, part) => sum + part.visibleRows, 0) };
}

export async function mergeQueries(
  parts: readonly QueryReply[],
  { limit, countOnly }: Pick<QueryParams, 'limit' | 'countOnly'>,
  key: KeyField,
): Promise<QueryReply> {
  const count = parts.reduce((sum, part) => sum + part.count, 0);
  if (countOnly) return { count, rows: parts[0]!.rows };
  const found = parts.filter((part) => part.count > 0);
  if (found.length < 2) return found[0] ?? parts[0]!;
  const lists = found.map(({ count: rowCount, rows }) => ({
    counts: Int32Array.of(rowCount),
    rows,
  }));
  const { counts, rows } = await reduceLists(lists, { nq: 1, limit }, key);
  return { count: counts[0]!, rows };
}
