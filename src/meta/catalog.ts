// Typed records over the key-value store. Every record is JSON with a format version `v`; int64 is
// written as a string with an `n` suffix ("123n") so that it stays exact. A newer version than ours
// is refused.

import { nextTurn, TurnMeter } from '../base/turns.ts';
import { MilvusError } from '../model/error.ts';
import type { CollectionInfo, DatabaseInfo } from '../model/collection-info.ts';
import type { ChannelInfo, IndexFile, IndexInfo, SegmentInfo } from '../model/segment-info.ts';
import type { Compare, Kv } from './kv.ts';

/** Raised when the meaning of any record changes. */
const FORMAT_VERSION = 1;

/** At some 10 µs each. */
const RECORDS_PER_TURN = 200;

/**
 * Which partitions of a collection a user has loaded; `partitionIds` empty = the whole collection.
 */
export interface LoadRecord {
  readonly collectionId: bigint;
  readonly partitionIds: readonly bigint[];
  readonly replicaNumber: number;
  readonly loadFields: readonly string[];
}

/** A collection or partition that is on its way out: start-up finishes the job (rule R10). */
export interface DroppingRecord {
  readonly collectionId: bigint;
  /** 0 = the whole collection. */
  readonly partitionId: bigint;
}

/**
 * A file that is being written. The record is there before the file and goes with the transaction
 * that names the file, or with the one that makes it garbage.
 */
export interface WritingRecord {
  readonly collectionId: bigint;
  readonly file: string;
}

/** Files that no record names any more, to be removed when due (meta/garbage.ts). */
export interface GarbageRecord {
  readonly dueMs: number;
  readonly files: readonly string[];
  /** Everything whose key begins with one of these goes, too. */
  readonly prefixes: readonly string[];
}

/** Who owns a pchannel's log: the term rises with each owner (R14). */
export interface PchannelRecord {
  readonly pchannel: string;
  readonly term: number;
}

export interface LeaseRecord {
  /** Everything below is or may be in use; durable before use (rule R12). */
  readonly bound: bigint;
}

/** One write of a transaction: a record, or `undefined` to remove it. */
export interface CatalogWrite {
  readonly key: string;
  readonly record: object | undefined;
  /** The transaction is refused unless the record has this revision, or is not there. */
  readonly expected?: bigint | 'absent';
}

export interface WriteOptions {
  /** Records under these go, however many. */
  readonly deletePrefixes?: readonly string[];
  /** Keys without a record, else the transaction is refused. */
  readonly absent?: readonly string[];
  /** The same for records that have these revisions. */
  readonly unchanged?: readonly { readonly key: string; readonly revision: bigint }[];
}

const pad = (id: bigint): string => id.toString().padStart(20, '0');

/** Keys, by noun. Ids are padded so that ranges come in order. */
export const KEYS = {
  version: 'meta/version',
  lease: (name: 'id' | 'timestamp') => `lease/${name}`,
  database: (dbId: bigint) => `database/${pad(dbId)}`,
  collection: (collectionId: bigint) => `collection/${pad(collectionId)}`,
  dropping: (collectionId: bigint, partitionId: bigint) =>
    `dropping/${pad(collectionId)}/${pad(partitionId)}`,
  channel: (collectionId: bigint, vchannel: string) => `channel/${pad(collectionId)}/${vchannel}`,
  pchannel: (name: string) => `pchannel/${name}`,
  segment: (collectionId: bigint, segmentId: bigint) =>
    `segment/${pad(collectionId)}/${pad(segmentId)}`,
  index: (collectionId: bigint, indexId: bigint) => `index/${pad(collectionId)}/${pad(indexId)}`,
  indexFile: (collectionId: bigint, segmentId: bigint, indexId: bigint) =>
    `index-file/${pad(collectionId)}/${pad(segmentId)}/${pad(indexId)}`,
  load: (collectionId: bigint) => `load/${pad(collectionId)}`,
  writing: (collectionId: bigint, file: string) => `writing/${pad(collectionId)}/${file}`,
  /** `name` tells those of one millisecond apart. */
  garbage: (dueMs: number, name: string) => `garbage/${pad(BigInt(Math.trunc(dueMs)))}/${name}`,
  /** Prefix of all records of a noun that belong to a collection. */
  ofCollection: (noun: 'channel' | 'segment' | 'index' | 'index-file', collectionId: bigint) =>
    `${noun}/${pad(collectionId)}/`,
} as const;

