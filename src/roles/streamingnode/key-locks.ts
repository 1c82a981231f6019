// Which primary keys of a shard are being updated, by a read and a write of their whole rows, and
// who waits for them. A claim stands in the line of each of its keys; claims enter one after
// another, with all their keys, so lines agree on who is first: nobody waits in a circle, nobody is
// overtaken. Plain writes of such keys stand in the same lines. A holder that is never heard of
// again loses its keys when its lease is over and others want them. Reads never wait here.

import type { Runtime } from '../../base/clock.ts';
import { createDeferred, type Deferred } from '../../base/deferred.ts';
import { nextTurn, TurnMeter, VALUES_PER_TURN } from '../../base/turns.ts';
import { RowBatchReader } from '../../codec/row-batch.ts';
import { MilvusError } from '../../model/error.ts';
import type { CallContext, WriteRequest } from '../../rpc/contract.ts';
import { KeyReader, type KeyField } from '../../segment/reduce.ts';

export type Key = bigint | string;

/** Keys by position; one may come more than once. */
export interface KeyList {
  readonly length: number;
  at(position: number): Key | undefined;
}

/** The primary keys that a part touches; an insert's are read from its rows as they are wanted. */
export function listKeys(part: WriteRequest['parts'][number], key: KeyField): KeyList {
  if (part.kind === 'delete') return part.keys.values;
  const batch = new RowBatchReader(part.batch);
  const reader = new KeyReader(batch, key);
  return { length: batch.rows, at: (row) => reader.at(row) };
}

export interface KeyLocksOptions {
  readonly runtime: Runtime;
  /** Claims that hold keys or wait for them; more are refused with code 8 (R24). */
  readonly countMax: number;
  /** Of keys and of the writes that wait. A single larger claim is taken when there is no other. */
  readonly bytesMax: number;
  /** How long keys are held without a write. */
  readonly leaseMs: number;
}

/** Of one caller, in one shard: each is a line of its own, on the heap. */
const LOCKED_KEYS_MAX = 1 << 20;
/** What a key in a line costs. */
const KEY_BYTES = 128;

interface Claim {
  readonly lists: readonly KeyList[];
  readonly bytes: number;
  /** In whose lines it stands: each key once. */
  readonly keys: Key[];
  readonly granted: Deferred<void>;
  /** Settles when it stands in all its lines, or has given up. */
  entered: Promise<void>;
  /** Lines in which another claim is before it, and one more until it has entered. */
  blockers: number;
  hasGivenUp: boolean;
}

interface Lease {
  readonly claim: Claim;
  readonly endMs: number;
}

export class KeyLocks {
  readonly #options: KeyLocksOptions;
  readonly #lines = new Map<Key, Claim[]>();
  readonly #claims = new Set<Claim>();
  #bytes = 0;
  /** The last claim has entered. */
  #entering: Promise<void> = Promise.resolve();
  /** By token, the oldest first; those whose write has come are not here any more. */
  readonly #leases = new Map<bigint, Lease>();
  #nextToken: bigint;
  #waiting = 0;
  #isWatching = false;
  readonly #closing = new AbortController();

  constructor(options: KeyLocksOptions) {
    this.#options = options;
    // A token of an earlier process must not fit: 40 random bits before the count.
    this.#nextToken = BigInt(Math.floor(options.runtime.random() * 2 ** 40)) << 20n;
  }

  /** No key is held or wanted: writes need not ask. */
  get isIdle(): boolean {
    return this.#claims.size === 0;
  }

  /**
   * Waits until the keys are the caller's, who writes them with the token or gives them back.
   * @throws MilvusError RateLimit when too many wait; ParameterTooLarge when the keys themselves
   *   are too many; the signal's reason when the caller gives up
   */
  async lock(keys: KeyList, bytes: number, call: CallContext): Promise<bigint> {
    if (keys.length > LOCKED_KEYS_MAX) {
      throw new MilvusError('ParameterTooLarge', {
        message: 'too many rows in one partial update',
        fields: { got: keys.length, limit: LOCKED_KEYS_MAX },
      });
    }
    const claim = await this.#claim([keys], bytes, call);
    const token = this.#nextToken++;
    const { runtime, leaseMs } = this.#options;
    this.#leases.set(token, { claim, endMs: runtime.monotonicMs() + leaseMs });
    void this.#watch();
    return token;
  }

  /**
   * Waits until nobody who came before has any of the keys, then calls `work` in the same turn.
   * What it has begun by then is before every later claim of these keys.
   */
  async pass<T>(
    lists: readonly KeyList[],
    bytes: number,
    call: CallContext,
    work: () => Promise<T>,
  ): Promise<T> {
    const claim = await this.#claim(lists, bytes, call);
    const result = work();
    void this.#leave(claim);
    return result;
  }

  /**
   * The holder's write has come: from here on no lease runs. Returns what ends the lock.
   * @throws MilvusError InconsistentRequery, unexecuted, when the lock has ended before
   */
  use(token: bigint): () => void {
    const lease = this.#leases.get(token);
    if (lease === undefined) {
      throw new MilvusError('InconsistentRequery', {
        message: 'the rows of a partial update were given to others before it was written',
        isUnexecuted: true,
      });
    }
    this.#leases.delete(token);
    return () => void this.#leave(lease.claim);
  }

