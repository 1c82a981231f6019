// Write-ahead logs in memory, for tests and simulations: nothing outlives the object. Invariant: of
// the logs that have been opened on a pchannel only the one opened last appends.

import { sumBytes } from '../base/file-helpers.ts';
import { MilvusError } from '../model/error.ts';
import { createClosedError, createOldTermError } from './refusals.ts';
import { RECORD_BYTES_MAX, type LogStore, type Wal, type WalEntry } from './wal.ts';

/** What is kept of one pchannel, whoever has it open. */
interface Log {
  term: number;
  owner: MemoryWal | undefined;
  entries: WalEntry[];
  bytes: number;
  last: bigint;
}

export class MemoryLogStore implements LogStore {
  readonly #step: bigint;
  readonly #logs = new Map<string, Log>();

  /** @param step  how far apart positions are: a log may leave some out */
  constructor(step = 1n) {
    this.#step = step;
  }

  async open(pchannel: string, term: number): Promise<MemoryWal> {
    const empty = { entries: [], bytes: 0, last: 0n };
    const log: Log = this.#logs.get(pchannel) ?? { term, owner: undefined, ...empty };
    if (term < log.term) throw createOldTermError(pchannel, term, log.term);
    log.term = term;
    log.owner = new MemoryWal(log, this.#step);
    this.#logs.set(pchannel, log);
    return log.owner;
  }
}

class MemoryWal implements Wal {
  readonly #log: Log;
  readonly #step: bigint;

  constructor(log: Log, step: bigint) {
    this.#log = log;
    this.#step = step;
  }

  async append(record: readonly Uint8Array[]): Promise<bigint> {
    this.#requireOwner();
    const log = this.#log;
    const bytes = sumBytes(record);
    if (bytes > RECORD_BYTES_MAX) {
      throw new MilvusError('ParameterTooLarge', {
        message: 'record is too large for the write-ahead log',
        fields: { bytes, limit: RECORD_BYTES_MAX },
      });
    }
    const copy = new Uint8Array(bytes);
    let at = 0;
    for (const piece of record) {
      copy.set(piece, at);
      at += piece.byteLength;
    }
    log.last += this.#step;
    log.bytes += bytes;
    const place = `memory, record ${log.last}`;
    log.entries.push({ position: log.last, place, record: copy });
    return log.last;
  }

  async confirm(): Promise<void> {
    this.#requireOwner();
  }

  confirmedUntilMs(): number {
    return this.#log.owner === this ? Infinity : 0;
  }

  async *read(from: bigint): AsyncGenerator<WalEntry> {
    const end = this.#log.last;
    for (const entry of [...this.#log.entries]) {
      if (entry.position >= from && entry.position <= end) yield entry;
    }
  }

  async truncate(before: bigint): Promise<void> {
    this.#requireOwner();
    const log = this.#log;
    log.entries = log.entries.filter((entry) => entry.position >= before);
    log.bytes = sumBytes(log.entries.map(({ record }) => record));
  }

  bytes(): number {
    return this.#log.bytes;
  }

  firstPosition(): bigint {
    return this.#log.entries[0]?.position ?? this.#log.last + 1n;
  }

  lastPosition(): bigint {
    return this.#log.last;
  }

  async close(): Promise<void> {
    if (this.#log.owner === this) this.#log.owner = undefined;
  }

  #requireOwner(): void {
    if (this.#log.owner !== this) throw createClosedError();
  }
}