export interface RecordTypes {
  readonly database: DatabaseInfo;
  readonly collection: CollectionInfo;
  readonly dropping: DroppingRecord;
  readonly channel: ChannelInfo;
  readonly segment: SegmentInfo;
  readonly index: IndexInfo;
  readonly 'index-file': IndexFile;
  readonly load: LoadRecord;
  readonly writing: WritingRecord;
  readonly garbage: GarbageRecord;
}

/** Strings of this form get one more `=` in front, so that none is read as an int64. */
const LOOKS_LIKE_INT64 = /^=*-?\d+n$/;

export function encodeRecord(record: object): string {
  return JSON.stringify({ v: FORMAT_VERSION, ...record }, (_key, value: unknown) =>
    typeof value === 'bigint'
      ? `${value}n`
      : typeof value === 'string' && LOOKS_LIKE_INT64.test(value)
        ? `=${value}`
        : value,
  );
}

/** @throws MilvusError DataIntegrity for a record of a newer format or one that is not JSON. */
export function decodeRecord(key: string, text: string, folder = ''): object {
  const place = folder === '' ? { key } : { folder, key };
  let parsed: { v?: unknown };
  try {
    parsed = JSON.parse(text, (_key, value: unknown) => {
      if (typeof value !== 'string') return value;
      if (/^-?\d+n$/.test(value)) return BigInt(value.slice(0, -1));
      return LOOKS_LIKE_INT64.test(value) ? value.slice(1) : value;
    }) as { v?: unknown };
  } catch {
    throw new MilvusError('DataIntegrity', {
      message: 'catalog record is not JSON',
      fields: { ...place, remedy: 'put a backup of the data directory in its place' },
    });
  }
  const { v, ...record } = parsed;
  if (typeof v !== 'number' || v > FORMAT_VERSION) {
    throw new MilvusError('DataIntegrity', {
      message: 'catalog record has a newer format than this version of Elanus reads',
      fields: {
        ...place,
        got: String(v),
        expected: FORMAT_VERSION,
        remedy: 'start the version that wrote it; nothing was changed',
      },
    });
  }
  return record;
}

export class Catalog {
  readonly #kv: Kv;
  readonly #folder: string;

  /** @param folder  where the store keeps its bytes, for messages */
  constructor(kv: Kv, folder = '') {
    this.#kv = kv;
    this.#folder = folder;
  }

