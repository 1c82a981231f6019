// The addon's face: the only file that loads it. Everything native does is one of these functions.
// Handles are opaque and freed by `close`; buffers that an asynchronous call reads must not change
// until it settles.

import { createRequire } from 'node:module';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { ParamBag } from '../model/index/index-type.ts';
import type { QueryReply, ReadOutput, SearchParams, SearchReply } from '../model/read.ts';

/** A field as native knows it. */
export interface NativeField {
  readonly fieldId: bigint;
  readonly dataType: number;
  /** Element type of an Array field, else 0. */
  readonly elementType: number;
  /** Dimension of a vector field, else 0. */
  readonly dim: number;
  readonly nullable: boolean;
  readonly isPrimaryKey: boolean;
  /** What a row without a value has, as row batches hold it; undefined = such a row is null. */
  readonly defaultValue: Uint8Array | undefined;
}

declare const segmentBrand: unique symbol;
/**
 * A growing or sealed segment in native memory. Released by `closeSegment`; reads in flight finish
 * first.
 */
export interface NativeSegment {
  readonly [segmentBrand]: true;
}

/** A segment that deletes are applied to, and which of them concern it. */
export interface NativeDeleteTarget {
  readonly segment: NativeSegment;
  readonly partitionId: bigint;
  /** Deletes up to here are in its file already (R3). */
  readonly deletesUpTo: bigint;
}

declare const writerBrand: unique symbol;
/**
 * A segment file being laid out: rows chosen and sorted, not yet copied. Released by `closeWriter`.
 */
export interface NativeSegmentWriter {
  readonly [writerBrand]: true;
}

export interface NativeSegmentStats {
  readonly rows: number;
  readonly deletedRows: number;
  /** Bytes of column data, mapped or anonymous. */
  readonly bytes: number;
  /** Anonymous memory that the system holds for it; pages that were never written do not count. */
  readonly memoryBytes: number;
  /** Bounds of the rows of a growing segment; 0 for a sealed one, whose record has them. */
  readonly minTimestamp: bigint;
  readonly maxTimestamp: bigint;
}

/**
 * One buffer of a mapped segment file: where a column's part lies. Lengths in bytes, before
 * padding.
 */
export interface NativeColumnLayout {
  readonly fieldId: bigint;
  readonly validityOffset: number;
  readonly validityBytes: number;
  /** Offsets of LargeUtf8, LargeBinary, LargeList: int64, rows + 1. 0 bytes for fixed width. */
  readonly offsetsOffset: number;
  readonly offsetsBytes: number;
  readonly dataOffset: number;
  readonly dataBytes: number;
  /** The JSON field's binary form (LargeBinary); absent for other types. */
  readonly variant?: NativeVarLayout;
  /**
   * The Array field's child when the elements are VarChar (LargeUtf8); fixed-width children use
   * data.
   */
  readonly child?: NativeVarLayout;
}

export interface NativeVarLayout {
  readonly offsetsOffset: number;
  readonly offsetsBytes: number;
  readonly dataOffset: number;
  readonly dataBytes: number;
}

/** What a writer will put in a column's buffers; the file's metadata is made from it. */
export interface NativeColumnPlan {
  readonly fieldId: bigint;
  readonly nullCount: number;
  /** 0 when no row is null. */
  readonly validityBytes: number;
  readonly offsetsBytes: number;
  readonly dataBytes: number;
  /** Elements of an Array column's child, else 0. */
  readonly childRows: number;
  readonly variantOffsetsBytes: number;
  readonly variantDataBytes: number;
  readonly childOffsetsBytes: number;
  readonly childDataBytes: number;
}

export type BufferName =
  'validity' | 'offsets' | 'data' | 'variantOffsets' | 'variantData' | 'childOffsets' | 'childData';

/** Primary keys: int64 or strings, one kind per collection. */
export type NativeKeys = BigInt64Array | readonly string[];

export interface NativeSearchRequest extends SearchParams {
  readonly readTimestamp: bigint;
  /** From `takeJobId`; absent = it is not canceled. */
  readonly jobId?: number;
}

export interface NativeQueryRequest extends ReadOutput {
  readonly plan?: Uint8Array;
  /** Only rows with these primary keys (in addition to the plan). */
  readonly keys?: NativeKeys;
  readonly readTimestamp: bigint;
  readonly jobId?: number;
  /** Rows to return at most, smallest primary keys first; 0 = all. */
  readonly limit: number;
  /** Counts matching rows and returns none. Duplicated keys count each time. */
  readonly countOnly: boolean;
}

