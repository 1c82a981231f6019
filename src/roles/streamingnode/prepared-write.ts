// A write that is checked and for which all is reserved that applying it takes, so that nothing can
// fail once its record is in the WAL (R8). Ends with its application or with `giveUp`.

import assert from 'node:assert/strict';
import { nextTurn, TurnMeter } from '../../base/turns.ts';
import { encodeKeys, type MessagePart } from '../../codec/wal-message.ts';
import { native } from '../../index/native.ts';
import { MilvusError } from '../../model/error.ts';
import type { InsertPart } from '../../rpc/contract.ts';
import { countDeleteBytes, type DeleteBuffer } from './delete-buffer.ts';
import type { GrowingBudget } from './growing-budget.ts';
import type { GrowingSegments } from './growing-segments.ts';
import type { PendingWrite } from './pending-writes.ts';
import { KEY_BYTES, ROW_BYTES, TURN_BYTES, type RecordOwner } from './shard-log.ts';
import type { ShardState } from './shard-state.ts';
import type { GrowingSegment } from './view.ts';

/** StatusCode::kMemoryLimit of native/core/base/status.h. */
const NATIVE_MEMORY_LIMIT = 3;

/** Where a write's rows and deletes will go. */
export interface WriteTargets {
  readonly budget: GrowingBudget;
  readonly deletes: DeleteBuffer;
  readonly growing: GrowingSegments;
  readonly state: ShardState;
}

interface Reservation {
  readonly growing: GrowingSegment;
  readonly batch: Uint8Array;
}

export class PreparedWrite implements RecordOwner {
  readonly write: PendingWrite;
  readonly #targets: WriteTargets;
  readonly parts: MessagePart[] = [];
  readonly #rows: Reservation[] = [];
  #growingBytes = 0;
  #deleteBytes = 0;

  private constructor(write: PendingWrite, targets: WriteTargets) {
    this.write = write;
    this.#targets = targets;
  }

  /**
   * Large writes take several turns of the event loop.
   * @throws MilvusError MemoryLimitExceeded, with nothing left reserved
   */
  static async make(write: PendingWrite, targets: WriteTargets): Promise<PreparedWrite> {
    const prepared = new PreparedWrite(write, targets);
    try {
      await prepared.#reserve();
    } catch (error) {
      prepared.giveUp();
      throw error;
    }
    return prepared;
  }

  async #reserve(): Promise<void> {
    const { parts } = this.write.request;
    const { budget, deletes } = this.#targets;
    this.#growingBytes = budget.reserveFor(parts, this.#targets.state.schema);
    const turn = new TurnMeter(TURN_BYTES);
    for (const part of parts) {
      if (part.kind === 'insert') {
        if (turn.isOver(part.batch.byteLength + ROW_BYTES * part.rows)) await nextTurn();
        this.#reserveRows(part);
        continue;
      }
      if (turn.isOver(KEY_BYTES * part.keys.values.length)) await nextTurn();
      const keys = encodeKeys(part.keys);
      const { partitionId, killsUpTo } = part;
      const keyBytes = countDeleteBytes(keys);
      deletes.reserve(keyBytes);
      this.#deleteBytes += keyBytes;
      this.parts.push({ kind: 'delete', partitionId, killsUpTo, keys });
    }
  }

  #reserveRows(part: InsertPart): void {
    const growing = this.#targets.growing.assign(part);
    try {
      native.reserveRows(growing.handle, part.batch);
    } catch (error) {
      this.#targets.growing.unassign(growing, part.batch);
      throw explainRefusal(error, part.batch.byteLength);
    }
    this.#rows.push({ growing, batch: part.batch });
    this.parts.push({ ...part, segmentId: growing.segmentId });
  }

  /** What is applied of it is counted where it is. */
  acknowledge(timestamp: bigint): void {
    this.#release();
    this.write.resolve({ timestamp });
  }

  fail(error: unknown): void {
    this.#release();
    this.write.reject(error);
  }

  refuse(error: unknown): void {
    this.giveUp();
    this.write.reject(error);
  }

  /** Its rows go before the seals of their segments. */
  requireUnsealed(): void {
    const isUnsealed = this.#rows.every(({ growing: { phase } }) => phase !== 'closed');
    assert(isUnsealed, 'no row is appended behind the seal of its segment');
  }

  /** The write will not be applied. */
  giveUp(): void {
    this.#release();
    for (const { growing, batch } of this.#rows) {
      native.cancelRows(growing.handle, batch);
      this.#targets.growing.unassign(growing, batch);
    }
  }

  #release(): void {
    this.#targets.budget.release(this.#growingBytes);
    this.#targets.deletes.release(this.#deleteBytes);
  }
}

function explainRefusal(error: unknown, bytes: number): unknown {
  const isMemory =
    error instanceof Error && 'code' in error && error.code === NATIVE_MEMORY_LIMIT;
  if (!isMemory) return error;
  return new MilvusError('MemoryLimitExceeded', {
    message: error.message,
    fields: { need: bytes },
  });
}
