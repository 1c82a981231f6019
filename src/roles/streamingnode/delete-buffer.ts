// A shard's deletes by key: the durable files, and in columns what has come since. Segments loaded
// at any time get from here every delete newer than their file (R3). Bounded: past a size the shard
// writes the pending ones to a file, and past `DELETE_BYTES_MAX` it takes no more.

import { DeleteBatchBuilder, type DeleteRun } from '../../codec/delete-batch.ts';
import { native } from '../../index/native.ts';
import { MilvusError } from '../../model/error.ts';
import type { DeleteFile } from '../../model/segment-info.ts';
import type { Logger } from '../../base/logger.ts';
import { mergeDeleteFiles } from '../../segment/delete-files.ts';
import {
  getRecordedFile,
  type ObjectDigest,
  type ObjectStorage,
} from '../../storage/object-storage.ts';
import type { ChannelCommits } from './channel-commits.ts';

/** Past so many small files they are merged into one, without what no segment needs any more. */
const FILES_MAX = 8;
/** Files are merged as long as they have no more bytes together: a merge holds all of them. */
const MERGED_BYTES_MAX = 64 * 1024 * 1024;
/** Deletes that wait because their file cannot be written; further ones are refused. */
const DELETE_BYTES_MAX = 256 * 1024 * 1024;
/** What a run costs besides its keys. */
const RUN_BYTES = 28;
const NO_POSITION = 2n ** 62n;

export interface DeleteFileWriter {
  readonly storage: ObjectStorage;
  readonly logger: Logger;
  /** Names the file, and hears when it is given up. */
  readonly commits: Pick<ChannelCommits, 'beginFile' | 'giveUp'>;
}

export class DeleteBuffer {
  files: readonly DeleteFile[];
  #pending = new DeleteBatchBuilder();
  #firstPosition = NO_POSITION;
  /** Of deletes that are checked and not yet here. */
  #reservedBytes = 0;

  constructor(files: readonly DeleteFile[]) {
    this.files = files;
  }

  get bytes(): number {
    return this.#pending.bytes;
  }

  /** Whether every delete is in a file. */
  get isEmpty(): boolean {
    return this.#pending.runs === 0;
  }

  /**
   * Makes room for deletes before they are appended to the WAL (R8); `release` gives it back.
   * @throws MilvusError MemoryLimitExceeded with need and have
   */
  reserve(bytes: number): void {
    const have = DELETE_BYTES_MAX - this.bytes - this.#reservedBytes;
    if (bytes > have && !this.isEmpty) {
      throw new MilvusError('MemoryLimitExceeded', {
        message: 'deletes are at their limit; retry when they have been written out',
        fields: { need: bytes, have, limit: DELETE_BYTES_MAX },
      });
    }
    this.#reservedBytes += bytes;
  }

  release(bytes: number): void {
    this.#reservedBytes -= bytes;
  }

  /** Deletes that a file already holds are dropped: replay meets them again. */
  push(run: DeleteRun, position: bigint): void {
    if (run.timestamp <= this.lastFileTimestamp()) return;
    if (this.isEmpty) this.#firstPosition = position;
    this.#pending.push(run);
  }

  /** Position of the first delete that only the WAL has; larger than any when there is none. */
  firstPosition(): bigint {
    return this.#firstPosition;
  }

  lastFileTimestamp(): bigint {
    return this.files.at(-1)?.toTimestamp ?? 0n;
  }

  /** The pending deletes as of this turn, as a batch of its own. */
  encodePending(): Uint8Array {
    return this.#pending.encode((bytes, seed) => native.crc32c(bytes, seed));
  }

  /** The catalog now lists these files, and they hold all that was pending. */
  setFiles(files: readonly DeleteFile[]): void {
    this.files = files;
    this.clear();
  }

  clear(): void {
    this.#pending = new DeleteBatchBuilder();
    this.#firstPosition = NO_POSITION;
  }

  /**
   * Writes the pending deletes to a new file and returns the shard's new list of files. Nothing may
   * be pushed until the list is set or the attempt is given up.
   * @param neededAfter no segment lacks a delete at or before it; undefined = there is no segment,
   *   none is needed
   */
  async writeFiles(
    writer: DeleteFileWriter,
    neededAfter: bigint | undefined,
  ): Promise<readonly DeleteFile[]> {
    if (neededAfter === undefined) return [];
    const needed = this.files.filter((file) => file.toTimestamp > neededAfter);
    if (this.isEmpty) return needed;
    const { runs, fromTimestamp, toTimestamp } = this.#pending;
    let bytes = this.encodePending();
    let fresh = { entries: runs, fromTimestamp, toTimestamp };
    let kept: readonly DeleteFile[] = needed;
    const merged = selectMerged(needed, bytes.byteLength);
    if (merged.length > 0) {
      const load = (file: DeleteFile): Promise<Uint8Array> =>
        getRecordedFile(writer.storage, file);
      try {
        bytes = await mergeDeleteFiles(load, merged, neededAfter, bytes);
        kept = needed.slice(0, needed.length - merged.length);
        const entries = merged.reduce((sum, file) => sum + file.entries, runs);
        fresh = { entries, fromTimestamp: merged[0]!.fromTimestamp, toTimestamp };
      } catch (error) {
        // The checkpoint does not depend on it. Whoever opens a segment meets the damage.
        writer.logger.error({ files: merged.length, error }, 'deletes not merged');
      }
    }
    const { file, digest } = await write(writer, bytes);
    const written = { file, fileBytes: digest.bytes, crc32c: digest.crc32c, ...fresh };
    return [...kept, written];
  }
}

async function write(
  { storage, commits }: DeleteFileWriter,
  bytes: Uint8Array,
): Promise<{ file: string; digest: ObjectDigest }> {
  const file = await commits.beginFile(undefined);
  try {
    return { file, digest: await storage.put(file, bytes) };
  } catch (error) {
    await commits.giveUp([file]);
    throw error;
  }
}

/**
 * The newest files when there are many of them and they are small enough together: so each delete
 * is rewritten a bounded number of times, and the files are no more than `FILES_MAX` and one for
 * every `MERGED_BYTES_MAX / FILES_MAX` bytes of deletes.
 */
function selectMerged(files: readonly DeleteFile[], freshBytes: number): readonly DeleteFile[] {
  let bytes = freshBytes;
  let count = 0;
  for (const { fileBytes } of files.toReversed()) {
    bytes += fileBytes;
    if (bytes > MERGED_BYTES_MAX) break;
    count += 1;
  }
  return count >= FILES_MAX ? files.slice(files.length - count) : [];
}

/** What the deletes of a write take in the buffer. */
export function countDeleteBytes(keys: Uint8Array): number {
  return RUN_BYTES + keys.byteLength;
}
