// A growing segment as other roles see it: what is in it, not where it is.

export interface GrowingSegmentInfo {
  readonly segmentId: bigint;
  readonly partitionId: bigint;
  readonly vchannel: string;
  /** No row is older. */
  readonly firstTimestamp: bigint;
  readonly rows: number;
  readonly bytes: number;
  /** Takes no more rows; its file is being written. */
  readonly isSealing: boolean;
  /** Why its file could not be written the last time; it is tried again. */
  readonly failure?: string;
}
