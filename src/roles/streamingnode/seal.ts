// Writes a growing segment out as a segment file, sorted by primary key, and puts it in its place.
// Rows that were deleted before the retention horizon stay out; later deletes are applied again by
// key (R3).

import { native, type NativeSegmentWriter } from '../../index/native.ts';
import { SegmentState, type SegmentInfo } from '../../model/segment-info.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { writeSegmentFile } from '../../segment/segment-file.ts';
import type { Shard } from './shard.ts';
import type { GrowingSegment } from './view.ts';

export async function sealSegment(shard: Shard, growing: GrowingSegment): Promise<void> {
  // What was stamped into this segment before it was closed gets applied first.
  await shard.run(async () => undefined);
  const deletesUpTo = await shard.chooseDeletesUpTo(growing);
  if (!shard.view.growing.has(growing.segmentId)) return; // Dropped meanwhile.
  const { minTimestamp, maxTimestamp } = native.segmentStats(growing.handle);
  const writer = await native.createWriter([growing.handle], deletesUpTo);
  const written = await writeFile(shard, growing, writer);
  const segment: SegmentInfo = {
    segmentId: growing.segmentId,
    collectionId: shard.info.collectionId,
    partitionId: growing.partitionId,
    vchannel: shard.vchannel,
    state: written.rows > 0 ? SegmentState.Flushed : SegmentState.Dropped,
    ...written,
    deletesUpTo,
    lastPosition: growing.lastPosition,
    minTimestamp,
    maxTimestamp,
    compactedFrom: [],
  };
  try {
    await shard.run(() => shard.commitSealed(growing, segment));
  } catch (error) {
    if (segment.file !== '') await shard.commits.giveUp([segment.file]);
    throw error;
  }
}

/** Writes what the writer laid out; no row, no file. */
async function writeFile(
  shard: Shard,
  { segmentId }: GrowingSegment,
  writer: NativeSegmentWriter,
): Promise<Pick<SegmentInfo, 'rows' | 'file' | 'fileBytes' | 'crc32c'>> {
  // Read now: a field may have been added before the writer took the segment's columns.
  const { schema } = shard.info;
  try {
    const rows = native.writerRows(writer);
    if (rows === 0) return { rows, file: '', fileBytes: 0 };
    const file = await shard.commits.beginFile(segmentId);
    try {
      const object = await shard.deps.storage.createWriter(file);
      try {
        await writeSegmentFile(schema, getNativeFields(schema), writer, object);
        const { bytes, crc32c } = await object.finish();
        return { rows, file, fileBytes: bytes, crc32c };
      } catch (error) {
        await object.abort();
        throw error;
      }
    } catch (error) {
      await shard.commits.giveUp([file]);
      throw error;
    }
  } finally {
    native.closeWriter(writer);
  }
}
