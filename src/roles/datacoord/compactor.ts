// Decides what is merged and when, one collection at a time: plan → merge (merger.ts) → the shard
// leader swaps (swaps.ts). Looks at a collection when its segments or deletes change, at a user's
// request, at start, and when the retention of deletes that it has seen passes; at no other time.
// Only what readers see is merged.

import { createDeferred } from '../../base/deferred.ts';
import { DueTimer } from '../../base/due-timer.ts';
import { nextTurn } from '../../base/turns.ts';
import { MilvusError, type ErrorName } from '../../model/error.ts';
import type { SegmentInfo, SegmentStats } from '../../model/segment-info.ts';
import { composeTimestamp, getPhysicalMs } from '../../model/timestamp.ts';
import type { CompactionPlan, CompactionStatus } from '../../rpc/contract.ts';
import { askCollection, flushCollection, listGrowing } from '../../rpc/shards.ts';
import { planCompactions } from './compaction-policy.ts';
import { Merger, type MergerDeps, type Round } from './merger.ts';
import { Swaps } from './swaps.ts';

export interface CompactorDeps extends MergerDeps {
  readonly segmentBytesMax: number;
  readonly isAutoCompactionOn: boolean;
}

/** Finished jobs whose state can still be asked for. */
const JOBS_MAX = 1024;
/** Waiting requests of users; more are refused. */
const WAITING_JOBS_MAX = 1024;
const DELETED_SHARE_MIN = 0.2;
const SEALING_POLL_MS = 20;
/** After a merge that has failed the collection is looked at again, later and later. */
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 600_000;
/** Not after these: a damaged input, or an index for which there is not enough memory. */
const LASTING = new Set<ErrorName>(['DataIntegrity', 'MemoryLimitExceeded']);

interface Job {
  readonly plans: CompactionPlan[];
  /** No output is larger. */
  readonly segmentBytesMax: number;
  executing: number;
  completed: number;
  failed: number;
}

export class Compactor {
  readonly #deps: CompactorDeps;
  readonly #merger: Merger;
  readonly #swaps: Swaps;
  readonly #jobs = new Map<bigint, Job>();
  /** Collections to look at, and the user's job that wants it, in order. */
  readonly #queue = new Map<bigint, Job | undefined>();
  /** Collections to look at later: their deletes are too young, or a merge has failed. */
  readonly #later: DueTimer<bigint>;
  /** Collection id → looks, one after another, in which a merge has failed. */
  readonly #failures = new Map<bigint, number>();
  #running: Promise<void> | undefined;
  #current: Round | undefined;
  #stopped = false;

