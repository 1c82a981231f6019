// Object storage in a directory: the key is the path below the root.
// Invariant (R11, R16): a file gets its key only whole and synced: written beside, fdatasync,
// rename, directory sync; never truncated or written again. A directory goes with its last file.
// Files under `~tmp` are unfinished and removed at open. Not here: exclusive access to the
// directory (the server's lock).

import type { Crc32c } from '../base/crc32c.ts';
import {
  getErrorCode,
  getParentPath,
  makeDurableDirectory,
  makeDurableEntry,
  readFully,
  writeAll,
} from '../base/file-helpers.ts';
import type { FileHandle, FileSystem } from '../base/file-system.ts';
import { toIoError } from '../model/io-error.ts';
import { checkObject, cutPieces } from './digest.ts';
import { absentError, rangeError } from './object-error.ts';
import { LocalOutput } from './local-output.ts';
import { checkKey } from './object-storage.ts';
import type {
  ExpectedObject,
  LocalObject,
  LocalObjectWriter,
  ObjectDigest,
  ObjectInfo,
  ObjectStorage,
  ObjectWriter,
} from './object-storage.ts';

/** `~` is in no key. */
const TEMPORARY = '~tmp';
/** Directories remembered as durable; past it all are forgotten and synced once more when used. */
const DIRECTORIES_MAX = 10_000;
/** Of putting a file into a directory that may go just then. */
const PUBLISH_TRIES = 8;

export interface LocalDirStorageOptions {
  /** Made, with its parents, if it is not there. */
  readonly root: string;
  readonly fileSystem: FileSystem;
  readonly crc32c: Crc32c;
}

export class LocalDirStorage implements ObjectStorage {
  readonly #fileSystem: FileSystem;
  readonly #root: string;
  readonly #crc32c: Crc32c;
  /** By directory: the promise that its name, and those of its parents, are durable. */
  readonly #directories = new Map<string, Promise<void>>();
  #temporaryCount = 0;

  private constructor(options: LocalDirStorageOptions) {
    this.#fileSystem = options.fileSystem;
    this.#root = options.root;
    this.#crc32c = options.crc32c;
  }

  /** Opens the storage and removes what a crash has left unfinished. */
  static async open(options: LocalDirStorageOptions): Promise<LocalDirStorage> {
    const { fileSystem, root } = options;
    try {
      await makeDurableDirectory(fileSystem, root);
      await makeDurableEntry(fileSystem, `${root}/${TEMPORARY}`);
      for (const entry of await fileSystem.readDirectory(`${root}/${TEMPORARY}`)) {
        await fileSystem.unlink(`${root}/${TEMPORARY}/${entry.name}`);
      }
    } catch (error) {
      throw await toIoError(error, { fileSystem, directory: root, place: { key: '' } });
    }
    return new LocalDirStorage(options);
  }

  async put(key: string, bytes: Uint8Array): Promise<ObjectDigest> {
    const writer = await this.createWriter(key);
    await writer.write(bytes);
    return writer.finish();
  }

  async createWriter(key: string): Promise<ObjectWriter> {
    checkKey(key);
    const temporary = `${this.#root}/${TEMPORARY}/${this.#temporaryCount++}`;
    const handle = await this.#run(key, () => this.#fileSystem.open(temporary, 'create'));
    return new LocalDirWriter({
      handle,
      crc32c: this.#crc32c,
      run: (action, needBytes) => this.#run(key, action, needBytes),
      publish: () => this.#publish(key, temporary),
      discard: () => this.#fileSystem.unlink(temporary).catch(() => undefined),
    });
  }

