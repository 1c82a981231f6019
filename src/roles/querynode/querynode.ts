// The query node: holds sealed segments, applies the deletes forwarded to it, searches them.
// A read pins what it reads inside native, so that a release never waits for it (R15).

import { nextTurn, TurnMeter, VALUES_PER_TURN } from '../../base/turns.ts';
import { decodeDeleteFile, type DeleteFileEntry } from '../../codec/delete-file.ts';
import { native, type NativeSegment } from '../../index/native.ts';
import { CollectionTotals } from '../../model/collection-totals.ts';
import { MilvusError } from '../../model/error.ts';
import type { DeleteFile, IndexFile, SegmentInfo, SegmentStats } from '../../model/segment-info.ts';
import { EMPTY, type QueryNode } from '../../rpc/contract.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { querySegments, searchSegments } from '../../segment/native-request.ts';
import { applyDelete, applyDeletes, openSegment } from '../../segment/open-segment.ts';
import type { ReadSlots } from '../../segment/read-slots.ts';
import {
  getRecordedFile,
  type LocalObject,
  type ObjectStorage,
} from '../../storage/object-storage.ts';

export interface QueryNodeDeps {
  readonly storage: ObjectStorage;
  readonly reads: ReadSlots;
}

interface HeldSegment {
  readonly segment: SegmentInfo;
  readonly handle: NativeSegment;
  /** Index id → its mapped file. */
  readonly indexFiles: Map<bigint, LocalObject>;
  readonly close: () => void;
}

export class QueryNodeRole implements QueryNode {
  readonly #storage: ObjectStorage;
  readonly #reads: ReadSlots;
  readonly #segments = new Map<bigint, HeldSegment>();
  /** For metrics. */
  readonly held = new CollectionTotals();
  #releasedBytes = 0;

  constructor(deps: QueryNodeDeps) {
    this.#storage = deps.storage;
    this.#reads = deps.reads;
  }

  async stop(): Promise<void> {
    for (const held of this.#segments.values()) closeHeld(held);
    this.#segments.clear();
  }

  readonly loadSegments: QueryNode['loadSegments'] = async (request) => {
    const entries: DeleteFileEntry[] = [];
    for (const file of selectDeleteFiles(request.segments, request.deleteFiles)) {
      entries.push(...decodeDeleteFile(await getRecordedFile(this.#storage, file), file.file));
    }
    entries.push(...request.deletes);
    for (const segment of request.segments) {
      if (this.#segments.has(segment.segmentId)) continue;
      const { handle, close } = await openSegment(this.#storage, request.schema, segment);
      try {
        await applyDeletes(handle, segment, entries);
      } catch (error) {
        close();
        throw error;
      }
      const indexFiles = new Map<bigint, LocalObject>();
      this.#segments.set(segment.segmentId, { segment, handle, indexFiles, close });
      this.held.add(segment.collectionId, toSize(segment));
    }
    await this.#attach(request.indexFiles);
    return EMPTY;
  };

  readonly updateSchema: QueryNode['updateSchema'] = async ({ segmentIds, schema }) => {
    for (const id of segmentIds) {
      const held = this.#segments.get(id);
      if (held !== undefined) native.updateSchema(held.handle, getNativeFields(schema));
    }
    return EMPTY;
  };

  readonly releaseSegments: QueryNode['releaseSegments'] = async ({ segmentIds }) => {
    for (const id of segmentIds) {
      const held = this.#segments.get(id);
      if (held === undefined) continue;
      this.#segments.delete(id);
      this.held.remove(held.segment.collectionId, toSize(held.segment));
      this.#releasedBytes += native.segmentStats(held.handle).memoryBytes;
      closeHeld(held);
    }
    return EMPTY;
  };

  readonly attachIndexes: QueryNode['attachIndexes'] = async ({ files }) => {
    await this.#attach(files);
    return EMPTY;
  };

  readonly detachIndex: QueryNode['detachIndex'] = async (request) => {
    const { collectionId, indexId, fieldId, jsonPath, jsonCastType } = request;
    for (const { segment, handle, indexFiles } of this.#segments.values()) {
      if (segment.collectionId !== collectionId) continue;
      native.detachIndex(handle, fieldId, jsonPath, jsonCastType);
      indexFiles.get(indexId)?.close();
      indexFiles.delete(indexId);
    }
    return EMPTY;
  };

  /** Many keys take several turns of the event loop (P9). */
  readonly applyDeletes: QueryNode['applyDeletes'] = async ({ segmentIds, entries }) => {
    const turn = new TurnMeter(VALUES_PER_TURN);
    for (const entry of entries) {
      for (const id of segmentIds) {
        if (turn.isOver(entry.keys.values.length)) await nextTurn();
        const held = this.#segments.get(id);
        if (held !== undefined) applyDelete(held.handle, held.segment, entry);
      }
    }
    return EMPTY;
  };

  readonly search: QueryNode['search'] = ({ segmentIds, readTimestamp, params }, { signal }) =>
    this.#reads.run(() =>
      searchSegments(this.#select(segmentIds), params, readTimestamp, signal),
    );

  readonly query: QueryNode['query'] = ({ segmentIds, readTimestamp, params }, { signal }) =>
    this.#reads.run(() => querySegments(this.#select(segmentIds), params, readTimestamp, signal));

  readonly getStats: QueryNode['getStats'] = async ({ segmentIds, horizon }) => {
    const segments: SegmentStats[] = [];
    for (const segmentId of segmentIds) {
      const held = this.#segments.get(segmentId);
      if (held === undefined) continue;
      const { rows, deletedRows } = native.segmentStats(held.handle);
      segments.push({ segmentId, rows, deletedRows, ...native.deleteStats(held.handle, horizon) });
    }
    return { segments };
  };

  /** Memory, besides mapped files, that was ever given back. */
  getReleasedBytes(): number {
    return this.#releasedBytes;
  }

  getSegmentCount(): number {
    return this.#segments.size;
  }

  /** Files of segments that have gone meanwhile are skipped. */
  async #attach(files: readonly IndexFile[]): Promise<void> {
    for (const { segmentId, indexId, fieldId, file } of files) {
      if (file === '' || !this.#segments.has(segmentId)) continue;
      const local = await this.#storage.openLocal(file);
      const held = this.#segments.get(segmentId);
      try {
        if (held !== undefined) native.attachIndex(held.handle, fieldId, local.path);
      } catch (error) {
        local.close();
        throw error;
      }
      // The file that it replaces, or this one when the segment has gone meanwhile.
      (held === undefined ? local : held.indexFiles.get(indexId))?.close();
      held?.indexFiles.set(indexId, local);
    }
  }

  /** @throws MilvusError SegmentNotFound: the leader's view is older than a swap; it asks again. */
  #select(segmentIds: readonly bigint[]): NativeSegment[] {
    return segmentIds.map((id) => {
      const held = this.#segments.get(id);
      if (held === undefined) throw new MilvusError('SegmentNotFound', { fields: { segment: id } });
      return held.handle;
    });
  }
}

function closeHeld({ indexFiles, close }: HeldSegment): void {
  close();
  for (const file of indexFiles.values()) file.close();
}

function selectDeleteFiles(
  segments: readonly SegmentInfo[],
  files: readonly DeleteFile[],
): DeleteFile[] {
  return files.filter((file) =>
    segments.some((segment) => file.toTimestamp > segment.deletesUpTo),
  );
}

function toSize({ rows, fileBytes }: SegmentInfo): { rows: number; bytes: number } {
  return { rows, bytes: fileBytes };
}
