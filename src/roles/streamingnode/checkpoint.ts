// A shard's checkpoints: written segments, pending deletes and the position from which replay must
// begin, in one metadata transaction (R1); and the horizon, up to which deleted rows are left out
// of files (R5). Called in the shard's line, so that nothing is applied meanwhile.

import type { Logger } from '../../base/logger.ts';
import type { SegmentInfo } from '../../model/segment-info.ts';
import { composeTimestamp } from '../../model/timestamp.ts';
import type { Peers } from '../../rpc/contract.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';
import type { ChannelCommits } from './channel-commits.ts';
import type { DeleteBuffer } from './delete-buffer.ts';
import type { View } from './view.ts';

/** After a checkpoint of deletes that failed, writes do not try another before so long. */
const RETRY_MS = 1000;

export interface CheckpointDeps {
  readonly storage: ObjectStorage;
  readonly logger: Logger;
  readonly peers: Peers;
  readonly runtime: { monotonicMs(): number };
  readonly mvccRetentionMs: number;
}

export interface CheckpointOf {
  readonly view: View;
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

  /** Whether deletes may be written: after a failure not at once, at every further write. */
  isDue(): boolean {
    return this.#deps.runtime.monotonicMs() >= this.#retryAtMs;
  }

  /**
   * Raises the horizon to that of the retention, but not past what has been applied, because a
   * delete that is still under way may be older.
   */
  async raiseHorizon(lastTimestamp: bigint): Promise<bigint> {
    const { peers, mvccRetentionMs } = this.#deps;
    const { first: now } = await peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    const horizon = now - composeTimestamp(mvccRetentionMs);
    const bound = horizon < lastTimestamp ? horizon : lastTimestamp;
    if (bound > this.horizon) this.horizon = bound;
    return this.horizon;
  }

  /**
   * @param applied  position of the last applied record
   * @param written  the growing segment that these segments take the place of
   */
  async commit(
    segments: readonly SegmentInfo[],
    written: bigint | undefined,
    applied: bigint,
  ): Promise<void> {
    try {
      await this.#commit(segments, written, applied);
    } catch (error) {
      this.#retryAtMs = this.#deps.runtime.monotonicMs() + RETRY_MS;
      throw error;
    }
  }

  async #commit(
    segments: readonly SegmentInfo[],
    written: bigint | undefined,
    applied: bigint,
  ): Promise<void> {
    const { view, deletes, commits } = this.#of;
    const { storage, logger } = this.#deps;
    const before = deletes.files;
    const needed = this.#oldestDeletesUpTo(segments, written);
    const deleteFiles = await deletes.writeFiles({ storage, logger, commits }, needed);
    // Records appended but not yet applied belong to what comes after this turn.
    let checkpoint = applied + 1n;
    for (const { segmentId, firstPosition } of view.growing.values()) {
      if (segmentId !== written && firstPosition < checkpoint) checkpoint = firstPosition;
    }
    try {
      await commits.commit({ segments, deleteFiles, checkpoint });
    } catch (error) {
      const fresh = deleteFiles.filter((file) => !before.includes(file));
      await commits.giveUp(fresh.map(({ file }) => file));
      throw error;
    }
    deletes.setFiles(deleteFiles);
  }

  /** A file, written or still to be written, may lack the deletes after it; undefined = no file. */
  #oldestDeletesUpTo(
    added: readonly SegmentInfo[],
    written: bigint | undefined,
  ): bigint | undefined {
    const { view } = this.#of;
    const bounds: bigint[] = [];
    for (const { file, deletesUpTo } of [...view.sealed.values(), ...added]) {
      if (file !== '') bounds.push(deletesUpTo);
    }
    for (const { segmentId, rows, deletesUpTo } of view.growing.values()) {
      if (segmentId !== written && rows > 0) bounds.push(deletesUpTo ?? this.horizon);
    }
    if (bounds.length === 0) return undefined;
    return bounds.reduce((least, bound) => (bound < least ? bound : least));
  }
}
