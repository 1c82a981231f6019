// Files on their way out. The transaction that drops the last record of a file writes a garbage
// record that names it; the data coordinator removes the files once the record is due. So a file
// never goes before the record that names it, and never stays behind, whenever a process dies.
// Keys of files are used once: what is garbage can never be needed again.

import { KEYS, type CatalogWrite } from './catalog.ts';

/** What began to read a file before it became garbage has opened it by then. */
export const GARBAGE_GRACE_MS = 30_000;

/** Files that one record names, so that it stays small; callers make several records of more. */
export const GARBAGE_FILES_MAX = 1000;

export interface Garbage {
  readonly files?: readonly string[];
  /** Each ends in `/`. */
  readonly prefixes?: readonly string[];
}

/** The writes, none or one, that make these garbage. */
export function makeGarbage({ files = [], prefixes = [] }: Garbage, nowMs: number): CatalogWrite[] {
  const present = files.filter((file) => file !== '');
  // A file becomes garbage once: its key tells the records of one millisecond apart.
  const name = present[0] ?? prefixes[0];
  if (name === undefined) return [];
  const dueMs = nowMs + GARBAGE_GRACE_MS;
  return [{ key: KEYS.garbage(dueMs, name), record: { dueMs, files: present, prefixes } }];
}

/** Where the storage keeps all files of a collection. */
export function listCollectionPrefixes(collectionId: bigint): string[] {
  return ['segments', 'deletes', 'indexes'].map((folder) => `${folder}/${collectionId}/`);
}