  async createLocal(key: string): Promise<LocalObjectWriter> {
    checkKey(key);
    const temporary = `${this.#root}/${TEMPORARY}/${this.#temporaryCount++}`;
    return new LocalOutput(key, temporary, {
      publish: () =>
        this.#run(key, async () => {
          await this.#syncWritten(temporary);
          await this.#publish(key, temporary);
        }),
      discard: () => this.#fileSystem.unlink(temporary).catch(() => undefined),
    });
  }

  get(key: string, expected: ExpectedObject = {}): Promise<Uint8Array> {
    return this.#read(key, async (file) => {
      const bytes = new Uint8Array(await file.bytes());
      const read = await readFully(file, bytes, 0);
      if (read < bytes.byteLength) throw rangeError(key, 0, bytes.byteLength);
      await checkObject(key, bytes, expected, this.#crc32c);
      return bytes;
    });
  }

  getRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    return this.#read(key, async (file) => {
      if (offset < 0 || length < 0 || offset + length > (await file.bytes())) {
        throw rangeError(key, offset, length);
      }
      const bytes = new Uint8Array(length);
      const read = await readFully(file, bytes, offset);
      if (read < length) throw rangeError(key, offset, length);
      return bytes;
    });
  }

  async size(key: string): Promise<number | undefined> {
    checkKey(key);
    const stat = await this.#run(key, () => this.#fileSystem.stat(this.#getPath(key)));
    return stat === undefined || stat.isDirectory ? undefined : stat.bytes;
  }

  list(prefix: string): AsyncGenerator<ObjectInfo> {
    return this.#listFolder('', prefix);
  }

  async remove(key: string): Promise<void> {
    checkKey(key);
    const path = this.#getPath(key);
    await this.#run(key, async () => {
      try {
        await this.#fileSystem.unlink(path);
      } catch (error) {
        if (!isAbsent(error)) throw error;
      }
      // Also when there was none: the removal may be a killed process's, not yet durable.
      try {
        await this.#fileSystem.syncDirectory(getParentPath(path));
      } catch (error) {
        if (!isAbsent(error)) throw error;
      }
      await this.#removeEmpty(getParentPath(path));
    });
  }

  /** Nothing to let go of: the file is the object. */
  async openLocal(key: string): Promise<LocalObject> {
    if ((await this.size(key)) === undefined) throw absentError(key);
    return { path: this.#getPath(key), close: () => undefined };
  }

  #getPath(key: string): string {
    return `${this.#root}/${key}`;
  }

  async #syncWritten(path: string): Promise<void> {
    const file = await this.#fileSystem.open(path, 'adopt');
    try {
      await file.fdatasync();
    } finally {
      await file.close();
    }
  }

  async #publish(key: string, temporary: string): Promise<void> {
    const path = this.#getPath(key);
    const directory = getParentPath(path);
    for (let attempt = 1; ; attempt += 1) {
      try {
        await this.#requireDirectory(directory);
        await this.#fileSystem.rename(temporary, path);
        await this.#fileSystem.syncDirectory(directory);
        return;
      } catch (error) {
        // It has gone with its last file meanwhile, and perhaps its parents.
        if (attempt === PUBLISH_TRIES || getErrorCode(error) !== 'ENOENT') throw error;
        for (let gone = directory; gone !== this.#root; gone = getParentPath(gone)) {
          this.#directories.delete(gone);
        }
      }
    }
  }

  /** Else one would stay of each segment and collection that there ever was. */
  async #removeEmpty(directory: string): Promise<void> {
    for (let path = directory; path !== this.#root; path = getParentPath(path)) {
      try {
        await this.#fileSystem.removeDirectory(path);
      } catch (error) {
        if (!isAbsent(error)) return;
      }
      this.#directories.delete(path);
    }
  }

  /**
   * Shares one making of a directory among those who need it, so that none goes on before its sync.
   */
  #requireDirectory(directory: string): Promise<void> {
    if (directory === this.#root) return Promise.resolve();
    const known = this.#directories.get(directory);
    if (known !== undefined) return known;
    if (this.#directories.size >= DIRECTORIES_MAX) this.#directories.clear();
    const made = this.#requireDirectory(getParentPath(directory)).then(() =>
      makeDurableEntry(this.#fileSystem, directory),
    );
    this.#directories.set(directory, made);
    made.catch(() => this.#directories.delete(directory));
    return made;
  }

  async *#listFolder(folder: string, prefix: string): AsyncGenerator<ObjectInfo> {
    const path = folder === '' ? this.#root : this.#getPath(folder.slice(0, -1));
    const entries = await this.#run(folder, () => this.#readFolder(path));
    const names = entries
      .filter((entry) => entry.name !== TEMPORARY)
      .map((entry) => folder + entry.name + (entry.isDirectory ? '/' : ''))
      .sort(compareKeys);
    for (const name of names) {
      if (name.endsWith('/')) {
        if (name.startsWith(prefix) || prefix.startsWith(name)) {
          yield* this.#listFolder(name, prefix);
        }
      } else if (name.startsWith(prefix)) {
        const bytes = await this.size(name);
        if (bytes !== undefined) yield { key: name, bytes };
      }
    }
  }

  async #readFolder(path: string): ReturnType<FileSystem['readDirectory']> {
    try {
      return await this.#fileSystem.readDirectory(path);
    } catch (error) {
      if (isAbsent(error)) return [];
      throw error;
    }
  }

  async #read<T>(key: string, use: (file: FileHandle) => Promise<T>): Promise<T> {
    checkKey(key);
    return this.#run(key, async () => {
      let file;
      try {
        file = await this.#fileSystem.open(this.#getPath(key), 'read');
      } catch (error) {
        throw isAbsent(error) ? absentError(key) : error;
      }
      try {
        return await use(file);
      } finally {
        await file.close();
      }
    });
  }

  async #run<T>(key: string, action: () => Promise<T>, needBytes?: number): Promise<T> {
    try {
      return await action();
    } catch (error) {
      const context = { fileSystem: this.#fileSystem, directory: this.#root, place: { key } };
      throw await toIoError(error, needBytes === undefined ? context : { ...context, needBytes });
    }
  }
}

