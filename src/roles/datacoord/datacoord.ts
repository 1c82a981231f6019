// The data coordinator: segment records, channel checkpoints, flush, compaction, garbage.
// Invariant: what changes the records of one collection runs in one line, each change one
// transaction. A commit that is repeated succeeds without effect, and what follows a transaction
// cannot make it fail.

import { KeyedQueue } from '../../base/keyed-queue.ts';
import type { Catalog } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';
import { makeGarbage } from '../../meta/garbage.ts';
import { WritingFiles } from '../../meta/writing-files.ts';
import { getPchannel } from '../../model/channel-name.ts';
import type { CollectionTotals } from '../../model/collection-totals.ts';
import { MilvusError } from '../../model/error.ts';
import { SegmentState, type ChannelCommit, type SegmentInfo } from '../../model/segment-info.ts';
import { EMPTY, type DataCoord } from '../../rpc/contract.ts';
import { flushCollection, listGrowing } from '../../rpc/shards.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';
import { Compactor } from './compactor.ts';
import { GarbageCollector } from './garbage-collector.ts';
import { Scrubber, type ScrubberDeps } from './scrubber.ts';
import { makeTombstone, SegmentTable } from './segment-table.ts';

export interface DataCoordDeps extends ScrubberDeps {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  readonly segmentBytesMax: number;
  readonly isAutoCompactionOn: boolean;
  readonly mvccRetentionMs: number;
}

/** Folders of the storage that hold what this role names. */
const OWNED_FOLDERS = ['segments/', 'deletes/'];
/** Changes that wait, of all collections; more are refused with code 8 (R24). */
const PENDING_MAX = 65_536;
/** Records that go along with one commit; the next one takes more. */
const TOMBSTONES_PER_COMMIT = 50;
const SEGMENTS_PER_TRANSACTION = 100;

