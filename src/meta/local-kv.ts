// The rules of Kv over a store in this process: comparing, group commit, watches, leases.
// memory.ts and lmdb.ts add only where the bytes are. Transactions that wait while one commit runs
// go into the next commit together, so that one flush serves them all.
// Invariant: one commit at a time; a transaction is compared with everything committed before it.

import assert from 'node:assert/strict';
import type { Runtime } from '../base/clock.ts';
import { createDeferred } from '../base/deferred.ts';
import type { Deferred } from '../base/deferred.ts';
import { getErrorMessage } from '../base/error-message.ts';
import { MilvusError } from '../model/error.ts';
import { KEY_BYTES_MAX, OPERATIONS_MAX } from './kv.ts';
import type {
  Kv,
  KvEntry,
  KvEvent,
  KvLease,
  KvListener,
  Put,
  Transaction,
  TransactResult,
} from './kv.ts';
import { Leases } from './leases.ts';

/** A write as the backend stores it; without a value the key is removed. */
export interface StoredWrite {
  readonly key: string;
  readonly value?: string;
  readonly revision: bigint;
  /** Such keys must be removed when the store is opened the next time. */
  readonly isLeased: boolean;
}

/** Where LocalKv keeps its bytes. Called by one LocalKv only. */
export interface KvBackend {
  /** The largest revision ever committed, 0 in a new store. */
  readonly lastRevision: bigint;
  find(key: string): KvEntry | undefined;
  range(prefix: string): AsyncIterable<KvEntry>;
  /** Applies all or none; durable and visible to `find` when it resolves, invisible before. */
  commit(writes: readonly StoredWrite[], revision: bigint): Promise<void>;
  close(): Promise<void>;
}

interface Pending {
  readonly transaction: Transaction;
  readonly result: Deferred<TransactResult>;
}

/** The writes of one accepted transaction, those of its prefixes key by key. */
interface Accepted {
  readonly pending: Pending;
  readonly writes: readonly StoredWrite[];
  readonly revision: bigint;
}

/** Transactions in one commit: bounds the time that a single commit keeps the event loop. */
const BATCH_COUNT_MAX = 256;

export class LocalKv implements Kv {
  readonly #backend: KvBackend;
  readonly #leases: Leases;
  readonly #watches = new Set<{ readonly prefix: string; readonly listener: KvListener }>();
  #waiting: Pending[] = [];
  #revision: bigint;
  #running: Promise<void> | undefined;
  readonly #onFailure: (error: MilvusError | undefined) => void;
  /** The last commit failed. */
  #isFailing = false;
  #isClosed = false;

  /**
   * @param onFailure is told when commits begin to fail, and with undefined when one succeeds again
   */
  constructor(
    backend: KvBackend,
    runtime: Runtime,
    onFailure: (error: MilvusError | undefined) => void = () => undefined,
  ) {
    this.#backend = backend;
    this.#onFailure = onFailure;
    this.#revision = backend.lastRevision;
    this.#leases = new Leases(runtime, (id) => void this.#endLease(id).catch(() => undefined));
  }

  get(key: string): Promise<KvEntry | undefined> {
    return this.#attempt(() => this.#backend.find(key));
  }

  range(prefix: string): AsyncIterable<KvEntry> {
    this.#requireOpen();
    return this.#backend.range(prefix);
  }

  transact(transaction: Transaction): Promise<TransactResult> {
    checkKeys(transaction);
    if (this.#isClosed) return Promise.reject(createClosedError());
    const result = createDeferred<TransactResult>();
    this.#waiting.push({ transaction, result });
    this.#running ??= this.#commitAll();
    return result.promise;
  }

  watch(prefix: string, listener: KvListener): () => void {
    const watch = { prefix, listener };
    this.#watches.add(watch);
    return () => void this.#watches.delete(watch);
  }

  lease(ttlMs: number): Promise<KvLease> {
    assert(ttlMs > 0);
    return this.#attempt(() => {
      const id = this.#leases.grant(ttlMs);
      return {
        id,
        keepAlive: () => Promise.resolve(this.#leases.keepAlive(id)),
        revoke: () => this.#endLease(id),
      };
    });
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#leases.close();
    await this.#running;
    this.#watches.clear();
    await this.#backend.close();
  }

