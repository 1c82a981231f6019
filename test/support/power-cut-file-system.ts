// A file system in memory that can lose its power (R26): it keeps what was written apart from what
// was synced. `powerCut` gives the disk as the next start finds it and kills this one.
// Strict on purpose: fdatasync makes content durable but no name, syncDirectory makes names durable
// but no content. The oracle of durability: code that passes here has no missing sync.

import type {
  DirectoryEntry,
  FileHandle,
  FileStat,
  FileSystem,
  OpenMode,
} from '../../src/base/file-system.ts';

const SECTOR_BYTES = 512;

type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly bytes: Uint8Array }
  | { readonly kind: 'truncate'; readonly bytes: number };

/** Content that grows; bytes between the end and a write beyond it are zero. */
class Content {
  #bytes = new Uint8Array(0);
  length = 0;

  view(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  clone(): Content {
    const copy = new Content();
    copy.apply({ kind: 'write', offset: 0, bytes: this.view() });
    return copy;
  }

  apply(change: Change): void {
    const end = change.kind === 'write' ? change.offset + change.bytes.byteLength : change.bytes;
    if (end > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.max(end, this.#bytes.byteLength * 2));
      grown.set(this.view());
      this.#bytes = grown;
    }
    if (change.kind === 'write') {
      this.#bytes.set(change.bytes, change.offset);
      this.length = Math.max(this.length, end);
    } else {
      this.#bytes.fill(0, end);
      this.length = end;
    }
  }
}

interface File {
  readonly kind: 'file';
  readonly now: Content;
  durable: Content;
  unsynced: Change[];
}

type Names = Map<string, Node>;
/** Names taken and given in one directory at one stroke. */
type NameChange = readonly { readonly name: string; readonly node: Node | undefined }[];

interface Directory {
  readonly kind: 'directory';
  readonly now: Names;
  durable: Names;
  unsynced: NameChange[];
}

type Node = File | Directory;

const makeFile = (): File => ({
  kind: 'file',
  now: new Content(),
  durable: new Content(),
  unsynced: [],
});

const makeDirectory = (names: Names = new Map()): Directory => ({
  kind: 'directory',
  now: new Map(names),
  durable: new Map(names),
  unsynced: [],
});

function fail(code: string, path: string): Error {
  return Object.assign(new Error(`${code}: ${path}`), { code });
}

export interface PowerCutOptions {
  /**
   * Draws numbers in [0, 1). With it a random half of what was not synced survives, in sectors of
   * 512 bytes, out of order; without it nothing of that survives.
   */
  readonly random?: () => number;
}

export interface PowerCutFileSystemOptions {
  /** The canary's disk: says yes to fdatasync and syncs nothing. */
  readonly isFdatasyncIgnored?: boolean;
  /** Likewise for the names. */
  readonly isSyncDirectoryIgnored?: boolean;
}

export class PowerCutFileSystem implements FileSystem {
  readonly #options: PowerCutFileSystemOptions;
  readonly #root: Directory;
  #isOff = false;
  #operationsLeft = Infinity;
  /** Operations that changed or synced something, since the start. */
  operations = 0;

  constructor(options: PowerCutFileSystemOptions = {}, root: Directory = makeDirectory()) {
    this.#options = options;
    this.#root = root;
  }

  /**
   * After this many more changing or syncing operations the power is off: all else fails with EIO.
   */
  failPowerAfter(operations: number): void {
    this.#operationsLeft = operations;
  }

  /** Turns this file system off and returns the disk as it is found when the power is back. */
  powerCut(cut: PowerCutOptions = {}): PowerCutFileSystem {
    this.#isOff = true;
    return new PowerCutFileSystem(this.#options, surviveDirectory(this.#root, cut, new Map()));
  }

  /**
   * The disk as a new process finds it after SIGKILL: the page cache is there, unsynced as it was.
   */
  kill(): PowerCutFileSystem {
    this.#isOff = true;
    return new PowerCutFileSystem(this.#options, this.#root);
  }

  async open(path: string, mode: OpenMode): Promise<FileHandle> {
    if (mode === 'create') {
      await this.#change();
      const { directory, name } = this.#locate(path);
      if (directory.now.has(name)) throw fail('EEXIST', path);
      const file = makeFile();
      rename(directory, [{ name, node: file }]);
      return this.#makeHandle(file);
    }
    await this.#step();
    const node = this.#find(path);
    if (node === undefined) throw fail('ENOENT', path);
    if (node.kind === 'directory') throw fail('EISDIR', path);
    return this.#makeHandle(node);
  }

  /** A write to a file opened with O_DSYNC: durable itself, and nothing written before it. */
  async writeThrough(path: string, bytes: Uint8Array, offset: number): Promise<void> {
    await this.#change();
    const node = this.#find(path);
    if (node?.kind !== 'file') throw fail('ENOENT', path);
    const change = { kind: 'write', offset, bytes } as const;
    node.now.apply(change);
    node.durable.apply(change);
  }

  async rename(from: string, to: string): Promise<void> {
    await this.#change();
    const source = this.#locate(from);
    const target = this.#locate(to);
    const node = source.directory.now.get(source.name);
    if (node === undefined) throw fail('ENOENT', from);
    if (target.directory.now.get(target.name)?.kind === 'directory') throw fail('EISDIR', to);
    const taken = { name: source.name, node: undefined };
    const given = { name: target.name, node };
    if (source.directory === target.directory) {
      rename(source.directory, [taken, given]);
    } else {
      rename(target.directory, [given]);
      rename(source.directory, [taken]);
    }
  }

  async unlink(path: string): Promise<void> {
    await this.#change();
    const { directory, name } = this.#locate(path);
    const node = directory.now.get(name);
    if (node === undefined) throw fail('ENOENT', path);
    if (node.kind === 'directory') throw fail('EISDIR', path);
    rename(directory, [{ name, node: undefined }]);
  }

  async makeDirectory(path: string): Promise<void> {
    await this.#change();
    const { directory, name } = this.#locate(path);
    if (directory.now.has(name)) throw fail('EEXIST', path);
    rename(directory, [{ name, node: makeDirectory() }]);
  }

  async removeDirectory(path: string): Promise<void> {
    await this.#change();
    const { directory, name } = this.#locate(path);
    const node = directory.now.get(name);
    if (node === undefined) throw fail('ENOENT', path);
    if (node.kind === 'file') throw fail('ENOTDIR', path);
    if (node.now.size > 0) throw fail('ENOTEMPTY', path);
    rename(directory, [{ name, node: undefined }]);
  }

  async readDirectory(path: string): Promise<DirectoryEntry[]> {
    await this.#step();
    const directory = this.#requireDirectory(path);
    return [...directory.now].map(([name, node]) => ({
      name,
      isDirectory: node.kind === 'directory',
    }));
  }

  async syncDirectory(path: string): Promise<void> {
    await this.#change();
    const directory = this.#requireDirectory(path);
    if (this.#options.isSyncDirectoryIgnored) return;
    directory.durable = new Map(directory.now);
    directory.unsynced = [];
  }

  async stat(path: string): Promise<FileStat | undefined> {
    await this.#step();
    const node = this.#find(path);
    if (node === undefined) return undefined;
    const isDirectory = node.kind === 'directory';
    return { bytes: isDirectory ? 0 : node.now.length, isDirectory };
  }

  async freeBytes(): Promise<number | undefined> {
    return undefined;
  }

  #makeHandle(file: File): FileHandle {
    const put = (change: Change): void => {
      file.now.apply(change);
      file.unsynced.push(change);
    };
    return {
      write: async (pieces, offset) => {
        await this.#change();
        let at = offset;
        for (const piece of pieces) {
          put({ kind: 'write', offset: at, bytes: piece.slice() });
          at += piece.byteLength;
        }
        return at - offset;
      },
      read: async (into, offset) => {
        await this.#step();
        const bytes = file.now.view().subarray(offset, offset + into.byteLength);
        into.set(bytes);
        return bytes.byteLength;
      },
      truncate: async (bytes) => {
        await this.#change();
        put({ kind: 'truncate', bytes });
      },
      fdatasync: async () => {
        await this.#change();
        if (this.#options.isFdatasyncIgnored) return;
        for (const change of file.unsynced) file.durable.apply(change);
        file.unsynced = [];
      },
      bytes: async () => {
        await this.#step();
        return file.now.length;
      },
      close: async () => undefined,
    };
  }

  /** A turn of the loop, as real I/O takes: appends and syncs get to overlap. */
  async #step(): Promise<void> {
    await new Promise<void>((resolve) => setImmediate(resolve));
    if (this.#isOff) throw fail('EIO', 'the power is off');
  }

  async #change(): Promise<void> {
    await this.#step();
    if (this.#operationsLeft <= 0) this.#isOff = true;
    if (this.#isOff) throw fail('EIO', 'the power is off');
    this.#operationsLeft--;
    this.operations++;
  }

  #find(path: string): Node | undefined {
    let node: Node | undefined = this.#root;
    for (const name of path.split('/').filter((part) => part !== '')) {
      node = node?.kind === 'directory' ? node.now.get(name) : undefined;
    }
    return node;
  }

  #requireDirectory(path: string): Directory {
    const node = this.#find(path);
    if (node === undefined) throw fail('ENOENT', path);
    if (node.kind === 'file') throw fail('ENOTDIR', path);
    return node;
  }

  #locate(path: string): { directory: Directory; name: string } {
    const slash = path.lastIndexOf('/');
    return { directory: this.#requireDirectory(path.slice(0, slash)), name: path.slice(slash + 1) };
  }
}

function rename(directory: Directory, change: NameChange): void {
  applyNames(directory.now, change);
  directory.unsynced.push(change);
}

function applyNames(names: Names, change: NameChange): void {
  for (const { name, node } of change) {
    if (node === undefined) names.delete(name);
    else names.set(name, node);
  }
}

function surviveDirectory(
  directory: Directory,
  cut: PowerCutOptions,
  files: Map<File, File>,
): Directory {
  const names: Names = new Map(directory.durable);
  for (const change of directory.unsynced) {
    if (cut.random !== undefined && cut.random() < 0.5) applyNames(names, change);
  }
  const survived: Names = new Map();
  for (const [name, node] of names) {
    survived.set(name, node.kind === 'file'
      ? surviveFile(node, cut, files)
      : surviveDirectory(node, cut, files));
  }
  return makeDirectory(survived);
}

/** A file with two names stays one file. */
function surviveFile(file: File, cut: PowerCutOptions, files: Map<File, File>): File {
  const known = files.get(file);
  if (known !== undefined) return known;
  const content = file.durable.clone();
  for (const change of file.unsynced) {
    if (cut.random !== undefined) surviveChange(content, change, cut.random);
  }
  const survived: File = { kind: 'file', now: content.clone(), durable: content, unsynced: [] };
  files.set(file, survived);
  return survived;
}

function surviveChange(content: Content, change: Change, random: () => number): void {
  if (change.kind === 'truncate') {
    if (random() < 0.5) content.apply(change);
    return;
  }
  const { offset, bytes } = change;
  for (let at = 0; at < bytes.byteLength; ) {
    const end = Math.min(
      bytes.byteLength,
      (Math.floor((offset + at) / SECTOR_BYTES) + 1) * SECTOR_BYTES - offset,
    );
    if (random() < 0.5) {
      content.apply({ kind: 'write', offset: offset + at, bytes: bytes.subarray(at, end) });
    }
    at = end;
  }
}
