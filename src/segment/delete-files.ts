// Delete files meet segments: reads them one after another, so that memory holds one, and has
// native apply or merge them.

import { damagedDeleteFile, readDeleteFile } from '../codec/delete-file.ts';
import { native, type NativeDeleteTarget, type NativeSegment } from '../index/native.ts';
import type { DeleteFile, SegmentInfo } from '../model/segment-info.ts';

/** Returns a file's bytes. */
type LoadFile = (file: DeleteFile) => Promise<Uint8Array>;

/** StatusCode::kDataIntegrity of native/core/base/status.h. */
const NATIVE_DATA_INTEGRITY = 1009;

/**
 * Says which deletes concern a segment: those of its partition, later than what its file has left
 * out already (R3) and later than its first row.
 */
export function makeDeleteTarget(
  handle: NativeSegment,
  segment: Pick<SegmentInfo, 'partitionId' | 'deletesUpTo' | 'minTimestamp'>,
): NativeDeleteTarget {
  const { partitionId, deletesUpTo, minTimestamp } = segment;
  return {
    segment: handle,
    partitionId,
    deletesUpTo: minTimestamp > deletesUpTo ? minTimestamp : deletesUpTo,
  };
}

/**
 * Applies to each segment the deletes of the files that are newer than its own file (R3).
 * @param files  in the order of time
 * @throws MilvusError DataIntegrity naming the file, IoFailed
 */
export async function applyDeleteFiles(
  load: LoadFile,
  targets: readonly NativeDeleteTarget[],
  files: readonly DeleteFile[],
): Promise<void> {
  for (const file of files) {
    const lacking = targets.filter(({ deletesUpTo }) => file.toTimestamp > deletesUpTo);
    if (lacking.length === 0) continue;
    const batch = await loadBatch(load, file);
    await explainDamage(file, native.applyDeletes(lacking, batch));
  }
}

/**
 * Returns one batch: the files' deletes later than `after`, then those of `newest`.
 * @param files  in the order of time
 * @throws MilvusError DataIntegrity naming a file, IoFailed
 */
export async function mergeDeleteFiles(
  load: LoadFile,
  files: readonly DeleteFile[],
  after: bigint,
  newest: Uint8Array,
): Promise<Uint8Array> {
  const batches: Uint8Array[] = [];
  for (const file of files) {
    const batch = await loadBatch(load, file);
    batches.push(await explainDamage(file, native.mergeDeletes([batch], after)));
  }
  return native.mergeDeletes([...batches, newest], 0n);
}

/** Reads a file against its checksums. @throws MilvusError DataIntegrity naming it, IoFailed */
export async function verifyDeleteFile(load: LoadFile, file: DeleteFile): Promise<void> {
  const batch = await loadBatch(load, file);
  // None of its deletes is later: native reads all of it and has nothing to return.
  await explainDamage(file, native.mergeDeletes([batch], file.toTimestamp));
}

async function loadBatch(load: LoadFile, file: DeleteFile): Promise<Uint8Array> {
  const bytes = await load(file);
  return readDeleteFile(bytes, file.file, (part, seed) => native.crc32c(part, seed));
}

/** Native knows bytes, not files. */
async function explainDamage<T>({ file }: DeleteFile, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (!isDamage(error)) throw error;
    throw damagedDeleteFile(file, error.message);
  }
}

function isDamage(error: unknown): error is Error {
  return error instanceof Error && 'code' in error && error.code === NATIVE_DATA_INTEGRITY;
}