  constructor(deps: CompactorDeps) {
    this.#deps = deps;
    this.#merger = new Merger(deps);
    this.#swaps = new Swaps(deps, (collectionId) => {
      void this.announce(collectionId);
      this.consider(collectionId);
    });
    this.#later = new DueTimer({
      runtime: deps.runtime,
      onDue: (collectionId) => this.consider(collectionId),
    });
  }

  /** Its segments or deletes have changed: merge if the policy says so. */
  consider(collectionId: bigint): void {
    const { isAutoCompactionOn } = this.#deps;
    if (!isAutoCompactionOn || this.#stopped || this.#queue.has(collectionId)) return;
    this.#enqueue(collectionId, undefined);
  }

  /** A user's request: merges all that fits together. Plans are made when its turn comes. */
  async request(
    collectionId: bigint,
    segmentBytesMax: number,
  ): Promise<{ compactionId: bigint; planCount: number }> {
    if (this.#queue.size >= WAITING_JOBS_MAX && !this.#queue.has(collectionId)) {
      throw new MilvusError('RateLimit', {
        message: 'too many compactions wait',
        fields: { waiting: this.#queue.size },
      });
    }
    const { first } = await this.#deps.peers.rootcoord.allocateIds({ count: 1 }, {});
    const job: Job = { plans: [], segmentBytesMax, executing: 1, completed: 0, failed: 0 };
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
    const { executing, completed, failed, plans } = job;
    const state = executing > 0 ? 'executing' : 'completed';
    return { state, executing, completed, failed, plans };
  }

  /**
   * Segments that a merge will soon replace, for which an index would be built in vain, and those
   * that will replace them.
   */
  listUnderWay(collectionId: bigint): { merging: bigint[]; writing: bigint[] } {
    const round = this.#current;
    if (round?.collectionId !== collectionId) return { merging: [], writing: [] };
    return { merging: [...round.merging], writing: [...round.writing] };
  }

  /** Cancels a collection's waiting and running merges and waits until they are gone. */
  async cancel(collectionId: bigint): Promise<void> {
    const job = this.#queue.get(collectionId);
    if (job !== undefined) job.executing = 0;
    this.#queue.delete(collectionId);
    if (this.#current?.collectionId !== collectionId) return;
    this.#current.abort.abort();
    await this.#current.done;
  }

  /** The same for a collection that is being dropped. */
  async forget(collectionId: bigint): Promise<void> {
    await this.cancel(collectionId);
    this.#later.forget(collectionId);
    this.#failures.delete(collectionId);
    this.#swaps.forget(collectionId);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    this.#current?.abort.abort();
    await this.#running;
    await this.#later.stop();
    await this.#swaps.stop();
  }

  /** Tells of segments that appeared or vanished; a failure is logged, indexes come later then. */
  async announce(collectionId: bigint): Promise<void> {
    try {
      await this.#deps.peers.indexcoord.segmentsChanged({ collectionId }, {});
    } catch (error) {
      const fields = { collectionId: String(collectionId), error };
      this.#deps.logger.warn(fields, 'index coordinator not told of segments');
    }
  }

  #enqueue(collectionId: bigint, job: Job | undefined): void {
    const waiting = this.#queue.get(collectionId);
    if (waiting !== undefined && job !== undefined) waiting.executing = 0;
    this.#queue.set(collectionId, job ?? waiting);
    this.#running ??= this.#runQueue();
  }

  async #runQueue(): Promise<void> {
    for (;;) {
      // Many looks at a time, as after a start, leave the event loop to requests in between (P9).
      await nextTurn();
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
      const round = { collectionId, merging: new Set<bigint>(), writing: new Set<bigint>() };
      this.#current = { ...round, abort, done };
      try {
        if (await this.#compactCollection(this.#current, job)) this.#failures.delete(collectionId);
      } catch (error) {
        this.#fail(this.#current, job, error);
      }
      this.#current = undefined;
      if (job !== undefined) job.executing = 0;
      resolve();
      // What was left to a merge that has failed gets its indexes after all.
      if (round.merging.size + round.writing.size > 0) await this.announce(collectionId);
    }
  }

  /** One whose collection or partition is being dropped has not failed. */
  #fail({ collectionId, abort }: Round, job: Job | undefined, error: unknown): void {
    if (abort.signal.aborted || isCollectionGone(error)) return;
    if (job !== undefined) job.failed += 1;
    this.#deps.logger.error({ collectionId: String(collectionId), error }, 'compaction failed');
    if (error instanceof MilvusError && LASTING.has(error.errorName)) return;
    // The cause may pass, as a full disk does, and nobody write to the collection then (P7).
    const failures = this.#failures.get(collectionId) ?? 0;
    this.#failures.set(collectionId, failures + 1);
    const delayMs = Math.min(RETRY_MS_MIN * 2 ** failures, RETRY_MS_MAX);
    this.#later.schedule(collectionId, this.#deps.runtime.nowMs() + delayMs);
  }

  /** Whether no merge has failed. */
  async #compactCollection(round: Round, job: Job | undefined): Promise<boolean> {
    const { peers } = this.#deps;
    const { collectionId, merging, abort } = round;
    // Until a leader shows the outputs of merges, there is nothing new to merge.
    if (this.#swaps.isPending(collectionId)) return true;
    if (job !== undefined) await flushCollection(peers, collectionId);
    const isAtRest = await this.#waitUntilWritten(round, job !== undefined);
    const mode = job !== undefined ? 'all' : isAtRest ? 'rest' : 'busy';
    if (this.#deps.table.listFlushed(collectionId).length === 0) return true;
    const { horizon, stats } = await this.#listShown(collectionId);
    const candidates = stats.flatMap(({ segmentId, droppableRows }) => {
      const segment = this.#deps.table.findFlushed(collectionId, segmentId);
      return segment === undefined ? [] : [{ segment, droppableRows }];
    });
    const segmentBytesMax = job?.segmentBytesMax ?? this.#deps.segmentBytesMax;
    const limits = { segmentBytesMax, deletedShareMin: DELETED_SHARE_MIN };
    const plans = planCompactions(candidates, limits, mode);
    const planned = new Set(plans.flat());
    this.#lookAgain(collectionId, stats.filter(({ segmentId }) => !planned.has(segmentId)));
    if (plans.length === 0) return true;
    // A merge leaves out what delete files say, not what only the log has.
    await askCollection(peers, collectionId, (shard, vchannel) =>
      shard.writeDeletes({ vchannel }, {}),
    );
    for (const id of planned) merging.add(id);
    let isDone = true;
    for (const inputIds of plans) {
      if (abort.signal.aborted) break;
      const inputs = inputIds.flatMap((id) => this.#findInput(collectionId, id));
      if (inputs.length !== inputIds.length) continue;
      try {
        if (!(await this.#merge(round, job, { inputs, horizon }))) break;
      } catch (error) {
        // The others are not to suffer: segments of another partition, or sounder ones.
        isDone = false;
        this.#fail(round, job, error);
      }
    }
    return isDone;
  }

  /** Whether readers see the output. */
  async #merge(
    round: Round,
    job: Job | undefined,
    { inputs, horizon }: { inputs: readonly SegmentInfo[]; horizon: bigint },
  ): Promise<boolean> {
    const { collectionId, merging, writing } = round;
    const output = await this.#merger.merge(round, inputs, horizon);
    const added = output === undefined ? [] : [output];
    const removed = inputs.map(({ segmentId }) => segmentId);
    const { vchannel } = inputs[0]!;
    const isShown = await this.#swaps.swap({ collectionId, vchannel, added, removed });
    for (const id of removed) merging.delete(id);
    writing.clear();
    await this.announce(collectionId);
    job?.plans.push({ inputs: removed, target: output?.segmentId ?? 0n });
    if (job !== undefined) job.completed += 1;
    return isShown;
  }

  #findInput(collectionId: bigint, segmentId: bigint): SegmentInfo[] {
    const segment = this.#deps.table.findFlushed(collectionId, segmentId);
    return segment === undefined ? [] : [segment];
  }

  /** What readers see, and how much of it may be left out of a merge. */
  async #listShown(
    collectionId: bigint,
  ): Promise<{ horizon: bigint; stats: readonly SegmentStats[] }> {
    const { peers, mvccRetentionMs } = this.#deps;
    const { first: now } = await peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    const horizon = now - composeTimestamp(mvccRetentionMs);
    const replies = await askCollection(peers, collectionId, (shard, vchannel) =>
      shard.listSealed({ vchannel, horizon }, {}),
    );
    return { horizon, stats: replies.flatMap(({ segments }) => segments) };
  }

  /** Rows that no merge may leave out yet: it may once the newest of them is past the retention. */
  #lookAgain(collectionId: bigint, stats: readonly SegmentStats[]): void {
    for (const { deletedRows, droppableRows, lastDeleted } of stats) {
      if (deletedRows === droppableRows) continue;
      // One more millisecond: timestamps of the last one are past then, too.
      const dueMs = getPhysicalMs(lastDeleted) + this.#deps.mvccRetentionMs + 1;
      this.#later.schedule(collectionId, dueMs);
    }
  }

  /**
   * A flush writes segments in the background; they are to be merged too. Returns whether nothing
   * grows; while something does, waits for what is being written only if it `mustWait`.
   */
  async #waitUntilWritten({ collectionId, abort }: Round, mustWait: boolean): Promise<boolean> {
    const { peers, runtime } = this.#deps;
    for (;;) {
      const segments = await listGrowing(peers, collectionId, { mustServe: false });
      const isAtRest = segments.every(({ rows, isSealing }) => rows === 0 || isSealing);
      // One that cannot be written is no reason to wait: it may take long.
      const isWritten = !segments.some(
        ({ isSealing, failure }) => isSealing && failure === undefined,
      );
      if (isWritten || abort.signal.aborted || !(isAtRest || mustWait)) return isAtRest;
      await runtime.sleep(SEALING_POLL_MS, abort.signal).catch(() => undefined);
    }
  }
}

function isCollectionGone(error: unknown): boolean {
  return error instanceof MilvusError && error.errorName === 'CollectionNotFound';
}
