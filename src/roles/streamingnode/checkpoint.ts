// A shard's checkpoints: written segments, pending deletes and the position from which replay must
// begin, in one metadata transaction (R1); and the horizon, up to which deleted rows are left out
// of files (R5). Invariant: no checkpoint passes a row that is in no file. Commits are in the
// shard's line, so that nothing is applied meanwhile.

import assert from 'node:assert/strict';
import { min } from '../../base/bigint.ts';
import type { Logger } from '../../base/logger.ts';
import type { SegmentInfo } from '../../model/segment-info.ts';
import { composeTimestamp } from '../../model/timestamp.ts';
import type { Peers } from '../../rpc/contract.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';
import type { ChannelCommits } from './channel-commits.ts';
import type { DeleteBuffer } from './delete-buffer.ts';
import type { ShardLog } from './shard-log.ts';
import type { ShardState } from './shard-state.ts';
import type { GrowingSegment, View } from './view.ts';

/** After a checkpoint of deletes that failed, writes do not try another before so long. */
const RETRY_MS = 1000;

export interface CheckpointDeps {
  readonly storage: ObjectStorage;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly runtime: { monotonicMs(): number };
  readonly mvccRetentionMs: number;
  /** The shard needs less of the log than before. */
  readonly onCheckpoint: () => void;
}

export interface CheckpointOf {
  readonly state: ShardState;
  readonly view: View;
  readonly log: ShardLog;
  readonly deletes: DeleteBuffer;
  readonly commits: ChannelCommits;
}

export class Checkpoint {
  /** The largest bound up to which a file left deletes out: later files leave out no fewer. */
  horizon = 0n;
  readonly #deps: CheckpointDeps;
  readonly #of: CheckpointOf;
  #retryAtMs = 0;

  constructor(deps: CheckpointDeps, of: CheckpointOf) {
    this.#deps = deps;
    this.#of = of;
  }

  /** First position of the log that a restart must see (R1). */
  neededFrom(): bigint {
    return this.#neededWithout(undefined);
  }

  #neededWithout(written: GrowingSegment | undefined): bigint {
    const { log, deletes } = this.#of;
    const inFlight = log.firstInFlight() ?? deletes.firstPosition();
    return this.#firstUnwritten(min(inFlight, deletes.firstPosition()), written);
  }

  /**
   * Writes the deletes that no file has, but after a failure not at once, at every further write.
   * In the shard's line. Never rejects: they are in the log, and a later write tries again.
   */
  async writeDeletes(): Promise<void> {
    const { state, deletes } = this.#of;
    if (!state.isOpen || deletes.isEmpty) return;
    if (this.#deps.runtime.monotonicMs() < this.#retryAtMs) return;
    try {
      await this.commit([], undefined);
      this.#deps.onCheckpoint();
    } catch (error) {
      this.#deps.logger.error({ vchannel: state.vchannel, error }, 'deletes not written');
    }
  }

  /**
   * Raises the horizon to that of the retention, but not past what has been applied, because a
   * delete that is still under way may be older.
   */
  async raiseHorizon(): Promise<bigint> {
    const { peers, mvccRetentionMs } = this.#deps;
    const { first: now } = await peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    const horizon = now - composeTimestamp(mvccRetentionMs);
    const bound = min(horizon, this.#of.log.lastTimestamp);
    if (bound > this.horizon) this.horizon = bound;
    return this.horizon;
  }

  /** @param written  the growing segment that these segments take the place of */
  async commit(
    segments: readonly SegmentInfo[],
    written: GrowingSegment | undefined,
  ): Promise<void> {
    try {
      await this.#commit(segments, written);
    } catch (error) {
      this.#retryAtMs = this.#deps.runtime.monotonicMs() + RETRY_MS;
      throw error;
    }
  }

  async #commit(
    segments: readonly SegmentInfo[],
    written: GrowingSegment | undefined,
  ): Promise<void> {
    const { deletes, commits, log, view } = this.#of;
    const { storage, logger } = this.#deps;
    const { applied } = log;
    assert(view.isComplete, 'which deletes are needed is known');
    const before = deletes.files;
    const needed = this.#oldestDeletesUpTo(segments, written);
    const deleteFiles = await deletes.writeFiles({ storage, logger, commits }, needed);
    // Records appended but not yet applied belong to what comes after this turn.
    const checkpoint = this.#firstUnwritten(applied + 1n, written);
    try {
      await commits.commit({ segments, deleteFiles, checkpoint });
    } catch (error) {
      const fresh = deleteFiles.filter((file) => !before.includes(file));
      await commits.giveUp(fresh.map(({ file }) => file));
      throw error;
    }
    assert.equal(log.applied, applied, 'nothing is applied during a commit');
    deletes.setFiles(deleteFiles);
    assert(checkpoint <= this.#neededWithout(written), 'no checkpoint passes an unwritten row');
  }

  /** The position, or that of an earlier record with rows that are in no file. */
  #firstUnwritten(position: bigint, written: GrowingSegment | undefined): bigint {
    let first = position;
    for (const growing of this.#of.view.growing.values()) {
      if (growing !== written) first = min(first, growing.firstPosition);
    }
    return first;
  }

  /** A file, written or still to be written, may lack the deletes after it; undefined = no file. */
  #oldestDeletesUpTo(
    added: readonly SegmentInfo[],
    written: GrowingSegment | undefined,
  ): bigint | undefined {
    const { view } = this.#of;
    const bounds: bigint[] = [];
    for (const { file, deletesUpTo } of [...view.sealed.values(), ...added]) {
      if (file !== '') bounds.push(deletesUpTo);
    }
    for (const growing of view.growing.values()) {
      if (growing === written || growing.rows === 0) continue;
      bounds.push(growing.deletesUpTo ?? this.horizon);
    }
    if (bounds.length === 0) return undefined;
    return bounds.reduce(min);
  }
}
