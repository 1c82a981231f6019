// The streaming node: single writer of its channels. Owns growing data and leads the reads of its
// shards. Start-up replays the WAL's tail (R2); afterwards each shard runs by itself.

import type { Runtime } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import { decodeWalMessage } from '../../codec/wal-message.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import { EMPTY, type Peers, type ShardStats, type StreamingNode } from '../../rpc/contract.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';
import type { Wal } from '../../wal/wal.ts';
import { GrowingBudget } from './growing-budget.ts';
import { queryShard, searchShard } from './read.ts';
import { Shard } from './shard.ts';

export interface StreamingNodeDeps {
  readonly wal: Wal;
  readonly storage: ObjectStorage;
  readonly peers: Peers;
  readonly logger: Logger;
  readonly runtime: Runtime;
  readonly mvccRetentionMs: number;
  /** A growing segment is sealed at this size. */
  readonly segmentBytesMax: number;
  /** The WAL kept: past it the growing segments that pin it are written out (R20). */
  readonly walBytesMax: number;
  /** Inserts are refused past it (R19). */
  readonly growingBytesMax: number;
}

export class StreamingNodeRole implements StreamingNode {
  readonly #deps: StreamingNodeDeps;
  readonly #budget: GrowingBudget;
  /** Collection id → its shards, by index. */
  readonly #collections = new Map<bigint, Shard[]>();
  #truncating: Promise<void> = Promise.resolve();
  #isStopping = false;

  constructor(deps: StreamingNodeDeps) {
    this.#deps = deps;
    this.#budget = new GrowingBudget(deps.growingBytesMax);
  }

