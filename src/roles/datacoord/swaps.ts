// Tells shard leaders to put a merge's output in the place of its inputs, until they have done it:
// the merge is recorded by then and cannot be taken back. A swap that fails is repeated with
// back-off; meanwhile readers see the inputs, and the collection is not merged any further.
// Repeating one that was done changes nothing.

import type { Logger } from '../../base/logger.ts';
import type { Runtime } from '../../base/clock.ts';
import type { SegmentInfo } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';

export interface SwapsDeps {
  readonly peers: Peers;
  readonly logger: Logger;
  readonly runtime: Runtime;
}

export interface Swap {
  readonly collectionId: bigint;
  readonly vchannel: string;
  readonly added: readonly SegmentInfo[];
  readonly removed: readonly bigint[];
}

const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;

export class Swaps {
  readonly #deps: SwapsDeps;
  readonly #onLateSwap: (collectionId: bigint) => void;
  /** One a collection at most: it is merged no further before. */
  readonly #pending = new Map<bigint, Swap>();
  readonly #stop = new AbortController();
  #repeating: Promise<void> | undefined;

  constructor(deps: SwapsDeps, onLateSwap: (collectionId: bigint) => void) {
    this.#deps = deps;
    this.#onLateSwap = onLateSwap;
  }

  /** Resolves when the leader has swapped, or when that was left to repetitions. Returns which. */
  async swap(swap: Swap): Promise<boolean> {
    try {
      await this.#tell(swap);
      return true;
    } catch (error) {
      this.#warn(swap, error);
      this.#pending.set(swap.collectionId, swap);
      this.#repeating ??= this.#repeat();
      return false;
    }
  }

  isPending(collectionId: bigint): boolean {
    return this.#pending.has(collectionId);
  }

  /** The collection or one of its partitions is being dropped, and its leaders let go of all. */
  forget(collectionId: bigint): void {
    this.#pending.delete(collectionId);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#repeating;
  }

  async #repeat(): Promise<void> {
    const { signal } = this.#stop;
    for (let delayMs = RETRY_MS_MIN; this.#pending.size > 0; delayMs *= 2) {
      const waitMs = Math.min(delayMs, RETRY_MS_MAX);
      await this.#deps.runtime.sleep(waitMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      for (const swap of [...this.#pending.values()]) await this.#again(swap);
    }
    this.#repeating = undefined;
  }

  async #again(swap: Swap): Promise<void> {
    const { collectionId } = swap;
    if (this.#pending.get(collectionId) !== swap) return;
    try {
      await this.#tell(swap);
      if (this.#pending.get(collectionId) !== swap) return;
      this.#pending.delete(collectionId);
      this.#onLateSwap(collectionId);
    } catch (error) {
      this.#warn(swap, error);
    }
  }

  async #tell({ vchannel, added, removed }: Swap): Promise<void> {
    await this.#deps.peers.shard(vchannel).replaceSegments({ vchannel, added, removed }, {});
  }

  #warn({ collectionId, removed }: Swap, error: unknown): void {
    const fields = { collectionId: String(collectionId), inputs: removed.length, error };
    this.#deps.logger.warn(fields, 'a merge is not shown yet; tried again');
  }
}
