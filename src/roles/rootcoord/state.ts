// What the root coordinator's verbs share: its dependencies, the names in memory, ids, timestamps.

import type { Runtime } from '../../base/clock.ts';
import type { Health } from '../../base/health.ts';
import type { Logger } from '../../base/logger.ts';
import type { Catalog } from '../../meta/catalog.ts';
import type { Peers } from '../../rpc/contract.ts';
import type { IdLease, TimestampLease } from './lease.ts';
import type { Names } from './names.ts';

export interface RootCoordLimits {
  readonly maxDatabaseNum: number;
  readonly maxPartitionNum: number;
  readonly maxCollectionNum: number;
  readonly maxCollectionNumPerDb: number;
  readonly maxGeneralCapacity: number;
  /** Shards are spread over these. */
  readonly pchannels: readonly string[];
  readonly defaultPartitionName: string;
}

export interface RootCoordDeps {
  readonly catalog: Catalog;
  readonly peers: Peers;
  readonly logger: Logger;
  readonly health: Health;
  readonly limits: RootCoordLimits;
  /** A collection has gone, or has another name. */
  readonly onNameGone: (dbName: string, name: string) => void;
  readonly runtime: Runtime;
}

export interface RootCoordState {
  readonly deps: RootCoordDeps;
  readonly names: Names;
  readonly ids: IdLease;
  readonly timestamps: TimestampLease;
  /** A drop was recorded and could not be carried out. */
  readonly onUnfinishedDrop: () => void;
}
