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
import { FileVerifier, type FileVerifierDeps, type OpenedFile } from './file-verifier.ts';

export interface QueryNodeDeps extends FileVerifierDeps {
  readonly reads: ReadSlots;
}

interface HeldSegment {
  /** With which whoever has had it opened owns its pchannel. */
  readonly term: number;
  /** Number of the call that has opened it. */
  readonly load: number;
  readonly segment: SegmentInfo;
  readonly handle: NativeSegment;
  /** Index id → its mapped file, and the key of that. */
  readonly indexFiles: Map<bigint, { readonly file: string; readonly local: LocalObject }>;
  readonly close: () => void;
}

export class QueryNodeRole implements QueryNode {
  readonly #storage: ObjectStorage;
  readonly #reads: ReadSlots;
  readonly #segments = new Map<bigint, HeldSegment>();
  readonly #verifier: FileVerifier;
  /** For metrics. */
  readonly held = new CollectionTotals();
  #releasedBytes = 0;
  #lastLoad = 0;

  constructor(deps: QueryNodeDeps) {
    this.#storage = deps.storage;
    this.#reads = deps.reads;
    this.#verifier = new FileVerifier(deps, (opened) => this.#isHeld(opened));
  }

  async stop(): Promise<void> {
    await this.#verifier.stop();
    for (const held of this.#segments.values()) closeHeld(held);
    this.#segments.clear();
  }

  readonly loadSegments: QueryNode['loadSegments'] = async (request) => {
    const { term } = request;
    const load = (this.#lastLoad += 1);
    const opened: HeldSegment[] = [];
    try {
      for (const segment of request.segments) {
        const open = await openSegment(this.#storage, request.schema, segment);
        opened.push({ term, load, segment, ...open, indexFiles: new Map() });
      }
      const targets = opened.map(({ handle, segment }) => makeDeleteTarget(handle, segment));
      await applyDeleteFiles(
        (file) => getRecordedFile(this.#storage, file),
        targets,
        request.deleteFiles,
      );
      await native.applyDeletes(targets, request.deletes);
      for (const held of opened) this.#requireLast(held);
    } catch (error) {
      for (const held of opened) held.close();
      throw error;
    }
    for (const held of opened) {
      const { segment } = held;
      // Left by a call whose answer was lost or by a former owner: deletes since are not in it.
      this.#release(segment.segmentId, term);
      this.#segments.set(segment.segmentId, held);
      this.held.add(segment.collectionId, toSize(segment));
      this.#verifier.add({ kind: 'segment', segment });
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

  readonly releaseSegments: QueryNode['releaseSegments'] = async (request) => {
    const { term, segmentIds } = request;
    for (const id of segmentIds) this.#release(id, term);
    return EMPTY;
  };

  /** @throws MilvusError ChannelNotAvailable when a later owner, or a later call, has opened it */
  #requireLast({ segment, term, load }: HeldSegment): void {
    const other = this.#segments.get(segment.segmentId);
    if (other === undefined || other.term < term) return;
    if (other.term === term && other.load < load) return;
    throw new MilvusError('ChannelNotAvailable', {
      message: 'a later call has opened the segment',
      fields: { channel: segment.vchannel, got: term, expected: `>= ${other.term}` },
    });
  }

  #release(segmentId: bigint, term: number): void {
    const held = this.#segments.get(segmentId);
    if (held === undefined || held.term > term) return;
    this.#segments.delete(segmentId);
    this.held.remove(held.segment.collectionId, toSize(held.segment));
    this.#releasedBytes += native.segmentStats(held.handle).memoryBytes;
    closeHeld(held);
  }

  readonly attachIndexes: QueryNode['attachIndexes'] = async ({ files }) => {
    await this.#attach(files);
    return EMPTY;
  };

  readonly detachIndex: QueryNode['detachIndex'] = async (request) => {
    const { indexId, fieldId, jsonPath, jsonCastType } = request.index;
    for (const id of request.segmentIds) {
      const held = this.#segments.get(id);
      if (held === undefined) continue;
      native.detachIndex(held.handle, fieldId, jsonPath, jsonCastType);
      held.indexFiles.get(indexId)?.local.close();
      held.indexFiles.delete(indexId);
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

  readonly search: QueryNode['search'] = ({ segmentIds, readTimestamp, params }, call) =>
    this.#reads.run(() => searchSegments(this.#select(segmentIds), params, readTimestamp, call));

  readonly query: QueryNode['query'] = ({ segmentIds, readTimestamp, params }, call) =>
    this.#reads.run(() => querySegments(this.#select(segmentIds), params, readTimestamp, call));

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

  /**
   * Files of segments that have gone meanwhile are skipped. One that cannot be opened is reported:
   * without it the segment is scanned.
   */
  async #attach(files: readonly IndexFile[]): Promise<void> {
    for (const index of files) {
      if (index.file === '' || !this.#segments.has(index.segmentId)) continue;
      try {
        await this.#attachFile(index);
        this.#verifier.add({ kind: 'index', index });
      } catch (damage) {
        this.#verifier.add({ kind: 'index', index, damage });
      }
    }
  }

  async #attachFile({ segmentId, indexId, fieldId, file, crc32c }: IndexFile): Promise<void> {
    const local = await this.#storage.openLocal(file);
    try {
      const handle = this.#segments.get(segmentId)?.handle;
      if (handle !== undefined) await native.attachIndex(handle, fieldId, local.path, crc32c);
    } catch (error) {
      local.close();
      throw error;
    }
    const held = this.#segments.get(segmentId);
    // The file that it replaces, or this one when the segment has gone meanwhile.
    (held === undefined ? local : held.indexFiles.get(indexId)?.local)?.close();
    held?.indexFiles.set(indexId, { file, local });
  }

  #isHeld(opened: OpenedFile): boolean {
    if (opened.kind === 'segment') return this.#segments.has(opened.segment.segmentId);
    const { segmentId, indexId, file } = opened.index;
    return this.#segments.get(segmentId)?.indexFiles.get(indexId)?.file === file;
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
  for (const { local } of indexFiles.values()) local.close();
}

function toSize({ rows, fileBytes }: SegmentInfo): { rows: number; bytes: number } {
  return { rows, bytes: fileBytes };
}