  /** Gives the keys back; a lock that has ended stays as it is. */
  unlock(token: bigint): void {
    const lease = this.#leases.get(token);
    this.#leases.delete(token);
    if (lease !== undefined) void this.#leave(lease.claim);
  }

  /** Lets everybody go: what they do next meets a shard that refuses it. */
  close(): void {
    this.#closing.abort();
    this.#leases.clear();
    this.#lines.clear();
    for (const claim of this.#claims) claim.granted.resolve();
    this.#claims.clear();
  }

  async #claim(lists: readonly KeyList[], bytes: number, call: CallContext): Promise<Claim> {
    this.#endOverdueLeases();
    const count = lists.reduce((sum, { length }) => sum + length, 0);
    const claim = this.#register(lists, bytes + KEY_BYTES * count);
    await claim.entered;
    try {
      // The signal is made when it is first asked for: most claims never wait.
      if (claim.blockers > 0) await this.#wait(claim, call.signal);
      else await claim.granted.promise;
    } catch (error) {
      claim.hasGivenUp = true;
      void this.#leave(claim);
      throw error;
    }
    return claim;
  }

  #register(lists: readonly KeyList[], bytes: number): Claim {
    const { countMax, bytesMax } = this.#options;
    const isFull = this.#claims.size >= countMax || this.#bytes + bytes > bytesMax;
    if (isFull && !this.isIdle) {
      throw new MilvusError('RateLimit', {
        message: 'too many writes wait for rows that are being updated',
        fields: { waiting: this.#claims.size, bytes: this.#bytes },
        isUnexecuted: true,
      });
    }
    const claim: Claim = {
      lists,
      bytes,
      keys: [],
      granted: createDeferred(),
      entered: Promise.resolve(),
      blockers: 1,
      hasGivenUp: false,
    };
    claim.granted.promise.catch(() => undefined); // Reported to who awaits it.
    this.#claims.add(claim);
    this.#bytes += bytes;
    claim.entered = this.#entering = this.#entering.then(() => this.#enter(claim));
    return claim;
  }

  /** Stands in the line of each key; many keys take several turns of the event loop (P9). */
  async #enter(claim: Claim): Promise<void> {
    const turn = new TurnMeter(VALUES_PER_TURN);
    try {
      for (const list of claim.lists) {
        for (let i = 0; i < list.length && this.#isCurrent(claim); i += 1) {
          if (turn.isOver(1)) await nextTurn();
          this.#stand(claim, list.at(i)!);
        }
      }
    } catch (error) {
      claim.granted.reject(error);
      return;
    }
    this.#unblock(claim);
  }

  #isCurrent(claim: Claim): boolean {
    return !claim.hasGivenUp && this.#claims.has(claim);
  }

  #stand(claim: Claim, key: Key): void {
    const line = this.#lines.get(key);
    if (line?.at(-1) === claim) return; // The same key again.
    claim.keys.push(key);
    if (line === undefined) {
      this.#lines.set(key, [claim]);
      return;
    }
    line.push(claim);
    claim.blockers += 1;
  }

  #unblock(claim: Claim): void {
    claim.blockers -= 1;
    if (claim.blockers === 0) claim.granted.resolve();
  }

  async #wait(claim: Claim, signal: AbortSignal | undefined): Promise<void> {
    const giveUp = (): void => claim.granted.reject(signal?.reason);
    if (signal?.aborted === true) giveUp();
    signal?.addEventListener('abort', giveUp, { once: true });
    this.#waiting += 1;
    void this.#watch();
    try {
      await claim.granted.promise;
    } finally {
      this.#waiting -= 1;
      signal?.removeEventListener('abort', giveUp);
    }
  }

  async #leave(claim: Claim): Promise<void> {
    await claim.entered;
    const turn = new TurnMeter(VALUES_PER_TURN);
    for (const key of claim.keys) {
      if (turn.isOver(1)) await nextTurn();
      const line = this.#lines.get(key);
      const place = line?.indexOf(claim) ?? -1;
      if (line === undefined || place < 0) continue; // Closed meanwhile.
      line.splice(place, 1);
      if (line.length === 0) this.#lines.delete(key);
      else if (place === 0) this.#unblock(line[0]!);
    }
    this.#claims.delete(claim);
    this.#bytes -= claim.bytes;
  }

  /** While somebody waits: ends leases as they run out. One at a time, until `close`. */
  async #watch(): Promise<void> {
    if (this.#isWatching) return;
    this.#isWatching = true;
    const { runtime } = this.#options;
    while (this.#waiting > 0) {
      this.#endOverdueLeases();
      const [oldest] = this.#leases.values();
      if (oldest === undefined || this.#closing.signal.aborted) break;
      const leftMs = oldest.endMs - runtime.monotonicMs();
      await runtime.sleep(leftMs, this.#closing.signal).catch(() => undefined);
    }
    this.#isWatching = false;
  }

  #endOverdueLeases(): void {
    const nowMs = this.#options.runtime.monotonicMs();
    for (const [token, { claim, endMs }] of this.#leases) {
      if (endMs > nowMs) return;
      this.#leases.delete(token);
      void this.#leave(claim);
    }
  }
}
