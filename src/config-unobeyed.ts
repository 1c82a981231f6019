// Settings of Milvus that Elanus knows and does not have, and why: who sets one is told at start
// instead of being left to think that it works. A key that gets a row in config-keys.ts leaves this
// table. Not here: keys that would be dangerous to ignore; those are refused (config-keys.ts).

const USERS = 'users and roles are not available yet';
const GROUPS = 'grouping searches and aggregations are not available yet';
const RATES = 'there are no rate limits; what is bounded is bounded by memory, disk and size';
const METADATA = 'one process keeps its metadata under localStorage.path';
const FILES = 'one process keeps its files under localStorage.path';
const LOG = 'one process keeps its log under localStorage.path';
const INDEXES = 'how an index is built is decided by its type and parameters';

/** By key; compared as all keys are, in the file and in the environment. */
export const UNOBEYED_KEYS: Readonly<Record<string, string>> = {
  'common.defaultIndexName': 'an index without a name gets that of its field, as in Milvus',
  'common.gracefulTime': 'every read sees everything that was acknowledged before it',
  'common.groupBy.maxGroups': GROUPS,
  'common.security.superUsers': USERS,
  'common.security.defaultRootPassword': USERS,
  'common.security.internaltlsEnabled': 'roles of one process do not talk over the network',
  'common.storageType': FILES,
  'common.ttMsgEnabled': 'nothing waits for time ticks',
  'dataCoord.segment.maxIdleTime': 'growing segments are written out by size and maxLife',
  'dataCoord.segment.maxBinlogFileNumber': 'a segment is one file',
  'dataCoord.enableCompaction': 'see dataCoord.compaction.enableAutoCompaction',
  'dataCoord.gc.interval': 'files go as soon as nothing names them',
  'etcd.endpoints': METADATA,
  'etcd.rootPath': METADATA,
  'etcd.use.embed': METADATA,
  'minio.address': FILES,
  'minio.port': FILES,
  'minio.bucketName': FILES,
  'minio.accessKeyID': FILES,
  'minio.secretAccessKey': FILES,
  'mq.type': LOG,
  'proxy.accessLog.enable': 'there is no access log yet',
  'proxy.http.enabled': 'the RESTful API is not available yet',
  'proxy.http.port': 'the RESTful API is not available yet',
  'proxy.maxPasswordLength': USERS,
  'proxy.maxRoleNum': USERS,
  'proxy.maxSearchAggregationResultEntries': GROUPS,
  'proxy.maxTextLength': 'Text fields are not available yet',
  'proxy.maxUserDescriptionLength': USERS,
  'proxy.maxUserNum': USERS,
  'proxy.maxUsernameLength': USERS,
  'proxy.minPasswordLength': USERS,
  'proxy.nameValidation.allowedChars': USERS,
  'pulsar.address': LOG,
  'queryNode.enableDisk': 'sealed data is always mapped from disk',
  'queryNode.mmap.mmapEnabled': 'sealed data is always mapped from disk',
  'quotaAndLimits.enabled': RATES,
  'quotaAndLimits.limits.maxGroupSize': GROUPS,
  'quotaAndLimits.limits.maxResourceGroupNumOfQueryNode': 'there are no resource groups yet',
  'quotaAndLimits.limitReading.forceDeny': RATES,
  'quotaAndLimits.limitWriting.forceDeny': RATES,
  'rootCoord.dmlChannelNum': 'one log serves all shards of a process',
};

/** By section: everything in it. In the file only: other programs have variables like these. */
export const UNOBEYED_SECTIONS: Readonly<Record<string, string>> = {
  autoIndex: INDEXES,
  credential: 'functions that call models are not available yet',
  etcd: METADATA,
  function: 'functions that call models are not available yet',
  gpu: 'indexes are built and searched on the processor',
  indexCoord: INDEXES,
  kafka: LOG,
  knowhere: INDEXES,
  metastore: METADATA,
  minio: FILES,
  mq: LOG,
  natsmq: LOG,
  pulsar: LOG,
  rocksmq: LOG,
  streaming: LOG,
  tikv: METADATA,
  trace: 'there is no tracing yet',
  woodpecker: LOG,
  'quotaAndLimits.ddl': RATES,
  'quotaAndLimits.indexRate': RATES,
  'quotaAndLimits.flushRate': RATES,
  'quotaAndLimits.compactionRate': RATES,
  'quotaAndLimits.dbRate': RATES,
  'quotaAndLimits.dml': RATES,
  'quotaAndLimits.dql': RATES,
  'quotaAndLimits.limitWriting': RATES,
  'quotaAndLimits.limitReading': RATES,
};
