// A read of rows, as everyone on its way knows it: what is asked of whoever holds rows, how large
// it may get, and what comes back. What is too large is refused where the rows are found (P6).

import type { ParamBag } from './index/index-type.ts';
import type { Keys } from './keys.ts';

/** In bytes of row batches. Past a bound the read ends: code 1102 for the reply, 3 for memory. */
export interface ReadBounds {
  /** Of the rows that will be in the reply, counted by their fixed width while they are found. */
  readonly replyBytesMax: number;
  /** Rows (of each query vector) that are found and will not be in the reply. */
  readonly spareRows: number;
  /** Of all rows that one participant finds, counted in full before they are copied. */
  readonly gatherBytesMax: number;
}

export interface ReadOutput {
  /** Fields to gather, besides primary key and timestamp, which always come. */
  readonly outputFieldIds: readonly bigint[];
  /** Absent = none. */
  readonly bounds?: ReadBounds;
}

export interface SearchParams extends ReadOutput {
  readonly fieldId: bigint;
  readonly metric: string;
  readonly nq: number;
  readonly k: number;
  /** nq vectors of the field's type, one after another. */
  readonly queries: Uint8Array;
  /** docs/formats/plan.md; absent = all rows. */
  readonly plan?: Uint8Array;
  /** Of the field's index: its type reads them, native too. */
  readonly indexParams: ParamBag;
  readonly radius?: number;
  readonly rangeFilter?: number;
}

export interface SearchReply {
  /** Hits per query, at most k each. */
  readonly counts: Int32Array;
  /** The client's, hits of query 0 first, best first. */
  readonly scores: Float32Array;
  /** A row batch, one row per hit in the same order: key, timestamp (field 1), output fields. */
  readonly rows: Uint8Array;
  /** Rows that passed filter and visibility, summed over segments. */
  readonly visibleRows: number;
}

/** What goes back with a page of an iterator, for the next one. */
export interface SearchIteratorResult {
  readonly token: string;
  /** Score of the last hit so far. */
  readonly lastBound: number;
}

export interface QueryParams extends ReadOutput {
  readonly plan?: Uint8Array;
  readonly keys?: Keys;
  /** 0 = all. */
  readonly limit: number;
  readonly countOnly: boolean;
}

export interface QueryReply {
  readonly count: number;
  /**
   * A row batch ascending by primary key, the newest row of a repeated key only: key, timestamp
   * (field 1), output fields.
   */
  readonly rows: Uint8Array;
}
