// Row ids, drawn from the root coordinator in lumps so that an insert seldom waits for them.

import type { RootCoord } from '../../../rpc/contract.ts';

const LUMP = 65_536;

export class IdStock {
  readonly #rootcoord: RootCoord;
  #next = 0n;
  #end = 0n;

  constructor(rootcoord: RootCoord) {
    this.#rootcoord = rootcoord;
  }

  /**
   * Returns `count` consecutive unused ids. Ids left over in a lump are skipped when it is too
   * small.
   */
  async take(count: number): Promise<BigInt64Array> {
    if (this.#end - this.#next < BigInt(count)) {
      const size = Math.max(LUMP, count);
      const { first } = await this.#rootcoord.allocateIds({ count: size }, {});
      // Another caller may have refilled the stock while this one waited: the larger rest stays.
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
}
