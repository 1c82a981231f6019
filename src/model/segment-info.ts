// Records about sealed segments, their index files and delete files. Plain data, stored in the
// catalog.

export const SegmentState = {
  Growing: 2,
  Sealed: 3,
  Flushed: 4,
  Flushing: 5,
  Dropped: 6,
} as const;
export type SegmentState = (typeof SegmentState)[keyof typeof SegmentState];

/** A sealed segment in storage, or the tombstone of one (rule R2). */
export interface SegmentInfo {
  readonly segmentId: bigint;
  readonly collectionId: bigint;
  readonly partitionId: bigint;
  readonly vchannel: string;
  readonly state: SegmentState;
  readonly rows: number;
  /** Storage key of the Arrow file; '' for a tombstone. */
  readonly file: string;
  readonly fileBytes: number;
  /** CRC32C of the whole file; absent in older records. */
  readonly crc32c?: number;
  /** Deletes with a timestamp at or below this are already missing from the file (rule R3). */
  readonly deletesUpTo: bigint;
  /** WAL position of the last insert into it: a tombstone may go once the checkpoint is past it. */
  readonly lastPosition: bigint;
  readonly minTimestamp: bigint;
  readonly maxTimestamp: bigint;
  /** Inputs of the compaction that made it; empty for one written from a growing segment. */
  readonly compactedFrom: readonly bigint[];
}

/**
 * Deletes of one shard, by primary key, in storage. Together the files hold every delete up to
 * `toTimestamp`.
 */
export interface DeleteFile {
  readonly file: string;
  readonly fileBytes: number;
  /** CRC32C of the whole file; absent in older records. */
  readonly crc32c?: number;
  readonly entries: number;
  readonly fromTimestamp: bigint;
  readonly toTimestamp: bigint;
}

/** Where a shard's replay begins, and its durable deletes. */
export interface ChannelInfo {
  readonly vchannel: string;
  readonly collectionId: bigint;
  /** First WAL position that replay must apply (rule R1). */
  readonly checkpoint: bigint;
  readonly deleteFiles: readonly DeleteFile[];
  /** Of the last commit; they rise. Absent in older records = 0. */
  readonly commitSeq?: number;
}

/** What a shard has written, to be recorded in one transaction. */
export interface ChannelCommit {
  readonly vchannel: string;
  readonly collectionId: bigint;
  /** Of the owner of its pchannel: an earlier owner's commits are refused (R14). */
  readonly term: number;
  /** Rises with each commit of the channel; the last one is in its ChannelInfo. */
  readonly commitSeq: number;
  /** May hold tombstones for growing segments whose rows were all deleted. */
  readonly segments: readonly SegmentInfo[];
  /** Replaces the shard's whole list when present. */
  readonly deleteFiles?: readonly DeleteFile[];
  readonly checkpoint: bigint;
}

/** Counts of a sealed segment as readers see it. */
export interface SegmentStats {
  readonly segmentId: bigint;
  readonly rows: number;
  readonly deletedRows: number;
  /** Deleted so long ago that a merge may leave them out. */
  readonly droppableRows: number;
  /** Of its newest delete; 0 = none. */
  readonly lastDeleted: bigint;
}

export interface IndexInfo {
  readonly indexId: bigint;
  readonly collectionId: bigint;
  readonly fieldId: bigint;
  readonly fieldName: string;
  readonly name: string;
  /** As the user asked, upper case; '' means AUTOINDEX. */
  readonly indexType: string;
  /** '' for a scalar index. */
  readonly metric: string;
  /** The user's parameters as given, echoed by DescribeIndex. */
  readonly params: Readonly<Record<string, string>>;
  readonly isAutoIndex: boolean;
  /** Path into a JSON field that the index covers; a JSON field may have several indexes. */
  readonly jsonPath?: readonly (string | number)[];
  readonly createdTimestamp: bigint;
}

export interface IndexFile {
  readonly collectionId: bigint;
  readonly segmentId: bigint;
  readonly indexId: bigint;
  readonly fieldId: bigint;
  /** Storage key; '' when the index needs no file (FLAT). */
  readonly file: string;
  readonly fileBytes: number;
  /** CRC32C of all its bytes; absent in older records and where there is no file. */
  readonly crc32c?: number;
  readonly rows: number;
}

/** A file of the storage with the record that names it. */
export type StoredFile =
  | { readonly kind: 'segment'; readonly segment: SegmentInfo }
  | { readonly kind: 'deletes'; readonly vchannel: string; readonly deletes: DeleteFile }
  | { readonly kind: 'index'; readonly index: IndexFile };
