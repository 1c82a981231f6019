// Runs compactions one at a time: plan → datanode merges → indexes are built → one metadata
// transaction → the shard leader swaps → the inputs' files go (R3). Readers and writers are never
// blocked.

import type { CollectionSchema } from '../../model/schema.ts';
import { SegmentState, type SegmentInfo } from '../../model/segment-info.ts';
import { composeTimestamp } from '../../model/timestamp.ts';
import { MilvusError } from '../../model/error.ts';
import type { CompactionPlan, CompactionStatus } from '../../rpc/contract.ts';
import { planCompactions } from './compaction-policy.ts';
import type { DataCoordDeps } from './datacoord.ts';
import type { SegmentTable } from './segment-table.ts';

/** Finished jobs whose state can still be asked for. */
const JOBS_MAX = 1024;
const DELETED_SHARE_MIN = 0.2;
/** Checkpoints that one merge may meet before it gives up. */
const DELETE_FILE_RETRIES_MAX = 5;
const SEALING_POLL_MS = 20;

interface Job {
  readonly plans: CompactionPlan[];
  executing: number;
  completed: number;
  failed: number;
}

export class Compactor {
  readonly #deps: DataCoordDeps;
  readonly #table: SegmentTable;
  readonly #jobs = new Map<bigint, Job>();
  /** Collections to look at, and the user's job that wants it, in order. */
  readonly #queue = new Map<bigint, Job | undefined>();
  #running: Promise<void> | undefined;
  #stopped = false;

  constructor(deps: DataCoordDeps, table: SegmentTable) {
    this.#deps = deps;
    this.#table = table;
  }

  /** New segments have appeared: merge if the policy says so. */
  consider(collectionId: bigint): void {
    if (!this.#deps.isAutoCompactionOn || this.#queue.has(collectionId)) return;
    this.#enqueue(collectionId, undefined);
  }

  /** A user's request: merges all that fits together. Plans are made when its turn comes. */
  async request(collectionId: bigint): Promise<{ compactionId: bigint; planCount: number }> {
    const { first } = await this.#deps.peers.rootcoord.allocateIds({ count: 1 }, {});
    const job: Job = { plans: [], executing: 1, completed: 0, failed: 0 };
    this.#jobs.set(first, job);
    for (const id of this.#jobs.keys()) {
      if (this.#jobs.size <= JOBS_MAX) break;
      this.#jobs.delete(id);
    }
    this.#enqueue(collectionId, job);
    return { compactionId: first, planCount: 1 };
  }

  getStatus(compactionId: bigint): CompactionStatus {
    const job = this.#jobs.get(compactionId);
    if (job === undefined)
      return { state: 'completed', executing: 0, completed: 0, failed: 0, plans: [] };
    return { ...job, state: job.executing > 0 ? 'executing' : 'completed' };
  }

  /** Waits for the running merge and forgets the waiting one of a collection. */
  async forget(collectionId: bigint): Promise<void> {
    const job = this.#queue.get(collectionId);
    if (job !== undefined) job.executing = 0;
    this.#queue.delete(collectionId);
    await this.#running;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#running;
  }

  #enqueue(collectionId: bigint, job: Job | undefined): void {
    const waiting = this.#queue.get(collectionId);
    if (waiting !== undefined && job !== undefined) waiting.executing = 0;
    this.#queue.set(collectionId, job ?? waiting);
    this.#running ??= this.#runQueue();
  }

  async #runQueue(): Promise<void> {
    for (;;) {
      const next = this.#queue.entries().next();
      if (next.done === true || this.#stopped) {
        // In this turn: what is enqueued from now on starts a new run.
        this.#running = undefined;
        return;
      }
      const [collectionId, job] = next.value;
      this.#queue.delete(collectionId);
      try {
        await this.#compactCollection(collectionId, job);
      } catch (error) {
        if (job !== undefined) job.failed += 1;
        this.#deps.logger.error({ collectionId: String(collectionId), error }, 'compaction failed');
      }
      if (job !== undefined) job.executing = 0;
    }
  }

