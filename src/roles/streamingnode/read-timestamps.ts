// The timestamps at which a shard can be read (R5): no later than what is applied and has reached
// the sealed rows, no earlier than the versions that files still have. Invariant: a timestamp that
// was read reads the same again, because nothing is stamped at or before it.

import { MilvusError } from '../../model/error.ts';
import { composeTimestamp } from '../../model/timestamp.ts';
import type { Peers } from '../../rpc/contract.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { SealedSegments } from './sealed-segments.ts';
import type { ShardLog } from './shard-log.ts';
import type { View } from './view.ts';
import type { WriteLine } from './write-line.ts';

export interface ReadTimestampsOf {
  readonly peers: Peers;
  readonly view: View;
  readonly log: ShardLog;
  readonly writes: WriteLine;
  readonly sealed: SealedSegments;
  readonly checkpoint: Checkpoint;
}

/** A client's pin comes from one of our clocks; further ahead than this it is not one. */
const CLOCK_SKEW_MS_MAX = 60_000;

export class ReadTimestamps {
  readonly #of: ReadTimestampsOf;

  constructor(of: ReadTimestampsOf) {
    this.#of = of;
  }

  /**
   * Makes a pin from another shard readable here: waits for what is under way at or before it, and
   * has nothing stamped at or before it from now on.
   * @throws MilvusError ParameterInvalid for a pin from the future
   */
  async makeReadable(pinned: bigint): Promise<void> {
    const { peers, log, writes } = this.#of;
    if (pinned <= log.lastTimestamp) return;
    const { first: now } = await peers.rootcoord.allocateTimestamps({ count: 1 }, {});
    if (pinned > now + composeTimestamp(CLOCK_SKEW_MS_MAX)) {
      throw new MilvusError('ParameterInvalid', {
        message: 'the read timestamp lies in the future',
        fields: { got: pinned },
      });
    }
    writes.raise(pinned);
    await log.whenApplied();
  }

  /**
   * Returns the timestamp to read at: the client's pin, once it is readable, or everything
   * acknowledged before the deletes were delivered.
   * @throws MilvusError ParameterInvalid for a pin older than what compaction has kept
   */
  choose(pinned: bigint): bigint {
    const visible = this.#visible();
    if (pinned === 0n || pinned === visible) return visible;
    const { view, checkpoint } = this.#of;
    let keptFrom = checkpoint.horizon;
    for (const { deletesUpTo } of view.sealed.values()) {
      if (deletesUpTo > keptFrom) keptFrom = deletesUpTo;
    }
    if (pinned >= keptFrom) return pinned;
    throw new MilvusError('ParameterInvalid', {
      message: 'the read timestamp is older than the versions kept',
      fields: { got: pinned, expected: `>= ${keptFrom}` },
    });
  }

  /** All that is applied, but for deletes that have not reached the sealed rows. */
  #visible(): bigint {
    const { log, sealed } = this.#of;
    const first = sealed.firstUndelivered();
    return first === undefined || first > log.lastTimestamp ? log.lastTimestamp : first - 1n;
  }
}
