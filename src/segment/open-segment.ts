// Opens a stored segment: reads the file's metadata and maps its columns. The deletes that it lacks
// are applied by delete-files.ts.

import { native, type NativeSegment } from '../index/native.ts';
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
