// Opens a stored segment: reads the file's metadata and maps its columns. The deletes that it lacks
// are applied by delete-files.ts.

import { native, type NativeSegment } from '../index/native.ts';
import type { CollectionSchema } from '../model/schema.ts';
import type { SegmentInfo } from '../model/segment-info.ts';
import { getNativeFields } from './native-fields.ts';
import { readSegmentLayout } from './segment-file.ts';

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
    const handle = await native.openSealed(getNativeFields(schema), local.path, rows, layout);
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
