// The root coordinator: ids, timestamps, databases, collections, partitions, aliases.
// The catalog is the truth (R10): every change is one durable transaction, made under one lock, and
// shows in memory only afterwards.

import { DueTimer } from '../../base/due-timer.ts';
import { SerialQueue } from '../../base/serial-queue.ts';
import type { CollectionInfo, DatabaseInfo } from '../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { EMPTY, type CollectionRef, type RootCoord } from '../../rpc/contract.ts';
import { alterAlias, createAlias, describeAlias, dropAlias, listAliases } from './aliases.ts';
import {
  addCollectionField,
  alterCollection,
  alterCollectionField,
  createCollection,
  renameCollection,
} from './collections.ts';
import { alterDatabase, createDatabase, createDefaultDatabase, dropDatabase } from './databases.ts';
import {
  dropCollection,
  dropPartition,
  finishDrop,
  finishPartitionDrops,
} from './drops.ts';
import { IdLease, TimestampLease } from './lease.ts';
import { Names } from './names.ts';
import { createPartition, findPartitionToDrop } from './partitions.ts';
import type { RootCoordDeps, RootCoordState } from './state.ts';

/** DDL requests that wait for the lock; more are refused with code 8 (R24). */
const DDL_PENDING = { countMax: 4096, bytesMax: 64 * 1024 * 1024 };
/** Between two tries to finish drops; it doubles. */
const FINISH_MS_MIN = 1000;
const FINISH_MS_MAX = 60_000;