interface LocalDirWriterOptions {
  readonly handle: FileHandle;
  readonly crc32c: Crc32c;
  readonly run: <T>(action: () => Promise<T>, needBytes?: number) => Promise<T>;
  readonly publish: () => Promise<void>;
  readonly discard: () => Promise<void>;
}

class LocalDirWriter implements ObjectWriter {
  readonly #options: LocalDirWriterOptions;
  #offset = 0;
  #checksum = 0;
  #isSpent = false;

  constructor(options: LocalDirWriterOptions) {
    this.#options = options;
  }

  async write(bytes: Uint8Array): Promise<void> {
    const { handle, crc32c } = this.#options;
    await this.#orDiscard(async () => {
      for (const piece of cutPieces(bytes)) {
        this.#checksum = crc32c(piece, this.#checksum);
        await writeAll(handle, [piece], this.#offset);
        this.#offset += piece.byteLength;
      }
    }, bytes.byteLength);
  }

  async finish(): Promise<ObjectDigest> {
    await this.#orDiscard(async () => {
      await this.#options.handle.fdatasync();
      await this.#options.publish();
    });
    this.#isSpent = true;
    await this.#options.handle.close().catch(() => undefined);
    return { bytes: this.#offset, crc32c: this.#checksum };
  }

  async abort(): Promise<void> {
    if (this.#isSpent) return;
    this.#isSpent = true;
    await this.#options.handle.close().catch(() => undefined);
    await this.#options.discard();
  }

  /** A writer that has failed once, in a write or in a sync, never publishes. */
  async #orDiscard(action: () => Promise<void>, needBytes?: number): Promise<void> {
    try {
      await this.#options.run(async () => {
        if (this.#isSpent) throw new Error('the object writer is spent');
        await action();
      }, needBytes);
    } catch (error) {
      await this.abort();
      throw error;
    }
  }
}

function isAbsent(error: unknown): boolean {
  const code = getErrorCode(error);
  return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR';
}

function compareKeys(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
