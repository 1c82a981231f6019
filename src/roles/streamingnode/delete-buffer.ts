// A shard's deletes by key: the durable files, and what has come since. Segments loaded at any time
// get from here every delete newer than their file (R3). Bounded: past a size the shard writes the
// pending ones to a file.

import { decodeDeleteFile, encodeDeleteFile } from '../../codec/delete-file.ts';
import type { DeleteFile } from '../../model/segment-info.ts';
import type { DeleteEntry } from '../../rpc/contract.ts';
import {
  getRecordedFile,
  type ObjectDigest,
  type ObjectStorage,
} from '../../storage/object-storage.ts';
import type { ChannelCommits } from './channel-commits.ts';

/** Past so many files they are merged into one, without what no segment needs any more. */
const FILES_MAX = 8;
const NO_POSITION = 2n ** 62n;
/** What an entry costs besides its keys. */
const ENTRY_BYTES = 64;

export class DeleteBuffer {
  files: readonly DeleteFile[];
  bytes = 0;
  readonly #pending: { entry: DeleteEntry; position: bigint; bytes: number }[] = [];

  constructor(files: readonly DeleteFile[]) {
    this.files = files;
  }

  /** Deletes that a file already holds are dropped: replay meets them again. */
  push(entry: DeleteEntry, position: bigint): void {
    if (entry.timestamp <= this.lastFileTimestamp()) return;
    const bytes = ENTRY_BYTES + countKeyBytes(entry);
    this.#pending.push({ entry, position, bytes });
    this.bytes += bytes;
  }

  /** Position of the first delete that only the WAL has; larger than any when there is none. */
  firstPosition(): bigint {
    return this.#pending[0]?.position ?? NO_POSITION;
  }

  lastFileTimestamp(): bigint {
    return this.files.at(-1)?.toTimestamp ?? 0n;
  }

  listPending(): DeleteEntry[] {
    return this.#pending.map(({ entry }) => entry);
  }

  takePending(): readonly DeleteEntry[] {
    return this.listPending();
  }

  /** The catalog now lists these files, and they hold the first `written` pending deletes. */
  setFiles(files: readonly DeleteFile[], written: number): void {
    this.files = files;
    for (const { bytes } of this.#pending.splice(0, written)) this.bytes -= bytes;
  }

  clear(): void {
    this.#pending.length = 0;
    this.bytes = 0;
  }

  /**
   * Writes the pending deletes to a new file and returns the shard's new list of files.
   * @param neededAfter no segment lacks a delete at or before it; undefined = there is no segment,
   *   none is needed
   */
  async writeFiles(
    storage: ObjectStorage,
    commits: ChannelCommits,
    pending: readonly DeleteEntry[],
    neededAfter: bigint | undefined,
  ): Promise<readonly DeleteFile[]> {
    const needed = this.files.filter(
      (file) => neededAfter !== undefined && file.toTimestamp > neededAfter,
    );
    const fresh = neededAfter === undefined ? [] : pending;
    if (fresh.length === 0) return needed;
    let entries: DeleteEntry[] = [...fresh];
    let kept = needed;
    if (needed.length >= FILES_MAX) {
      const old: DeleteEntry[] = [];
      for (const file of needed) {
        old.push(...decodeDeleteFile(await getRecordedFile(storage, file), file.file));
      }
      entries = [...old.filter(({ timestamp }) => timestamp > (neededAfter ?? 0n)), ...entries];
      kept = [];
    }
    const bytes = await encodeDeleteFile(entries);
    const file = await commits.beginFile(undefined);
    let digest: ObjectDigest;
    try {
      digest = await storage.put(file, bytes);
    } catch (error) {
      await commits.giveUp([file]);
      throw error;
    }
    const written: DeleteFile = {
      file,
      fileBytes: digest.bytes,
      crc32c: digest.crc32c,
      entries: entries.length,
      fromTimestamp: entries[0]!.timestamp,
      toTimestamp: entries.at(-1)!.timestamp,
    };
    return [...kept, written];
  }
}

function countKeyBytes({ keys }: DeleteEntry): number {
  if (keys.kind === 'int64') return keys.values.byteLength;
  return keys.values.reduce((sum, key) => sum + 2 * key.length, 0);
}

/** What a delete of a record, stamped with `timestamp`, does to rows. */
export function toDeleteEntry(
  part: { partitionId: bigint; killsUpTo: bigint; keys: DeleteEntry['keys'] },
  timestamp: bigint,
): DeleteEntry {
  const { partitionId, keys } = part;
  const killsUpTo = part.killsUpTo === 0n ? timestamp - 1n : part.killsUpTo;
  return { keys, timestamp, killsUpTo, partitionId };
}
