// How many segments, rows and bytes each collection has somewhere: kept as they come and go, so
// that a scrape of the metrics need not walk all segments.

export interface Totals {
  readonly segments: number;
  readonly rows: number;
  readonly bytes: number;
}

const NOTHING: Totals = { segments: 0, rows: 0, bytes: 0 };

export class CollectionTotals {
  readonly #totals = new Map<bigint, Totals>();

  add(collectionId: bigint, { rows, bytes }: { rows: number; bytes: number }): void {
    this.#change(collectionId, { segments: 1, rows, bytes });
  }

  remove(collectionId: bigint, { rows, bytes }: { rows: number; bytes: number }): void {
    this.#change(collectionId, { segments: -1, rows: -rows, bytes: -bytes });
  }

  /** Of collections that have any. */
  [Symbol.iterator](): IterableIterator<[bigint, Totals]> {
    return this.#totals.entries();
  }

  #change(collectionId: bigint, by: Totals): void {
    const before = this.#totals.get(collectionId) ?? NOTHING;
    const segments = before.segments + by.segments;
    if (segments === 0) this.#totals.delete(collectionId);
    else {
      const [rows, bytes] = [before.rows + by.rows, before.bytes + by.bytes];
      this.#totals.set(collectionId, { segments, rows, bytes });
    }
  }
}
