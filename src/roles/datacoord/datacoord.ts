// The data coordinator: segment records, channel checkpoints, flush, compaction, garbage.
// Files that no record names are removed: at start, and after each change that orphans them.

import type { Catalog } from '../../meta/catalog.ts';
import { SegmentState, type SegmentInfo } from '../../model/segment-info.ts';
import { EMPTY, type DataCoord } from '../../rpc/contract.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';
import { Compactor } from './compactor.ts';
import { Scrubber, type ScrubberDeps } from './scrubber.ts';
import { SegmentTable } from './segment-table.ts';

export interface DataCoordDeps extends ScrubberDeps {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  readonly segmentBytesMax: number;
  readonly isAutoCompactionOn: boolean;
  readonly mvccRetentionMs: number;
}

/**
 * Folders of the storage that belong to segments and deletes; everything else in it is someone
 * else's.
 */
const OWNED_PREFIXES = ['segments/', 'deletes/'];

export class DataCoordRole implements DataCoord {
  readonly #deps: DataCoordDeps;
  readonly #table: SegmentTable;
  readonly #compactor: Compactor;
  readonly #scrubber: Scrubber;

  constructor(deps: DataCoordDeps) {
    this.#deps = deps;
    this.#table = new SegmentTable(deps.catalog);
    this.#compactor = new Compactor(deps, this.#table);
    this.#scrubber = new Scrubber(deps, this.#table);
  }

  async start(): Promise<void> {
    await this.#table.load();
    await this.#removeOrphans();
    this.#scrubber.start();
  }

  async stop(): Promise<void> {
    await this.#scrubber.stop();
    await this.#compactor.stop();
  }

  readonly openChannel: DataCoord['openChannel'] = async ({ collectionId, vchannel }) => ({
    channel: this.#table.getChannel(collectionId, vchannel),
    segments: this.#table.list(collectionId).filter((segment) => segment.vchannel === vchannel),
  });

  readonly commitChannel: DataCoord['commitChannel'] = async (request) => {
    const { collectionId, vchannel, checkpoint } = request;
    const before = this.#table.getChannel(collectionId, vchannel);
    const deleteFiles = request.deleteFiles ?? before.deleteFiles;
    // Tombstones that replay can no longer meet (R2).
    const passed = this.#table
      .list(collectionId)
      .filter(
        (segment) =>
          segment.vchannel === vchannel &&
          segment.state === SegmentState.Dropped &&
          segment.lastPosition < checkpoint,
      );
    await this.#table.commit({
      segments: request.segments,
      channel: { vchannel, collectionId, checkpoint, deleteFiles },
      removedSegments: passed,
    });
    const kept = new Set(deleteFiles.map(({ file }) => file));
    for (const { file } of before.deleteFiles) {
      if (!kept.has(file)) await this.#deps.storage.remove(file);
    }
    if (request.segments.length > 0) {
      await this.#deps.peers.indexcoord.segmentsChanged({ collectionId }, {});
      this.#compactor.consider(collectionId);
    }
    return EMPTY;
  };

  readonly listSegments: DataCoord['listSegments'] = async ({ collectionId }) => ({
    segments: this.#table.listFlushed(collectionId),
    merging: this.#compactor.listMerging(collectionId),
  });

  readonly flush: DataCoord['flush'] = async ({ collectionId }, call) => {
    const flushedSegmentIds = this.#table.listFlushed(collectionId).map((s) => s.segmentId);
    const sealed = await this.#deps.peers.streamingnode.flush({ collectionId }, call);
    return { ...sealed, flushedSegmentIds };
  };

  readonly getFlushState: DataCoord['getFlushState'] = async (
    { collectionId, segmentIds },
    call,
  ) => {
    const { segments } = await this.#deps.peers.streamingnode.listGrowing({ collectionId }, call);
    const growing = new Set(segments.map((segment) => segment.segmentId));
    return { flushed: !segmentIds.some((id) => growing.has(id)) };
  };

  readonly compact: DataCoord['compact'] = async ({ collectionId }, call) => {
    await this.#deps.peers.streamingnode.flush({ collectionId }, call);
    return this.#compactor.request(collectionId);
  };

  readonly getCompactionState: DataCoord['getCompactionState'] = async ({ compactionId }) =>
    this.#compactor.getStatus(compactionId);

  readonly dropCollection: DataCoord['dropCollection'] = async ({ collectionId }) => {
    await this.#compactor.forget(collectionId);
    const files = await this.#table.removeCollection(collectionId);
    for (const file of files) await this.#deps.storage.remove(file);
    return EMPTY;
  };

  readonly dropPartition: DataCoord['dropPartition'] = async ({ collectionId, partitionId }) => {
    await this.#compactor.forget(collectionId);
    const dropped = this.#table
      .list(collectionId)
      .filter(
        (segment) => segment.partitionId === partitionId && segment.state !== SegmentState.Dropped,
      );
    const tombstones = dropped.map((segment): SegmentInfo => ({
      ...segment,
      state: SegmentState.Dropped,
      file: '',
      rows: 0,
    }));
    await this.#table.commit({ segments: tombstones });
    for (const { file } of dropped) if (file !== '') await this.#deps.storage.remove(file);
    await this.#deps.peers.indexcoord.segmentsChanged({ collectionId }, {});
    return EMPTY;
  };

  async #removeOrphans(): Promise<void> {
    const used = this.#table.listFiles();
    for (const prefix of OWNED_PREFIXES) {
      for await (const { key } of this.#deps.storage.list(prefix)) {
        if (!used.has(key)) await this.#deps.storage.remove(key);
      }
    }
  }
}
