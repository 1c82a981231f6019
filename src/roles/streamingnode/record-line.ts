// Records that a shard has handed to the WAL, in order, until they are applied. Those that became
// durable together, by one fsync, are taken as one group.

import type { WalMessage } from '../../codec/wal-message.ts';
import type { PreparedWrite } from './prepared-write.ts';

/** Records of one group: their clients wait for the last of them. */
const GROUP_RECORDS_MAX = 1024;

interface Appended {
  readonly prepared: PreparedWrite;
  readonly message: WalMessage;
  /** Resolves when the WAL has answered; never rejects. */
  readonly settled: Promise<void>;
  position: bigint | undefined;
  error: unknown;
}

/** A record of which the WAL has said what became of it. */
export interface SettledRecord {
  readonly prepared: PreparedWrite;
  readonly message: WalMessage;
  /** Undefined = it is not in the log, because of `error`. */
  readonly position: bigint | undefined;
  readonly error: unknown;
}

export class RecordLine {
  #records: Appended[] = [];

  get isEmpty(): boolean {
    return this.#records.length === 0;
  }

  push(prepared: PreparedWrite, message: WalMessage, durable: Promise<bigint>): void {
    const settled = durable.then(
      (position) => {
        record.position = position;
      },
      (error: unknown) => {
        record.error = error;
      },
    );
    const record: Appended = { prepared, message, settled, position: undefined, error: undefined };
    this.#records.push(record);
  }

  /** Waits for the first record, then takes it and those behind it that are settled as well. */
  async takeGroup(): Promise<readonly SettledRecord[]> {
    await this.#records[0]?.settled;
    // The others of the same fsync settle in this turn of the event loop, too, but later in it.
    await Promise.resolve();
    let count = 0;
    while (count < this.#records.length && count < GROUP_RECORDS_MAX) {
      const { position, error } = this.#records[count]!;
      if (position === undefined && error === undefined) break;
      count += 1;
    }
    return this.#records.splice(0, count);
  }
}
