// Every setting: key, kind, default, bounds and what it does. The single source of defaults:
// deploy/elanus.yaml is rendered from this table and a test holds the two together.
// Keys outside `elanus.` are Milvus' own, with Milvus' default unless the description says
// otherwise. A key is here only if the server obeys it.

export type KeyKind = 'int' | 'float' | 'bool' | 'string' | 'bytes';

export interface KeyRow<T extends boolean | number | string = boolean | number | string> {
  readonly kind: KeyKind;
  readonly default: T;
  readonly description: string;
  readonly min?: number;
  readonly max?: number;
  /** The only values allowed. */
  readonly choices?: readonly string[];
  /** Returns why a value of the right kind is refused nevertheless. */
  readonly refuse?: (value: T) => string | undefined;
}

interface Bounds {
  readonly min?: number;
  readonly max?: number;
}

const KIB = 1024;
const MIB = 1024 * KIB;
const INT_MAX = Number.MAX_SAFE_INTEGER;

function int(value: number, description: string, bounds: Bounds = {}): KeyRow<number> {
  return { kind: 'int', default: value, description, min: 1, max: INT_MAX, ...bounds };
}

function float(value: number, description: string, bounds: Bounds): KeyRow<number> {
  return { kind: 'float', default: value, description, ...bounds };
}

/** A whole number of bytes, in the file also with a unit: 64MiB, 512m, 1g. */
function bytes(value: number, description: string, bounds: Bounds = {}): KeyRow<number> {
  return { kind: 'bytes', default: value, description, min: 1, max: INT_MAX, ...bounds };
}

function bool(value: boolean, description: string): KeyRow<boolean> {
  return { kind: 'bool', default: value, description };
}

function text(value: string, description: string): KeyRow<string> {
  return { kind: 'string', default: value, description };
}

function choice<T extends string>(value: T, choices: readonly T[], description: string): KeyRow<T> {
  return { kind: 'string', default: value, description, choices };
}

