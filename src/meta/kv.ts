// The metadata store as its users see it: text under ordered keys, changed by transactions that
// compare first. Adapters: lmdb.ts (standalone), memory.ts (tests); one contract suite for both.
// Invariants: a transaction is all or nothing and durable once it resolves; nobody reads or is told
// of a change that is not durable; revisions only grow, also across restarts.

/**
 * One key. Keys are non-empty, do not begin with U+0000, and are at most KEY_BYTES_MAX UTF-8 bytes.
 * They are ordered by their UTF-8 bytes.
 */
export interface KvEntry {
  readonly key: string;
  /** Text, by convention JSON. */
  readonly value: string;
  /** The revision of the transaction that wrote this value. */
  readonly revision: bigint;
}

export const KEY_BYTES_MAX = 1024;

/** Holds when the key's current revision is the given one, or when the key is absent. */
export type Compare =
  | { readonly key: string; readonly revision: bigint }
  | { readonly key: string; readonly absent: true };

export interface Put {
  readonly key: string;
  readonly value: string;
  /** Ties the key to a lease: it is deleted when the lease ends. A later put without it unties. */
  readonly leaseId?: bigint;
}

export interface Transaction {
  /** All must hold, else nothing is written. */
  readonly compare?: readonly Compare[];
  readonly puts?: readonly Put[];
  /** Deleting an absent key is allowed. A key may occur once in puts and deletes together. */
  readonly deletes?: readonly string[];
  /**
   * Deletes every key under each of these, however many: one operation each. None may be empty,
   * begin another one, or begin a key of puts and deletes.
   */
  readonly deletePrefixes?: readonly string[];
}

/** Comparisons, puts, deletes and prefixes of one transaction together: etcd takes 128. */
export const OPERATIONS_MAX = 128;

export interface TransactResult {
  readonly ok: boolean;
  /** Of this transaction when `ok` and it wrote; else the store's current one. */
  readonly revision: bigint;
}

export type KvEvent =
  | ({ readonly type: 'put' } & KvEntry)
  | { readonly type: 'delete'; readonly key: string; readonly revision: bigint };

/** Gets the events of one transaction under the watched prefix, in key order of the request. */
export type KvListener = (events: readonly KvEvent[]) => void;

export interface KvLease {
  readonly id: bigint;
  /** Starts the time to live anew. False when the lease has ended: its keys are gone or going. */
  keepAlive(): Promise<boolean>;
  /** Ends the lease; resolves when its keys are durably gone. */
  revoke(): Promise<void>;
}

export interface Kv {
  get(key: string): Promise<KvEntry | undefined>;

  /** All entries whose key begins with `prefix` ('' = all), in key order, as of one revision. */
  range(prefix: string): AsyncIterable<KvEntry>;

  /**
   * Compares and writes atomically, OPERATIONS_MAX operations at most. Durable when it resolves
   * with `ok`; listeners have been called.
   * `ok: false` means that a comparison failed and nothing was written.
   *
   * @throws MilvusError IoFailed when the store cannot write (nothing of the transaction is kept),
   *   ServiceUnavailable for a lease that has ended or a store that is closed
   */
  transact(transaction: Transaction): Promise<TransactResult>;

  /**
   * Calls `listener` once per transaction that changes keys under `prefix`, in revision order,
   * from now on. Changes that others wait for are told before their `transact` resolves.
   * A listener must not throw. Returns the function that ends the watch.
   */
  watch(prefix: string, listener: KvListener): () => void;

  /** Leases do not outlive the process in the local stores: their keys are deleted at open. */
  lease(ttlMs: number): Promise<KvLease>;

  /** Waits for transactions in flight, then frees the store. Further calls are refused. */
  close(): Promise<void>;
}
