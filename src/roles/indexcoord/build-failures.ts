// Builds that have failed. One with a cause that may pass, such as a full disk, is tried again with
// back-off (P7); one whose cause lies in the data or the index stays failed until either changes.
// Bounded by the segments and indexes there are: what is gone is forgotten. Health is told of each
// collection that has any.

import type { Runtime } from '../../base/clock.ts';
import { DueTimer } from '../../base/due-timer.ts';
import { getErrorMessage } from '../../base/error-message.ts';
import type { Health } from '../../base/health.ts';
import { MilvusError, type ErrorName } from '../../model/error.ts';
import { buildKey } from './index-table.ts';

interface Build {
  readonly collectionId: bigint;
  readonly segmentId: bigint;
  readonly indexId: bigint;
}

export interface BuildFailure extends Build {
  readonly reason: string;
  readonly attempts: number;
  /** By the monotonic clock; Infinity = it is not tried again. */
  readonly retryAtMs: number;
}

/** Besides everything that the table blames on the input. */
const LASTING = new Set<ErrorName>(['DataIntegrity', 'Unimplemented']);
const COMPONENT = 'indexcoord';
/** Files of one build that may turn out damaged: then something else is wrong than the file. */
const DAMAGED_FILES_MAX = 3;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 600_000;
/** After the missing indexes of a collection could not be looked for. */
const LOOK_MS = 10_000;

export class BuildFailures {
  readonly #runtime: Runtime;
  readonly #timer: DueTimer<bigint>;
  readonly #failures = new Map<string, BuildFailure>();
  readonly #health: Health;
  /** Collection id → its failures. */
  readonly #counts = new Map<bigint, number>();
  /** How many of its files were damaged. */
  readonly #damaged = new Map<string, { readonly build: Build; readonly count: number }>();

  /** @param onDue gets a collection with a build that may be tried again */
  constructor(runtime: Runtime, health: Health, onDue: (collectionId: bigint) => void) {
    this.#runtime = runtime;
    this.#health = health;
    this.#timer = new DueTimer({ runtime, onDue });
  }

  find(segmentId: bigint, indexId: bigint): BuildFailure | undefined {
    return this.#failures.get(buildKey(segmentId, indexId));
  }

  /** Whether it has failed, and its time has not come. */
  isBlocked(segmentId: bigint, indexId: bigint): boolean {
    return (this.find(segmentId, indexId)?.retryAtMs ?? 0) > this.#runtime.monotonicMs();
  }

  add({ collectionId, segmentId, indexId }: Build, error: unknown): BuildFailure {
    const key = buildKey(segmentId, indexId);
    const attempts = (this.#failures.get(key)?.attempts ?? 0) + 1;
    const delayMs = isLasting(error)
      ? Infinity
      : Math.min(RETRY_MS_MIN * 2 ** (attempts - 1), RETRY_MS_MAX);
    const reason = getErrorMessage(error);
    const retryAtMs = this.#runtime.monotonicMs() + delayMs;
    const failure = { collectionId, segmentId, indexId, reason, attempts, retryAtMs };
    if (!this.#failures.has(key)) this.#count(collectionId, 1);
    this.#failures.set(key, failure);
    const what = `an index of collection ${collectionId} cannot be built`;
    this.#health.report(COMPONENT, `builds of ${collectionId}`, `${what}: ${reason}`);
    if (delayMs < Infinity) this.#timer.schedule(collectionId, this.#runtime.nowMs() + delayMs);
    return failure;
  }

  /** The collection is due once more, without a build that has failed. */
  lookLater(collectionId: bigint): void {
    this.#timer.schedule(collectionId, this.#runtime.nowMs() + LOOK_MS);
  }

  /** A file was sound when it was built and is not any more. */
  addDamage(build: Build, reason: string): void {
    const key = buildKey(build.segmentId, build.indexId);
    const count = (this.#damaged.get(key)?.count ?? 0) + 1;
    this.#damaged.set(key, { build, count });
    if (count <= DAMAGED_FILES_MAX) return;
    const message = `its file was damaged ${count} times: ${reason}`;
    this.add(build, new MilvusError('DataIntegrity', { message }));
  }

  remove(segmentId: bigint, indexId: bigint): void {
    const failure = this.find(segmentId, indexId);
    if (failure !== undefined) this.#forget(failure);
  }

  /** Forgets those of a collection that are not `kept`. */
  retain(collectionId: bigint, isKept: (build: Build) => boolean): void {
    const isGone = (build: Build): boolean =>
      build.collectionId === collectionId && !isKept(build);
    for (const failure of this.#failures.values()) if (isGone(failure)) this.#forget(failure);
    for (const [key, { build }] of this.#damaged) if (isGone(build)) this.#damaged.delete(key);
  }

  #forget({ collectionId, segmentId, indexId }: BuildFailure): void {
    this.#failures.delete(buildKey(segmentId, indexId));
    this.#count(collectionId, -1);
  }

  #count(collectionId: bigint, by: number): void {
    const count = (this.#counts.get(collectionId) ?? 0) + by;
    if (count > 0) this.#counts.set(collectionId, count);
    else {
      this.#counts.delete(collectionId);
      this.#health.clear(COMPONENT, `builds of ${collectionId}`);
    }
  }

  stop(): Promise<void> {
    return this.#timer.stop();
  }
}

function isLasting(error: unknown): boolean {
  return error instanceof MilvusError && (error.isInputError || LASTING.has(error.errorName));
}