export const CONFIG_KEYS = {
  'proxy.ip': text(
    '127.0.0.1',
    'address the server listens on; Milvus listens on every address, Elanus on loopback until told',
  ),
  'proxy.port': int(19530, 'port of the client API; 0 lets the system choose', {
    min: 0,
    max: 65535,
  }),
  'proxy.grpc.serverMaxRecvSize': int(64 * MIB, 'largest request, bytes'),
  'proxy.grpc.serverMaxSendSize': int(256 * MIB, 'largest reply, bytes'),
  'proxy.maxNameLength': int(255, 'longest name of a collection, alias, field or database'),
  'proxy.maxFieldNum': int(64, 'fields of a collection', { max: 262144 }),
  'proxy.maxVectorFieldNum': int(10, 'vector fields of a collection'),
  'proxy.maxShardNum': int(16, 'shards of a collection'),
  'proxy.maxDimension': int(32768, 'dimension of a vector field', { min: 2 }),
  'proxy.maxVarCharLength': int(65535, 'largest max_length of a VarChar field, bytes'),
  'proxy.maxArrayCapacity': int(4096, 'largest max_capacity of an Array field'),
  'proxy.maxIndexParamsSize': int(102400, 'parameters of one index in all, bytes'),
  'proxy.maxCollectionDescriptionLength': int(1024, 'description of a collection, bytes'),
  'proxy.maxTaskNum': int(
    1024,
    'requests of one kind (writes, reads, others) in progress; more are refused with code 4',
  ),
  'proxy.maxResultEntries': int(-1, 'entries of one search result (nq * topK); -1 = no limit', {
    min: -1,
  }),
  'proxy.mustUsePartitionKey': bool(
    false,
    'refuse to create, search and query collections without a partition key',
  ),

  'localStorage.path': text(
    './data',
    'the data directory, relative to where the server starts; Milvus: /var/lib/milvus/data/',
  ),

  'log.level': choice('info', ['debug', 'info', 'warn', 'error'], 'least level that is written'),
  'log.format': choice('text', ['text', 'json'], 'one line of text or of JSON per event'),

  'common.defaultPartitionName': text('_default', 'partition that every collection has'),
  'common.JSONMaxLength': int(65536, 'one JSON value or the dynamic fields of one row, bytes'),
  'common.security.authorizationEnabled': {
    ...bool(false, 'ask every client for credentials; not available yet, so true is refused'),
    refuse: (value: boolean) =>
      value ? 'authorization is not available yet; leave it false' : undefined,
  },
  'common.security.tlsMode': {
    ...int(0, 'encryption of the client API; not available yet, so 1 and 2 are refused', {
      min: 0,
      max: 2,
    }),
    refuse: (value: number) => (value > 0 ? 'TLS is not available yet; leave it 0' : undefined),
  },

  'rootCoord.maxPartitionNum': int(
    4096,
    'partitions of a collection; Milvus: 1024, which is still the most that a partition key gets',
  ),
  'rootCoord.maxDatabaseNum': int(64, 'databases'),
  'rootCoord.maxGeneralCapacity': int(65536, 'sum of partitions * shards over all collections'),
  'rootCoord.minSegmentSizeToEnableIndex': int(1024, 'rows from which a segment is indexed', {
    min: 0,
  }),

  'dataCoord.segment.maxSize': int(1024, 'size of a full segment, MiB'),
  'dataCoord.segment.sealProportion': float(0.12, 'share of maxSize at which a segment is sealed', {
    min: 0.001,
    max: 1,
  }),
  'dataCoord.segment.maxLife': int(86400, 'seconds after which a growing segment is sealed'),
  'dataCoord.compaction.enableAutoCompaction': bool(true, 'merge segments without being asked'),

  'queryNode.scheduler.unsolvedQueueSize': int(
    1024,
    'reads that wait for a search thread; more are refused with code 4',
  ),

  'quotaAndLimits.limits.topK': int(16384, 'hits per query vector'),
  'quotaAndLimits.limits.nq': int(16384, 'query vectors of one search'),
  'quotaAndLimits.limits.maxQueryResultWindow': int(16384, 'offset + limit of one request'),
  'quotaAndLimits.limits.maxOutputSize': int(100 * MIB, 'one result, bytes'),
  'quotaAndLimits.limits.maxInsertSize': int(-1, 'one insert, bytes; -1 = no limit', { min: -1 }),
  'quotaAndLimits.limits.maxCollectionNum': int(65536, 'collections in all'),
  'quotaAndLimits.limits.maxCollectionNumPerDB': int(65536, 'collections of one database'),

  'elanus.metrics.port': int(
    9091,
    'port of health and metrics, on the same address; METRICS_PORT sets it too; 0 = any',
    { min: 0, max: 65535 },
  ),
  'elanus.walBytesMax': bytes(
    256 * MIB,
    'write-ahead log kept; past it the growing segments that pin it are written out',
    { min: 4 * MIB },
  ),
  'elanus.wal.fileBytes': bytes(16 * MIB, 'one preallocated file of the write-ahead log', {
    min: 64 * KIB,
    max: 1024 * MIB,
  }),
  'elanus.wal.acceptDamage': bool(
    false,
    'serve without acknowledged records that are damaged, instead of stopping their collections',
  ),
  'elanus.mvccRetentionSeconds': int(600, 'seconds for which compaction keeps replaced rows', {
    min: 0,
  }),
  'elanus.scrubIntervalSeconds': int(
    600,
    'seconds between two files of data read against their checksums; 0 = never',
    { min: 0 },
  ),
  'elanus.growingBytesMax': bytes(
    0,
    'memory for rows not yet written out; past it inserts are refused; 0 = a quarter of memory',
    { min: 0 },
  ),
  'elanus.requestBytesMax': bytes(
    0,
    'memory for requests in progress and their replies; past it requests wait, then are refused ' +
      'with code 8; 0 = a fifth of memory',
    { min: 0 },
  ),
  'elanus.threads.search': int(0, 'search threads; 0 = processors by quota, less one', {
    min: 0,
    max: 1024,
  }),
  'elanus.threads.build': int(0, 'index build threads, at low priority; 0 = processors by quota', {
    min: 0,
    max: 1024,
  }),
  'elanus.build.memoryBytesMax': bytes(
    0,
    'memory for builds and merges under way; a larger one fails; 0 = a quarter of memory',
    { min: 0 },
  ),
  'elanus.grpcBetweenRoles': bool(false, 'roles of one process talk gRPC, as between machines'),
} as const;

/** A setting's full name, such as `proxy.port`. */
export type ConfigKey = keyof typeof CONFIG_KEYS;
