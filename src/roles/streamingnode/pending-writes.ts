// Writes that wait to be stamped by their shard, in arrival order, and those being stamped. Bounded
// in number and in bytes: what comes past either is refused with code 8, so that a slow log makes
// clients slow and not the server large (R24). The memory of all shards' writes together is bounded
// where their requests come in.

import { createDeferred } from '../../base/deferred.ts';
import { MilvusError } from '../../model/error.ts';
import type { WriteRequest } from '../../rpc/contract.ts';

export interface PendingWrite {
  readonly request: WriteRequest;
  readonly resolve: (reply: { timestamp: bigint }) => void;
  readonly reject: (error: unknown) => void;
}

export interface PendingWritesBounds {
  readonly countMax: number;
  /** A single larger write is taken when nothing else waits. */
  readonly bytesMax: number;
}

export class PendingWrites {
  readonly #bounds: PendingWritesBounds;
  #waiting: PendingWrite[] = [];
  #count = 0;
  #bytes = 0;
  /** All that was ever released. */
  #released = 0;
  /** In the order of the counts at which they are to be told. */
  readonly #watchers: { readonly released: number; readonly tell: () => void }[] = [];

  constructor(bounds: PendingWritesBounds) {
    this.#bounds = bounds;
  }

  get waitingCount(): number {
    return this.#waiting.length;
  }

  /** @throws MilvusError RateLimit when a bound is reached */
  push(write: PendingWrite): void {
    const { countMax, bytesMax } = this.#bounds;
    const bytes = countBytes(write.request.parts);
    const isFull = this.#count >= countMax || this.#bytes + bytes > bytesMax;
    if (isFull && this.#count > 0) {
      throw new MilvusError('RateLimit', {
        message: 'too many writes wait for one shard',
        fields: { channel: write.request.vchannel, waiting: this.#count, bytes: this.#bytes },
        isUnexecuted: true,
      });
    }
    this.#waiting.push(write);
    this.#count += 1;
    this.#bytes += bytes;
  }

  /** They count until `release`: their stamps and ids may take a while. */
  takeAll(): PendingWrite[] {
    const taken = this.#waiting;
    this.#waiting = [];
    return taken;
  }

  /** These have been handed to the log, or refused. */
  release(taken: readonly PendingWrite[]): void {
    this.#count -= taken.length;
    for (const { request } of taken) this.#bytes -= countBytes(request.parts);
    this.#released += taken.length;
    while (this.#watchers[0] !== undefined && this.#watchers[0].released <= this.#released) {
      this.#watchers.shift()!.tell();
    }
  }

  /** Resolves when all that has been pushed so far is released. */
  whenReleased(): Promise<void> {
    const { promise, resolve } = createDeferred<void>();
    if (this.#count === 0) resolve();
    else this.#watchers.push({ released: this.#released + this.#count, tell: resolve });
    return promise;
  }
}

/** The memory that a write takes while it waits. */
export function countBytes(parts: WriteRequest['parts']): number {
  let bytes = 0;
  for (const part of parts) {
    if (part.kind === 'insert') bytes += part.batch.byteLength;
    else if (part.keys.kind === 'int64') bytes += part.keys.values.byteLength;
    else for (const key of part.keys.values) bytes += key.length;
  }
  return bytes;
}
