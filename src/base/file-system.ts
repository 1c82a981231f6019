// The few file operations that durable code needs, as an interface, so that tests can put faults
// and power cuts under the write-ahead log and the object storage (R26). Types only: no I/O here.
// Invariant for users: a write is durable after `fdatasync` of its file, a name (create, rename,
// unlink, make directory) after `syncDirectory` of its directory, and neither before.
// Errors are Node's: an Error with a string `code` such as ENOENT or ENOSPC.

/**
 * `read` and `write` want an existing file; `create` refuses one and allows reading too. `adopt` is
 * `write` for a file that native code has made at the path by itself: its bytes and its name count
 * as written here, and not yet synced.
 */
export type OpenMode = 'read' | 'write' | 'create' | 'adopt';

export interface FileHandle {
  /** Writes the pieces one after another from `offset`; returns the bytes written, maybe fewer. */
  write(pieces: readonly Uint8Array[], offset: number): Promise<number>;
  /** Fills `into` from `offset`; returns the bytes read, fewer at the end of the file. */
  read(into: Uint8Array, offset: number): Promise<number>;
  /** Sets the length; never used on a file that someone may have mapped (R16). */
  truncate(bytes: number): Promise<void>;
  /** Makes content and length durable. After an error the content must be taken for lost. */
  fdatasync(): Promise<void>;
  /** The file's length. */
  bytes(): Promise<number>;
  close(): Promise<void>;
}

export interface DirectoryEntry {
  readonly name: string;
  readonly isDirectory: boolean;
}

export interface FileStat {
  readonly bytes: number;
  readonly isDirectory: boolean;
}

export interface FileSystem {
  open(path: string, mode: OpenMode): Promise<FileHandle>;
  /** Atomically gives the file a new name, replacing what had it. */
  rename(from: string, to: string): Promise<void>;
  unlink(path: string): Promise<void>;
  /** Makes one directory, not its parents; EEXIST when there is something of that name. */
  makeDirectory(path: string): Promise<void>;
  /** Takes an empty directory away; ENOTEMPTY when there is something in it. */
  removeDirectory(path: string): Promise<void>;
  /** The entries in no particular order. */
  readDirectory(path: string): Promise<DirectoryEntry[]>;
  syncDirectory(path: string): Promise<void>;
  /** undefined = nothing has that name. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Bytes that a write may still take on the disk of `path`; undefined = unknown. */
  freeBytes(path: string): Promise<number | undefined>;
}