  async #attempt<T>(work: () => T): Promise<T> {
    this.#requireOpen();
    return work();
  }

  #requireOpen(): void {
    if (this.#isClosed) throw createClosedError();
  }

  async #endLease(id: bigint): Promise<void> {
    this.#leases.retire(id);
    // Puts accepted before now are tied once this has passed the queue behind them.
    await this.transact({});
    const keys = this.#leases.getKeys(id);
    this.#leases.end(id);
    await Promise.all(keys.map((key) => this.#deleteUnchanged(key)));
  }

  /** Someone may have written the key anew, behind us in the queue: then it is no longer ours. */
  async #deleteUnchanged(key: string): Promise<void> {
    const entry = this.#backend.find(key);
    if (entry === undefined) return;
    await this.transact({ compare: [{ key, revision: entry.revision }], deletes: [key] });
  }

  async #commitAll(): Promise<void> {
    // One turn of waiting lets callers of the same turn share the first commit too.
    await Promise.resolve();
    while (this.#waiting.length > 0) {
      await this.#commitBatch(this.#waiting.splice(0, BATCH_COUNT_MAX));
    }
    this.#running = undefined;
  }

  /** Settles every transaction of the batch; never throws. */
  async #commitBatch(batch: readonly Pending[]): Promise<void> {
    const overlay = new Map<string, StoredWrite>();
    const accepted: Accepted[] = [];
    const refused: Pending[] = [];
    let revision = this.#revision;
    for (const pending of batch) {
      try {
        if (!this.#holds(pending.transaction, overlay)) {
          refused.push(pending);
          continue;
        }
        const writes = await this.#listWrites(pending.transaction, revision + 1n, overlay);
        if (writes.length > 0) revision += 1n;
        for (const write of writes) overlay.set(write.key, write);
        accepted.push({ pending, writes, revision });
      } catch (error) {
        pending.result.reject(error);
      }
    }
    try {
      if (overlay.size > 0) await this.#backend.commit([...overlay.values()], revision);
    } catch (error) {
      const failure = createWriteError(error);
      this.#isFailing = true;
      this.#onFailure(failure);
      for (const { pending } of accepted) pending.result.reject(failure);
      for (const pending of refused) pending.result.reject(failure);
      return;
    }
    this.#revision = revision;
    if (this.#isFailing && overlay.size > 0) {
      this.#isFailing = false;
      this.#onFailure(undefined);
    }
    for (const one of accepted) this.#publish(one);
    for (const { result } of refused) result.resolve({ ok: false, revision });
  }

  #holds({ compare = [] }: Transaction, overlay: ReadonlyMap<string, StoredWrite>): boolean {
    return compare.every((condition) => {
      const written = overlay.get(condition.key);
      const current = written === undefined ? this.#backend.find(condition.key) : written;
      const isAbsent = current === undefined || current.value === undefined;
      if ('absent' in condition) return isAbsent;
      return !isAbsent && current.revision === condition.revision;
    });
  }

  async #listWrites(
    { puts = [], deletes = [], deletePrefixes = [] }: Transaction,
    revision: bigint,
    overlay: ReadonlyMap<string, StoredWrite>,
  ): Promise<StoredWrite[]> {
    for (const { leaseId } of puts) {
      if (leaseId !== undefined && !this.#leases.isAlive(leaseId)) {
        throw new MilvusError('ServiceUnavailable', {
          message: 'metadata lease has ended',
          fields: { lease: leaseId },
        });
      }
    }
    const writes = puts.map((put) => encodePut(put, revision));
    const remove = (key: string): void => void writes.push({ key, revision, isLeased: false });
    deletes.forEach(remove);
    for (const prefix of deletePrefixes) {
      (await this.#listKeys(prefix, overlay)).forEach(remove);
    }
    return writes;
  }

  /** The keys under a prefix once `overlay` is applied. Nothing else is committed meanwhile. */
  async #listKeys(prefix: string, overlay: ReadonlyMap<string, StoredWrite>): Promise<string[]> {
    const keys: string[] = [];
    for await (const { key } of this.#backend.range(prefix)) {
      if (!overlay.has(key)) keys.push(key);
    }
    for (const { key, value } of overlay.values()) {
      if (value !== undefined && key.startsWith(prefix)) keys.push(key);
    }
    return keys;
  }

  #publish({ pending, writes, revision }: Accepted): void {
    const { puts = [] } = pending.transaction;
    for (const { key, value } of writes) if (value === undefined) this.#leases.tie(key, undefined);
    for (const { key, leaseId } of puts) this.#leases.tie(key, leaseId);
    const events = writes.map(
      ({ key, value }): KvEvent =>
        value === undefined
          ? { type: 'delete', key, revision }
          : { type: 'put', key, value, revision },
    );
    for (const { prefix, listener } of this.#watches) {
      const seen = events.filter(({ key }) => key.startsWith(prefix));
      if (seen.length > 0) callListener(listener, seen);
    }
    pending.result.resolve({ ok: true, revision });
  }
}

function encodePut({ key, value, leaseId }: Put, revision: bigint): StoredWrite {
  return { key, value, revision, isLeased: leaseId !== undefined };
}

/** A listener that throws is a bug; it must not undo or delay a commit, so it fails by itself. */
function callListener(listener: KvListener, events: readonly KvEvent[]): void {
  try {
    listener(events);
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
  }
}

function checkKeys(transaction: Transaction): void {
  const { compare = [], puts = [], deletes = [], deletePrefixes = [] } = transaction;
  const operations = compare.length + puts.length + deletes.length + deletePrefixes.length;
  assert(operations <= OPERATIONS_MAX, `${operations} operations in one transaction`);
  const written = new Set<string>();
  for (const key of [...puts.map((put) => put.key), ...deletes]) {
    assert(!written.has(key), `key written twice in one transaction: ${key}`);
    written.add(key);
  }
  for (const prefix of deletePrefixes) {
    const isApart = [...written, ...deletePrefixes].every(
      (key) => key === prefix || !key.startsWith(prefix),
    );
    assert(isApart && !written.has(prefix), `written and deleted as a prefix: ${prefix}`);
    assert(deletePrefixes.filter((other) => other === prefix).length === 1, 'prefix given twice');
  }
  const compared = compare.map((condition) => condition.key);
  for (const key of [...written, ...deletePrefixes, ...compared]) {
    assert(key.length > 0 && key.codePointAt(0) !== 0, 'metadata key is empty or reserved');
    // A UTF-16 unit is at most three UTF-8 bytes: most keys need no counting.
    const isShort = key.length * 3 <= KEY_BYTES_MAX;
    assert(isShort || Buffer.byteLength(key) <= KEY_BYTES_MAX, `metadata key too long: ${key}`);
  }
}

function createClosedError(): MilvusError {
  return new MilvusError('ServiceUnavailable', { message: 'metadata store is closed' });
}

function createWriteError(cause: unknown): MilvusError {
  const reason = getErrorMessage(cause);
  return new MilvusError('IoFailed', { message: 'metadata write failed', fields: { reason } });
}
