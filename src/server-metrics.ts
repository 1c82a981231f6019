// Fills the metrics of a server: calls as they end, gauges when they are scraped. And serves port
// 9091.

import type { Health } from './base/health.ts';
import { createMetrics, type Metrics } from './base/metrics.ts';
import type { Logger } from './base/logger.ts';
import { startOperationsServer, type OperationsServer } from './http/operations-server.ts';
import { PrometheusRegistry } from './http/prometheus.ts';
import type { QueryCoordRole } from './roles/querycoord/querycoord.ts';
import type { QueryNodeRole } from './roles/querynode/querynode.ts';
import type { RootCoordRole } from './roles/rootcoord/rootcoord.ts';
import type { StreamingNodeRole } from './roles/streamingnode/streamingnode.ts';
import { listComponents } from './rpc/component-health.ts';
import { ROLE_NAMES } from './rpc/contract.ts';
import type { RpcObserver } from './rpc/grpc-milvus.ts';

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
/** Per-collection labels need the request's text; the totals do without. */
const ALL = { db_name: '', collection_name: '' };

export interface WatchedRoles {
  readonly rootcoord: RootCoordRole;
  readonly querycoord: QueryCoordRole;
  readonly querynode: QueryNodeRole;
  readonly streamingnode: StreamingNodeRole;
}

export class ServerMetrics {
  readonly #registry = new PrometheusRegistry({ nodeId: NODE_ID });
  readonly #metrics: Metrics = createMetrics(this.#registry);
  readonly #health: Health;
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

  readonly observeRpc: RpcObserver = (name, request, replyBytes, milliseconds, error) => {
    const metrics = this.#metrics;
    const outcome =
      error === undefined ? 'success' : error.isInputError ? 'fail_input' : 'fail_system';
    for (const status of ['total', outcome]) {
      metrics.proxyReqCount.inc({ function_name: name, status, ...ALL });
    }
    metrics.proxyReqLatency.observe({ function_name: name }, milliseconds);
    metrics.proxySendBytesCount.inc({}, replyBytes);
    const read = READS.get(name);
    const mutation = MUTATIONS.get(name);
    if (read !== undefined) {
      metrics.proxySearchLatency.observe({ query_type: read, ...ALL }, milliseconds);
      metrics.proxyPlainSearchLatency.observe({ query_type: read }, milliseconds);
    }
    if (mutation !== undefined) {
      metrics.proxyMutationLatency.observe({ msg_type: mutation, ...ALL }, milliseconds);
      metrics.proxyReceiveBytesCount.inc({ msg_type: mutation, ...ALL }, request.byteLength);
    }
    if (DDL.test(name)) {
      metrics.rootcoordDdlReqCount.inc({ function_name: name, status: outcome });
      metrics.rootcoordDdlReqLatency.observe({ function_name: name }, milliseconds);
    }
  };

  observeBuild(milliseconds: number): void {
    this.#metrics.indexnodeBuildIndexLatency.observe({}, milliseconds);
  }

  /** Gauges are read from the roles at each scrape. */
  watch({ rootcoord, querycoord, querynode, streamingnode }: WatchedRoles): void {
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
    metrics.querynodeCollectionNum.collect(one(() => querycoord.getLoadedCount()));
    metrics.segmentCount.collect(one(() => querynode.getSegmentCount()));
    metrics.datanodeInsertBufferSize.collect(one(() => streamingnode.getGrowingBytes()));
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
