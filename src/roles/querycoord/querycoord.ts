// The query coordinator: what users have loaded, and who is told about indexes.
// Sealed segments are always open at the query node (maps cost nothing), so load and release change
// a record and what the shard leaders let through, at once.

import type { Catalog, LoadRecord } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';
import { EMPTY, type Peers, type QueryCoord } from '../../rpc/contract.ts';

export interface QueryCoordDeps {
  readonly catalog: Catalog;
  readonly peers: Peers;
}

export class QueryCoordRole implements QueryCoord {
  readonly #deps: QueryCoordDeps;
  readonly #loads = new Map<bigint, LoadRecord>();

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
    const before = this.#loads.get(collectionId);
    // A loaded collection stays wholly loaded when one of its partitions is asked for.
    const isWhole = request.partitionIds.length === 0 || before?.partitionIds.length === 0;
    const partitionIds = isWhole
      ? []
      : [...new Set([...(before?.partitionIds ?? []), ...request.partitionIds])];
    await this.#put({ collectionId, partitionIds, replicaNumber, loadFields });
    return EMPTY;
  };

  readonly release: QueryCoord['release'] = async ({ collectionId, partitionIds }, call) => {
    const before = this.#loads.get(collectionId);
    if (before === undefined) return EMPTY;
    if (partitionIds.length === 0) {
      await this.#remove(collectionId);
      return EMPTY;
    }
    let loaded = before.partitionIds;
    if (loaded.length === 0) {
      const { rootcoord } = this.#deps.peers;
      const info = await rootcoord.describeCollection({ dbName: '', collectionId }, call);
      loaded = info.partitions.map((partition) => partition.partitionId);
    }
    const rest = loaded.filter((id) => !partitionIds.includes(id));
    if (rest.length === 0) await this.#remove(collectionId);
    else await this.#put({ ...before, partitionIds: rest });
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

  readonly dropCollection: QueryCoord['dropCollection'] = async ({ collectionId }) => {
    if (this.#loads.delete(collectionId))
      await this.#deps.catalog.write([{ key: KEYS.load(collectionId), record: undefined }]);
    return EMPTY;
  };

  readonly dropPartition: QueryCoord['dropPartition'] = async ({ collectionId, partitionId }) => {
    const record = this.#loads.get(collectionId);
    if (record === undefined || !record.partitionIds.includes(partitionId)) return EMPTY;
    const partitionIds = record.partitionIds.filter((id) => id !== partitionId);
    if (partitionIds.length === 0) await this.#remove(collectionId);
    else await this.#put({ ...record, partitionIds });
    return EMPTY;
  };

  readonly attachIndexes: QueryCoord['attachIndexes'] = (request, call) =>
    this.#deps.peers.querynode.attachIndexes(request, call);

  readonly detachIndex: QueryCoord['detachIndex'] = (request, call) =>
    this.#deps.peers.querynode.detachIndex(request, call);

  getLoadedCount(): number {
    return this.#loads.size;
  }

  async #put(record: LoadRecord): Promise<void> {
    await this.#deps.catalog.write([{ key: KEYS.load(record.collectionId), record }]);
    this.#loads.set(record.collectionId, record);
    await this.#tellLeaders(record.collectionId);
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
    await this.#deps.peers.streamingnode.setLoaded({ collectionId, partitionIds }, {});
  }
}
