// The index node: builds one index over one segment and stores it. Stateless.

import type { ByteBudget } from '../../base/byte-budget.ts';
import {
  native,
  takeJobId,
  type NativeColumnLayout,
  type NativeFileDigest,
} from '../../index/native.ts';
import { getPhysicalIndex } from '../../model/index/physical-index.ts';
import { findFieldById } from '../../model/schema.ts';
import type { IndexFile, SegmentInfo } from '../../model/segment-info.ts';
import type { IndexNode } from '../../rpc/contract.ts';
import { buildWithin, getIndexBuildBytes } from '../../segment/build-bytes.ts';
import { openSegment } from '../../segment/open-segment.ts';
import { readSegmentLayout } from '../../segment/segment-file.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';

export interface IndexNodeDeps {
  readonly storage: ObjectStorage;
  /** Memory for builds and merges. */
  readonly buildMemory: ByteBudget;
  /** How long a build took, for metrics. */
  readonly onBuilt: (milliseconds: number) => void;
  readonly nowMs: () => number;
}

export class IndexNodeRole implements IndexNode {
  readonly #deps: IndexNodeDeps;
  readonly #jobs = new Set<number>();

  constructor(deps: IndexNodeDeps) {
    this.#deps = deps;
  }

  async stop(): Promise<void> {
    for (const job of this.#jobs) native.cancelJob(job);
  }

  readonly build: IndexNode['build'] = async ({ schema, segment, index, file }, call) => {
    const { storage, buildMemory, nowMs, onBuilt } = this.#deps;
    const { collectionId, segmentId, rows } = segment;
    const { indexId, fieldId } = index;
    const base = { collectionId, segmentId, indexId, fieldId, rows };
    const params = getPhysicalIndex(index, rows);
    if (params === undefined) return { file: { ...base, file: '', fileBytes: 0 } };
    const column = await findColumn(storage, segment, fieldId);
    const field = findFieldById(schema, fieldId);
    if (column === undefined || field === undefined) {
      return { file: { ...base, file: '', fileBytes: 0 } };
    }
    const started = nowMs();
    const opened = await openSegment(storage, schema, segment);
    const job = takeJobId();
    const cancel = (): void => native.cancelJob(job);
    this.#jobs.add(job);
    call.signal?.addEventListener('abort', cancel, { once: true });
    try {
      const memoryBytes = getIndexBuildBytes(field, params, rows, column);
      const { bytes, crc32c } = await buildWithin(buildMemory, memoryBytes, call.signal, () =>
        writeFile(storage, file, (path) =>
          native.buildIndex(opened.handle, fieldId, params, path, job),
        ),
      );
      onBuilt(nowMs() - started);
      return { file: { ...base, file, fileBytes: bytes, crc32c } satisfies IndexFile };
    } finally {
      this.#jobs.delete(job);
      call.signal?.removeEventListener('abort', cancel);
      opened.close();
    }
  };
}

/** Publishes the file that `write` leaves at the path. */
async function writeFile(
  storage: ObjectStorage,
  key: string,
  write: (path: string) => Promise<NativeFileDigest>,
): Promise<NativeFileDigest> {
  const output = await storage.createLocal(key);
  try {
    const digest = await write(output.path);
    await output.finish();
    return digest;
  } catch (error) {
    await output.abort();
    throw error;
  }
}

/**
 * A segment from before the field was added has nothing to index: its rows are all null there, or
 * all the default.
 */
async function findColumn(
  storage: ObjectStorage,
  { file, fileBytes }: SegmentInfo,
  fieldId: bigint,
): Promise<NativeColumnLayout | undefined> {
  const { layout } = await readSegmentLayout(file, fileBytes, (offset, length) =>
    storage.getRange(file, offset, length),
  );
  return layout.find((column) => column.fieldId === fieldId);
}
