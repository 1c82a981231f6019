// The query coordinator: what users have loaded, and which query node holds which segment.
// Sealed segments are always open at a query node (maps cost nothing), so load and release change
// a record and what the shard leaders let through, at once.
// Invariant: changes of one collection are in one line, its drop included, and each looks at the
// catalog inside it: none overwrites another, none outlives the collection.

import { KeyedQueue } from '../../base/keyed-queue.ts';
import type { Catalog, LoadRecord } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import { EMPTY, type Peers, type QueryCoord } from '../../rpc/contract.ts';
import { askCollection } from '../../rpc/shards.ts';
import { placeSegment } from './placement.ts';

export interface QueryCoordDeps {
  readonly catalog: Catalog;
  readonly peers: Peers;
  /** Ids of the nodes that hold segments. */
  readonly queryNodes: readonly number[];
}

/** Changes that wait, of all collections; more are refused with code 8 (R24). */
const PENDING_MAX = 4096;

export class QueryCoordRole implements QueryCoord {
  readonly #deps: QueryCoordDeps;
  readonly #loads = new Map<bigint, LoadRecord>();
  /** By collection. */
  readonly #lines = new KeyedQueue<bigint>({
    pendingCountMax: PENDING_MAX,
    refuse: (waiting) =>
      new MilvusError('RateLimit', {
        message: 'too many requests wait to load or release',
        fields: { waiting },
      }),
  });

  constructor(deps: QueryCoordDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    for (const record of await this.#deps.catalog.list('load')) {
      this.#loads.set(record.collectionId, record);
      await this.#tellLeaders(record.collectionId);
    }
  }

  readonly load: QueryCoord['load'] = async (request) => {
    const { collectionId, replicaNumber, loadFields } = request;
    await this.#lines.run(collectionId, async () => {
      const info = await this.#deps.catalog.requireCollection(collectionId);
      requirePartitions(info, request.partitionIds);
      const before = this.#loads.get(collectionId);
      // A loaded collection stays wholly loaded when one of its partitions is asked for.
      const isWhole = request.partitionIds.length === 0 || before?.partitionIds.length === 0;
      const partitionIds = isWhole
        ? []
        : [...new Set([...(before?.partitionIds ?? []), ...request.partitionIds])];
      await this.#put({ collectionId, partitionIds, replicaNumber, loadFields });
    });
    return EMPTY;
  };

  readonly release: QueryCoord['release'] = async ({ collectionId, partitionIds }) => {
    await this.#lines.run(collectionId, async () => {
      const before = this.#loads.get(collectionId);
      if (before === undefined) {
        // It may be a release that is repeated because some shard could not be told.
        await this.#tellLeaders(collectionId);
        return;
      }
      if (partitionIds.length === 0) {
        await this.#remove(collectionId);
        return;
      }
      let loaded = before.partitionIds;
      if (loaded.length === 0) {
        const info = await this.#deps.catalog.requireCollection(collectionId);
        loaded = info.partitions.map((partition) => partition.partitionId);
      }
      await this.#keep(before, loaded.filter((id) => !partitionIds.includes(id)));
    });
    return EMPTY;
  };

  readonly getLoadStatus: QueryCoord['getLoadStatus'] = async ({ collectionId }) => {
    const record = this.#loads.get(collectionId);
    if (record === undefined) {
      return { state: 'notLoad', partitionIds: [], replicaNumber: 0, loadFields: [] };
    }
    const { partitionIds, replicaNumber, loadFields } = record;
    return { state: 'loaded', partitionIds, replicaNumber, loadFields };
  };

  /** Forgets it; its record goes with all others of the collection, in the drop's transaction. */
  readonly dropCollection: QueryCoord['dropCollection'] = async ({ collectionId }) => {
    await this.#lines.run(collectionId, async () => void this.#loads.delete(collectionId));
    return EMPTY;
  };

  readonly dropPartition: QueryCoord['dropPartition'] = async ({ collectionId, partitionId }) => {
    await this.#lines.run(collectionId, async () => {
      const record = this.#loads.get(collectionId);
      if (record === undefined || !record.partitionIds.includes(partitionId)) return;
      await this.#keep(record, record.partitionIds.filter((id) => id !== partitionId));
    });
    return EMPTY;
  };

  readonly place: QueryCoord['place'] = async ({ segments }) => ({
    nodeIds: segments.map(({ segmentId }) => placeSegment(segmentId, this.#deps.queryNodes)),
  });

  getLoadedCount(): number {
    return this.#loads.size;
  }

  /** Leaves these partitions loaded; none is a release of the whole collection. */
  async #keep(record: LoadRecord, partitionIds: readonly bigint[]): Promise<void> {
    if (partitionIds.length === 0) await this.#remove(record.collectionId);
    else await this.#put({ ...record, partitionIds });
  }

  async #put(record: LoadRecord): Promise<void> {
    const { collectionId } = record;
    await this.#deps.catalog.writeFor(collectionId, [{ key: KEYS.load(collectionId), record }]);
    this.#loads.set(collectionId, record);
    await this.#tellLeaders(collectionId);
  }

  async #remove(collectionId: bigint): Promise<void> {
    await this.#deps.catalog.write([{ key: KEYS.load(collectionId), record: undefined }]);
    this.#loads.delete(collectionId);
    await this.#tellLeaders(collectionId);
  }

  async #tellLeaders(collectionId: bigint): Promise<void> {
    const record = this.#loads.get(collectionId);
    const isWhole = record?.partitionIds.length === 0;
    const partitionIds = isWhole ? null : (record?.partitionIds ?? []);
    try {
      await askCollection(this.#deps.peers, collectionId, (shard, vchannel) =>
        shard.setLoaded({ vchannel, partitionIds }, {}),
      );
    } catch (error) {
      // What is being dropped is read by nobody.
      if (!(error instanceof MilvusError) || error.errorName !== 'CollectionNotFound') throw error;
    }
  }
}

/** @throws MilvusError PartitionNotFound: it was dropped while the request was on its way */
function requirePartitions({ partitions }: CollectionInfo, wanted: readonly bigint[]): void {
  const known = new Set(partitions.map(({ partitionId }) => partitionId));
  for (const id of wanted) {
    if (known.has(id)) continue;
    throw new MilvusError('PartitionNotFound', { fields: { partition: String(id) } });
  }
}
