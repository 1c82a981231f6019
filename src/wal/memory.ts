// The write-ahead log in memory, for tests and simulations: nothing outlives the object.

import { sumBytes } from '../base/file-helpers.ts';
import { MilvusError } from '../model/error.ts';
import { CHANNEL_BYTES_MAX, RECORD_BYTES_MAX } from './wal.ts';
import type { Wal, WalEntry } from './wal.ts';

export class MemoryWal implements Wal {
  #entries: WalEntry[] = [];
  #bytes = 0;
  #last = 0n;
  #isClosed = false;

  async append(channel: string, record: readonly Uint8Array[]): Promise<bigint> {
    if (this.#isClosed) {
      throw new MilvusError('ServiceUnavailable', { message: 'write-ahead log is closed' });
    }
    const bytes = sumBytes(record);
    if (bytes > RECORD_BYTES_MAX || Buffer.byteLength(channel) > CHANNEL_BYTES_MAX) {
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
    this.#last += 1n;
    this.#bytes += bytes;
    const place = `memory, record ${this.#last}`;
    this.#entries.push({ position: this.#last, channel, place, record: copy });
    return this.#last;
  }

  async *read(from: bigint): AsyncGenerator<WalEntry> {
    const end = this.#last;
    for (const entry of [...this.#entries]) {
      if (entry.position >= from && entry.position <= end) yield entry;
    }
  }

  async truncate(before: bigint): Promise<void> {
    this.#entries = this.#entries.filter((entry) => entry.position >= before);
    this.#bytes = sumBytes(this.#entries.map((entry) => entry.record));
  }

  bytes(): number {
    return this.#bytes;
  }

  firstPosition(): bigint {
    return this.#entries[0]?.position ?? this.#last + 1n;
  }

  lastPosition(): bigint {
    return this.#last;
  }

  async close(): Promise<void> {
    this.#isClosed = true;
  }
}
