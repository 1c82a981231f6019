// The write-ahead log as the roles see it. A pchannel has one log: a durable stream of records of
// many shards, which one owner at a time appends to. Owners are told apart by terms, which rise;
// which shard a record is of stands in the record. Invariants: a record whose append resolved is
// read again after any crash until truncate drops it; a record whose append failed may, after a
// crash, be there or not, but never once a later append resolved; nobody appends once the log has
// been opened with a later term. Positions rise with the records, not always by one.

export interface LogStore {
  /**
   * Opens the pchannel's log, making it if it is not there, and takes it away from whoever has
   * opened it before: what that owner still appends is refused.
   * @throws MilvusError ChannelNotAvailable for a term below one that has opened the log,
   *   DataIntegrity for a later format, DiskLimitExceeded, IoFailed
   */
  open(pchannel: string, term: number): Promise<Wal>;
}

export interface WalEntry {
  readonly position: bigint;
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
  /**
   * What each of the records began with, PREFIX_BYTES of it at most, when that is known of all;
   * else they may have been anything. Of older records it is their vchannel in UTF-8.
   */
  readonly prefixes?: readonly Uint8Array[];
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
   *   MiB, DiskLimitExceeded on a full disk, IoFailed; later appends may succeed after any of
   *   them. ServiceUnavailable, unexecuted, when the log is closed or somebody else's.
   */
  append(record: readonly Uint8Array[]): Promise<bigint>;

  /**
   * Resolves when it is sure that nobody else had opened the log at the time of the call.
   * @throws MilvusError ServiceUnavailable, unexecuted, when the log is closed or somebody else's
   */
  confirm(): Promise<void>;

  /**
   * Until when on the monotonic clock nobody else appends to the log, as far as is known without
   * asking: Infinity where a later owner would be noticed at once.
   */
  confirmedUntilMs(): number;

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
   * @throws MilvusError IoFailed, ServiceUnavailable when the log is closed or somebody else's
   */
  truncate(before: bigint): Promise<void>;

  /** Bytes of the records kept, with their heads; without space prepared for records to come. */
  bytes(): number;

  /** The lowest position that read can yield; above lastPosition() if there is no record. */
  firstPosition(): bigint;

  /** The position of the last durable record, dropped or not; 0 before the first. */
  lastPosition(): bigint;

  /** Refuses new appends, waits for those under way and gives up the files. */
  close(): Promise<void>;
}

/** Bytes of one record at most, all pieces together. */
export const RECORD_BYTES_MAX = 128 * 1024 * 1024;

/** So much of a record is readable where the rest of it is damaged; a multiple of 8. */
export const PREFIX_BYTES = 32;