  async start(): Promise<void> {
    const { collections } = await this.#deps.peers.rootcoord.listCollections({}, {});
    for (const info of collections) await this.#openShards(info);
    await this.#replay();
    for (const shard of this.#shards()) await shard.openSealed();
  }

  async stop(): Promise<void> {
    // A closed shard no longer says what it needs of the log: from here on nothing is cut.
    this.#isStopping = true;
    for (const shard of this.#shards()) await shard.close();
    await this.#truncating;
  }

  /** A collection that is open stays as it is: the call may be a repeated one. */
  readonly openCollection: StreamingNode['openCollection'] = async ({ info }) => {
    if (!this.#collections.has(info.collectionId)) await this.#openShards(info);
    return EMPTY;
  };

  readonly updateCollection: StreamingNode['updateCollection'] = async ({ info }) => {
    const shards = this.#collections.get(info.collectionId) ?? [];
    await Promise.all(shards.map((shard) => shard.update(info)));
    return EMPTY;
  };

  readonly dropCollection: StreamingNode['dropCollection'] = async ({ collectionId }) => {
    const shards = this.#collections.get(collectionId) ?? [];
    this.#collections.delete(collectionId);
    for (const shard of shards) await shard.drop();
    this.#truncateWal();
    return EMPTY;
  };

  readonly dropPartition: StreamingNode['dropPartition'] = async ({
    collectionId,
    partitionId,
  }) => {
    for (const shard of this.#collections.get(collectionId) ?? []) {
      await shard.dropPartition(partitionId);
    }
    this.#truncateWal();
    return EMPTY;
  };

  readonly setLoaded: StreamingNode['setLoaded'] = async ({ collectionId, partitionIds }) => {
    for (const shard of this.#collections.get(collectionId) ?? []) shard.setLoaded(partitionIds);
    return EMPTY;
  };

  readonly write: StreamingNode['write'] = (request, call) =>
    this.#require(request.collectionId, request.vchannel).write(request, call);

  readonly lockKeys: StreamingNode['lockKeys'] = (request, call) =>
    this.#require(request.collectionId, request.vchannel).lockKeys(request.keys, call);

  readonly unlockKeys: StreamingNode['unlockKeys'] = async ({ collectionId, vchannel, token }) => {
    this.#require(collectionId, vchannel).unlockKeys(token);
    return EMPTY;
  };

  readonly search: StreamingNode['search'] = (request, call) =>
    searchShard(this.#require(request.collectionId, request.vchannel), request, call);

  readonly query: StreamingNode['query'] = (request, call) =>
    queryShard(this.#require(request.collectionId, request.vchannel), request, call);

  readonly flush: StreamingNode['flush'] = async ({ collectionId }) => {
    const sealed: bigint[][] = [];
    let timestamp = 0n;
    for (const shard of this.#collections.get(collectionId) ?? []) {
      sealed.push(await shard.flush());
      if (shard.lastTimestamp > timestamp) timestamp = shard.lastTimestamp;
    }
    return { segmentIds: sealed.flat(), timestamp };
  };

  readonly replaceSegments: StreamingNode['replaceSegments'] = async (request) => {
    const { vchannel } = request;
    const shard = this.#shards().find((candidate) => candidate.vchannel === vchannel);
    if (shard === undefined) {
      throw new MilvusError('ChannelNotFound', { fields: { channel: vchannel } });
    }
    await shard.replaceSegments(request.added, request.removed, request.indexFiles);
    return EMPTY;
  };

  readonly getStats: StreamingNode['getStats'] = async ({ collectionId }) => {
    const stats: ShardStats[][] = [];
    for (const shard of this.#collections.get(collectionId) ?? []) {
      stats.push(await shard.getStats());
    }
    return { partitions: stats.flat() };
  };

  readonly listSealed: StreamingNode['listSealed'] = async ({ collectionId, horizon }, call) => {
    const shards = this.#collections.get(collectionId) ?? [];
    await Promise.all(shards.map((shard) => shard.deliverDeletes()));
    const segmentIds = shards.flatMap(({ view }) => [...view.sealed.keys()]);
    return this.#deps.peers.querynode.getStats({ segmentIds, horizon }, call);
  };

  readonly writeDeletes: StreamingNode['writeDeletes'] = async ({ collectionId }) => {
    for (const shard of this.#collections.get(collectionId) ?? []) await shard.writeDeletes();
    return EMPTY;
  };

  readonly listGrowing: StreamingNode['listGrowing'] = async ({ collectionId }) => ({
    segments: (this.#collections.get(collectionId) ?? []).flatMap((shard) => shard.listGrowing()),
  });

  /** Bytes of growing data and their limit, for metrics. */
  getGrowingBytes(): number {
    return this.#budget.used;
  }

  #shards(): Shard[] {
    return [...this.#collections.values()].flat();
  }

  #require(collectionId: bigint, vchannel: string): Shard {
    const shard = this.#collections.get(collectionId)?.find((s) => s.vchannel === vchannel);
    if (shard === undefined) {
      throw new MilvusError('CollectionNotFound', { fields: { collection: String(collectionId) } });
    }
    return shard;
  }

  async #openShards(info: CollectionInfo): Promise<void> {
    const shards: Shard[] = [];
    for (const [shardIndex, vchannel] of info.vchannels.entries()) {
      const { channel, segments } = await this.#deps.peers.datacoord.openChannel(
        { collectionId: info.collectionId, vchannel },
        {},
      );
      const hooks = { onCheckpoint: () => this.#truncateWal(), onWritten: () => this.#relieve() };
      shards.push(
        new Shard(
          { ...this.#deps, budget: this.#budget, ...hooks },
          info,
          shardIndex,
          channel,
          segments,
        ),
      );
    }
    this.#collections.set(info.collectionId, shards);
  }

  /** One pass over the WAL for all shards: it is one stream (R9). */
  async #replay(): Promise<void> {
    for await (const { position, place, record } of this.#deps.wal.read(0n)) {
      const message = decodeWalMessage(record);
      const shard = this.#collections.get(message.collectionId)?.[message.shardIndex];
      shard?.replay(message, position, place);
    }
  }

  /**
   * The WAL has outgrown its bound: whoever pins its oldest part is written out (R20). Growing data
   * fills half its memory: the largest segment is written out, so that inserts need not be refused
   * (R19).
   */
  #relieve(): void {
    const { wal, walBytesMax } = this.#deps;
    if (this.#budget.used > this.#budget.bytesMax / 2) this.#sealLargest();
    if (wal.bytes() <= walBytesMax) return;
    let oldest: Shard | undefined;
    for (const shard of this.#shards()) {
      if (shard.lowWater() < (oldest?.lowWater() ?? wal.lastPosition())) oldest = shard;
    }
    oldest?.relieve();
  }

  #sealLargest(): void {
    const growing = this.#shards()
      .flatMap((shard) => shard.listGrowing().map((segment) => ({ shard, segment })))
      .filter(({ segment }) => !segment.isSealing && segment.rows > 0)
      .sort((a, b) => b.segment.bytes - a.segment.bytes);
    growing[0]?.shard.seal(growing[0].segment.segmentId);
  }

  #truncateWal(): void {
    this.#truncating = this.#truncating.then(async () => {
      if (this.#isStopping) return;
      let before = this.#deps.wal.lastPosition() + 1n;
      for (const shard of this.#shards()) {
        const low = shard.lowWater();
        if (low < before) before = low;
      }
      await this.#deps.wal.truncate(before).catch((error: unknown) => {
        this.#deps.logger.warn({ error }, 'WAL not cut; the next checkpoint tries again');
      });
    });
  }
}
