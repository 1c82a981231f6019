// milvus.SearchResults to bytes. Output fields are written straight from the row batch of native.

import { runInTurns, runNow, type Steps } from '../base/turns.ts';
import type { SearchIteratorResult } from '../model/read.ts';
import type { RowBatchReader } from './row-batch.ts';
import { estimateFieldBytes, writeFieldData, type OutputField } from './rows-to-field-data.ts';
import { getIdBytesMax, writeIds, type IdsInput } from './ids.ts';
import { writeStatus, type StatusMessage } from './status-message.ts';
import { WireWriter } from './wire-writer.ts';
import { writeLongBytes } from './write-steps.ts';

/** Hits of query 0 first, best first within a query: all per-hit parts have that order. */
export interface SearchResultData {
  readonly numQueries: number;
  readonly topK: number;
  readonly scores: Float32Array;
  readonly ids: IdsInput;
  /** Hits per query. */
  readonly topks: ArrayLike<number>;
  readonly outputFields: readonly string[];
  readonly primaryFieldName: string;
  /** One row per hit; needed when there are `outputs` or `groupBy`. */
  readonly rows?: RowBatchReader;
  readonly outputs?: readonly OutputField[];
  /** The field that hits were grouped by, read from `rows`. */
  readonly groupBy?: OutputField;
  /** Rows that were looked at. */
  readonly allSearchCount?: number;
  readonly distances?: Float32Array;
  readonly recalls?: Float32Array;
  readonly iterator?: SearchIteratorResult;
  /** Encoded common.HighlightResult, one per field. */
  readonly highlightResults?: readonly Uint8Array[];
  readonly elementIndices?: BigInt64Array;
}

export interface SearchResults {
  readonly status: StatusMessage;
  /** Absent in an error. */
  readonly results?: SearchResultData;
  readonly collectionName?: string;
  /** Timestamp of the read; iterators send it back. */
  readonly sessionTs?: bigint;
}

export function encodeSearchResults(message: SearchResults): Buffer {
  return runNow(writeSearchResults(message));
}

/** The same in turns of the event loop, when it is long. */
export function encodeSearchResultsInTurns(message: SearchResults): Promise<Buffer> {
  return runInTurns(writeSearchResults(message));
}

function* writeSearchResults(message: SearchResults): Steps<Buffer> {
  const { results } = message;
  const hint = results === undefined ? 0 : estimateResultBytes(results);
  const writer = new WireWriter(hint + 256);
  writeStatus(writer, 1, message.status);
  if (results !== undefined) {
    const mark = writer.begin(2, hint);
    yield* writeResultData(writer, results);
    writer.end(mark);
  }
  writer.writeString(3, message.collectionName ?? '');
  writer.writeInt64(4, message.sessionTs ?? 0n);
  return writer.finish();
}

function estimateResultBytes(results: SearchResultData): number {
  const { rows, outputs = [], scores, topks, ids } = results;
  const fields =
    rows === undefined
      ? 0
      : outputs.reduce((sum, output) => sum + estimateFieldBytes(output, rows), 0);
  // A growing buffer is copied, and for a moment there three times.
  return 256 + 4 * scores.length + 5 * topks.length + getIdBytesMax(ids) + fields;
}

function* writeResultData(writer: WireWriter, results: SearchResultData): Steps<void> {
  const { rows, outputs = [], groupBy } = results;
  writer.writeInt64(1, results.numQueries);
  writer.writeInt64(2, results.topK);
  if (rows !== undefined) {
    for (const output of outputs) yield* writeFieldData(writer, 3, { output, batch: rows });
  }
  yield* writeScores(writer, 4, results.scores);
  yield* writeIds(writer, 5, results.ids);
  writer.writePackedInt32(6, results.topks);
  writer.writeStrings(7, results.outputFields);
  if (groupBy !== undefined && rows !== undefined) {
    yield* writeFieldData(writer, 8, { output: groupBy, batch: rows });
  }
  writer.writeInt64(9, results.allSearchCount ?? 0);
  if (results.distances !== undefined) writer.writePackedFixed(10, results.distances);
  if (results.iterator !== undefined) writeIterator(writer, results.iterator);
  if (results.recalls !== undefined) writer.writePackedFixed(12, results.recalls);
  writer.writeString(13, results.primaryFieldName);
  for (const highlight of results.highlightResults ?? []) writer.appendBytes(14, highlight);
  if (results.elementIndices !== undefined) {
    const mark = writer.begin(15);
    writer.writePackedInt64(1, results.elementIndices);
    writer.end(mark);
  }
}

function* writeScores(writer: WireWriter, field: number, scores: Float32Array): Steps<void> {
  if (scores.length === 0) return;
  const { buffer, byteOffset, byteLength } = scores;
  yield* writeLongBytes(writer, field, new Uint8Array(buffer, byteOffset, byteLength));
}

function writeIterator(writer: WireWriter, iterator: SearchIteratorResult): void {
  const mark = writer.begin(11);
  writer.writeString(1, iterator.token);
  if (iterator.lastBound !== 0) writer.appendFloat(2, iterator.lastBound);
  writer.end(mark);
}