export class RootCoordRole implements RootCoord {
  readonly #state: RootCoordState;
  readonly #ddl: SerialQueue = new SerialQueue({
    pendingCountMax: DDL_PENDING.countMax,
    pendingBytesMax: DDL_PENDING.bytesMax,
    refuse: () =>
      new MilvusError('RateLimit', {
        message: 'too many requests wait to change the catalog',
        fields: { waiting: this.#ddl.pendingCount, bytes: this.#ddl.pendingBytes },
      }),
  });

  /** Fires when unfinished drops are to be tried again. */
  readonly #finishTimer: DueTimer<'drops'>;
  #finishMs = FINISH_MS_MIN;

  constructor(deps: RootCoordDeps) {
    this.#finishTimer = new DueTimer({
      runtime: deps.runtime,
      onDue: () => void this.#finishAgain(),
    });
    this.#state = {
      deps,
      names: new Names(),
      ids: new IdLease(deps.catalog),
      timestamps: new TimestampLease(deps.catalog, () => deps.runtime.nowMs()),
      onUnfinishedDrop: () => this.#finishLater(),
    };
  }

  async start(): Promise<void> {
    const { deps, names, ids, timestamps } = this.#state;
    await ids.open(deps.runtime.nowMs());
    await timestamps.open();
    for (const database of await deps.catalog.list('database')) names.putDatabase(database);
    if (names.databases.size === 0) await createDefaultDatabase(this.#state);
    const drops = await deps.catalog.list('dropping');
    const dropped = new Set(
      drops.filter((drop) => drop.partitionId === 0n).map((drop) => drop.collectionId),
    );
    for (const info of await deps.catalog.list('collection')) {
      if (!dropped.has(info.collectionId)) names.put(info);
    }
  }

  /**
   * Ends what a crash or a failure interrupted: drops that were recorded. Call when all roles are
   * up. One that fails again does not hold up the others; it is tried again later.
   */
  async finishDrops(): Promise<void> {
    const { deps, names } = this.#state;
    for (const drop of await deps.catalog.list('dropping')) {
      const { collectionId, partitionId } = drop;
      await this.#ddl
        .run(async () => {
          const info = names.findById(collectionId);
          const partition = info?.partitions.find((each) => each.partitionId === partitionId);
          // Recorded by a version that took the partition out at the end only.
          if (info !== undefined && partition !== undefined) {
            await dropPartition(this.#state, info, partition);
          } else {
            await finishDrop(this.#state, drop);
          }
        })
        .catch((error: unknown) => {
          const ids = { collectionId: String(collectionId), partitionId: String(partitionId) };
          deps.logger.error({ ...ids, error }, 'a drop could not be finished; tried again');
        });
    }
  }

  #finishLater(): void {
    this.#finishTimer.schedule('drops', this.#state.deps.runtime.nowMs() + this.#finishMs);
    this.#finishMs = Math.min(2 * this.#finishMs, FINISH_MS_MAX);
  }

  async #finishAgain(): Promise<void> {
    await this.finishDrops().catch(() => this.#finishLater());
    if (this.#finishTimer.size === 0) this.#finishMs = FINISH_MS_MIN;
  }

  async stop(): Promise<void> {
    await this.#finishTimer.stop();
    await this.#ddl.whenIdle();
  }

  get names(): Names {
    return this.#state.names;
  }

  /** For metrics: ids given out since the start, and the last timestamp in unix milliseconds. */
  getAllocated(): { readonly ids: number; readonly timestampMs: number } {
    const { ids, timestamps } = this.#state;
    return { ids: ids.allocatedCount, timestampMs: timestamps.lastMs };
  }

  readonly allocateIds: RootCoord['allocateIds'] = async ({ count }) => ({
    first: await this.#state.ids.allocate(count),
  });

  readonly allocateTimestamps: RootCoord['allocateTimestamps'] = async ({ count }) => ({
    first: await this.#state.timestamps.allocate(count),
  });

  readonly createDatabase: RootCoord['createDatabase'] = (request) =>
    this.#locked(request, () => createDatabase(this.#state, request));

  readonly dropDatabase: RootCoord['dropDatabase'] = ({ name }) =>
    this.#locked({ name }, () => dropDatabase(this.#state, name));

  readonly alterDatabase: RootCoord['alterDatabase'] = (request) =>
    this.#locked(request, () => alterDatabase(this.#state, request));

  readonly listDatabases: RootCoord['listDatabases'] = async () => ({
    databases: [...this.#state.names.databases.values()],
  });

  readonly describeDatabase: RootCoord['describeDatabase'] = async ({
    name,
  }): Promise<DatabaseInfo> => this.#state.names.requireDatabase(name);

  readonly createCollection: RootCoord['createCollection'] = (request) =>
    this.#run(request, () => createCollection(this.#state, request));

  readonly dropCollection: RootCoord['dropCollection'] = ({ dbName, name }) =>
    this.#locked({ dbName, name }, async () => {
      const { names } = this.#state;
      names.requireDatabase(dbName);
      const info = names.find(dbName, name);
      if (info === undefined) return; // Milvus: dropping what is not there succeeds.
      if (info.schema.name !== name) {
        throw invalidParameter(`cannot drop the collection via alias = ${name}`);
      }
      if (info.aliases.length > 0) {
        throw new MilvusError('Unexpected', {
          message:
            `unable to drop the collection [${name}] because it has associated aliases ` +
            `[${info.aliases.join(' ')}], please remove all aliases before dropping the collection`,
        });
      }
      await dropCollection(this.#state, info);
    });

  readonly describeCollection: RootCoord['describeCollection'] = async (ref) => this.#require(ref);

  readonly listCollections: RootCoord['listCollections'] = async ({ dbName }) => {
    if (dbName !== undefined) this.#state.names.requireDatabase(dbName);
    return { collections: this.#state.names.list(dbName) };
  };

  readonly renameCollection: RootCoord['renameCollection'] = (request) =>
    this.#locked(request, () => renameCollection(this.#state, request));

  readonly alterCollection: RootCoord['alterCollection'] = (request) =>
    this.#locked(request, () => alterCollection(this.#state, this.#require(request), request));

  readonly alterCollectionField: RootCoord['alterCollectionField'] = (request) =>
    this.#locked(request, () => alterCollectionField(this.#state, this.#require(request), request));

  readonly addCollectionField: RootCoord['addCollectionField'] = (request) =>
    this.#locked(request, () =>
      addCollectionField(this.#state, this.#require(request), request.field),
    );

  readonly createPartition: RootCoord['createPartition'] = (request) =>
    this.#run(request, () =>
      createPartition(this.#state, this.#require(request), request.partitionName),
    );

  readonly dropPartition: RootCoord['dropPartition'] = (request) =>
    this.#locked(request, async () => {
      const info = this.#require(request);
      const partition = findPartitionToDrop(this.#state, info, request.partitionName);
      if (partition !== undefined) await dropPartition(this.#state, info, partition);
      // It may be absent because an earlier request was interrupted.
      else await finishPartitionDrops(this.#state, info);
    });

  readonly createAlias: RootCoord['createAlias'] = (request) =>
    this.#locked(request, () => createAlias(this.#state, request));

  readonly alterAlias: RootCoord['alterAlias'] = (request) =>
    this.#locked(request, () => alterAlias(this.#state, request));

  readonly dropAlias: RootCoord['dropAlias'] = (request) =>
    this.#locked(request, () => dropAlias(this.#state, request));

  readonly describeAlias: RootCoord['describeAlias'] = async (request) =>
    describeAlias(this.#state, request);

  readonly listAliases: RootCoord['listAliases'] = async (request) =>
    listAliases(this.#state, request);

  #require(ref: CollectionRef): CollectionInfo {
    const { names } = this.#state;
    if (ref.name !== undefined && ref.name !== '') return names.require(ref.dbName, ref.name);
    const info = ref.collectionId === undefined ? undefined : names.findById(ref.collectionId);
    if (info === undefined) {
      throw new MilvusError('CollectionNotFound', {
        fields: { database: ref.dbName, collection: String(ref.collectionId ?? '') },
      });
    }
    return info;
  }

  async #locked(request: object, task: () => Promise<void>): Promise<typeof EMPTY> {
    await this.#run(request, task);
    return EMPTY;
  }

  #run<T>(request: object, task: () => Promise<T>): Promise<T> {
    return this.#ddl.run(task, countBytes(request));
  }
}

/** About what a request takes while it waits. */
function countBytes(request: object): number {
  return JSON.stringify(request, (_key, value: unknown) =>
    typeof value === 'bigint' ? String(value) : value,
  ).length;
}
