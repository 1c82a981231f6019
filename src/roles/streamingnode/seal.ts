// Writes a growing segment out as a segment file, sorted by primary key, and puts it in its place.
// Rows that were deleted before the retention horizon stay out; later deletes are applied again by
// key (R3).

import { native } from '../../index/native.ts';
import { SegmentState, type SegmentInfo } from '../../model/segment-info.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { writeSegmentFile } from '../../segment/segment-file.ts';
import type { Shard } from './shard.ts';
import type { GrowingSegment } from './view.ts';

export async function sealSegment(shard: Shard, growing: GrowingSegment): Promise<void> {
  // What was stamped into this segment before it was closed gets applied first.
  await shard.run(async () => undefined);
  const { storage } = shard.deps;
  const { collectionId } = shard.info;
  const deletesUpTo = await shard.chooseDeletesUpTo(growing);
  if (!shard.view.growing.has(growing.segmentId)) return; // Dropped meanwhile.
  const file = `segments/${collectionId}/${growing.segmentId}`;
  const stats = native.segmentStats(growing.handle);
  const writer = await native.createWriter([growing.handle], deletesUpTo);
  let rows: number;
  let fileBytes = 0;
  // Read now: a field may have been added before the writer took the segment's columns.
  const { schema } = shard.info;
  try {
    rows = native.writerRows(writer);
    if (rows > 0) {
      const object = await storage.createWriter(file);
      try {
        fileBytes = await writeSegmentFile(schema, getNativeFields(schema), writer, object);
        await object.finish();
      } catch (error) {
        await object.abort();
        throw error;
      }
    }
  } finally {
    native.closeWriter(writer);
  }
  const segment: SegmentInfo = {
    segmentId: growing.segmentId,
    collectionId,
    partitionId: growing.partitionId,
    vchannel: shard.vchannel,
    state: rows > 0 ? SegmentState.Flushed : SegmentState.Dropped,
    rows,
    file: rows > 0 ? file : '',
    fileBytes,
    deletesUpTo,
    lastPosition: growing.lastPosition,
    minTimestamp: stats.minTimestamp,
    maxTimestamp: stats.maxTimestamp,
    compactedFrom: [],
  };
  await shard.run(() => shard.commitSealed(growing, segment));
}
