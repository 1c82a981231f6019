// Puts faults on demand over any FileSystem: short writes, failing writes and syncs, a full disk.
// Counts what it lets through, so that tests can say how many syncs a workload cost.

import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from '../../src/base/file-system.ts';

export interface FileSystemCounts {
  writes: number;
  bytesWritten: number;
  syncs: number;
  directorySyncs: number;
  filesCreated: number;
}

type Fault = 'write' | 'fdatasync' | 'syncDirectory' | 'rename' | 'unlink' | 'create';

export class FaultyFileSystem implements FileSystem {
  readonly counts: FileSystemCounts = {
    writes: 0,
    bytesWritten: 0,
    syncs: 0,
    directorySyncs: 0,
    filesCreated: 0,
  };
  /** Bytes that one write takes at most. */
  writeBytesMax = Infinity;
  /** Bytes by which files may still grow; then ENOSPC. Unlinking and cutting files give back. */
  spaceBytes = Infinity;
  readonly #inner: FileSystem;
  readonly #faults = new Map<Fault, { count: number; code: string }>();

  constructor(inner: FileSystem) {
    this.#inner = inner;
  }

  /** The next `count` calls of this kind fail with `code`, having done nothing. */
  failNext(fault: Fault, count = 1, code = 'EIO'): void {
    this.#faults.set(fault, { count, code });
  }

  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    if (mode === 'create') {
      this.#check('create');
      this.counts.filesCreated++;
    }
    return this.#wrap(await this.#inner.open(path, mode));
  }

  async rename(from: string, to: string): Promise<void> {
    this.#check('rename');
    await this.#inner.rename(from, to);
  }

  async unlink(path: string): Promise<void> {
    this.#check('unlink');
    const bytes = (await this.#inner.stat(path))?.bytes ?? 0;
    await this.#inner.unlink(path);
    this.spaceBytes += bytes;
  }

  makeDirectory(path: string): Promise<void> {
    return this.#inner.makeDirectory(path);
  }

  removeDirectory(path: string): Promise<void> {
    return this.#inner.removeDirectory(path);
  }

  readDirectory(path: string): Promise<DirectoryEntry[]> {
    return this.#inner.readDirectory(path);
  }

  async syncDirectory(path: string): Promise<void> {
    this.#check('syncDirectory');
    await this.#inner.syncDirectory(path);
    this.counts.directorySyncs++;
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#inner.stat(path);
  }

  async freeBytes(path: string): Promise<number | undefined> {
    return this.spaceBytes === Infinity ? this.#inner.freeBytes(path) : this.spaceBytes;
  }

  #wrap(file: FileHandle): FileHandle {
    return {
      write: async (pieces, offset) => {
        this.#check('write');
        const size = await file.bytes();
        const room = Math.max(0, size - offset) + this.spaceBytes;
        const taken = takeBytes(pieces, Math.min(room, this.writeBytesMax));
        if (taken.length === 0 && pieces.length > 0) this.#throw('ENOSPC');
        const written = await file.write(taken, offset);
        this.spaceBytes -= Math.max(0, offset + written - size);
        this.counts.writes++;
        this.counts.bytesWritten += written;
        return written;
      },
      read: (into, offset) => file.read(into, offset),
      truncate: async (bytes) => {
        const size = await file.bytes();
        await file.truncate(bytes);
        this.spaceBytes += size - bytes;
      },
      fdatasync: async () => {
        this.#check('fdatasync');
        await file.fdatasync();
        this.counts.syncs++;
      },
      bytes: () => file.bytes(),
      close: () => file.close(),
    };
  }

  #check(fault: Fault): void {
    const due = this.#faults.get(fault);
    if (due === undefined || due.count === 0) return;
    due.count--;
    this.#throw(due.code);
  }

  #throw(code: string): never {
    throw Object.assign(new Error(`${code}: injected`), { code });
  }
}

function takeBytes(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const taken: Uint8Array[] = [];
  let left = bytes;
  for (const piece of pieces) {
    if (left <= 0) break;
    taken.push(piece.byteLength <= left ? piece : piece.subarray(0, left));
    left -= piece.byteLength;
  }
  return taken;
}
