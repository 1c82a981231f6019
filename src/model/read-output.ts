// What a read gives back: which fields, and how large it may get. Told to whoever finds rows, so
// that what is too large is refused there (P6).

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
