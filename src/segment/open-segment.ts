// Opens a stored segment: reads the file's metadata, maps its columns, applies the deletes that it
// lacks.

import { nextTurn, TurnMeter, VALUES_PER_TURN } from '../base/turns.ts';
import { native, type NativeSegment } from '../index/native.ts';
import type { DeleteFileEntry } from '../codec/delete-file.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { SegmentInfo } from '../model/segment-info.ts';
import { getNativeFields } from './native-fields.ts';
import { readSegmentLayout, verifySegmentFile } from './segment-file.ts';

/** What opening needs of a storage. */
export interface SegmentFiles {
  getRange(key: string, offset: number, length: number): Promise<Uint8Array>;
  openLocal(key: string): Promise<string>;
}

/** The caller closes the handle. @throws MilvusError DataIntegrity, IoFailed */
export async function openSegment(
  files: SegmentFiles,
  schema: CollectionSchema,
  segment: SegmentInfo,
): Promise<NativeSegment> {
  const { file, fileBytes } = segment;
  const { rows, layout } = await readSegmentLayout(file, fileBytes, (offset, length) =>
    files.getRange(file, offset, length),
  );
  return native.openSealed(getNativeFields(schema), await files.openLocal(file), rows, layout);
}

/**
 * Reads the whole file against its checksums (R16).
 * @throws MilvusError DataIntegrity, IoFailed; the signal's reason
 */
export async function verifySegment(
  files: Pick<SegmentFiles, 'getRange'>,
  { file, fileBytes }: Pick<SegmentInfo, 'file' | 'fileBytes'>,
  signal?: AbortSignal,
): Promise<void> {
  await verifySegmentFile(file, fileBytes, (offset, length) => {
    signal?.throwIfAborted();
    return files.getRange(file, offset, length);
  });
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
