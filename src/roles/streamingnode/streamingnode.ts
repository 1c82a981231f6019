// The streaming node: single writer of its pchannels. Owns growing data and leads the reads of its
// shards. Start-up replays the logs' tails (R2); afterwards each shard runs by itself.

import assert from 'node:assert/strict';
import { getPchannel } from '../../model/channel-name.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { CollectionTotals } from '../../model/collection-totals.ts';
import { MilvusError } from '../../model/error.ts';
import { EMPTY, type ShardStats, type StreamingNode } from '../../rpc/contract.ts';
import { AgeSealer } from './age-sealer.ts';
import type { ReadKind, StreamingNodeDeps } from './deps.ts';
import { GrowingBudget } from './growing-budget.ts';
import { Pchannel } from './pchannel.ts';
import { queryShard, searchShard } from './read.ts';
import { Sealer } from './sealer.ts';
import { Shard } from './shard.ts';
import { ShardState } from './shard-state.ts';

export class StreamingNodeRole implements StreamingNode {
  readonly #deps: StreamingNodeDeps;
  readonly #budget: GrowingBudget;
  readonly #ages: AgeSealer;
  readonly #pchannels = new Map<string, Pchannel>();
  /** Collection id → its shards, by index. */
  readonly #collections = new Map<bigint, Shard[]>();
  readonly #sealer: Sealer;