export interface NativeIndexParams {
  /** A kind of vector index, as native's registry calls it, or 'SCALAR'. */
  readonly kind: string;
  /** '' for a scalar index. */
  readonly metric: string;
  /** What the kind takes. */
  readonly params: ParamBag;
  /**
   * SCALAR over a JSON field: the way to the values, keys and array positions; [] is the document.
   */
  readonly jsonPath?: readonly (string | number)[];
  /** DataType Bool, Double or VarChar: the only values the index has. Goes with `jsonPath`. */
  readonly jsonCastType?: number;
}

/** One participant's answer: hits of a search, best first, or rows by primary key. */
export interface NativeAnswerList {
  /** A row batch with the primary key and the timestamp. */
  readonly rows: Uint8Array;
  /** int32: rows of each query, those of query 0 first. */
  readonly counts: Uint8Array;
  /** float32 or float64 a row; empty: the rows come by primary key. */
  readonly scores: Uint8Array;
}

export interface NativeReduction {
  readonly keyFieldId: bigint;
  readonly nq: number;
  /** Rows of each query that are left out, best first. */
  readonly offset: number;
  /** Rows of each query besides; 0 = all. */
  readonly limit: number;
  /** The smallest score is the best. */
  readonly smallerFirst: boolean;
  /**
   * A key's scores in all lists are added up and it stands with that, by the row of the first list
   * that has it; else its first row in the order stays.
   */
  readonly addsUp: boolean;
  /** Of all lists together: few are merged at once. */
  readonly rows: number;
}

export interface NativeReducedRows {
  readonly counts: Int32Array;
  readonly scores: Float32Array;
  /** Numbered through all lists: the first row of one comes after the last of the one before. */
  readonly rows: Uint32Array;
}

/** A file that was written. */
export interface NativeFileDigest {
  readonly bytes: number;
  /** Of the whole file. */
  readonly crc32c: number;
}

/** A part of a file and what its checksum should be. */
export interface NativeFileCheck {
  /** What messages call it. */
  readonly name: string;
  readonly offset: number;
  readonly bytes: number;
  readonly crc32c: number;
}

export interface NativeCore {
  /** CRC32C (Castagnoli) of the bytes, continuing from `seed` (0 to begin). */
  crc32c(bytes: Uint8Array, seed: number): number;
  /**
   * Row of the first invalid JSON text in a row batch's JSON column, or -1. Throws on a batch
   * without it.
   */
  findInvalidJson(batch: Uint8Array, fieldId: bigint): number;
  /**
   * Takes an exclusive lock on the file (created if absent); throws when another process holds it.
   * Returns a fd.
   */
  lockFile(path: string): number;
  unlockFile(fd: number): void;
  /** Kernel set picked at load: 'sse2' | 'avx2' | 'avx512' | 'neon'. */
  kernelSet(): string;
  /** Gives memory that was freed back to the system, on a build thread. */
  trimMemory(): Promise<void>;
  /** Makes JavaScript look, in small steps, for buffers that nobody uses any more. */
  hintGarbage(): void;
  /** Search and build threads; call once before the first search. */
  configureThreads(searchThreads: number, buildThreads: number): void;

  createGrowing(fields: readonly NativeField[]): NativeSegment;
  /**
   * Checks a row batch and allocates all that appending it takes, so that `appendRows` of the same
   * array, unchanged, cannot fail (R8). Reservations add up; each ends with that or `cancelRows`.
   * Throws on a batch that is not as it must be, and when memory is refused.
   */
  reserveRows(segment: NativeSegment, batch: Uint8Array): void;
  cancelRows(segment: NativeSegment, batch: Uint8Array): void;
  /**
   * Appends a row batch (docs/formats/row-batch.md) whose rows all get this timestamp. A field that
   * the batch lacks becomes its default, else null. Synchronous, visible on return. Returns the
   * memory that the segment then has, as `segmentStats` tells it.
   */
  appendRows(segment: NativeSegment, batch: Uint8Array, timestamp: bigint): number;
  /**
   * Maps a segment file and opens its columns, on a worker: two pages of each column of variable
   * width are read. `rows` is the record batch's length; a field that the file lacks reads as its
   * default, else null.
   */
  openSealed(
    fields: readonly NativeField[],
    path: string,
    rows: number,
    layout: readonly NativeColumnLayout[],
  ): Promise<NativeSegment>;
  /**
   * Gives a segment the fields that were added since it was made, all fields listed. It has no
   * columns for them: reads that begin afterwards see their defaults, else nulls.
   */
  updateSchema(segment: NativeSegment, fields: readonly NativeField[]): void;
  /**
   * Marks the rows of growing segments that have these keys (as docs/formats/wal-message.md has
   * them) and a timestamp <= killsUpTo as deleted at `timestamp`. Already deleted rows keep their
   * earlier delete timestamp. Synchronous; returns how many rows it marked.
   */
  deleteKeys(
    segments: readonly NativeSegment[],
    keys: Uint8Array,
    timestamp: bigint,
    killsUpTo: bigint,
  ): number;
  /**
   * Applies a delete batch (docs/formats/delete-file.md) to segments of any kind, on the write
   * thread. Reads older than its deletes see nothing of it meanwhile. Batches of one segment are
   * applied one after another: a later one is given when the earlier has resolved.
   */
  applyDeletes(targets: readonly NativeDeleteTarget[], batch: Uint8Array): Promise<void>;
  /**
   * Joins delete batches, given in the order of time, without what is not later than `after`. On
   * the write thread.
   */
  mergeDeletes(batches: readonly Uint8Array[], after: bigint): Promise<Uint8Array>;
  segmentStats(segment: NativeSegment): NativeSegmentStats;
  /**
   * How many rows were deleted at or before `horizon`, and when the newest delete was (0 = none).
   * About 1 ns a deleted row.
   */
  deleteStats(
    segment: NativeSegment,
    horizon: bigint,
  ): { readonly droppableRows: number; readonly lastDeleted: bigint };
  closeSegment(segment: NativeSegment): void;

