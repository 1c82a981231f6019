// Kv in one LMDB file, the standalone default. The only file that loads `lmdb`, and its CommonJS
// form: one file instead of eight, 15 ms less at every start.
// LMDB runs without overlapping sync: a commit syncs its pages, writes the root page with O_DSYNC
// and only then becomes visible: nobody reads what a power cut could take back (rule R11).
// LMDB has no checksums: the file's structure is checked before it is opened (lmdb-file.ts), every
// value carries a CRC32C that is compared when it is read. docs/formats/catalog.md has the layout.
// Keys are UTF-8 bytes. Reserved: "\0revision" → last revision, "\0lease/<key>" → key to remove at
// the next open.

import { closeSync, fsyncSync, mkdirSync, openSync, rmSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import type { RangeOptions, RootDatabase, RootDatabaseOptionsWithPath } from 'lmdb';
import type { Runtime } from '../base/clock.ts';
import { crc32c as crc32cByTable, type Crc32c } from '../base/crc32c.ts';
import { getErrorMessage } from '../base/error-message.ts';
import { nextTurn } from '../base/turns.ts';
import { MilvusError } from '../model/error.ts';
import type { Kv, KvEntry } from './kv.ts';
import { checkLmdbFile } from './lmdb-file.ts';
import { LocalKv } from './local-kv.ts';
import type { KvBackend, StoredWrite } from './local-kv.ts';

const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');

const REVISION_BYTES = 8;
/** The revision's first byte when a checksum follows; values without one have 0 there. */
const CHECKED_FORM = 1;
const REVISION_BITS = 56;
const CHECKSUM_BYTES = 4;
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

const REMEDY = 'put a backup of the data directory in its place; nothing has been changed';
const ACCESS_REMEDY = 'the user that runs the server must be able to read and write the folder';

export interface LmdbKvOptions {
  /** Made if absent. Holds data.mdb and lock.mdb. */
  readonly folder: string;
  readonly runtime: Runtime;
  readonly crc32c?: Crc32c;
  /** Told when transactions begin to fail, and with undefined when one has succeeded again. */
  readonly onFailure?: (error: MilvusError | undefined) => void;
}

/** Values as bytes: revision, checksum over key and value, text. */
class ValueCodec {
  readonly #folder: string;
  readonly #crc32c: Crc32c;

  constructor(folder: string, crc32c: Crc32c) {
    this.#folder = folder;
    this.#crc32c = crc32c;
  }

  encode(key: Buffer, revision: bigint, text: string): Buffer {
    const at = REVISION_BYTES + CHECKSUM_BYTES;
    const bytes = Buffer.alloc(at + Buffer.byteLength(text));
    bytes.writeBigUInt64BE(revision);
    bytes[0] = CHECKED_FORM;
    bytes.write(text, at);
    bytes.writeUInt32BE(this.#sum(key, bytes), REVISION_BYTES);
    return bytes;
  }

  /** @throws MilvusError DataIntegrity for a value that is not what was written */
  decode(key: Buffer, bytes: Buffer): { revision: bigint; value: string } {
    const isLong = bytes.length >= REVISION_BYTES;
    // As versions before checksums wrote it; the next write gives it one.
    if (isLong && bytes[0] === 0) {
      return { revision: bytes.readBigUInt64BE(), value: bytes.toString('utf8', REVISION_BYTES) };
    }
    const at = REVISION_BYTES + CHECKSUM_BYTES;
    const isWhole = bytes.length >= at && bytes[0] === CHECKED_FORM;
    if (!isWhole || bytes.readUInt32BE(REVISION_BYTES) !== this.#sum(key, bytes)) {
      throw new MilvusError('DataIntegrity', {
        message: 'a metadata record is damaged: its checksum is wrong',
        fields: { folder: this.#folder, key: key.toString(), remedy: REMEDY },
      });
    }
    const revision = BigInt.asUintN(REVISION_BITS, bytes.readBigUInt64BE());
    return { revision, value: bytes.toString('utf8', at) };
  }

  #sum(key: Buffer, bytes: Buffer): number {
    const head = this.#crc32c(bytes.subarray(0, REVISION_BYTES), this.#crc32c(key, 0));
    return this.#crc32c(bytes.subarray(REVISION_BYTES + CHECKSUM_BYTES), head);
  }
}

class LmdbBackend implements KvBackend {
  readonly #database: Database;
  readonly #values: ValueCodec;
  readonly #openRanges = new Set<() => void>();

  constructor(database: Database, values: ValueCodec) {
    this.#database = database;
    this.#values = values;
  }

  get lastRevision(): bigint {
    const stored = this.#database.get(REVISION_KEY);
    return stored === undefined ? 0n : this.#values.decode(REVISION_KEY, stored).revision;
  }

  find(key: string): KvEntry | undefined {
    const keyBytes = Buffer.from(key);
    const stored = this.#database.get(keyBytes);
    return stored === undefined ? undefined : { key, ...this.#values.decode(keyBytes, stored) };
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
        for (const { key, value } of chunk) {
          yield { key: key.toString(), ...this.#values.decode(key, value) };
        }
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
      parts.push(database.put(REVISION_KEY, this.#values.encode(REVISION_KEY, revision, '')));
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
    else parts.push(database.put(keyBytes, this.#values.encode(keyBytes, revision, value)));
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
 * @throws MilvusError DataIntegrity for a damaged file, IoFailed when LMDB cannot open or write it;
 *   both name the folder and what would help
 */
export async function openLmdbKv(options: LmdbKvOptions): Promise<Kv> {
  const { folder, runtime, crc32c = crc32cByTable, onFailure } = options;
  const dataFile = join(folder, 'data.mdb');
  let isBorn = false;
  try {
    mkdirSync(folder, { recursive: true });
    isBorn = (statSync(dataFile, { throwIfNoEntry: false })?.size ?? 0) > UNBORN_BYTES;
    if (!isBorn) rmSync(dataFile, { force: true });
    // Says who has the store open: nobody. What a crash or a damage has left in it is not believed.
    rmSync(join(folder, 'lock.mdb'), { force: true });
  } catch (error) {
    throw createOpenError('IoFailed', folder, error);
  }
  if (isBorn) await requireSoundFile(folder, dataFile);
  try {
    const backend = new LmdbBackend(openDatabase(folder), new ValueCodec(folder, crc32c));
    if (!isBorn) sync(dataFile);
    sync(folder);
    sync(dirname(folder));
    await backend.removeLeased();
    return new LocalKv(backend, runtime, onFailure);
  } catch (error) {
    throw error instanceof MilvusError ? error : createOpenError('IoFailed', folder, error);
  }
}

async function requireSoundFile(folder: string, dataFile: string): Promise<void> {
  try {
    await checkLmdbFile(dataFile, PAGE_BYTES);
  } catch (error) {
    const isUnreadable = (error as NodeJS.ErrnoException).code !== undefined;
    throw createOpenError(isUnreadable ? 'IoFailed' : 'DataIntegrity', folder, error);
  }
}

function createOpenError(name: 'IoFailed' | 'DataIntegrity', folder: string, error: unknown) {
  const reason = getErrorMessage(error);
  const isDamaged = name === 'DataIntegrity';
  return new MilvusError(name, {
    message: isDamaged ? 'the metadata store is damaged' : 'cannot open the metadata store',
    fields: { folder, reason, remedy: isDamaged ? REMEDY : ACCESS_REMEDY },
  });
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
