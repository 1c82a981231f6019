// The write-ahead log as the roles see it: one durable stream of records for all channels of a
// process. Positions are record sequence numbers: they start at 1 and rise by one per acknowledged
// record. Invariant: a record whose append resolved is read again after any crash until truncate
// drops it. A record whose append failed may, after a crash, be there or not, but never once a
// later append resolved.

export interface WalEntry {
  readonly position: bigint;
  readonly channel: string;
  /** Where it lies, for messages: file and offset. */
  readonly place: string;
  /** Owned by the reader, maybe a part of a larger buffer; `byteOffset` is a multiple of 8. */
  readonly record: Uint8Array;
}

/** Acknowledged records that cannot be read. Positions `from`..`to` are gone, both included. */
export interface WalDamage {
  readonly file: string;
  readonly offset: number;
  readonly from: bigint;
  readonly to: bigint;
  /** The channels of the records, when it is known of each; else they may be of any. */
  readonly channels?: readonly string[];
}

/** Returns the damage in a sentence, as the first line of an error. */
export function describeDamage({ file, offset, from, to }: WalDamage): string {
  return (
    `the write-ahead log is damaged [file=${file}][offset=${offset}]: ` +
    `records ${from} to ${to} cannot be read`
  );
}

export interface Wal {
  /**
   * Appends one record, the pieces one after another, and resolves with its position once it is
   * durable. Appends resolve in the order of the calls; all that wait together share one fsync.
   * The pieces are kept by reference and must not change until then.
   * @throws MilvusError RateLimit when the queue's bytes are spent, ParameterTooLarge above 128
   * MiB,
   *   DiskLimitExceeded on a full disk, IoFailed; later appends may succeed after any of them.
   */
  append(channel: string, record: readonly Uint8Array[]): Promise<bigint>;

  /**
   * Replays, in order, every kept record with `from` <= position <= lastPosition() at the first
   * step. Records dropped by truncate are silently not there: compare firstPosition() where that
   * matters.
   * @param onDamage is told of acknowledged records that cannot be read, before any behind them;
   *   then the reading goes on. Without it the first damage ends the reading.
   * @throws MilvusError DataIntegrity with file and offset, IoFailed
   */
  read(from: bigint, onDamage?: (damage: WalDamage) => void): AsyncIterable<WalEntry>;

  /**
   * Allows records below `before` to be dropped; keeps all at or above it, and maybe some below.
   */
  truncate(before: bigint): Promise<void>;

  /** Bytes of the records kept, with their heads; without space prepared for records to come. */
  bytes(): number;

  /** The lowest position that read can yield; lastPosition() + 1 if there is no record. */
  firstPosition(): bigint;

  /** The position of the last durable record, dropped or not; 0 before the first. */
  lastPosition(): bigint;

  /** Refuses new appends, waits for those under way and gives up the files. */
  close(): Promise<void>;
}

/** Bytes of one record at most, all pieces together. */
export const RECORD_BYTES_MAX = 128 * 1024 * 1024;

/** Bytes of a channel's name in UTF-8 at most. */
export const CHANNEL_BYTES_MAX = 1024;
