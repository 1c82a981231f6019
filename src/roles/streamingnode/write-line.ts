// The line before a shard: writes in the order in which they will be stamped, and outside of it
// those that wait for keys which somebody is updating (R6). While no key is locked a write joins
// the line at once. Both are bounded (R24).

import type { Runtime } from '../../base/clock.ts';
import { RowBatchReader } from '../../codec/row-batch.ts';
import type { Keys } from '../../model/keys.ts';
import type { CallContext, WriteRequest } from '../../rpc/contract.ts';
import { KeyReader, type KeyField } from '../../segment/reduce.ts';
import { KeyLocks, type KeyList } from './key-locks.ts';
import { countBytes, PendingWrites, type PendingWrite } from './pending-writes.ts';

const BOUNDS = { countMax: 4096, bytesMax: 256 * 1024 * 1024 };
/** So long a proxy that has died keeps others from rows that it was updating. */
const LEASE_MS = 30_000;

type Written = Promise<{ timestamp: bigint }>;

export class WriteLine {
  readonly #locks: KeyLocks;
  readonly #writes = new PendingWrites(BOUNDS);
  readonly #onQueued: () => void;

  /** @param onQueued  there is something to take */
  constructor(runtime: Runtime, onQueued: () => void) {
    this.#locks = new KeyLocks({ runtime, ...BOUNDS, leaseMs: LEASE_MS });
    this.#onQueued = onQueued;
  }

  /** Writes that can be taken. */
  get count(): number {
    return this.#writes.waitingCount;
  }

  /** They count until `release`. */
  takeAll(): PendingWrite[] {
    return this.#writes.takeAll();
  }

  release(taken: readonly PendingWrite[]): void {
    this.#writes.release(taken);
  }

  /** Settles as the write does. With a token its lock ends then. */
  async write(request: WriteRequest, key: KeyField, call: CallContext): Written {
    const { token, parts } = request;
    if (token !== undefined) {
      const unlock = this.#locks.use(token);
      return this.#queue(request).finally(unlock);
    }
    if (this.#locks.isIdle) return this.#queue(request);
    const lists = parts.map((part) => listKeys(part, key));
    return this.#locks.pass(lists, countBytes(parts), call, () => this.#queue(request));
  }

  /**
   * Resolves with a token when the keys are the caller's and what was queued before is in the log,
   * or refused: each write, because a later one may be refused before an earlier one is appended.
   */
  async lock(keys: Keys, call: CallContext): Promise<bigint> {
    const token = await this.#locks.lock(keys.values, 0, call);
    await this.#writes.whenReleased();
    if (call.signal?.aborted === true) {
      // Nobody will hear of the token.
      this.#locks.unlock(token);
      throw call.signal.reason;
    }
    return token;
  }

  unlock(token: bigint): void {
    this.#locks.unlock(token);
  }

  /** Nobody waits for keys any more: what comes is queued, for the shard to refuse. */
  close(): void {
    this.#locks.close();
  }

  #queue(request: WriteRequest): Written {
    return new Promise((resolve, reject) => {
      this.#writes.push({ request, resolve, reject }); // Throws, and so rejects, when full.
      this.#onQueued();
    });
  }
}

/** The primary keys that a part touches; an insert's are read from its rows as they are wanted. */
function listKeys(part: WriteRequest['parts'][number], key: KeyField): KeyList {
  if (part.kind === 'delete') return part.keys.values;
  const batch = new RowBatchReader(part.batch);
  const reader = new KeyReader(batch, key);
  return { length: batch.rows, at: (row) => reader.at(row) };
}