  /** Whether nothing has ever been written: no start has got as far as `open`. */
  async isNew(): Promise<boolean> {
    return (await this.#kv.get(KEYS.version)) === undefined;
  }

  /**
   * Refuses a data directory written by a newer format; marks a new one. Call before anything else.
   */
  async open(): Promise<void> {
    const text = await this.#kv.get(KEYS.version);
    if (text !== undefined) this.#decode(KEYS.version, text.value);
    else await this.write([{ key: KEYS.version, record: {} }]);
  }

  async find(key: string): Promise<object | undefined> {
    const found = await this.#kv.get(key);
    return found === undefined ? undefined : this.#decode(key, found.value);
  }

  /** Who owns the pchannel, and the revision of that record; undefined before its first owner. */
  async findOwner(
    pchannel: string,
  ): Promise<{ readonly term: number; readonly revision: bigint } | undefined> {
    const key = KEYS.pchannel(pchannel);
    const found = await this.#kv.get(key);
    if (found === undefined) return undefined;
    const { term } = this.#decode(key, found.value) as PchannelRecord;
    return { term, revision: found.revision };
  }

  async has(key: string): Promise<boolean> {
    return (await this.#kv.get(key)) !== undefined;
  }

  /**
   * The collection's record. @throws MilvusError CollectionNotFound, also from the moment on that
   * its drop has been recorded (R10)
   */
  async requireCollection(collectionId: bigint): Promise<CollectionInfo> {
    const key = KEYS.collection(collectionId);
    const [found, mark] = await Promise.all([
      this.#kv.get(key),
      this.#kv.get(KEYS.dropping(collectionId, 0n)),
    ]);
    if (found === undefined || mark !== undefined) {
      throw new MilvusError('CollectionNotFound', { fields: { collection: String(collectionId) } });
    }
    return this.#decode(key, found.value) as CollectionInfo;
  }

  /** All records of a noun, optionally of one collection, in key order. */
  async list<Noun extends keyof RecordTypes>(
    noun: Noun,
    collectionId?: bigint,
  ): Promise<RecordTypes[Noun][]> {
    const prefix = collectionId === undefined ? `${noun}/` : `${noun}/${pad(collectionId)}`;
    const records: RecordTypes[Noun][] = [];
    for await (const { key, value } of this.#kv.range(prefix)) {
      records.push(this.#decode(key, value) as RecordTypes[Noun]);
    }
    return records;
  }

  /** The same one by one, in turns of the event loop (P9): for work beside requests. */
  async *each<Noun extends keyof RecordTypes>(noun: Noun): AsyncGenerator<RecordTypes[Noun]> {
    const turn = new TurnMeter(RECORDS_PER_TURN);
    for await (const { key, value } of this.#kv.range(`${noun}/`)) {
      if (turn.isOver(1)) await nextTurn();
      yield this.#decode(key, value) as RecordTypes[Noun];
    }
  }

  /** The first records of a noun in key order, with their keys. */
  async listFirst<Noun extends keyof RecordTypes>(
    noun: Noun,
    countMax: number,
  ): Promise<{ key: string; record: RecordTypes[Noun] }[]> {
    const found: { key: string; record: RecordTypes[Noun] }[] = [];
    for await (const { key, value } of this.#kv.range(`${noun}/`)) {
      if (found.push({ key, record: this.#decode(key, value) as RecordTypes[Noun] }) >= countMax) {
        break;
      }
    }
    return found;
  }

  /** Calls `onChange` after each transaction that changes the noun. Returns what ends that. */
  watch(noun: keyof RecordTypes, onChange: () => void): () => void {
    return this.#kv.watch(`${noun}/`, onChange);
  }

  /**
   * Applies all writes in one durable transaction, of OPERATIONS_MAX operations at most. Returns
   * its revision. @throws MilvusError ServiceInternal when an expectation does not hold: nothing
   * was written
   */
  async write(
    writes: readonly CatalogWrite[],
    { deletePrefixes = [], absent = [], unchanged = [] }: WriteOptions = {},
  ): Promise<bigint> {
    const puts = [];
    const deletes = [];
    const compare: Compare[] = [...unchanged];
    for (const key of absent) compare.push({ key, absent: true });
    for (const { key, record, expected } of writes) {
      if (record === undefined) deletes.push(key);
      else puts.push({ key, value: encodeRecord(record) });
      if (expected === 'absent') compare.push({ key, absent: true });
      else if (expected !== undefined) compare.push({ key, revision: expected });
    }
    const transaction = { compare, puts, deletes, deletePrefixes };
    const { ok, revision } = await this.#kv.transact(transaction);
    if (ok) return revision;
    throw new MilvusError('ServiceInternal', {
      message: 'metadata transaction refused: a record has changed meanwhile',
      fields: { keys: compare.map(({ key }) => key).join(' ') },
    });
  }

  /**
   * The same for records that a collection must not outlive.
   * @throws MilvusError CollectionNotFound when its drop has been recorded meanwhile
   */
  async writeFor(collectionId: bigint, writes: readonly CatalogWrite[]): Promise<void> {
    try {
      await this.write(writes, { absent: [KEYS.dropping(collectionId, 0n)] });
    } catch (error) {
      await this.requireCollection(collectionId);
      throw error;
    }
  }

  #decode(key: string, text: string): object {
    return decodeRecord(key, text, this.#folder);
  }
}
