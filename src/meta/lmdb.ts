// Kv in one LMDB file, the standalone default. The only file that loads `lmdb`, and its CommonJS
// form: one file instead of eight, 15 ms less at every start.
// LMDB runs without overlapping sync: a commit syncs its pages, writes the root page with O_DSYNC
// and only then becomes visible: nobody reads what a power cut could take back (rule R11).
// Keys are UTF-8 bytes; a value is its revision (8 bytes, big-endian) followed by the text.
// Reserved: "\0revision" → last revision, "\0lease/<key>" → key to remove at the next open.

import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { RangeOptions, RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb';
import type { Runtime } from '../base/clock.ts';
import { nextTurn } from '../base/turns.ts';
import { MilvusError } from '../model/error.ts';
import type { Kv, KvEntry } from './kv.ts';
import { LocalKv } from './local-kv.ts';
import type { KvBackend, StoredWrite } from './local-kv.ts';

const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');

const REVISION_BYTES = 8;
const REVISION_KEY = Buffer.from('\0revision');
const LEASE_PREFIX = Buffer.from('\0lease/');
/** UTF-8 never has this byte: a prefix followed by it lies behind every key with the prefix. */
const PREFIX_END = Buffer.from([0xff]);
/** The first byte of any key that is not reserved. */
const FIRST_KEY = Buffer.from([1]);
/** Entries read per turn: at about 1 µs each, well under the 5 ms that a turn may take. */
const RANGE_CHUNK = 1000;

const PAGE_BYTES = 4096;
/**
 * LMDB makes a file of two root pages and syncs neither. A power cut may leave a file of this size
 * that it cannot read, and that holds no transaction yet: it is made anew. It grows only after its
 * root pages are durable.
 */
const UNBORN_BYTES = 2 * PAGE_BYTES;

type Database = RootDatabase<Buffer, Buffer>;

export interface LmdbKvOptions {
  /** Made if absent. Holds data.mdb and lock.mdb. */
  readonly folder: string;
  readonly runtime: Runtime;
}

class LmdbBackend implements KvBackend {
  readonly #database: Database;
  readonly #openRanges = new Set<() => void>();

  constructor(database: Database) {
    this.#database = database;
  }

  get lastRevision(): bigint {
    return this.#database.get(REVISION_KEY)?.readBigUInt64BE() ?? 0n;
  }

  find(key: string): KvEntry | undefined {
    const stored = this.#database.get(Buffer.from(key));
    return stored === undefined ? undefined : decodeEntry(key, stored);
  }

  async *range(prefix: string): AsyncIterable<KvEntry> {
    const database = this.#database;
    const start = prefix === '' ? FIRST_KEY : Buffer.from(prefix);
    const end = prefix === '' ? PREFIX_END : Buffer.concat([start, PREFIX_END]);
    const transaction = database.useReadTransaction();
    let isDone = false;
    const release = (): void => {
      if (!isDone) transaction.done();
      isDone = true;
      this.#openRanges.delete(release);
    };
    this.#openRanges.add(release);
    try {
      let options: RangeOptions = { start, end, transaction, limit: RANGE_CHUNK };
      for (;;) {
        if (isDone) throw new MilvusError('ServiceUnavailable', { message: 'store was closed' });
        const chunk = [...database.getRange(options)];
        for (const { key, value } of chunk) yield decodeEntry(key.toString(), value);
        const last = chunk.at(-1);
        if (last === undefined || chunk.length < RANGE_CHUNK) return;
        options = { ...options, start: last.key, exclusiveStart: true };
        await nextTurn();
      }
    } finally {
      release();
    }
  }

  async commit(writes: readonly StoredWrite[], revision: bigint): Promise<void> {
    const database = this.#database;
    const parts: Promise<boolean>[] = [];
    const whole = database.batch(() => {
      for (const write of writes) for (const part of this.#write(write)) parts.push(part);
      parts.push(database.put(REVISION_KEY, encodeRevision(revision)));
    });
    const failed = (await Promise.allSettled([whole, ...parts])).find(isRejected);
    if (failed !== undefined) throw await findCause(failed.reason);
    await database.flushed;
    database.resetReadTxn();
  }

  async close(): Promise<void> {
    for (const release of [...this.#openRanges]) release();
    await this.#database.close();
  }

  /** Removes what leases of an earlier process left behind. */
  async removeLeased(): Promise<void> {
    const database = this.#database;
    const end = Buffer.concat([LEASE_PREFIX, PREFIX_END]);
    const markers = [...database.getRange({ start: LEASE_PREFIX, end })].map(({ key }) => key);
    if (markers.length === 0) return;
    const revision = this.lastRevision + 1n;
    const keys = markers.map((marker) => marker.subarray(LEASE_PREFIX.length).toString());
    await this.commit(keys.map((key) => ({ key, revision, isLeased: false })), revision);
  }

  /** Returns what LMDB promises for each of its operations: all settle with the commit. */
  #write({ key, value, revision, isLeased }: StoredWrite): Promise<boolean>[] {
    const database = this.#database;
    const keyBytes = Buffer.from(key);
    const marker = Buffer.concat([LEASE_PREFIX, keyBytes]);
    const parts: Promise<boolean>[] = [];
    if (value === undefined) parts.push(database.remove(keyBytes));
    else {
      const stored = Buffer.concat([encodeRevision(revision), Buffer.from(value)]);
      parts.push(database.put(keyBytes, stored));
    }
    if (isLeased) parts.push(database.put(marker, Buffer.alloc(0)));
    else if (database.doesExist(marker)) parts.push(database.remove(marker));
    return parts;
  }
}

function isRejected(result: PromiseSettledResult<unknown>): result is PromiseRejectedResult {
  return result.status === 'rejected';
}

/**
 * Returns what made a commit fail. LMDB hangs it on the error as a promise that rejects; a promise
 * that nobody handles would end the process, on nothing worse than a full disk.
 */
async function findCause(error: unknown): Promise<unknown> {
  try {
    await (error as { commitError?: Promise<never> }).commitError;
  } catch (cause) {
    return cause;
  }
  return error;
}

/**
 * Opens or makes the store. The caller holds the data directory's lock: one process at a time.
 *
 * @throws MilvusError IoFailed, with the folder, when LMDB cannot open or write it
 */
export async function openLmdbKv({ folder, runtime }: LmdbKvOptions): Promise<Kv> {
  try {
    mkdirSync(folder, { recursive: true });
    const dataFile = join(folder, 'data.mdb');
    const isBorn = (statSync(dataFile, { throwIfNoEntry: false })?.size ?? 0) > UNBORN_BYTES;
    if (!isBorn) rmSync(dataFile, { force: true });
    const backend = new LmdbBackend(openDatabase(folder));
    if (!isBorn) sync(dataFile);
    sync(folder);
    sync(dirname(folder));
    await backend.removeLeased();
    return new LocalKv(backend, runtime);
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    throw new MilvusError('IoFailed', {
      message: 'cannot open the metadata store',
      fields: { folder, reason },
    });
  }
}

function openDatabase(folder: string): Database {
  const options: RootDatabaseOptionsWithPath & { keyEncoding: 'binary'; encoding: 'binary' } = {
    path: folder,
    noSubdir: false,
    maxDbs: 1,
    maxReaders: 16,
    pageSize: PAGE_BYTES,
    keyEncoding: 'binary',
    encoding: 'binary',
    cache: false,
    // With it LMDB makes promises of its own that nobody can handle when a commit fails.
    eventTurnBatching: false,
    overlappingSync: false,
  };
  return open<Buffer, Buffer>(options);
}

/** Makes a file's content durable, or a directory's names. */
function sync(path: string): void {
  const handle = openSync(path, 'r');
  try {
    fsyncSync(handle);
  } finally {
    closeSync(handle);
  }
}

function encodeRevision(revision: bigint): Buffer {
  const bytes = Buffer.alloc(REVISION_BYTES);
  bytes.writeBigUInt64BE(revision);
  return bytes;
}

function decodeEntry(key: string, stored: Buffer): KvEntry {
  const revision = stored.readBigUInt64BE();
  return { key, value: stored.toString('utf8', REVISION_BYTES), revision };
}
