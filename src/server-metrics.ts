// Fills the metrics of a server: calls as they end, gauges when they are scraped. And serves port
// 9091.

import type { Health } from './base/health.ts';
import { createMetrics, type Metrics } from './base/metrics.ts';
import type { Logger } from './base/logger.ts';
import { startOperationsServer, type OperationsServer } from './http/operations-server.ts';
import { PrometheusRegistry } from './http/prometheus.ts';
import type { Totals } from './model/collection-totals.ts';
import type { DataCoordRole } from './roles/datacoord/datacoord.ts';
import type { QueryCoordRole } from './roles/querycoord/querycoord.ts';
import type { QueryNodeRole } from './roles/querynode/querynode.ts';
import type { RootCoordRole } from './roles/rootcoord/rootcoord.ts';
import type { StreamingNodeDeps } from './roles/streamingnode/deps.ts';
import type { StreamingNodeRole } from './roles/streamingnode/streamingnode.ts';
import { listComponents } from './rpc/component-health.ts';
import { ROLE_NAMES } from './rpc/contract.ts';
import type { RpcObserver } from './rpc/grpc-milvus.ts';

type CallFacts = Parameters<RpcObserver>[5];

const NODE_ID = '1';

/** Verbs whose time has a histogram of its own. */
const READS: ReadonlyMap<string, string> = new Map([
  ['Search', 'search'],
  ['HybridSearch', 'hybrid_search'],
  ['Query', 'query'],
]);
const MUTATIONS: ReadonlyMap<string, string> = new Map([
  ['Insert', 'insert'],
  ['Upsert', 'upsert'],
  ['Delete', 'delete'],
]);
const DDL = /^(Create|Drop|Alter|Rename|Add)/;
/** Collections with series of their own; all others share those without a name. */
const NAMED_COLLECTIONS_MAX = 200;
const FLUSHED = 'Flushed';
const GROWING = 'Growing';
const SEALED = 'Sealed';

export interface WatchedSystem {
  readonly coordinators: {
    readonly rootcoord: RootCoordRole;
    readonly datacoord: DataCoordRole;
    readonly querycoord: QueryCoordRole;
  };
  readonly nodes: readonly {
    readonly querynode?: QueryNodeRole;
    readonly streamingnode?: StreamingNodeRole;
  }[];
}

interface Place {
  readonly db_name: string;
  readonly collection_name: string;
}

const NOWHERE: Place = { db_name: '', collection_name: '' };

export class ServerMetrics {
  readonly #registry = new PrometheusRegistry({ nodeId: NODE_ID });
  readonly #metrics: Metrics = createMetrics(this.#registry);
  readonly #health: Health;
  /** Collections with series of their own, as `database/name`. */
  readonly #named = new Set<string>();
  #rootcoord: RootCoordRole | undefined;
  #server: OperationsServer | undefined;

  constructor(version: string, health: Health) {
    this.#health = health;
    this.#metrics.buildInfo.set({ version, built: '', git_commit: '' }, 1);
    this.#metrics.runtimeInfo.set({ mq: 'local', meta: 'lmdb' }, 1);
    this.#metrics.rootcoordProxyNum.set({}, 1);
    for (const role of ['proxy', ...ROLE_NAMES]) {
      this.#metrics.numNode.set({ node_id: NODE_ID, role_name: role }, 1);
    }
  }

  readonly observeRpc: RpcObserver = (name, request, replyBytes, milliseconds, error, facts) => {
    const metrics = this.#metrics;
    const status =
      error === undefined ? 'success' : error.isInputError ? 'fail_input' : 'fail_system';
    const { db_name, collection_name } = NOWHERE;
    const call = { function_name: name, status, db_name, collection_name };
    metrics.proxyReqCount.inc(call);
    call.status = 'total';
    metrics.proxyReqCount.inc(call);
    metrics.proxyReqLatency.observe(call, milliseconds);
    metrics.proxySendBytesCount.inc({}, replyBytes);
    const query_type = READS.get(name);
    const msg_type = MUTATIONS.get(name);
    if (query_type !== undefined) this.#observeRead(query_type, milliseconds, facts);
    if (msg_type !== undefined) {
      this.#observeMutation(msg_type, milliseconds, request.byteLength, facts);
    }
    if (DDL.test(name)) {
      metrics.rootcoordDdlReqCount.inc({ function_name: name, status });
      metrics.rootcoordDdlReqLatency.observe({ function_name: name }, milliseconds);
    }
  };

