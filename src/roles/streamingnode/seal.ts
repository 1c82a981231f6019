// Writes a growing segment out as a segment file, sorted by primary key, and puts it in its place.
// Rows that were deleted before the retention horizon stay out; later deletes are applied again by
// key (R3).

import { native, type NativeSegmentWriter } from '../../index/native.ts';
import { SegmentState, type SegmentInfo } from '../../model/segment-info.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { writeSegmentFile } from '../../segment/segment-file.ts';
import { getMessage } from './shard-health.ts';
import type { Shard } from './shard.ts';
import type { GrowingSegment } from './view.ts';

/** After a failure it is tried again, later and later. */
const RETRY_MS = 1000;
const RETRY_MS_MAX = 60_000;

/**
 * Tries until it is written or no longer wanted. A segment that cannot be written stays readable,
 * and in the WAL, and says why. Never rejects.
 */
export async function sealUntilWritten(
  shard: Shard,
  growing: GrowingSegment,
  onTried: (isWritten: boolean) => void = () => undefined,
): Promise<void> {
  for (let delayMs = RETRY_MS; shard.isWanted(growing); ) {
    try {
      growing.failure = undefined;
      await sealSegment(shard, growing);
      onTried(true);
      return shard.health.clearSealFailure();
    } catch (error) {
      growing.deletesUpTo = undefined;
      growing.failure = getMessage(error);
      shard.health.reportSealFailure(shard.info, growing.segmentId, error);
    }
    onTried(false);
    await shard.waitForSeal(delayMs);
    delayMs = Math.min(2 * delayMs, RETRY_MS_MAX);
  }
  onTried(false);
  // Whoever waits for it is told; without effect on one that is gone.
  growing.failure ??= 'the collection is stopped';
}

async function sealSegment(shard: Shard, growing: GrowingSegment): Promise<void> {
  // What was assigned to this segment before it was closed gets applied first.
  await shard.settle();
  if (growing.rows === 0 && shard.isWanted(growing)) {
    shard.growing.forget(growing);
    return;
  }
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
