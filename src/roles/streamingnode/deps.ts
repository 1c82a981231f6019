// What the streaming node is given, and what it gives to each of its shards.

import type { Runtime } from '../../base/clock.ts';
import type { Health } from '../../base/health.ts';
import type { Logger } from '../../base/logger.ts';
import type { Peers } from '../../rpc/contract.ts';
import type { ReadSlots } from '../../segment/read-slots.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';
import type { LogStore, Wal } from '../../wal/wal.ts';
import type { GrowingBudget } from './growing-budget.ts';

export type ReadKind = 'search' | 'query';

export interface StreamingNodeDeps {
  readonly logs: LogStore;
  /** Names of the pchannels that this node owns. */
  readonly pchannels: readonly string[];
  readonly storage: ObjectStorage;
  readonly peers: Peers;
  readonly logger: Logger;
  readonly runtime: Runtime;
  readonly health: Health;
  /** Serves without acknowledged records that the log has lost; else their shards are stopped. */
  readonly isDamageAccepted: boolean;
  readonly mvccRetentionMs: number;
  /** A growing segment is sealed at this size. */
  readonly segmentBytesMax: number;
  /** The log kept of a pchannel: past it the growing segments that pin it are written out (R20). */
  readonly walBytesMax: number;
  /** Inserts are refused past it (R19). */
  readonly growingBytesMax: number;
  /** Growing segments are written out at this age. */
  readonly growingLifeMsMax: number;
  /** A shard has been read, in so many milliseconds. */
  readonly onRead: (kind: ReadKind, milliseconds: number, isDone: boolean) => void;
  readonly reads: ReadSlots;
}

export interface ShardDeps extends StreamingNodeDeps {
  readonly wal: Wal;
  /** With which this node owns the shard's pchannel. */
  readonly term: number;
  readonly budget: GrowingBudget;
  /** The shard needs less of the WAL than before. */
  readonly onCheckpoint: () => void;
  /** A record has been applied. */
  readonly onWritten: () => void;
  /** A growing segment has got its first record. */
  readonly onBorn: (segmentId: bigint, timestamp: bigint) => void;
  /** The shard has stopped, in this turn; its collection cannot be served without it. */
  readonly onStopped: (reason: string) => void;
}
