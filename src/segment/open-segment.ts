// Opens a stored segment: reads the file's metadata, maps its columns, applies the deletes that it
// lacks.

import { nextTurn, TurnMeter, VALUES_PER_TURN } from '../base/turns.ts';
import { native, type NativeSegment } from '../index/native.ts';
import type { DeleteFileEntry } from '../codec/delete-file.ts';
import { MilvusError } from '../model/error.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { SegmentInfo } from '../model/segment-info.ts';
import { getNativeFields } from './native-fields.ts';
import { readSegmentLayout, verifySegmentFile } from './segment-file.ts';

/** Read at a time. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** What opening needs of a storage. */
export interface SegmentFiles {
  getRange(key: string, offset: number, length: number): Promise<Uint8Array>;
  openLocal(key: string): Promise<{ readonly path: string; close(): void }>;
}

/** A segment with the file that it maps: both are let go of together. */
export interface OpenSegment {
  readonly handle: NativeSegment;
  close(): void;
}

/** The caller closes it. @throws MilvusError DataIntegrity, IoFailed */
export async function openSegment(
  files: SegmentFiles,
  schema: CollectionSchema,
  segment: SegmentInfo,
): Promise<OpenSegment> {
  const { file, fileBytes } = segment;
  const { rows, layout } = await readSegmentLayout(file, fileBytes, (offset, length) =>
    files.getRange(file, offset, length),
  );
  const local = await files.openLocal(file);
  try {
    const handle = native.openSealed(getNativeFields(schema), local.path, rows, layout);
    const close = (): void => {
      native.closeSegment(handle);
      local.close();
    };
    return { handle, close };
  } catch (error) {
    local.close();
    throw error;
  }
}

/**
 * Reads the whole file against its checksums (R16): its own, and where the record has none those of
 * its buffers, which also say where the damage is.
 * @throws MilvusError DataIntegrity, IoFailed; the signal's reason
 */
export async function verifySegment(
  files: Pick<SegmentFiles, 'getRange'>,
  { file, fileBytes, crc32c }: Pick<SegmentInfo, 'file' | 'fileBytes' | 'crc32c'>,
  signal?: AbortSignal,
): Promise<void> {
  const read = (offset: number, length: number): Promise<Uint8Array> => {
    signal?.throwIfAborted();
    return files.getRange(file, offset, length);
  };
  if (crc32c !== undefined && (await readChecksum(fileBytes, read)) === crc32c) return;
  await verifySegmentFile(file, fileBytes, read);
  if (crc32c === undefined) return;
  throw new MilvusError('DataIntegrity', {
    message: 'segment file: checksum of the whole, its buffers are sound',
    fields: { file },
  });
}

async function readChecksum(
  fileBytes: number,
  read: (offset: number, length: number) => Promise<Uint8Array>,
): Promise<number> {
  let checksum = 0;
  for (let at = 0; at < fileBytes; at += PIECE_BYTES) {
    checksum = native.crc32c(await read(at, Math.min(PIECE_BYTES, fileBytes - at)), checksum);
  }
  return checksum;
}

/**
 * Applies, in order, the deletes that may concern the segment and are not in its file yet (R3), in
 * turns of the event loop. The segment must stay open meanwhile.
 */
export async function applyDeletes(
  handle: NativeSegment,
  segment: Pick<SegmentInfo, 'partitionId' | 'deletesUpTo'>,
  entries: readonly DeleteFileEntry[],
): Promise<void> {
  const turn = new TurnMeter(VALUES_PER_TURN);
  for (const entry of entries) {
    if (turn.isOver(entry.keys.values.length)) await nextTurn();
    applyDelete(handle, segment, entry);
  }
}

/** The same with one delete, at once. */
export function applyDelete(
  handle: NativeSegment,
  segment: Pick<SegmentInfo, 'partitionId' | 'deletesUpTo'>,
  { keys, timestamp, killsUpTo, partitionId }: DeleteFileEntry,
): void {
  if (timestamp <= segment.deletesUpTo) return;
  if (partitionId !== 0n && partitionId !== segment.partitionId) return;
  native.deleteKeys(handle, keys.values, timestamp, killsUpTo);
}
