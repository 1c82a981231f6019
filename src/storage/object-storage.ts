// Object storage as the roles see it: whole immutable objects under keys, local directory or
// memory. Invariants: an object is there whole or not at all; what put, finish and remove resolved
// survives any crash; an existing object's bytes never change in place: overwriting makes a new
// object under the key (R16).

import { invalidParameter } from '../model/error.ts';

export interface ObjectInfo {
  readonly key: string;
  readonly bytes: number;
}

/** What was stored: its length and the CRC32C of all its bytes. */
export interface ObjectDigest {
  readonly bytes: number;
  readonly crc32c: number;
}

/** What an object must be; what is undefined is not compared. Older records lack the checksum. */
export interface ExpectedObject {
  readonly bytes?: number | undefined;
  readonly crc32c?: number | undefined;
}

/** How a catalog record names an object. */
export interface RecordedFile {
  readonly file: string;
  readonly fileBytes: number;
  readonly crc32c?: number;
}

/** A file that holds an object, for mapping, while the handle is open. */
export interface LocalObject {
  readonly path: string;
  /** The file is not needed by its path any more. No effect the second time. */
  close(): void;
}

/** Writes one object in pieces. Calls are awaited one after another. */
export interface ObjectWriter {
  /** Appends the bytes; they may be reused once it resolves. */
  write(bytes: Uint8Array): Promise<void>;
  /** Publishes the object under its key, durable and atomic; the writer is then spent. */
  finish(): Promise<ObjectDigest>;
  /** Drops what was written; no effect after finish or abort. */
  abort(): Promise<void>;
}

/** An object that native code writes by itself, as a file. */
export interface LocalObjectWriter {
  /** Where to write it. There is no file yet. */
  readonly path: string;
  /** Publishes the file, closed and whole, under its key, durable and atomic; then it is spent. */
  finish(): Promise<void>;
  /** Drops what was written; no effect after finish or abort. */
  abort(): Promise<void>;
}

/**
 * Keys are names of [A-Za-z0-9._-] joined by `/`, not `.` or `..`, at most KEY_LENGTH_MAX
 * characters; others are refused with ParameterInvalid. A key is never also the folder part of
 * another key. All calls throw MilvusError: DiskLimitExceeded on a full disk, IoFailed for what
 * else goes wrong, absent objects included. After a failed put or finish the old object, if any, or
 * the new one is there.
 */
export interface ObjectStorage {
  /** Stores the bytes under the key; durable and atomic once resolved. */
  put(key: string, bytes: Uint8Array): Promise<ObjectDigest>;
  createWriter(key: string): Promise<ObjectWriter>;
  /** For objects that are too large to pass through JavaScript. */
  createLocal(key: string): Promise<LocalObjectWriter>;
  /**
   * Returns a buffer of its own with the object's bytes. @throws MilvusError DataIntegrity, with
   * the key, when the object is not what is expected
   */
  get(key: string, expected?: ExpectedObject): Promise<Uint8Array>;
  /** Returns exactly `length` bytes from `offset`; a range past the end is IoFailed. */
  getRange(key: string, offset: number, length: number): Promise<Uint8Array>;
  /** Returns the object's bytes in number; undefined = absent. */
  size(key: string): Promise<number | undefined>;
  /**
   * Yields the objects whose keys begin with `prefix`, which need not end at a `/`, by ascending
   * key.
   */
  list(prefix: string): AsyncIterable<ObjectInfo>;
  /** Removes the object, durable once resolved; no error if there is none. */
  remove(key: string): Promise<void>;
  /**
   * Returns a file that holds the object. Whoever opens the handle closes it. An object may be
   * removed while handles on it are open: who has opened or mapped the file by then keeps its
   * bytes, the path may lead nowhere.
   */
  openLocal(key: string): Promise<LocalObject>;
}

/** Characters of a key at most. */
const KEY_LENGTH_MAX = 1024;
const NAME_LENGTH_MAX = 255;

/** @throws MilvusError ParameterInvalid when this is no key */
export function checkKey(key: string): void {
  const isKey =
    key.length <= KEY_LENGTH_MAX &&
    key.split('/').every((name) => {
      const isName = /^[A-Za-z0-9._-]+$/.test(name) && name.length <= NAME_LENGTH_MAX;
      return isName && name !== '.' && name !== '..';
    });
  if (!isKey) throw invalidParameter(`invalid object key[key=${key.slice(0, KEY_LENGTH_MAX)}]`);
}

/** Returns a file's bytes, compared with what its record says of them (R16). */
export function getRecordedFile(
  storage: ObjectStorage,
  { file, fileBytes, crc32c }: RecordedFile,
): Promise<Uint8Array> {
  return storage.get(file, { bytes: fileBytes, crc32c });
}