  async #compactCollection(collectionId: bigint, job: Job | undefined): Promise<void> {
    const { peers, segmentBytesMax } = this.#deps;
    if (job !== undefined) await this.#waitUntilWritten(collectionId);
    const segments = this.#table.listFlushed(collectionId);
    if (segments.length === 0) return;
    const segmentIds = segments.map((segment) => segment.segmentId);
    const stats = await peers.querynode.getStats({ segmentIds }, {});
    const deletedRows = new Map(stats.segments.map((s) => [s.segmentId, s.deletedRows]));
    // Only what is held is merged: a segment whose swap has failed is read through its inputs
    // still.
    const candidates = segments
      .filter(({ segmentId }) => deletedRows.has(segmentId))
      .map((segment) => ({ segment, deletedRows: deletedRows.get(segment.segmentId) ?? 0 }));
    const limits = { segmentBytesMax, deletedShareMin: DELETED_SHARE_MIN };
    for (const inputs of planCompactions(candidates, limits, job !== undefined)) {
      if (this.#stopped) return;
      const target = await this.#merge(collectionId, inputs);
      job?.plans.push({ inputs, target });
      if (job !== undefined) job.completed += 1;
    }
  }

  /**
   * The flush before a user's compaction runs in the background; its segments are to be merged too.
   */
  async #waitUntilWritten(collectionId: bigint): Promise<void> {
    const { peers } = this.#deps;
    await peers.streamingnode.flush({ collectionId }, {});
    for (;;) {
      const { segments } = await peers.streamingnode.listGrowing({ collectionId }, {});
      const sealing = segments.filter((segment) => segment.isSealing);
      if (sealing.length === 0 || this.#stopped) return;
      await this.#deps.sleep(SEALING_POLL_MS);
    }
  }

  async #merge(collectionId: bigint, inputIds: readonly bigint[]): Promise<bigint> {
    const { peers, storage, logger } = this.#deps;
    const inputs = inputIds
      .map((id) => this.#table.find(collectionId, id))
      .filter((segment) => segment?.state === SegmentState.Flushed) as SegmentInfo[];
    const [first] = inputs;
    if (first === undefined || inputs.length !== inputIds.length) return 0n;
    const { schema } = await peers.rootcoord.describeCollection({ dbName: '', collectionId }, {});
    const segment = await this.#rewrite(schema, inputs, first);
    const added = segment === undefined ? [] : [segment];
    const indexFiles =
      segment === undefined
        ? []
        : (await peers.indexcoord.buildSegment({ segment, schema }, {})).files;
    if (
      inputs.some(
        (input) => this.#table.find(collectionId, input.segmentId)?.state !== SegmentState.Flushed,
      )
    ) {
      // The collection or partition was dropped meanwhile: the output is an orphan.
      if (segment !== undefined) await storage.remove(segment.file);
      throw new MilvusError('SegmentNotFound', {
        message: 'inputs were dropped during compaction',
      });
    }
    const tombstones = inputs.map((input): SegmentInfo => ({
      ...input,
      state: SegmentState.Dropped,
      file: '',
      rows: 0,
    }));
    await this.#table.commit({ segments: [...added, ...tombstones] });
    await peers.streamingnode.replaceSegments(
      { vchannel: first.vchannel, added, removed: inputIds, indexFiles },
      {},
    );
    await peers.indexcoord.segmentsChanged({ collectionId }, {});
    for (const input of inputs) await storage.remove(input.file);
    logger.info(
      { collectionId: String(collectionId), inputs: inputs.length, rows: segment?.rows ?? 0 },
      'segments merged',
    );
    return segment?.segmentId ?? 0n;
  }

  /** Merges the inputs into a new segment; undefined when no row is left. */
  async #rewrite(
    schema: CollectionSchema,
    inputs: readonly SegmentInfo[],
    { collectionId, vchannel }: SegmentInfo,
  ): Promise<SegmentInfo | undefined> {
    const { peers, mvccRetentionMs } = this.#deps;
    const { first: target } = await peers.rootcoord.allocateIds({ count: 1 }, {});
    const { first: now } = await peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    const dropDeletedUpTo = now - composeTimestamp(mvccRetentionMs);
    for (let attempt = 0; ; attempt++) {
      const { deleteFiles } = this.#table.getChannel(collectionId, vchannel);
      try {
        const request = { schema, inputs, deleteFiles, target, dropDeletedUpTo };
        return (await peers.datanode.compact(request, {})).segment;
      } catch (error) {
        // A checkpoint may have put other delete files in the place of those.
        const isChanged =
          this.#table.getChannel(collectionId, vchannel).deleteFiles !== deleteFiles;
        if (!isChanged || attempt >= DELETE_FILE_RETRIES_MAX) throw error;
      }
    }
  }
}
