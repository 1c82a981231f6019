// A file system that can lose its power and whose files native code can map: every change is made
// to a PowerCutFileSystem, which knows what is durable, and to a real directory. After a power cut
// what has survived is written to a new directory. Nothing is synced for real: the shadow decides
// what is durable.

import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { readFully, writeAll } from '../../src/base/file-helpers.ts';
import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from '../../src/base/file-system.ts';
import { NodeFileSystem } from '../../src/base/node-file-system.ts';
import type { PowerCutFileSystem, PowerCutOptions } from './power-cut-file-system.ts';

export class MirroredFileSystem implements FileSystem {
  readonly #shadow: PowerCutFileSystem;
  readonly #real = new NodeFileSystem();
  /** The real directory that stands for the shadow's root. */
  readonly folder: string;
  isOff = false;

  private constructor(shadow: PowerCutFileSystem, folder: string) {
    this.#shadow = shadow;
    this.folder = folder;
  }

  /** Makes the folder and fills it with what the shadow has. */
  static async create(shadow: PowerCutFileSystem, folder: string): Promise<MirroredFileSystem> {
    await copyOut(shadow, '', folder);
    return new MirroredFileSystem(shadow, folder);
  }

  /** From now on everything fails; what has survived is in the new folder. */
  powerCut(cut: PowerCutOptions, newFolder: string): Promise<MirroredFileSystem> {
    this.isOff = true;
    return MirroredFileSystem.create(this.#shadow.powerCut(cut), newFolder);
  }

  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    if (mode === 'adopt') await this.#adopt(path);
    const shadow = await this.#shadow.open(this.#toShadow(path), mode);
    const real = await this.#real.open(path, mode);
    return {
      write: async (pieces, offset) => {
        const written = await shadow.write(pieces, offset);
        await writeAll(real, pieces, offset);
        return written;
      },
      truncate: async (bytes) => {
        await shadow.truncate(bytes);
        await real.truncate(bytes);
      },
      read: (into, offset) => shadow.read(into, offset),
      fdatasync: () => shadow.fdatasync(),
      bytes: () => shadow.bytes(),
      close: async () => {
        await shadow.close();
        await real.close();
      },
    };
  }

  /** The shadow gets what native code has written to the real directory. */
  async #adopt(path: string): Promise<void> {
    const file = await this.#shadow.open(this.#toShadow(path), 'create');
    await writeAll(file, [await readFile(path)], 0);
    await file.close();
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#shadow.rename(this.#toShadow(from), this.#toShadow(to));
    await this.#real.rename(from, to);
  }

  async unlink(path: string): Promise<void> {
    await this.#shadow.unlink(this.#toShadow(path));
    await this.#real.unlink(path);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#shadow.makeDirectory(this.#toShadow(path));
    await this.#real.makeDirectory(path);
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#shadow.removeDirectory(this.#toShadow(path));
    await this.#real.removeDirectory(path);
  }

  readDirectory(path: string): Promise<DirectoryEntry[]> {
    return this.#shadow.readDirectory(this.#toShadow(path));
  }

  syncDirectory(path: string): Promise<void> {
    return this.#shadow.syncDirectory(this.#toShadow(path));
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.#shadow.stat(this.#toShadow(path));
  }

  async freeBytes(): Promise<number | undefined> {
    return undefined;
  }

  /** What is above the folder is there and durable: the shadow's root. */
  #toShadow(path: string): string {
    return path.startsWith(this.folder) ? `/${path.slice(this.folder.length + 1)}` : '/';
  }
}

async function copyOut(shadow: PowerCutFileSystem, path: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const { name, isDirectory } of await shadow.readDirectory(path)) {
    const from = `${path}/${name}`;
    const to = join(folder, name);
    if (isDirectory) {
      await copyOut(shadow, from, to);
      continue;
    }
    const handle = await shadow.open(from, 'read');
    const bytes = new Uint8Array(await handle.bytes());
    await readFully(handle, bytes, 0);
    await writeFile(to, bytes);
  }
}
