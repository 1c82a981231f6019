// FileSystem over the machine's disk: the one file of the program with node:fs in it.
// Bare descriptors and callbacks rather than fs.promises handles: no finalizer, less work per call.

import { constants } from 'node:fs';
import * as fs from 'node:fs';
import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from './file-system.ts';
import { getErrorCode } from './file-helpers.ts';

type Done<T> = (error: NodeJS.ErrnoException | null, value?: T) => void;

function call<T>(start: (done: Done<T>) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    start((error, value) => (error ? reject(error) : resolve(value as T)));
  });
}

const FLAGS: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR,
  create: constants.O_RDWR | constants.O_CREAT | constants.O_EXCL,
  adopt: constants.O_RDWR,
};

class NodeFileHandle implements FileHandle {
  readonly #fd: number;

  constructor(fd: number) {
    this.#fd = fd;
  }

  write(pieces: readonly Uint8Array[], offset: number): Promise<number> {
    return call((done) => fs.writev(this.#fd, pieces as Uint8Array[], offset, done));
  }

  read(into: Uint8Array, offset: number): Promise<number> {
    return call((done) => fs.read(this.#fd, into, 0, into.byteLength, offset, done));
  }

  truncate(bytes: number): Promise<void> {
    return call((done) => fs.ftruncate(this.#fd, bytes, done));
  }

  fdatasync(): Promise<void> {
    return call((done) => fs.fdatasync(this.#fd, done));
  }

  async bytes(): Promise<number> {
    return (await call<fs.Stats>((done) => fs.fstat(this.#fd, done))).size;
  }

  close(): Promise<void> {
    return call((done) => fs.close(this.#fd, done));
  }
}

export class NodeFileSystem implements FileSystem {
  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    return new NodeFileHandle(await call((done) => fs.open(path, FLAGS[mode], 0o644, done)));
  }

  rename(from: string, to: string): Promise<void> {
    return call((done) => fs.rename(from, to, done));
  }

  unlink(path: string): Promise<void> {
    return call((done) => fs.unlink(path, done));
  }

  makeDirectory(path: string): Promise<void> {
    return call((done) => fs.mkdir(path, done));
  }

  removeDirectory(path: string): Promise<void> {
    return call((done) => fs.rmdir(path, done));
  }

  async readDirectory(path: string): Promise<DirectoryEntry[]> {
    const entries = await call<fs.Dirent[]>((done) =>
      fs.readdir(path, { withFileTypes: true }, done),
    );
    return entries.map((entry) => ({ name: entry.name, isDirectory: entry.isDirectory() }));
  }

  async syncDirectory(path: string): Promise<void> {
    const fd = await call<number>((done) => fs.open(path, constants.O_RDONLY, done));
    try {
      await call<void>((done) => fs.fsync(fd, done));
    } finally {
      await call<void>((done) => fs.close(fd, done));
    }
  }

  async stat(path: string): Promise<FileStat | undefined> {
    try {
      const stats = await call<fs.Stats>((done) => fs.stat(path, done));
      return { bytes: stats.size, isDirectory: stats.isDirectory() };
    } catch (error) {
      const code = getErrorCode(error);
      if (code === 'ENOENT' || code === 'ENOTDIR') return undefined;
      throw error;
    }
  }

  async freeBytes(path: string): Promise<number | undefined> {
    try {
      const stats = await call<fs.StatsFs>((done) => fs.statfs(path, done));
      return stats.bavail * stats.bsize;
    } catch {
      return undefined;
    }
  }
}
