// How much memory the growing segments of a node hold. Before a record is appended an upper bound
// of what its rows will take is reserved, because nothing may fail afterwards (R8, R19); once they
// are in their segments what native really holds is charged instead.

import { MilvusError } from '../../model/error.ts';
import { DataType } from '../../model/data-type.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import type { WriteRequest } from '../../rpc/contract.ts';

/** What a row adds to the table of keys, which doubles. */
const ROW_BYTES = 48;
/** Each array of a chunk may begin a page: one for each field, norms, keys, ids, timestamps. */
const PAGE_BYTES = 4096;
const ARRAYS_MORE = 4;

export class GrowingBudget {
  readonly bytesMax: number;
  readonly #onRefused: (bytes: number) => void;
  #used = 0;
  #released = 0;

  /** @param onRefused  somebody wanted so much in vain, and will come again */
  constructor(bytesMax: number, onRefused: (bytes: number) => void = () => undefined) {
    this.bytesMax = bytesMax;
    this.#onRefused = onRefused;
  }

  /** Held by segments, and reserved for records under way. */
  get used(): number {
    return this.#used;
  }

  /** All that was ever given back. */
  get released(): number {
    return this.#released;
  }

  /** @throws MilvusError MemoryLimitExceeded with need and have */
  reserve(bytes: number): void {
    if (this.#used + bytes > this.bytesMax) {
      this.#onRefused(bytes);
      throw new MilvusError('MemoryLimitExceeded', {
        message: 'growing data is at its limit; retry when it has been written out',
        fields: { need: bytes, have: this.bytesMax - this.#used, limit: this.bytesMax },
        isUnexecuted: true,
      });
    }
    this.#used += bytes;
  }

  /**
   * Reserves what the rows of a write take at most, and returns it.
   * @throws MilvusError MemoryLimitExceeded with need and have
   */
  reserveFor(parts: WriteRequest['parts'], { fields }: CollectionSchema): number {
    // A JSON value is kept as text and in its binary form, which is no longer than twice the text.
    const copies = fields.some(({ dataType }) => dataType === DataType.JSON) ? 3 : 1;
    let bytes = 0;
    for (const part of parts) {
      if (part.kind !== 'insert') continue;
      bytes += copies * part.batch.byteLength + ROW_BYTES * part.rows;
      bytes += PAGE_BYTES * (fields.length + ARRAYS_MORE);
    }
    this.reserve(bytes);
    return bytes;
  }

  /** A segment has grown: it is there, so it is counted whatever the limit says. */
  charge(bytes: number): void {
    this.#used += bytes;
  }

  release(bytes: number): void {
    this.#used -= bytes;
    this.#released += bytes;
  }
}
