// Ids for growing segments, drawn ahead: choosing a segment for a record must not wait.

import { MilvusError } from '../../model/error.ts';
import type { RootCoord } from '../../rpc/contract.ts';

const IDS_AHEAD = 16;

export class SegmentIdStock {
  readonly #rootcoord: RootCoord;
  readonly #ids: bigint[] = [];

  constructor(rootcoord: RootCoord) {
    this.#rootcoord = rootcoord;
  }

  /** Makes sure that `wanted` ids can be taken. */
  async fill(wanted: number): Promise<void> {
    if (this.#ids.length >= wanted) return;
    const count = wanted + IDS_AHEAD;
    const { first } = await this.#rootcoord.allocateIds({ count }, {});
    for (let i = 0; i < count; i++) this.#ids.push(first + BigInt(i));
  }

  take(): bigint {
    const id = this.#ids.shift();
    if (id === undefined) {
      throw new MilvusError('ServiceInternal', { message: 'no segment id left' });
    }
    return id;
  }
}