export class DataCoordRole implements DataCoord {
  readonly #deps: DataCoordDeps;
  readonly #table: SegmentTable;
  readonly #writing: WritingFiles;
  readonly #compactor: Compactor;
  readonly #scrubber: Scrubber;
  readonly #garbage: GarbageCollector;
  /** By collection. */
  readonly #lines = new KeyedQueue<bigint>({
    pendingCountMax: PENDING_MAX,
    refuse: (waiting) =>
      new MilvusError('RateLimit', {
        message: 'too many changes of segments wait',
        fields: { waiting },
      }),
  });

  constructor(deps: DataCoordDeps) {
    this.#deps = deps;
    this.#table = new SegmentTable(deps.catalog);
    this.#writing = new WritingFiles(deps.catalog, () => deps.runtime.nowMs());
    this.#compactor = new Compactor({
      ...deps,
      table: this.#table,
      writing: this.#writing,
      lines: this.#lines,
    });
    this.#scrubber = new Scrubber(deps, this.#table);
    this.#garbage = new GarbageCollector(deps);
  }

  async start(): Promise<void> {
    await this.#table.load();
    // Nobody writes yet: what is recorded as being written is a dead process's.
    await this.#writing.clear(OWNED_FOLDERS).catch((error: unknown) => {
      this.#deps.logger.warn({ error }, 'unfinished files not removed; the next start does');
    });
    this.#scrubber.start();
  }

  /** Begins what goes on in the background. When all roles are up. */
  resume(): void {
    this.#garbage.start();
    for (const collectionId of this.#table.collectionIds()) this.#compactor.consider(collectionId);
  }

  async stop(): Promise<void> {
    await this.#scrubber.stop();
    await this.#compactor.stop();
    await this.#garbage.stop();
    await this.#lines.whenIdle();
  }

  readonly openPchannel: DataCoord['openPchannel'] = async ({ pchannel }) => {
    const owner = await this.#deps.catalog.findOwner(pchannel);
    const term = (owner?.term ?? 0) + 1;
    const record = { pchannel, term };
    const expected = owner?.revision ?? 'absent';
    await this.#deps.catalog.write([{ key: KEYS.pchannel(pchannel), record, expected }]);
    return { term };
  };

  readonly openChannel: DataCoord['openChannel'] = async ({ collectionId, vchannel }) => ({
    channel: this.#table.getChannel(collectionId, vchannel),
    segments: this.#table.list(collectionId).filter((segment) => segment.vchannel === vchannel),
  });

  readonly beginFile: DataCoord['beginFile'] = async ({ collectionId, segmentId }) => {
    const { first } = await this.#deps.peers.rootcoord.allocateIds({ count: 1 }, {});
    const file =
      segmentId === undefined
        ? `deletes/${collectionId}/${first}`
        : `segments/${collectionId}/${segmentId}-${first}`;
    await this.#writing.begin(collectionId, file);
    return { file };
  };

  readonly giveUpFiles: DataCoord['giveUpFiles'] = async ({ collectionId, files }) => {
    await this.#lines.run(collectionId, () => this.#writing.giveUp(files));
    return EMPTY;
  };

  readonly commitChannel: DataCoord['commitChannel'] = async (commit) => {
    const { collectionId } = commit;
    await this.#lines.run(collectionId, () => this.#commitChannel(commit));
    if (commit.segments.length > 0) void this.#compactor.announce(collectionId);
    this.#compactor.consider(collectionId);
    return EMPTY;
  };

  async #commitChannel(commit: ChannelCommit): Promise<void> {
    const { collectionId, vchannel, segments, checkpoint, commitSeq } = commit;
    const owned = await this.#requireOwner(commit);
    const before = this.#table.getChannel(collectionId, vchannel);
    const lastSeq = before.commitSeq ?? 0;
    if (commitSeq === lastSeq) return;
    if (commitSeq < lastSeq) {
      throw new MilvusError('ChannelNotAvailable', {
        message: 'a later commit of the channel has been recorded',
        fields: { channel: vchannel, got: commitSeq, expected: `> ${lastSeq}` },
      });
    }
    if (!(await this.#deps.catalog.has(KEYS.collection(collectionId)))) {
      throw new MilvusError('CollectionNotFound', { fields: { collection: String(collectionId) } });
    }
    const deleteFiles = commit.deleteFiles ?? before.deleteFiles;
    const { written, unnamed } = this.#compareFiles(commit, before.deleteFiles);
    // Tombstones that replay can no longer meet (R2).
    const passed = this.#table
      .list(collectionId)
      .filter(
        (segment) =>
          segment.vchannel === vchannel &&
          segment.state === SegmentState.Dropped &&
          segment.lastPosition < checkpoint &&
          !segments.some(({ segmentId }) => segmentId === segment.segmentId),
      )
      .slice(0, TOMBSTONES_PER_COMMIT);
    const garbage = makeGarbage({ files: unnamed }, this.#deps.runtime.nowMs());
    await this.#table.commit({
      segments,
      channel: { vchannel, collectionId, checkpoint, deleteFiles, commitSeq },
      removedSegments: passed,
      more: [...this.#writing.listRemovals(written), ...garbage],
      unchanged: [owned],
    });
    this.#writing.end(written);
  }

  /**
   * Returns what must not change until the commit is recorded: who owns the pchannel. Before the
   * number of the commit is looked at, because two owners count alike.
   */
  async #requireOwner({
    vchannel,
    term,
  }: ChannelCommit): Promise<{ key: string; revision: bigint }> {
    const pchannel = getPchannel(vchannel);
    const owner = await this.#deps.catalog.findOwner(pchannel);
    if (owner?.term !== term) {
      throw new MilvusError('ChannelNotAvailable', {
        message: 'the channel has another owner',
        fields: { channel: vchannel, got: term, expected: owner?.term ?? 'none' },
      });
    }
    return { key: KEYS.pchannel(pchannel), revision: owner.revision };
  }

  /** Which files a commit names for the first time, and which it is the first not to name. */
  #compareFiles(
    { collectionId, segments, deleteFiles }: ChannelCommit,
    deleteFilesBefore: readonly { readonly file: string }[],
  ): { written: string[]; unnamed: string[] } {
    const before = new Set(deleteFilesBefore.map(({ file }) => file));
    const after = new Set((deleteFiles ?? deleteFilesBefore).map(({ file }) => file));
    const written = [...after].filter((file) => !before.has(file));
    const unnamed = [...before].filter((file) => !after.has(file));
    for (const { segmentId, file } of segments) {
      const known = this.#table.find(collectionId, segmentId)?.file ?? '';
      if (known === file) continue;
      if (file !== '') written.push(file);
      if (known !== '') unnamed.push(known);
    }
    return { written, unnamed };
  }

  readonly deletesWait: DataCoord['deletesWait'] = async ({ collectionId }) => {
    this.#compactor.consider(collectionId);
    return EMPTY;
  };

  readonly listSegments: DataCoord['listSegments'] = async ({ collectionId }) => ({
    segments: this.#table.listFlushed(collectionId),
    ...this.#compactor.listUnderWay(collectionId),
  });

  readonly flush: DataCoord['flush'] = async ({ collectionId }, call) => {
    const flushedSegmentIds = this.#table.listFlushed(collectionId).map((s) => s.segmentId);
    const sealed = await flushCollection(this.#deps.peers, collectionId, call);
    return { ...sealed, flushedSegmentIds };
  };

  readonly getFlushState: DataCoord['getFlushState'] = async (
    { collectionId, segmentIds },
    call,
  ) => {
    const { peers } = this.#deps;
    const segments = await listGrowing(peers, collectionId, { mustServe: true, call });
    const growing = new Map(segments.map((segment) => [segment.segmentId, segment]));
    for (const id of segmentIds) {
      const failure = growing.get(id)?.failure;
      if (failure === undefined) continue;
      // Whoever waits for the flush is told; it is tried again, and a later question may get a yes.
      throw new MilvusError('ServiceInternal', {
        message: 'segment not written',
        fields: { segment: id, reason: failure },
      });
    }
    return { flushed: !segmentIds.some((id) => growing.has(id)) };
  };

  readonly compact: DataCoord['compact'] = async ({ collectionId, targetBytes }, call) => {
    const { segmentBytesMax } = this.#deps;
    if (targetBytes !== undefined && targetBytes < segmentBytesMax) {
      throw new MilvusError('ParameterInvalid', {
        message: 'target_size is below what a segment may have anyway: invalid parameter',
        fields: { got: targetBytes, expected: `0 or >= ${segmentBytesMax} bytes` },
      });
    }
    await flushCollection(this.#deps.peers, collectionId, call);
    return this.#compactor.request(collectionId, targetBytes ?? segmentBytesMax);
  };

  readonly getCompactionState: DataCoord['getCompactionState'] = async ({ compactionId }) =>
    this.#compactor.getStatus(compactionId);

  /** Forgets it; its records go with all others of the collection, in the drop's transaction. */
  readonly dropCollection: DataCoord['dropCollection'] = async ({ collectionId }) => {
    await this.#compactor.forget(collectionId);
    await this.#lines.run(collectionId, async () => this.#table.forget(collectionId));
    return EMPTY;
  };

  readonly dropPartition: DataCoord['dropPartition'] = async ({ collectionId, partitionId }) => {
    await this.#compactor.cancel(collectionId);
    await this.#lines.run(collectionId, async () => {
      const dropped = this.#table
        .list(collectionId)
        .filter(
          (segment) =>
            segment.partitionId === partitionId && segment.state !== SegmentState.Dropped,
        );
      // In several transactions where they are many: the drop is carried on where it ended.
      for (let from = 0; from < dropped.length; from += SEGMENTS_PER_TRANSACTION) {
        await this.#dropSegments(dropped.slice(from, from + SEGMENTS_PER_TRANSACTION));
      }
    });
    void this.#compactor.announce(collectionId);
    this.#compactor.consider(collectionId);
    return EMPTY;
  };

  /** For metrics: segments with a file, by collection, and records of such that are gone. */
  getStored(): { readonly totals: CollectionTotals; readonly tombstones: number } {
    return { totals: this.#table.stored, tombstones: this.#table.tombstoneCount };
  }

  async #dropSegments(segments: readonly SegmentInfo[]): Promise<void> {
    const files = segments.map(({ file }) => file);
    await this.#table.commit({
      segments: segments.map(makeTombstone),
      more: makeGarbage({ files }, this.#deps.runtime.nowMs()),
    });
  }
}
