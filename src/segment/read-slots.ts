// How many reads a node has in progress in native code: those that its search threads work on, and
// so many that wait for one. More are refused at once, which costs less than to let them wait.

import { MilvusError } from '../model/error.ts';

export class ReadSlots {
  readonly #waitingMax: number;
  readonly #countMax: number;
  #count = 0;

  /** @param threads  reads that are worked on at a time */
  constructor(threads: number, waitingMax: number) {
    this.#waitingMax = waitingMax;
    this.#countMax = threads + waitingMax;
  }

  get count(): number {
    return this.#count;
  }

  /** @throws MilvusError TooManyRequests; what `read` throws */
  async run<Result>(read: () => Promise<Result>): Promise<Result> {
    if (this.#count >= this.#countMax) {
      throw new MilvusError('TooManyRequests', { fields: { limit: this.#waitingMax } });
    }
    this.#count += 1;
    try {
      return await read();
    } finally {
      this.#count -= 1;
    }
  }
}