  #observeRead(query_type: string, milliseconds: number, facts: CallFacts): void {
    const metrics = this.#metrics;
    const { db_name, collection_name } = this.#placeOf(facts);
    metrics.proxySearchLatency.observe({ query_type, ...NOWHERE }, milliseconds);
    metrics.proxyPlainSearchLatency.observe({ query_type }, milliseconds);
    const own = { query_type, db_name, collection_name };
    metrics.proxyCollectionSearchLatency.observe(own, milliseconds);
    if (facts.units) metrics.proxySearchVectorsCount.inc(own, facts.units);
  }

  #observeMutation(
    msg_type: string,
    milliseconds: number,
    requestBytes: number,
    facts: CallFacts,
  ): void {
    const metrics = this.#metrics;
    const { db_name, collection_name } = this.#placeOf(facts);
    const total = { msg_type, ...NOWHERE };
    metrics.proxyMutationLatency.observe(total, milliseconds);
    metrics.proxyReceiveBytesCount.inc(total, requestBytes);
    const own = { msg_type, db_name, collection_name };
    metrics.proxyCollectionMutationLatency.observe(own, milliseconds);
    if (facts.units) metrics.proxyInsertVectorsCount.inc(own, facts.units);
  }

  readonly observeRead: StreamingNodeDeps['onRead'] = (query_type, milliseconds, isDone) => {
    const read = { query_type, status: isDone ? 'success' : 'fail', scope: 'OnLeader' };
    this.#metrics.querynodeSearchReqCount.inc({ ...read, collection_id: '' });
    this.#metrics.querynodeSearchReqLatency.observe(read, milliseconds);
  };

  readonly observeBuild = (milliseconds: number): void => {
    this.#metrics.indexnodeBuildIndexLatency.observe({}, milliseconds);
  };

  /** A collection has gone, and what was counted under its name goes too. */
  readonly forget = (db_name: string, collection_name: string): void => {
    if (!this.#named.delete(`${db_name}/${collection_name}`)) return;
    this.#registry.forget({ db_name, collection_name });
  };

  #placeOf({ collection }: CallFacts): Place {
    if (collection === undefined) return NOWHERE;
    const { dbName, schema } = collection;
    const key = `${dbName}/${schema.name}`;
    if (!this.#named.has(key)) {
      if (this.#named.size >= NAMED_COLLECTIONS_MAX) return NOWHERE;
      // A call that outlives its collection, or its name: nobody would take the series away again.
      const names = this.#rootcoord?.names;
      if (names !== undefined && names.find(dbName, schema.name) === undefined) return NOWHERE;
      this.#named.add(key);
    }
    return { db_name: dbName, collection_name: schema.name };
  }

  /** Gauges are read from the roles at each scrape. */
  watch(system: WatchedSystem): void {
    const { rootcoord, querycoord } = system.coordinators;
    const { nodes } = system;
    this.#rootcoord = rootcoord;
    const metrics = this.#metrics;
    const one = (read: () => number) => () => [{ labels: {}, value: read() }];
    metrics.rootcoordCollectionNum.collect(() => {
      const { names } = rootcoord;
      return [...names.databases.keys()].map((db_name) => ({
        labels: { db_name },
        value: names.list(db_name).length,
      }));
    });
    metrics.rootcoordPartitionNum.collect(
      one(() => rootcoord.names.list().reduce((sum, info) => sum + info.partitions.length, 0)),
    );
    metrics.rootcoordTimestamp.collect(one(() => rootcoord.getAllocated().timestampMs));
    metrics.rootcoordIdAllocCount.collect(one(() => rootcoord.getAllocated().ids));
    metrics.querynodeCollectionNum.collect(one(() => querycoord.getLoadedCount()));
    const sum = (read: (node: (typeof nodes)[number]) => number | undefined) => () =>
      nodes.reduce((total, node) => total + (read(node) ?? 0), 0);
    metrics.segmentCount.collect(one(sum(({ querynode }) => querynode?.getSegmentCount())));
    metrics.datanodeInsertBufferSize.collect(
      one(sum(({ streamingnode }) => streamingnode?.getGrowingBytes())),
    );
    metrics.healthProblems.collect(one(() => this.#health.count));
    this.#watchSegments(system);
  }

  #watchSegments({ coordinators, nodes }: WatchedSystem): void {
    const { rootcoord, datacoord } = coordinators;
    const metrics = this.#metrics;
    const kind = { segment_level: 'L1', segment_is_sorted: 'true', segment_format: 'arrow' };
    metrics.datacoordSegmentNum.collect(() => {
      const { totals, tombstones } = datacoord.getStored();
      const flushed = [...totals].reduce((sum, [, { segments }]) => sum + segments, 0);
      return [{ state: FLUSHED, value: flushed }, { state: 'Dropped', value: tombstones }].map(
        ({ state, value }) => ({
          labels: { segment_state: state, segment_storage_version: '', ...kind },
          value,
        }),
      );
    });
    const list = (totals: Iterable<[bigint, Totals]>, segment_state: string) =>
      nameTotals(rootcoord, totals).map(({ labels, totals: own }) => ({
        labels: { ...labels, segment_state },
        totals: own,
      }));
    const listStored = () => list(datacoord.getStored().totals, FLUSHED);
    const listHeld = () =>
      nodes.flatMap(({ querynode, streamingnode }) => [
        ...list(querynode?.held ?? [], SEALED),
        ...list(streamingnode?.getGrowing() ?? [], GROWING),
      ]);
    metrics.datacoordStoredRowsNum.collect(() =>
      listStored().map(({ labels, totals }) => ({ labels, value: totals.rows })),
    );
    metrics.datacoordStoredBinlogSize.collect(() =>
      listStored().map(({ labels, totals }) => ({ labels, value: totals.bytes })),
    );
    metrics.querynodeEntityNum.collect(() =>
      listHeld().map(({ labels, totals }) => ({ labels, value: totals.rows })),
    );
    metrics.querynodeSegmentNum.collect(() =>
      listHeld().map(({ labels, totals }) => ({
        labels: { ...labels, segment_level: 'L1' },
        value: totals.segments,
      })),
    );
  }

  async listen(host: string, port: number, logger: Logger): Promise<number> {
    this.#server = await startOperationsServer({
      host,
      port,
      logger,
      listHealth: () => listComponents(this.#health),
      renderMetrics: () => this.#registry.render(),
    });
    return this.#server.port;
  }

  async close(): Promise<void> {
    await this.#server?.close();
  }
}

/** Gives collections their names; past NAMED_COLLECTIONS_MAX they are added up under none. */
function nameTotals(
  rootcoord: RootCoordRole,
  all: Iterable<[bigint, Totals]>,
): { labels: Place & { collection_id: string }; totals: Totals }[] {
  const named: { labels: Place & { collection_id: string }; totals: Totals }[] = [];
  const rest = { segments: 0, rows: 0, bytes: 0 };
  for (const [collectionId, totals] of all) {
    if (named.length >= NAMED_COLLECTIONS_MAX) {
      rest.segments += totals.segments;
      rest.rows += totals.rows;
      rest.bytes += totals.bytes;
      continue;
    }
    const info = rootcoord.names.findById(collectionId);
    const place = { db_name: info?.dbName ?? '', collection_name: info?.schema.name ?? '' };
    named.push({ labels: { ...place, collection_id: String(collectionId) }, totals });
  }
  if (rest.segments > 0) named.push({ labels: { ...NOWHERE, collection_id: '' }, totals: rest });
  return named;
}
