// The streaming node: single writer of its channels. Owns growing data and leads the reads of its
// shards. Start-up replays the WAL's tail (R2); afterwards each shard runs by itself.

import { decodeWalTarget, type WalMessage } from '../../codec/wal-message.ts';
import { parseVchannel } from '../../model/channel-name.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { CollectionTotals } from '../../model/collection-totals.ts';
import { MilvusError } from '../../model/error.ts';
import { EMPTY, type ShardStats, type StreamingNode } from '../../rpc/contract.ts';
import { describeDamage, type WalDamage } from '../../wal/wal.ts';
import { AgeSealer } from './age-sealer.ts';
import type { ReadKind, StreamingNodeDeps } from './deps.ts';
import { GrowingBudget } from './growing-budget.ts';
import { queryShard, searchShard } from './read.ts';
import { Sealer } from './sealer.ts';
import { Shard } from './shard.ts';

type ShardTarget = Pick<WalMessage, 'collectionId' | 'shardIndex'>;

export class StreamingNodeRole implements StreamingNode {
  readonly #deps: StreamingNodeDeps;
  readonly #budget: GrowingBudget;
  readonly #ages: AgeSealer;
  /** Collection id → its shards, by index. */
  readonly #collections = new Map<bigint, Shard[]>();
  readonly #sealer: Sealer;
  #truncating: Promise<void> = Promise.resolve();
  #isStopping = false;
  #isLogDamaged = false;

  constructor(deps: StreamingNodeDeps) {
    this.#deps = deps;
    this.#budget = new GrowingBudget(deps.growingBytesMax, (need) => this.#sealer.makeRoom(need));
    this.#ages = new AgeSealer(deps.growingLifeMsMax, deps.runtime);
    this.#sealer = new Sealer({
      ...deps,
      budget: this.#budget,
      listShards: () => this.#shards(),
      whenCut: () => this.#truncating,
      sleep: (delayMs, signal) => deps.runtime.sleep(delayMs, signal),
    });
  }

  async start(): Promise<void> {
    const { collections } = await this.#deps.peers.rootcoord.listCollections({}, {});
    for (const info of collections) await this.#openShards(info);
    await this.#replay();
    for (const shard of this.#shards()) await shard.openSealed();
    this.#ages.start();
    // What the log has held may be more than is left for writes, which would wake it.
    this.#sealer.wake();
  }

  async stop(): Promise<void> {
    // A closed shard no longer says what it needs of the log: from here on nothing is cut.
    this.#isStopping = true;
    await this.#sealer.stop();
    await this.#ages.stop();
    for (const shard of this.#shards()) await shard.close();
    await this.#truncating;
  }

  /** A collection that is open stays as it is: the call may be a repeated one. */
  readonly openCollection: StreamingNode['openCollection'] = async ({ info }) => {
    if (this.#collections.has(info.collectionId)) return EMPTY;
    await this.#openShards(info);
    // Nothing is there to be opened; from here on it knows by itself what it needs of the log.
    for (const shard of this.#collections.get(info.collectionId) ?? []) await shard.openSealed();
    if (this.#isLogDamaged) {
      // Damage in what was written before it was there must not stop it at the next start.
      for (const shard of this.#collections.get(info.collectionId) ?? []) await shard.skipLog();
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
    for (const shard of this.#collections.get(collectionId) ?? []) shard.loaded.set(partitionIds);
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
    await Promise.all(shards.map((shard) => shard.deliverDeletes()));
    const segmentIds = shards.flatMap(({ view }) => [...view.sealed.keys()]);
    return this.#deps.peers.querynode.getStats({ segmentIds, horizon }, call);
  };

  readonly writeDeletes: StreamingNode['writeDeletes'] = async ({ collectionId }) => {
    for (const shard of this.#collections.get(collectionId) ?? []) await shard.writeDeletes();
    return EMPTY;
  };

  readonly listGrowing: StreamingNode['listGrowing'] = async ({ collectionId, mustServe }) => {
    const shards = this.#collections.get(collectionId) ?? [];
    if (mustServe === true) for (const shard of shards) shard.requireOpen();
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

  #findShard({ collectionId, shardIndex }: ShardTarget): Shard | undefined {
    return this.#collections.get(collectionId)?.[shardIndex];
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
      const hooks = {
        onCheckpoint: () => this.#truncateWal(),
        onWritten: () => this.#sealer.wake(),
        onStopped: (reason: string) => this.#stopCollection(info.collectionId, reason),
        onBorn: (segmentId: bigint, timestamp: bigint) =>
          this.#ages.add(shard, segmentId, timestamp),
      };
      const deps = { ...this.#deps, budget: this.#budget, ...hooks };
      const shard: Shard = new Shard(deps, info, shardIndex, channel, segments);
      shards.push(shard);
    }
    this.#collections.set(info.collectionId, shards);
  }

  /**
   * One pass over the WAL for all shards: it is one stream (R9). What it has lost stops the shards
   * that may have been in it.
   */
  async #replay(): Promise<void> {
    const { wal } = this.#deps;
    const onDamage = (damage: WalDamage): void =>
      this.#meetDamage(damage.to, describeDamage(damage), damage.prefixes);
    for await (const { position, place, record } of wal.read(0n, onDamage)) {
      const target = decodeWalTarget(record);
      if (target === undefined) {
        this.#meetDamage(position, `${place}: a record of an unknown form`);
        continue;
      }
      this.#findShard(target)?.replay(record, position, place);
    }
  }

  /** Records up to `to` are missing: those that began so, or nobody knows which. */
  #meetDamage(to: bigint, reason: string, prefixes: readonly Uint8Array[] = []): void {
    const targets = prefixes.map(readTarget);
    const isKnown = targets.length > 0 && !targets.includes(undefined);
    if (!isKnown) this.#isLogDamaged = true;
    if (this.#deps.isDamageAccepted) {
      this.#deps.logger.warn({ reason }, 'damage in the WAL accepted by setting');
      return;
    }
    const concerned = new Set<Shard | undefined>(this.#shards());
    if (isKnown) {
      concerned.clear();
      for (const target of targets) concerned.add(this.#findShard(target!));
    }
    for (const shard of concerned) shard?.replayDamage(to, reason);
  }

  /** What its shards hold belongs together: a collection serves with all of them or not at all. */
  #stopCollection(collectionId: bigint, reason: string): void {
    for (const shard of this.#collections.get(collectionId) ?? []) shard.stop(reason);
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

/** Older records began with the name of their vchannel. */
function readTarget(prefix: Uint8Array): ShardTarget | undefined {
  return decodeWalTarget(prefix) ?? parseVchannel(Buffer.from(prefix).toString('utf8'));
}
