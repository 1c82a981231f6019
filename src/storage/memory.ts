// Object storage in memory, for tests and simulations. Objects are copied in and out: nobody shares
// bytes.

import { getErrorCode, makeDurableDirectory, writeAll } from '../base/file-helpers.ts';
import type { FileSystem } from '../base/file-system.ts';
import { MilvusError } from '../model/error.ts';
import { absentError, rangeError } from './io-error.ts';
import { checkKey } from './object-storage.ts';
import type { ObjectInfo, ObjectStorage, ObjectWriter } from './object-storage.ts';

export interface MemoryStorageOptions {
  /** Where openLocal writes objects out; without it openLocal is refused. */
  readonly local?: { readonly fileSystem: FileSystem; readonly directory: string };
}

export class MemoryStorage implements ObjectStorage {
  readonly #objects = new Map<string, Uint8Array>();
  readonly #options: MemoryStorageOptions;
  /** Paths written out, by key, and by the object they hold: an overwritten key gets a new one. */
  readonly #local = new Map<Uint8Array, Promise<string>>();
  #localCount = 0;

  constructor(options: MemoryStorageOptions = {}) {
    this.#options = options;
  }

  async put(key: string, bytes: Uint8Array): Promise<void> {
    checkKey(key);
    this.#replace(key, bytes.slice());
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
        this.#replace(key, new Uint8Array(Buffer.concat(pieces)));
      },
      abort: async () => {
        isSpent = true;
      },
    };
  }

  async get(key: string): Promise<Uint8Array> {
    return this.#require(key).slice();
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
    this.#dropLocal(key);
    this.#objects.delete(key);
  }

  async openLocal(key: string): Promise<string> {
    const object = this.#require(key);
    const local = this.#options.local;
    if (local === undefined) {
      throw new MilvusError('Unimplemented', { message: 'memory storage has no local directory' });
    }
    const known = this.#local.get(object);
    if (known !== undefined) return known;
    const path = `${local.directory}/${this.#localCount++}`;
    const written = writeOut(local, path, object);
    this.#local.set(object, written);
    written.catch(() => this.#local.delete(object));
    return written;
  }

  #replace(key: string, object: Uint8Array): void {
    this.#dropLocal(key);
    this.#objects.set(key, object);
  }

  #dropLocal(key: string): void {
    const object = this.#objects.get(key);
    const path = object && this.#local.get(object);
    if (object === undefined || path === undefined) return;
    this.#local.delete(object);
    // In the background: whoever has the file mapped keeps it.
    path.then((name) => this.#options.local?.fileSystem.unlink(name)).catch(getErrorCode);
  }

  #require(key: string): Uint8Array {
    checkKey(key);
    const object = this.#objects.get(key);
    if (object === undefined) throw absentError(key);
    return object;
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
