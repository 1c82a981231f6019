// The streaming node: single writer of its pchannels. Owns growing data and leads the reads of its
// shards. Start-up replays the logs' tails (R2); afterwards each shard runs by itself.

import { getPchannel, parseVchannel } from '../../model/channel-name.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { CollectionTotals } from '../../model/collection-totals.ts';
import { MilvusError } from '../../model/error.ts';
import { EMPTY, type StreamingNode } from '../../rpc/contract.ts';
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
  /** By vchannel; those that this node owns. */
  readonly #shards = new Map<string, Shard>();
  readonly #sealer: Sealer;
  /** By vchannel; those that are being opened since the start. */
  readonly #opening = new Map<string, Promise<void>>();
  /** Messages to shards of stopped collections that are under way. */
  readonly #telling = new Set<Promise<void>>();
  readonly #stopping = new AbortController();
  #isStarted = false;

  constructor(deps: StreamingNodeDeps) {
    this.#deps = deps;
    this.#budget = new GrowingBudget(deps.growingBytesMax, (need) => this.#sealer.makeRoom(need));
    this.#ages = new AgeSealer(deps.growingLifeMsMax, deps.runtime);
    this.#sealer = new Sealer({
      ...deps,
      budget: this.#budget,
      listShards: () => [...this.#shards.values()],
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
    for (const info of collections) {
      for (const vchannel of info.vchannels) {
        const pchannel = this.#pchannels.get(getPchannel(vchannel));
        if (pchannel !== undefined) await this.#openShard(info, vchannel, pchannel);
      }
    }
    for (const pchannel of this.#pchannels.values()) await pchannel.replay();
    for (const shard of this.#shards.values()) await shard.openSealed();
    this.#isStarted = true;
  }

  /** Begins what goes on in the background. When all roles are up. */
  resume(): void {
    for (const shard of this.#shards.values()) shard.resumeSeals();
    this.#ages.start();
    // What the log has held may be more than is left for writes, which would wake it.
    this.#sealer.wake();
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    await this.#sealer.stop();
    await this.#ages.stop();
    for (const pchannel of this.#pchannels.values()) await pchannel.close();
    await Promise.all(this.#telling);
  }

  /** A shard that is open, or is being opened, stays as it is: the call may be a repeated one. */
  readonly openShard: StreamingNode['openShard'] = async ({ vchannel, info }) => {
    const pchannel = this.#requirePchannel(vchannel);
    let opening = this.#opening.get(vchannel);
    if (opening === undefined) {
      if (this.#shards.has(vchannel)) return EMPTY;
      opening = this.#openNew(info, vchannel, pchannel).finally(() => {
        this.#opening.delete(vchannel);
      });
      this.#opening.set(vchannel, opening);
    }
    await opening;
    return EMPTY;
  };

  async #openNew(info: CollectionInfo, vchannel: string, pchannel: Pchannel): Promise<void> {
    const shard = await this.#openShard(info, vchannel, pchannel);
    // Nothing is there to be opened; from here on it knows by itself what it needs of the log.
    await shard.openSealed();
    // Damage in what was written before it was there must not stop it at the next start.
    if (pchannel.isDamaged) await shard.skipLog();
  }

  readonly updateShard: StreamingNode['updateShard'] = async ({ vchannel, info }) => {
    await this.#require(vchannel).update(info);
    return EMPTY;
  };

  /** Dropping a shard that is not there succeeds: the call may be a repeated one. */
  readonly dropShard: StreamingNode['dropShard'] = async ({ vchannel }) => {
    // It must not be there afterwards, nor be left half open.
    await this.#opening.get(vchannel)?.catch(() => undefined);
    const shard = this.#find(vchannel);
    if (shard === undefined) return EMPTY;
    const pchannel = this.#requirePchannel(vchannel);
    this.#shards.delete(vchannel);
    pchannel.remove(shard);
    await shard.drop();
    pchannel.truncate();
    return EMPTY;
  };

  readonly dropPartition: StreamingNode['dropPartition'] = async ({ vchannel, partitionId }) => {
    await this.#find(vchannel)?.dropPartition(partitionId);
    this.#requirePchannel(vchannel).truncate();
    return EMPTY;
  };

  readonly setLoaded: StreamingNode['setLoaded'] = async ({ vchannel, partitionIds }) => {
    // What has been dropped is read by nobody.
    this.#find(vchannel)?.loaded.set(partitionIds);
    return EMPTY;
  };

  readonly write: StreamingNode['write'] = (request, call) =>
    this.#require(request.vchannel).writes.write(request, call);

  readonly lockKeys: StreamingNode['lockKeys'] = async ({ vchannel, keys }, call) => ({
    token: await this.#require(vchannel).writes.lock(keys, call),
  });

  readonly unlockKeys: StreamingNode['unlockKeys'] = async ({ vchannel, token }) => {
    this.#require(vchannel).writes.unlock(token);
    return EMPTY;
  };

  readonly search: StreamingNode['search'] = (request, call) =>
    this.#observe('search', () => searchShard(this.#require(request.vchannel), request, call));

  readonly query: StreamingNode['query'] = (request, call) =>
    this.#observe('query', () => queryShard(this.#require(request.vchannel), request, call));

  readonly flush: StreamingNode['flush'] = async ({ vchannel }) => {
    const shard = this.#require(vchannel);
    return { segmentIds: await shard.flush(), timestamp: shard.lastTimestamp };
  };

  readonly replaceSegments: StreamingNode['replaceSegments'] = async (request) => {
    const { vchannel, added, removed } = request;
    await this.#require(vchannel).replaceSegments(added, removed);
    return EMPTY;
  };

  readonly attachIndexes: StreamingNode['attachIndexes'] = async ({ vchannel, files }) => {
    await this.#require(vchannel).sealed.attachIndexes(files);
    return EMPTY;
  };

  readonly detachIndex: StreamingNode['detachIndex'] = async ({ vchannel, segmentId, index }) => {
    await this.#require(vchannel).sealed.detachIndex(index, segmentId);
    return EMPTY;
  };

  readonly reportDamage: StreamingNode['reportDamage'] = async ({ vchannel, reason }) => {
    // What has been dropped need not be stopped.
    this.#find(vchannel)?.stop(reason);
    return EMPTY;
  };

  readonly getStats: StreamingNode['getStats'] = async ({ vchannel }) => ({
    partitions: await this.#require(vchannel).getStats(),
  });

  readonly listSealed: StreamingNode['listSealed'] = async ({ vchannel, horizon }) => {
    const { sealed } = this.#require(vchannel);
    await sealed.deliverDeletes();
    return { segments: await sealed.getStats(horizon) };
  };

  readonly writeDeletes: StreamingNode['writeDeletes'] = async ({ vchannel }) => {
    await this.#require(vchannel).writeDeletes();
    return EMPTY;
  };

  readonly listGrowing: StreamingNode['listGrowing'] = async ({ vchannel, mustServe }) => {
    const shard = this.#require(vchannel);
    if (mustServe === true) shard.state.requireOpen();
    return { segments: shard.listGrowing() };
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
    for (const shard of this.#shards.values()) {
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

  #require(vchannel: string): Shard {
    const shard = this.#find(vchannel);
    shard?.state.requireOpened();
    if (shard !== undefined) return shard;
    const { collectionId = '' } = parseVchannel(vchannel) ?? {};
    throw new MilvusError('CollectionNotFound', { fields: { collection: String(collectionId) } });
  }

  /** @throws MilvusError, unexecuted, for a shard of another node and one that is being opened */
  #find(vchannel: string): Shard | undefined {
    const shard = this.#shards.get(vchannel);
    if (shard !== undefined) return shard;
    this.#requirePchannel(vchannel);
    if (this.#isStarted) return undefined;
    throw new MilvusError('ServiceNotReady', { fields: { channel: vchannel }, isUnexecuted: true });
  }

  /** @throws MilvusError, unexecuted, for a shard of another node */
  #requirePchannel(vchannel: string): Pchannel {
    const pchannel = this.#pchannels.get(getPchannel(vchannel));
    if (pchannel !== undefined) return pchannel;
    throw new MilvusError('ChannelNotFound', { fields: { channel: vchannel }, isUnexecuted: true });
  }

  async #openShard(info: CollectionInfo, vchannel: string, pchannel: Pchannel): Promise<Shard> {
    const { collectionId } = info;
    const request = { collectionId, vchannel };
    const { channel, segments } = await this.#deps.peers.datacoord.openChannel(request, {});
    const hooks = {
      onCheckpoint: () => pchannel.truncate(),
      onWritten: () => this.#sealer.wake(),
      onStopped: (reason: string) => this.#stopOthers(shard, reason),
      onBorn: (segmentId: bigint, timestamp: bigint) => this.#ages.add(shard, segmentId, timestamp),
    };
    const { wal, term } = pchannel;
    const deps = { ...this.#deps, wal, term, budget: this.#budget, ...hooks };
    const shardIndex = info.vchannels.indexOf(vchannel);
    const shard: Shard = new Shard(deps, new ShardState(info, shardIndex), channel, segments);
    this.#shards.set(vchannel, shard);
    pchannel.add(shard);
    return shard;
  }

  /**
   * What the shards of a collection hold belongs together: it serves with all of them or not at
   * all. Those of other nodes are told, too; each of them that has stopped tells the others again,
   * and nothing happens then.
   */
  #stopOthers(stopped: Shard, reason: string): void {
    const { peers, logger } = this.#deps;
    const { signal } = this.#stopping;
    for (const vchannel of stopped.info.vchannels) {
      if (vchannel === stopped.vchannel) continue;
      const telling = peers
        .shard(vchannel)
        .reportDamage({ vchannel, reason }, { signal })
        .then(() => undefined)
        .catch((error: unknown) => {
          if (signal.aborted || isDropped(error)) return;
          logger.warn({ vchannel, reason, error }, 'a shard of a stopped collection not told');
        })
        .finally(() => this.#telling.delete(telling));
      this.#telling.add(telling);
    }
  }
}

function isDropped(error: unknown): boolean {
  return error instanceof MilvusError && error.errorName === 'CollectionNotFound';
}