  constructor(deps: StreamingNodeDeps) {
    this.#deps = deps;
    this.#budget = new GrowingBudget(deps.growingBytesMax, (need) => this.#sealer.makeRoom(need));
    this.#ages = new AgeSealer(deps.growingLifeMsMax, deps.runtime);
    this.#sealer = new Sealer({
      ...deps,
      budget: this.#budget,
      listShards: () => this.#shards(),
      listLogs: () => [...this.#pchannels.values()],
      sleep: (delayMs, signal) => deps.runtime.sleep(delayMs, signal),
    });
  }

  async start(): Promise<void> {
    const { pchannels, peers } = this.#deps;
    for (const name of pchannels) {
      this.#pchannels.set(name, await Pchannel.open(this.#deps, name));
    }
    const { collections } = await peers.rootcoord.listCollections({}, {});
    for (const info of collections) await this.#openShards(info);
    for (const pchannel of this.#pchannels.values()) await pchannel.replay();
    for (const shard of this.#shards()) await shard.openSealed();
    this.#ages.start();
    // What the log has held may be more than is left for writes, which would wake it.
    this.#sealer.wake();
  }

  async stop(): Promise<void> {
    await this.#sealer.stop();
    await this.#ages.stop();
    for (const pchannel of this.#pchannels.values()) await pchannel.close();
  }

  /** A collection that is open stays as it is: the call may be a repeated one. */
  readonly openCollection: StreamingNode['openCollection'] = async ({ info }) => {
    if (this.#collections.has(info.collectionId)) return EMPTY;
    await this.#openShards(info);
    for (const shard of this.#collections.get(info.collectionId) ?? []) {
      // Nothing is there to be opened; from here on it knows by itself what it needs of the log.
      await shard.openSealed();
      // Damage in what was written before it was there must not stop it at the next start.
      if (this.#pchannelOf(shard).isDamaged) await shard.skipLog();
    }
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
    for (const shard of shards) {
      const pchannel = this.#pchannelOf(shard);
      pchannel.remove(shard);
      await shard.drop();
      pchannel.truncate();
    }
    return EMPTY;
  };

  readonly dropPartition: StreamingNode['dropPartition'] = async ({
    collectionId,
    partitionId,
  }) => {
    for (const shard of this.#collections.get(collectionId) ?? []) {
      await shard.dropPartition(partitionId);
      this.#pchannelOf(shard).truncate();
    }
    return EMPTY;
  };

  readonly setLoaded: StreamingNode['setLoaded'] = async ({ collectionId, partitionIds }) => {
    for (const shard of this.#collections.get(collectionId) ?? []) shard.loaded.set(partitionIds);
    return EMPTY;
  };

  readonly write: StreamingNode['write'] = (request, call) =>
    this.#require(request.collectionId, request.vchannel).writes.write(request, call);

  readonly lockKeys: StreamingNode['lockKeys'] = async (request, call) => {
    const { writes } = this.#require(request.collectionId, request.vchannel);
    return { token: await writes.lock(request.keys, call) };
  };

  readonly unlockKeys: StreamingNode['unlockKeys'] = async ({ collectionId, vchannel, token }) => {
    this.#require(collectionId, vchannel).writes.unlock(token);
    return EMPTY;
  };

  readonly search: StreamingNode['search'] = (request, call) =>
    this.#observe('search', () =>
      searchShard(this.#require(request.collectionId, request.vchannel), request, call),
    );

  readonly query: StreamingNode['query'] = (request, call) =>
    this.#observe('query', () =>
      queryShard(this.#require(request.collectionId, request.vchannel), request, call),
    );

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

  readonly reportDamage: StreamingNode['reportDamage'] = async (request) => {
    const shards = this.#collections.get(request.collectionId) ?? [];
    shards.find(({ vchannel }) => vchannel === request.vchannel)?.stop(request.reason);
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
    await Promise.all(shards.map((shard) => shard.sealed.deliverDeletes()));
    const segmentIds = shards.flatMap(({ view }) => [...view.sealed.keys()]);
    return this.#deps.peers.querynode.getStats({ segmentIds, horizon }, call);
  };

  readonly writeDeletes: StreamingNode['writeDeletes'] = async ({ collectionId }) => {
    for (const shard of this.#collections.get(collectionId) ?? []) await shard.writeDeletes();
    return EMPTY;
  };

  readonly listGrowing: StreamingNode['listGrowing'] = async ({ collectionId, mustServe }) => {
    const shards = this.#collections.get(collectionId) ?? [];
    if (mustServe === true) for (const shard of shards) shard.state.requireOpen();
    return { segments: shards.flatMap((shard) => shard.listGrowing()) };
  };

  /** Memory of growing data, for metrics. */
  getGrowingBytes(): number {
    return this.#budget.used;
  }

  /** Memory of growing data that was ever given back. */
  getReleasedBytes(): number {
    return this.#budget.released;
  }

  /** For metrics: growing rows by collection. */
  getGrowing(): CollectionTotals {
    const totals = new CollectionTotals();
    for (const shard of this.#shards()) {
      for (const growing of shard.view.growing.values()) {
        totals.add(shard.info.collectionId, growing);
      }
    }
    return totals;
  }

  async #observe<Reply>(kind: ReadKind, read: () => Promise<Reply>): Promise<Reply> {
    const { runtime, onRead } = this.#deps;
    const started = runtime.monotonicMs();
    let isDone = false;
    try {
      const reply = await read();
      isDone = true;
      return reply;
    } finally {
      onRead(kind, runtime.monotonicMs() - started, isDone);
    }
  }

  #shards(): Shard[] {
    return [...this.#collections.values()].flat();
  }

  #pchannelOf({ vchannel }: { readonly vchannel: string }): Pchannel {
    const pchannel = this.#pchannels.get(getPchannel(vchannel));
    assert(pchannel !== undefined, `${vchannel} is of a pchannel of this node`);
    return pchannel;
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
      const pchannel = this.#pchannelOf({ vchannel });
      const hooks = {
        onCheckpoint: () => pchannel.truncate(),
        onWritten: () => this.#sealer.wake(),
        onStopped: (reason: string) => this.#stopCollection(info.collectionId, reason),
        onBorn: (segmentId: bigint, timestamp: bigint) =>
          this.#ages.add(shard, segmentId, timestamp),
      };
      const { wal, term } = pchannel;
      const deps = { ...this.#deps, wal, term, budget: this.#budget, ...hooks };
      const shard: Shard = new Shard(deps, new ShardState(info, shardIndex), channel, segments);
      shards.push(shard);
    }
    this.#collections.set(info.collectionId, shards);
    for (const shard of shards) this.#pchannelOf(shard).add(shard);
  }

  /** What its shards hold belongs together: a collection serves with all of them or not at all. */
  #stopCollection(collectionId: bigint, reason: string): void {
    for (const shard of this.#collections.get(collectionId) ?? []) shard.stop(reason);
  }
}
