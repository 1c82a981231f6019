// Metrics as roles see them, and the table of those this server fills, every one of them (a test
// says so). Names, labels and buckets are Milvus' own: its stock dashboards and alerts work.
// http/prometheus.ts keeps the numbers; roles need not know it.

export interface MetricDefinition {
  readonly name: string;
  readonly help: string;
  readonly labels: readonly string[];
  /** Upper bounds, ascending; histograms only. */
  readonly buckets?: readonly number[];
}

/** The registry fills in `node_id` where it is not given. */
export type Labels<Name extends string> = Readonly<Record<Exclude<Name, 'node_id'>, string>> & {
  readonly node_id?: string;
};

export interface Counter<Name extends string = never> {
  /** Adds `by` (default 1, never negative). */
  inc(labels: Labels<Name>, by?: number): void;
  /** At each scrape, replaces everything that the counter says: for what is counted elsewhere. */
  collect(provide: () => Iterable<Sample<Name>>): void;
}

export interface Sample<Name extends string> {
  readonly labels: Labels<Name>;
  readonly value: number;
}

export interface Gauge<Name extends string = never> {
  set(labels: Labels<Name>, value: number): void;
  /** At each scrape, replaces everything that the gauge says by what `provide` returns. */
  collect(provide: () => Iterable<Sample<Name>>): void;
}

export interface Histogram<Name extends string = never> {
  observe(labels: Labels<Name>, value: number): void;
}

interface Handles<Name extends string> {
  readonly counter: Counter<Name>;
  readonly gauge: Gauge<Name>;
  readonly histogram: Histogram<Name>;
}
type MetricKind = keyof Handles<never>;

export interface MetricsRegistry {
  counter<Name extends string>(definition: MetricDefinition): Counter<Name>;
  gauge<Name extends string>(definition: MetricDefinition): Gauge<Name>;
  histogram<Name extends string>(definition: MetricDefinition): Histogram<Name>;
  /** Drops every series that carries all of these labels: for what has been dropped itself. */
  forget(labels: Readonly<Record<string, string>>): void;
}

/** 2^0 .. 2^17 milliseconds. */
const MS_BUCKETS = Array.from({ length: 18 }, (_, power) => 2 ** power);
/** For what normally takes less than a millisecond. */
const FINE_MS_BUCKETS = [0.1, 0.25, 0.5, ...MS_BUCKETS];

const PLACE = ['db_name', 'collection_name'] as const;

interface Row<Kind extends MetricKind, Name extends string> extends MetricDefinition {
  readonly kind: Kind;
  readonly labels: readonly Name[];
}

type Define<Kind extends MetricKind> = <Name extends string>(
  name: string,
  help: string,
  labels: readonly Name[],
  buckets?: readonly number[],
) => Row<Kind, Name>;

const counter: Define<'counter'> = (name, help, labels) => {
  return { kind: 'counter', name, help, labels };
};
const gauge: Define<'gauge'> = (name, help, labels) => ({ kind: 'gauge', name, help, labels });
const histogram: Define<'histogram'> = (name, help, labels, buckets = MS_BUCKETS) => {
  return { kind: 'histogram', name, help, labels, buckets };
};

