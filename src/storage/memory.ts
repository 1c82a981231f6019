// Object storage in memory, for tests and simulations. Objects are copied in and out: nobody shares
// bytes.

import type { Crc32c } from '../base/crc32c.ts';
import {
  getErrorCode,
  makeDurableDirectory,
  readFully,
  writeAll,
} from '../base/file-helpers.ts';
import type { FileSystem } from '../base/file-system.ts';
import { MilvusError } from '../model/error.ts';
import { toIoError } from '../model/io-error.ts';
import { checkObject } from './digest.ts';
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

export interface MemoryStorageOptions {
  readonly crc32c: Crc32c;
  /** For openLocal and createLocal, which are refused without it. */
  readonly local?: { readonly fileSystem: FileSystem; readonly directory: string };
}

interface LocalFile {
  handles: number;
  readonly path: Promise<string>;
}

export class MemoryStorage implements ObjectStorage {
  readonly #objects = new Map<string, Uint8Array>();
  readonly #options: MemoryStorageOptions;
  /** Files written out, by the object they hold, and how many handles are open on each. */
  readonly #local = new Map<Uint8Array, LocalFile>();
  #localCount = 0;

  constructor(options: MemoryStorageOptions) {
    this.#options = options;
  }

  async put(key: string, bytes: Uint8Array): Promise<ObjectDigest> {
    checkKey(key);
    return this.#replace(key, bytes.slice());
  }

  async createWriter(key: string): Promise<ObjectWriter> {
    checkKey(key);
    const pieces: Uint8Array[] = [];
    let isSpent = false;
    const requireOpen = (): void => {
      if (!isSpent) return;
      throw new MilvusError('IoFailed', { fields: { key, reason: 'the object writer is spent' } });
    };
    return {
      write: async (bytes) => {
        requireOpen();
        pieces.push(bytes.slice());
      },
      finish: async () => {
        requireOpen();
        isSpent = true;
        return this.#replace(key, new Uint8Array(Buffer.concat(pieces)));
      },
      abort: async () => {
        isSpent = true;
      },
    };
  }

  async createLocal(key: string): Promise<LocalObjectWriter> {
    checkKey(key);
    const { fileSystem, directory } = this.#requireLocal();
    await makeDurableDirectory(fileSystem, directory);
    const path = `${directory}/${this.#localCount++}`;
    const discard = (): Promise<void> => fileSystem.unlink(path).catch(() => undefined);
    const publish = async (): Promise<void> => {
      try {
        this.#replace(key, await readIn(fileSystem, path));
      } catch (error) {
        throw await toIoError(error, { fileSystem, directory, place: { key } });
      }
      await discard();
    };
    return new LocalOutput(key, path, { publish, discard });
  }

  async get(key: string, expected: ExpectedObject = {}): Promise<Uint8Array> {
    const bytes = this.#require(key).slice();
    await checkObject(key, bytes, expected, this.#options.crc32c);
    return bytes;
  }

  async getRange(key: string, offset: number, length: number): Promise<Uint8Array> {
    const object = this.#require(key);
    if (offset < 0 || length < 0 || offset + length > object.byteLength) {
      throw rangeError(key, offset, length);
    }
    return object.slice(offset, offset + length);
  }

  async size(key: string): Promise<number | undefined> {
    checkKey(key);
    return this.#objects.get(key)?.byteLength;
  }

  async *list(prefix: string): AsyncGenerator<ObjectInfo> {
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix)).sort();
    for (const key of keys) {
      const object = this.#objects.get(key);
      if (object !== undefined) yield { key, bytes: object.byteLength };
    }
  }

  async remove(key: string): Promise<void> {
    checkKey(key);
    this.#objects.delete(key);
  }

  /** A file of its own, shared by the handles on one object; the last one to close removes it. */
  async openLocal(key: string): Promise<LocalObject> {
    const object = this.#require(key);
    const local = this.#requireLocal();
    let file = this.#local.get(object);
    if (file === undefined) {
      const path = `${local.directory}/${this.#localCount++}`;
      file = { handles: 0, path: writeOut(local, path, object) };
      this.#local.set(object, file);
    }
    file.handles += 1;
    let isOpen = true;
    const close = (): void => {
      if (!isOpen) return;
      isOpen = false;
      this.#release(object, file);
    };
    try {
      return { path: await file.path, close };
    } catch (error) {
      close();
      throw error;
    }
  }

  #release(object: Uint8Array, file: LocalFile): void {
    file.handles -= 1;
    if (file.handles > 0) return;
    this.#local.delete(object);
    // In the background: whoever has the file mapped keeps it.
    file.path.then((path) => this.#options.local?.fileSystem.unlink(path)).catch(getErrorCode);
  }

  #replace(key: string, object: Uint8Array): ObjectDigest {
    this.#objects.set(key, object);
    return { bytes: object.byteLength, crc32c: this.#options.crc32c(object, 0) };
  }

  #requireLocal(): NonNullable<MemoryStorageOptions['local']> {
    const { local } = this.#options;
    if (local !== undefined) return local;
    throw new MilvusError('Unimplemented', { message: 'memory storage has no local directory' });
  }

  #require(key: string): Uint8Array {
    checkKey(key);
    const object = this.#objects.get(key);
    if (object === undefined) throw absentError(key);
    return object;
  }
}

async function readIn(fileSystem: FileSystem, path: string): Promise<Uint8Array> {
  const file = await fileSystem.open(path, 'adopt');
  try {
    const bytes = new Uint8Array(await file.bytes());
    await readFully(file, bytes, 0);
    return bytes;
  } finally {
    await file.close();
  }
}

async function writeOut(
  local: { readonly fileSystem: FileSystem; readonly directory: string },
  path: string,
  bytes: Uint8Array,
): Promise<string> {
  await makeDurableDirectory(local.fileSystem, local.directory);
  const file = await local.fileSystem.open(path, 'create');
  try {
    await writeAll(file, [bytes], 0);
  } finally {
    await file.close();
  }
  return path;
}
