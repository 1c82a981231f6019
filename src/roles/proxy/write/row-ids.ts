// Ids of rows: drawn from the root coordinator in ranges, so that an insert seldom waits for them,
// and once for a request: a row that is sent again is the same row.

import type { Keys } from '../../../model/keys.ts';
import type { RootCoord } from '../../../rpc/contract.ts';
import { hashKey } from './sharding.ts';

/** Ids of one call to the root coordinator, unless a request needs more. */
const RANGE = 65_536;

export class RowIdAllocator {
  readonly #rootcoord: RootCoord;
  #next = 0n;
  #end = 0n;

  constructor(rootcoord: RootCoord) {
    this.#rootcoord = rootcoord;
  }

  /**
   * Returns `count` consecutive unused ids. What is left of a range is skipped when it is too
   * small.
   */
  async take(count: number): Promise<BigInt64Array> {
    if (this.#end - this.#next < BigInt(count)) {
      const size = Math.max(RANGE, count);
      const { first } = await this.#rootcoord.allocateIds({ count: size }, {});
      // Another caller may have drawn a range while this one waited: the larger rest stays.
      if (this.#end - this.#next < BigInt(count)) {
        this.#next = first;
        this.#end = first + BigInt(size);
      }
    }
    const ids = new BigInt64Array(count);
    for (let i = 0; i < count; i++) ids[i] = this.#next + BigInt(i);
    this.#next += BigInt(count);
    return ids;
  }

  /**
   * Returns new ids, each of which hashes to the shard of the given key in its row (R4): the delete
   * of the one and the insert of the other lie in one record.
   */
  async takeByShard(shardCount: number, given: Keys): Promise<BigInt64Array> {
    if (shardCount === 1) return this.take(given.values.length);
    const rowIds = new BigInt64Array(given.values.length);
    const rowsByShard: number[][] = Array.from({ length: shardCount }, () => []);
    given.values.forEach((key: bigint | string, row: number) => {
      rowsByShard[hashKey(key) % shardCount]!.push(row);
    });
    let missing = rowIds.length;
    while (missing > 0) {
      for (const id of await this.take(2 * missing + shardCount)) {
        const key = given.kind === 'int64' ? id : String(id);
        const row = rowsByShard[hashKey(key) % shardCount]!.pop();
        if (row === undefined) continue;
        rowIds[row] = id;
        missing -= 1;
      }
    }
    return rowIds;
  }
}

/** The ids of a request's rows, by the first row of each slice. */
export class RowIds {
  readonly #bySlice = new Map<number, BigInt64Array>();

  async get(firstRow: number, draw: () => Promise<BigInt64Array>): Promise<BigInt64Array> {
    const known = this.#bySlice.get(firstRow);
    if (known !== undefined) return known;
    const drawn = await draw();
    this.#bySlice.set(firstRow, drawn);
    return drawn;
  }
}
