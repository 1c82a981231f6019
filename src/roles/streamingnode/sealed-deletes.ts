// Deletes on their way to the query node, which holds the sealed segments. An acknowledgement does
// not wait for them: a read does (P2), and then they go together, in one call. Bounded: when they
// are many the shard delivers them by itself. Nothing is lost with them, because they are in the
// delete buffer too.

import { encodeDeleteRuns, type DeleteRun } from '../../codec/delete-batch.ts';
import { native } from '../../index/native.ts';
import { countDeleteBytes } from './delete-buffer.ts';

/** About 6,000 deletes of a key each: what a read may have to wait for. */
const BYTES_MAX = 256 * 1024;
/** Of one batch: what is encoded in one turn of the event loop (P9). */
const BATCH_BYTES_MAX = 1024 * 1024;

export class SealedDeletes {
  readonly #send: (deletes: Uint8Array) => Promise<void>;
  #runs: DeleteRun[] = [];
  #bytes = 0;
  /** Of the first run that is being sent. */
  #sendingFrom: bigint | undefined;
  #sending: Promise<void> = Promise.resolve();
  /** Begins when that which is being sent has arrived. */
  #next: Promise<void> | undefined;

  /** @param send  resolves when the batch is applied; batches go one after another */
  constructor(send: (deletes: Uint8Array) => Promise<void>) {
    this.#send = send;
  }

  /** The keys must not change. */
  push(run: DeleteRun): void {
    this.#runs.push(run);
    this.#bytes += countDeleteBytes(run.keys);
  }

  get isFull(): boolean {
    return this.#bytes >= BYTES_MAX;
  }

  /** Timestamp of the first delete that has not arrived; undefined = all have. */
  first(): bigint | undefined {
    return this.#sendingFrom ?? this.#runs[0]?.timestamp;
  }

  /** Resolves when all that was pushed so far is applied. */
  deliver(): Promise<void> {
    if (this.#runs.length === 0) return this.#sending;
    this.#next ??= this.#sending.then(() => {
      this.#next = undefined;
      this.#sending = this.#sendAll();
      return this.#sending;
    });
    return this.#next;
  }

  clear(): void {
    this.#runs = [];
    this.#bytes = 0;
  }

  async #sendAll(): Promise<void> {
    const runs = this.#runs;
    this.clear();
    if (runs.length === 0) return;
    this.#sendingFrom = runs[0]!.timestamp;
    for (let from = 0; from < runs.length; ) {
      let end = from;
      for (let bytes = 0; end < runs.length && bytes < BATCH_BYTES_MAX; end += 1) {
        bytes += countDeleteBytes(runs[end]!.keys);
      }
      const batch = runs.slice(from, end);
      await this.#send(encodeDeleteRuns(batch, (bytes, seed) => native.crc32c(bytes, seed)));
      from = end;
    }
    this.#sendingFrom = undefined;
  }
}