const METRICS = {
  proxyReqCount: counter(
    'milvus_proxy_req_count',
    'requests by function and outcome (total, success, fail_input, fail_system, rejected)',
    ['node_id', 'function_name', 'status', ...PLACE],
  ),
  proxyReqLatency: histogram(
    'milvus_proxy_req_latency',
    'time of a request, ms',
    ['node_id', 'function_name'],
    FINE_MS_BUCKETS,
  ),
  proxySearchLatency: histogram(
    'milvus_proxy_sq_latency',
    'time of a search, query or hybrid search, ms',
    ['node_id', 'query_type', ...PLACE],
    FINE_MS_BUCKETS,
  ),
  proxyCollectionSearchLatency: histogram(
    'milvus_proxy_collection_sq_latency',
    'time of a search, query or hybrid search by collection, ms',
    ['node_id', 'query_type', ...PLACE],
    FINE_MS_BUCKETS,
  ),
  proxyMutationLatency: histogram(
    'milvus_proxy_mutation_latency',
    'time of an insert, delete or upsert, ms',
    ['node_id', 'msg_type', ...PLACE],
    FINE_MS_BUCKETS,
  ),
  proxyCollectionMutationLatency: histogram(
    'milvus_proxy_collection_mutation_latency',
    'time of an insert, delete or upsert by collection, ms',
    ['node_id', 'msg_type', ...PLACE],
    FINE_MS_BUCKETS,
  ),
  proxySearchVectorsCount: counter(
    'milvus_proxy_search_vectors_count',
    'query vectors searched for',
    ['node_id', ...PLACE],
  ),
  proxyInsertVectorsCount: counter(
    'milvus_proxy_insert_vectors_count',
    'rows inserted',
    ['node_id', ...PLACE],
  ),
  proxyReceiveBytesCount: counter(
    'milvus_proxy_receive_bytes_count',
    'bytes of requests received',
    ['node_id', 'msg_type', ...PLACE],
  ),
  proxySendBytesCount: counter(
    'milvus_proxy_send_bytes_count',
    'bytes of replies sent',
    ['node_id'],
  ),

  rootcoordProxyNum: gauge('milvus_rootcoord_proxy_num', 'proxies', []),
  rootcoordCollectionNum: gauge('milvus_rootcoord_collection_num', 'collections', ['db_name']),
  rootcoordPartitionNum: gauge('milvus_rootcoord_partition_num', 'partitions', []),
  rootcoordDdlReqCount: counter(
    'milvus_rootcoord_ddl_req_count',
    'changes of schema by function and outcome',
    ['function_name', 'status'],
  ),
  rootcoordDdlReqLatency: histogram(
    'milvus_rootcoord_ddl_req_latency',
    'time of a change of schema, ms',
    ['function_name'],
  ),
  rootcoordTimestamp: gauge('milvus_rootcoord_timestamp', 'last timestamp given out, ms', []),
  rootcoordIdAllocCount: counter('milvus_rootcoord_id_alloc_count', 'ids given out', []),

  datacoordSegmentNum: gauge(
    'milvus_datacoord_segment_num',
    'segments',
    [
      'segment_state',
      'segment_level',
      'segment_is_sorted',
      'segment_storage_version',
      'segment_format',
    ],
  ),
  datacoordStoredRowsNum: gauge(
    'milvus_datacoord_stored_rows_num',
    'rows stored',
    ['db_name', 'collection_id', 'collection_name', 'segment_state'],
  ),
  datacoordStoredBinlogSize: gauge(
    'milvus_datacoord_stored_binlog_size',
    'bytes stored',
    ['db_name', 'collection_id', 'segment_state'],
  ),

  querynodeCollectionNum: gauge(
    'milvus_querynode_collection_num',
    'collections loaded',
    ['node_id'],
  ),
  querynodeEntityNum: gauge(
    'milvus_querynode_entity_num',
    'rows of the segments that are searched',
    [...PLACE, 'node_id', 'collection_id', 'segment_state'],
  ),
  querynodeSegmentNum: gauge(
    'milvus_querynode_segment_num',
    'segments loaded',
    ['node_id', 'collection_id', 'segment_state', 'segment_level'],
  ),
  querynodeSearchReqCount: counter(
    'milvus_querynode_sq_req_count',
    'reads of shards and segments by outcome',
    ['node_id', 'query_type', 'status', 'scope', 'collection_id'],
  ),
  querynodeSearchReqLatency: histogram(
    'milvus_querynode_sq_req_latency',
    'time of a read of shards or segments, ms',
    ['node_id', 'query_type', 'scope'],
    FINE_MS_BUCKETS,
  ),

  // Three names that guides scrape beside those of the table.
  proxyPlainSearchLatency: histogram(
    'milvus_proxy_search_latency',
    'time of a search, query or hybrid search, ms',
    ['node_id', 'query_type'],
    FINE_MS_BUCKETS,
  ),
  segmentCount: gauge('milvus_segment_count', 'sealed segments held', []),
  datanodeInsertBufferSize: gauge(
    'milvus_datanode_insert_buffer_size',
    'bytes of growing data',
    ['node_id'],
  ),

  indexnodeBuildIndexLatency: histogram(
    'milvus_indexnode_build_index_latency',
    'time of building one index, ms',
    ['node_id'],
  ),
  healthProblems: gauge('elanus_health_problems', 'what is wrong, as CheckHealth lists it', []),
  numNode: gauge('milvus_num_node', 'roles running', ['node_id', 'role_name']),
  buildInfo: gauge(
    'milvus_build_info',
    'always 1; the labels say what runs',
    ['version', 'built', 'git_commit'],
  ),
  runtimeInfo: gauge(
    'milvus_runtime_info',
    'always 1; the labels say on what it runs',
    ['mq', 'meta'],
  ),
};

/** A handle for each row, that takes its labels. */
export type Metrics = {
  readonly [Key in keyof typeof METRICS]: (typeof METRICS)[Key] extends Row<infer Kind, infer Name>
    ? Handles<Name>[Kind]
    : never;
};

/** Returns the handles of all metrics; each is in the registry, and in a scrape, from now on. */
export function createMetrics(registry: MetricsRegistry): Metrics {
  const handles = Object.entries(METRICS).map(([key, row]) => [key, registry[row.kind](row)]);
  return Object.fromEntries(handles) as Metrics;
}

const ignore = (): void => undefined;

/** Keeps nothing: for tests and tools. */
export const silentRegistry: MetricsRegistry = Object.freeze({
  counter: () => ({ inc: ignore, collect: ignore }),
  gauge: () => ({ set: ignore, collect: ignore }),
  histogram: () => ({ observe: ignore }),
  forget: ignore,
});
