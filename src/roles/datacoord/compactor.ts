// Runs compactions one at a time: plan → datanode merges → indexes are built → one metadata
// transaction → the shard leader swaps → the inputs' files go (R3). Readers and writers are never
// blocked.

import type { CollectionSchema } from '../../model/schema.ts';
import { SegmentState, type IndexFile, type SegmentInfo } from '../../model/segment-info.ts';
import { composeTimestamp } from '../../model/timestamp.ts';
import { createDeferred } from '../../base/deferred.ts';
import { MilvusError } from '../../model/error.ts';
import type { CallContext, CompactionPlan, CompactionStatus } from '../../rpc/contract.ts';
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

/** The merges of one collection that are being made. */
interface Round {
  readonly collectionId: bigint;
  /** Inputs of its merges, until each is swapped or has failed. */
  readonly merging: Set<bigint>;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export class Compactor {
  readonly #deps: DataCoordDeps;
  readonly #table: SegmentTable;
  readonly #jobs = new Map<bigint, Job>();
  /** Collections to look at, and the user's job that wants it, in order. */
  readonly #queue = new Map<bigint, Job | undefined>();
  #running: Promise<void> | undefined;
  #current: Round | undefined;
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

  /** Segments that a merge will soon replace: an index over them would be built in vain. */
  listMerging(collectionId: bigint): bigint[] {
    return this.#current?.collectionId === collectionId ? [...this.#current.merging] : [];
  }

  /** Forgets a collection's waiting merges, cancels the running one and waits until it is gone. */
  async forget(collectionId: bigint): Promise<void> {
    const job = this.#queue.get(collectionId);
    if (job !== undefined) job.executing = 0;
    this.#queue.delete(collectionId);
    if (this.#current?.collectionId !== collectionId) return;
    this.#current.abort.abort();
    await this.#current.done;
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#current?.abort.abort();
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
      const { promise: done, resolve } = createDeferred<void>();
      const abort = new AbortController();
      const round: Round = { collectionId, merging: new Set(), abort, done };
      this.#current = round;
      try {
        await this.#compactCollection(round, job);
      } catch (error) {
        // An aborted one has not failed: what it was to merge has been dropped.
        if (!abort.signal.aborted) {
          if (job !== undefined) job.failed += 1;
          const fields = { collectionId: String(collectionId), error };
          this.#deps.logger.error(fields, 'compaction failed');
        }
      }
      this.#current = undefined;
      if (job !== undefined) job.executing = 0;
      resolve();
      // What was left to a merge that has failed gets its indexes after all.
      if (round.merging.size > 0) await this.#announce(collectionId);
    }
  }

  async #announce(collectionId: bigint): Promise<void> {
    try {
      await this.#deps.peers.indexcoord.segmentsChanged({ collectionId }, {});
    } catch (error) {
      const fields = { collectionId: String(collectionId), error };
      this.#deps.logger.warn(fields, 'index coordinator not told of segments');
    }
  }

  async #compactCollection(round: Round, job: Job | undefined): Promise<void> {
    const { peers, segmentBytesMax } = this.#deps;
    const { collectionId, merging, abort } = round;
    if (job !== undefined) await peers.streamingnode.flush({ collectionId }, {});
    const isAtRest = await this.#waitUntilWritten(round, job !== undefined);
    const mode = job !== undefined ? 'all' : isAtRest ? 'rest' : 'busy';
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
    const plans = planCompactions(candidates, limits, mode);
    for (const id of plans.flat()) merging.add(id);
    for (const inputs of plans) {
      if (abort.signal.aborted) return;
      const target = await this.#merge(round, inputs);
      job?.plans.push({ inputs, target });
      if (job !== undefined) job.completed += 1;
    }
  }

  /**
   * A flush writes segments in the background; they are to be merged too. Returns whether nothing
   * grows; while something does, waits for what is being written only if it `mustWait`.
   */
  async #waitUntilWritten({ collectionId, abort }: Round, mustWait: boolean): Promise<boolean> {
    for (;;) {
      const { streamingnode } = this.#deps.peers;
      const { segments } = await streamingnode.listGrowing({ collectionId }, {});
      const isAtRest = segments.every(({ rows, isSealing }) => rows === 0 || isSealing);
      const isWritten = !segments.some((segment) => segment.isSealing);
      if (isWritten || abort.signal.aborted || !(isAtRest || mustWait)) return isAtRest;
      await this.#deps.sleep(SEALING_POLL_MS);
    }
  }

  async #merge(round: Round, inputIds: readonly bigint[]): Promise<bigint> {
    const { peers, storage, logger } = this.#deps;
    const { collectionId, merging, abort } = round;
    const call = { signal: abort.signal };
    const inputs = inputIds
      .map((id) => this.#table.find(collectionId, id))
      .filter((segment) => segment?.state === SegmentState.Flushed) as SegmentInfo[];
    const [first] = inputs;
    if (first === undefined || inputs.length !== inputIds.length) return 0n;
    const { schema } = await peers.rootcoord.describeCollection({ dbName: '', collectionId }, {});
    const segment = await this.#rewrite(schema, inputs, first, call);
    const added = segment === undefined ? [] : [segment];
    const indexFiles = segment === undefined ? [] : await this.#index(segment, schema, call);
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
    for (const id of inputIds) merging.delete(id);
    await peers.indexcoord.segmentsChanged({ collectionId }, {});
    for (const input of inputs) await storage.remove(input.file);
    logger.info(
      { collectionId: String(collectionId), inputs: inputs.length, rows: segment?.rows ?? 0 },
      'segments merged',
    );
    return segment?.segmentId ?? 0n;
  }

  /** Builds the output's indexes; where that fails the output goes, too. */
  async #index(
    segment: SegmentInfo,
    schema: CollectionSchema,
    call: CallContext,
  ): Promise<readonly IndexFile[]> {
    try {
      return (await this.#deps.peers.indexcoord.buildSegment({ segment, schema }, call)).files;
    } catch (error) {
      await this.#deps.storage.remove(segment.file);
      throw error;
    }
  }

  /** Merges the inputs into a new segment; undefined when no row is left. */
  async #rewrite(
    schema: CollectionSchema,
    inputs: readonly SegmentInfo[],
    { collectionId, vchannel }: SegmentInfo,
    call: CallContext,
  ): Promise<SegmentInfo | undefined> {
    const { peers, mvccRetentionMs } = this.#deps;
    const { first: target } = await peers.rootcoord.allocateIds({ count: 1 }, {});
    const { first: now } = await peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    const dropDeletedUpTo = now - composeTimestamp(mvccRetentionMs);
    for (let attempt = 0; ; attempt++) {
      const { deleteFiles } = this.#table.getChannel(collectionId, vchannel);
      try {
        const request = { schema, inputs, deleteFiles, target, dropDeletedUpTo };
        return (await peers.datanode.compact(request, call)).segment;
      } catch (error) {
        // A checkpoint may have put other delete files in the place of those.
        const isChanged =
          this.#table.getChannel(collectionId, vchannel).deleteFiles !== deleteFiles;
        if (!isChanged || attempt >= DELETE_FILE_RETRIES_MAX) throw error;
      }
    }
  }
}
