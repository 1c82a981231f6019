// The data node: merges segments and checks their files. Stateless: it opens the inputs by itself,
// applies the durable deletes, writes one output. The retention horizon decides which deleted rows
// still go into it (R3, R5).

import type { ByteBudget } from '../../base/byte-budget.ts';
import { native, type NativeSegment } from '../../index/native.ts';
import { SegmentState, type DeleteFile, type SegmentInfo } from '../../model/segment-info.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import { EMPTY, type DataNode } from '../../rpc/contract.ts';
import { buildWithin, getMergeBytes } from '../../segment/build-bytes.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import {
  applyDeleteFiles,
  makeDeleteTarget,
  verifyDeleteFile,
} from '../../segment/delete-files.ts';
import { openSegment, type OpenSegment } from '../../segment/open-segment.ts';
import { writeSegmentFile } from '../../segment/segment-file.ts';
import { verifyIndexFile, verifySegment } from '../../segment/verify-file.ts';
import {
  getRecordedFile,
  type ObjectDigest,
  type ObjectStorage,
} from '../../storage/object-storage.ts';

export interface DataNodeDeps {
  readonly storage: ObjectStorage;
  /** Memory for builds and merges. */
  readonly buildMemory: ByteBudget;
}

interface CompactRequest {
  readonly schema: CollectionSchema;
  readonly inputs: readonly SegmentInfo[];
  readonly deleteFiles: readonly DeleteFile[];
  readonly target: bigint;
  readonly file: string;
  readonly dropDeletedUpTo: bigint;
}

export class DataNodeRole implements DataNode {
  readonly #storage: ObjectStorage;
  readonly #buildMemory: ByteBudget;
  readonly #running = new Set<Promise<unknown>>();

  constructor(deps: DataNodeDeps) {
    this.#storage = deps.storage;
    this.#buildMemory = deps.buildMemory;
  }

  /** Waits for merges whose callers have gone and that have not noticed yet. */
  async stop(): Promise<void> {
    await Promise.allSettled(this.#running);
  }

  readonly compact: DataNode['compact'] = async (request, { signal }) => {
    const rows = request.inputs.reduce((sum, input) => sum + input.rows, 0);
    const bytes = getMergeBytes(request.schema, rows);
    const work = buildWithin(this.#buildMemory, bytes, signal, () =>
      this.#compact(request, signal),
    );
    this.#running.add(work);
    return work.finally(() => this.#running.delete(work));
  };

  async #compact(
    request: CompactRequest,
    signal: AbortSignal | undefined,
  ): Promise<{ segment?: SegmentInfo }> {
    // Deletes that only the WAL has are unknown here: rows may be dropped up to the newest delete
    // in a file.
    const newest = request.deleteFiles.at(-1)?.toTimestamp ?? 0n;
    const { dropDeletedUpTo } = request;
    const dropUpTo = dropDeletedUpTo < newest ? dropDeletedUpTo : newest;
    const opened: OpenSegment[] = [];
    try {
      for (const input of request.inputs) {
        // Damage must not get a new checksum (R16).
        await verifySegment(this.#storage, input, { signal });
        opened.push(await openSegment(this.#storage, request.schema, input));
      }
      const handles = opened.map(({ handle }) => handle);
      const targets = request.inputs.map((input, i) => makeDeleteTarget(handles[i]!, input));
      await applyDeleteFiles(
        (file) => getRecordedFile(this.#storage, file),
        targets,
        request.deleteFiles,
      );
      return await this.#merge(request, handles, dropUpTo, signal);
    } finally {
      for (const segment of opened) segment.close();
    }
  }

  readonly verify: DataNode['verify'] = async ({ stored }) => {
    switch (stored.kind) {
      case 'segment':
        await verifySegment(this.#storage, stored.segment);
        break;
      case 'deletes':
        await verifyDeleteFile((file) => getRecordedFile(this.#storage, file), stored.deletes);
        break;
      case 'index':
        await verifyIndexFile(this.#storage, stored.index);
        break;
    }
    return EMPTY;
  };

  async #merge(
    { schema, inputs, target, file }: CompactRequest,
    handles: readonly NativeSegment[],
    dropUpTo: bigint,
    signal: AbortSignal | undefined,
  ): Promise<{ segment?: SegmentInfo }> {
    const [first] = inputs;
    if (first === undefined) return {};
    const writer = await native.createWriter(handles, dropUpTo);
    try {
      const rows = native.writerRows(writer);
      if (rows === 0) return {};
      const object = await this.#storage.createWriter(file);
      let digest: ObjectDigest;
      try {
        await writeSegmentFile(schema, getNativeFields(schema), writer, object);
        // Nobody would take the file any more.
        signal?.throwIfAborted();
        digest = await object.finish();
      } catch (error) {
        await object.abort();
        throw error;
      }
      const segment: SegmentInfo = {
        segmentId: target,
        collectionId: first.collectionId,
        partitionId: first.partitionId,
        vchannel: first.vchannel,
        state: SegmentState.Flushed,
        rows,
        file,
        fileBytes: digest.bytes,
        crc32c: digest.crc32c,
        // Every input had the deletes up to its own bound left out or applied; the least of them
        // holds for all.
        deletesUpTo: inputs.reduce(
          (least, { deletesUpTo }) => {
            const bound = deletesUpTo > dropUpTo ? deletesUpTo : dropUpTo;
            return bound < least ? bound : least;
          },
          first.deletesUpTo > dropUpTo ? first.deletesUpTo : dropUpTo,
        ),
        lastPosition: inputs.reduce((max, s) => (s.lastPosition > max ? s.lastPosition : max), 0n),
        minTimestamp: inputs.reduce(
          (min, s) => (s.minTimestamp < min ? s.minTimestamp : min),
          first.minTimestamp,
        ),
        maxTimestamp: inputs.reduce((max, s) => (s.maxTimestamp > max ? s.maxTimestamp : max), 0n),
        compactedFrom: inputs.map(({ segmentId }) => segmentId),
      };
      return { segment };
    } finally {
      native.closeWriter(writer);
    }
  }
}
