// Loops over the FileSystem interface that every durable writer needs: whole writes, whole reads,
// directories that survive a power cut. No state and no node:fs: works over any FileSystem.

import type { FileHandle, FileSystem } from './file-system.ts';

/** Returns the `code` of a file system error, or '' when it has none. */
export function getErrorCode(error: unknown): string {
  const code = (error as { code?: unknown } | null | undefined)?.code;
  return typeof code === 'string' ? code : '';
}

export function sumBytes(pieces: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const piece of pieces) bytes += piece.byteLength;
  return bytes;
}

/** Writes all pieces from `offset`, however short the single writes are. Nothing is copied. */
export async function writeAll(
  file: FileHandle,
  pieces: readonly Uint8Array[],
  offset: number,
): Promise<void> {
  let rest = pieces;
  let at = offset;
  let left = sumBytes(pieces);
  while (left > 0) {
    const written = await file.write(rest, at);
    if (written <= 0) throw Object.assign(new Error('write took no bytes'), { code: 'EIO' });
    at += written;
    left -= written;
    if (left > 0) rest = dropBytes(rest, written);
  }
}

function dropBytes(pieces: readonly Uint8Array[], bytes: number): Uint8Array[] {
  const rest: Uint8Array[] = [];
  let drop = bytes;
  for (const piece of pieces) {
    if (drop < piece.byteLength) rest.push(drop === 0 ? piece : piece.subarray(drop));
    drop = Math.max(0, drop - piece.byteLength);
  }
  return rest;
}

/** Fills `into` from `offset`; returns the bytes read, fewer only at the end of the file. */
export async function readFully(
  file: FileHandle,
  into: Uint8Array,
  offset: number,
): Promise<number> {
  let done = 0;
  while (done < into.byteLength) {
    const read = await file.read(done === 0 ? into : into.subarray(done), offset + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}

/** Returns the directory of an absolute or relative path with `/` between names. */
export function getParentPath(path: string): string {
  const slash = path.lastIndexOf('/');
  if (slash < 0) return '.';
  return slash === 0 ? '/' : path.slice(0, slash);
}

/**
 * Makes the directory and its missing parents and makes all their names durable. Those that were
 * there are synced as well: a killed process may have made them and never come to the sync.
 */
export async function makeDurableDirectory(fileSystem: FileSystem, path: string): Promise<void> {
  const parent = getParentPath(path);
  if (parent === path || path === '.' || path === '..') return;
  await makeDurableDirectory(fileSystem, parent);
  await makeDurableEntry(fileSystem, path);
}

/**
 * Makes one directory, unless it is there, and makes its name durable. Its parent must be there.
 */
export async function makeDurableEntry(fileSystem: FileSystem, path: string): Promise<void> {
  let isOurs = false;
  if ((await fileSystem.stat(path)) === undefined) {
    try {
      await fileSystem.makeDirectory(path);
      isOurs = true;
    } catch (error) {
      if (getErrorCode(error) !== 'EEXIST') throw error;
    }
  }
  try {
    await fileSystem.syncDirectory(getParentPath(path));
  } catch (error) {
    // A parent that may not even be read is the system's, as is the name in it.
    const code = getErrorCode(error);
    if (isOurs || (code !== 'EACCES' && code !== 'EPERM')) throw error;
  }
}