  /**
   * Opens an index file on a worker and attaches it to a sealed segment's field; replaces an
   * earlier one. A JSON field has one for each path and cast type, which the file names. Rejects
   * with code 1009 a file that is damaged, of another version, not of this segment, or not the one
   * whose checksum `buildIndex` gave.
   */
  attachIndex(
    segment: NativeSegment,
    fieldId: bigint,
    path: string,
    crc32c?: number,
  ): Promise<void>;
  /**
   * Detaches the field's own index, or with a path the JSON field's index over it (of that cast
   * type; absent: of each).
   */
  detachIndex(
    segment: NativeSegment,
    fieldId: bigint,
    jsonPath?: readonly (string | number)[],
    jsonCastType?: number,
  ): void;
  /**
   * Builds an index over a sealed segment's field at low priority and writes its file to the path,
   * without a sync. What a failed build has written stays there. `jobId` is from `takeJobId`.
   */
  buildIndex(
    segment: NativeSegment,
    fieldId: bigint,
    params: NativeIndexParams,
    path: string,
    jobId: number,
  ): Promise<NativeFileDigest>;
  /** Memory that building a vector index takes at most, besides the segment's file. */
  indexBuildBytes(params: NativeIndexParams, rows: number, dim: number): number;

  /**
   * Reads an index file's header and table, and lists what all of the rest should be. Rejects with
   * code 1009 when they are damaged.
   */
  listIndexFileChecks(path: string): Promise<NativeFileCheck[]>;
  /** CRC32C of a part of a file, continuing from `seed`, read on the build threads. */
  crc32cOfFile(path: string, offset: number, length: number, seed: number): Promise<number>;
  /** Ends a build or a read within milliseconds: its promise rejects. One that is done stays so. */
  cancelJob(jobId: number): void;

  /** Searches the segments as one: filter, visibility, top k with distinct keys, gather. */
  search(
    segments: readonly NativeSegment[],
    request: NativeSearchRequest,
  ): Promise<SearchReply>;
  query(
    segments: readonly NativeSegment[],
    request: NativeQueryRequest,
  ): Promise<QueryReply>;

  /**
   * Merges what several participants have answered: reads each list's row batch for keys and
   * timestamps and tells which rows stay, in order. Long merges are done on a search thread.
   */
  reduce(lists: readonly NativeAnswerList[], what: NativeReduction): Promise<NativeReducedRows>;

  /**
   * Lays out one new segment from all rows of the inputs but those deleted at or before
   * `dropDeletedUpTo`, sorted by (primary key, timestamp). Inputs may go on receiving deletes;
   * later ones are not in the output.
   */
  createWriter(
    segments: readonly NativeSegment[],
    dropDeletedUpTo: bigint,
  ): Promise<NativeSegmentWriter>;
  writerRows(writer: NativeSegmentWriter): number;
  writerColumns(writer: NativeSegmentWriter): readonly NativeColumnPlan[];
  /**
   * Copies bytes [offset, offset + length) of one buffer into a new array, on the build threads.
   */
  readBuffer(
    writer: NativeSegmentWriter,
    fieldId: bigint,
    buffer: BufferName,
    offset: number,
    length: number,
  ): Promise<Uint8Array>;
  closeWriter(writer: NativeSegmentWriter): void;
}

function loadAddon(): NativeCore {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'native', 'package.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('elanus: the folder native/ is missing');
    folder = parent;
  }
  const path = join(folder, 'native', 'build', 'elanus.node');
  if (!existsSync(path)) {
    throw new Error('elanus: the native core is not built; run `npm run build`');
  }
  return createRequire(import.meta.url)(path) as NativeCore;
}

export const native: NativeCore = loadAddon();

let lastJobId = 0;

/** A name for a build or a read, by which `cancelJob` finds it; unique in the process. */
export function takeJobId(): number {
  lastJobId += 1;
  return lastJobId;
}
