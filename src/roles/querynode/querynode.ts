// The query node: holds sealed segments, applies the deletes forwarded to it, searches them.
// A read pins what it reads inside native, so that a release never waits for it (R15).

import { native, type NativeDeleteTarget, type NativeSegment } from '../../index/native.ts';
import { CollectionTotals } from '../../model/collection-totals.ts';
import { MilvusError } from '../../model/error.ts';
import type { IndexFile, SegmentInfo, SegmentStats } from '../../model/segment-info.ts';
import { EMPTY, type QueryNode } from '../../rpc/contract.ts';
import { getNativeFields } from '../../segment/native-fields.ts';
import { querySegments, searchSegments } from '../../segment/native-request.ts';
import { applyDeleteFiles, makeDeleteTarget } from '../../segment/delete-files.ts';
import { openSegment } from '../../segment/open-segment.ts';
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
    const opened: HeldSegment[] = [];
    try {
      for (const segment of request.segments) {
        if (this.#segments.has(segment.segmentId)) continue;
        const open = await openSegment(this.#storage, request.schema, segment);
        opened.push({ segment, ...open, indexFiles: new Map() });
      }
      const targets = opened.map(({ handle, segment }) => makeDeleteTarget(handle, segment));
      await applyDeleteFiles(
        (file) => getRecordedFile(this.#storage, file),
        targets,
        request.deleteFiles,
      );
      await native.applyDeletes(targets, request.deletes);
    } catch (error) {
      for (const held of opened) held.close();
      throw error;
    }
    for (const held of opened) {
      this.#segments.set(held.segment.segmentId, held);
      this.held.add(held.segment.collectionId, toSize(held.segment));
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

  readonly applyDeletes: QueryNode['applyDeletes'] = async ({ segmentIds, deletes }) => {
    const targets: NativeDeleteTarget[] = [];
    for (const id of segmentIds) {
      const held = this.#segments.get(id);
      if (held !== undefined) targets.push(makeDeleteTarget(held.handle, held.segment));
    }
    await native.applyDeletes(targets, deletes);
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

function toSize({ rows, fileBytes }: SegmentInfo): { rows: number; bytes: number } {
  return { rows, bytes: fileBytes };
}
