// Properties of collections and databases as clients set them: which values are taken, which are
// refused. Names that Milvus does not know are kept and given back, as Milvus does, but for a known
// name in other letters: it would be ignored, and whoever wrote it would not learn why.

import { MAX_COLLECTIONS } from '../../../model/collection-info.ts';
import { invalidParameter } from '../../../model/error.ts';
import { findPartitionKeyField, type CollectionSchema } from '../../../model/schema.ts';
import { notYet } from '../not-yet.ts';

type Properties = Readonly<Record<string, string>>;

/**
 * Properties that change what the server does and that it does not do yet, and beginnings of such:
 * `cipher` is `cipher.key` too.
 */
export const PROPERTIES_NOT_YET = [
  'collection.ttl.seconds',
  'ttl_field',
  'partitionkey.isolation',
  'query_mode',
  'namespace.mode',
  'collection.insertRate',
  'collection.deleteRate',
  'collection.bulkLoadRate',
  'collection.queryRate',
  'collection.searchRate',
  'collection.diskProtection',
  'partition.diskProtection',
  'cipher',
];

/** All that Milvus knows. */
const COLLECTION_KEYS = [
  'collection.ttl.seconds',
  'ttl_field',
  'mmap.enabled',
  'lazyload.enabled',
  'warmup.scalarField',
  'warmup.scalarIndex',
  'warmup.vectorField',
  'warmup.vectorIndex',
  'partitionkey.isolation',
  'query_mode',
  'dynamicfield.enabled',
  'allow_insert_auto_id',
  'timezone',
  'consistency_level',
  'collection.autocompaction.enabled',
  'collection.description',
  'collection.replica.number',
  'collection.resource_groups',
  'collection.insertRate.max.mb',
  'collection.insertRate.min.mb',
  'collection.deleteRate.max.mb',
  'collection.deleteRate.min.mb',
  'collection.bulkLoadRate.max.mb',
  'collection.bulkLoadRate.min.mb',
  'collection.queryRate.max.qps',
  'collection.queryRate.min.qps',
  'collection.searchRate.max.vps',
  'collection.searchRate.min.vps',
  'collection.diskProtection.diskQuota.mb',
  'partition.diskProtection.diskQuota.mb',
  'collection.function.allowInsertNonBM25FunctionOutputs',
  'disable_func_runtime_check',
  'namespace.mode',
  'namespace.sharding.enabled',
  'cipher.enabled',
  'cipher.key',
  'cipher.ezID',
];
const DATABASE_KEYS = [
  'database.replica.number',
  'database.resource_groups',
  'database.diskQuota.mb',
  MAX_COLLECTIONS,
  'database.force.deny.writing',
  'database.force.deny.reading',
  'database.force.deny.ddl',
  'database.force.deny.collectionDDL',
  'database.force.deny.partitionDDL',
  'database.force.deny.index',
  'database.force.deny.flush',
  'database.force.deny.compaction',
  'timezone',
  'cipher.enabled',
  'cipher.key',
  'cipher.ezID',
];
const byLowerCase = (keys: readonly string[]): ReadonlyMap<string, string> =>
  new Map(keys.map((key) => [key.toLowerCase(), key]));
const KNOWN_COLLECTION_KEYS = byLowerCase(COLLECTION_KEYS);
const KNOWN_DATABASE_KEYS = byLowerCase(DATABASE_KEYS);

const TTL_OFF = new Set(['-1', '0']);
const TTL_SECONDS_MAX = 3_155_760_000;
const QUERY_MODES = ['large_topk'];
const WARMUP_KEYS = /^warmup\.(?:scalar|vector)(?:Field|Index)$/;
const WARMUP_POLICIES = ['disable', 'sync', 'async'];

/** @throws MilvusError ParameterInvalid with Milvus' text; Unimplemented */
export function checkCollectionProperties(properties: Properties, schema: CollectionSchema): void {
  for (const [key, value] of Object.entries(properties)) {
    checkSpelling(key, KNOWN_COLLECTION_KEYS);
    checkCollectionProperty(key, value, schema);
  }
}

function checkCollectionProperty(key: string, value: string, schema: CollectionSchema): void {
  const isOff = value === '' || value.toLowerCase() === 'false';
  switch (key) {
    case 'timezone':
      return checkTimezone(value);
    case 'collection.ttl.seconds':
      return checkTtl(key, value);
    case 'ttl_field':
      return checkTtlField(value, schema);
    case 'query_mode':
      if (QUERY_MODES.includes(value)) break;
      throw invalidParameter(
        `invalid query_mode value "${value}", valid values: [${QUERY_MODES.join(',')}]`,
      );
    case 'partitionkey.isolation':
      if (!readIsolation(value, schema)) return;
      break;
    case 'dynamicfield.enabled':
      if (isOff !== schema.enableDynamicField) return;
      if (isOff) throw invalidParameter('dynamic schema cannot supported to be disabled');
      throw notYet('turning the dynamic field on');
    case 'collection.autocompaction.enabled':
      if (isOff) throw notYet('a collection that is not compacted');
      return;
    case 'collection.replica.number':
      return checkReplicaNumber('collection', key, value);
    default:
      if (key === 'warmup' || WARMUP_KEYS.test(key)) return checkWarmup(key, value);
  }
  if (isOff) return;
  if (PROPERTIES_NOT_YET.some((name) => key === name || key.startsWith(`${name}.`))) {
    throw notYet(`collection property ${key}`);
  }
}

/** @throws MilvusError ParameterInvalid with Milvus' text; Unimplemented */
export function checkDatabaseProperties(properties: Properties): void {
  for (const [key, value] of Object.entries(properties)) {
    checkSpelling(key, KNOWN_DATABASE_KEYS);
    if (key === 'timezone') checkTimezone(value);
    if (key === 'database.replica.number') checkReplicaNumber('database', key, value);
    if (key === MAX_COLLECTIONS && !/^\d+$/.test(value)) throw refuseValue('database', key, value);
    if (key.startsWith('cipher.') && value !== '' && value.toLowerCase() !== 'false') {
      throw notYet(`database property ${key}`);
    }
  }
}

function checkSpelling(key: string, known: ReadonlyMap<string, string>): void {
  const meant = known.get(key.toLowerCase());
  if (meant === undefined || meant === key) return;
  throw invalidParameter(`invalid property key "${key}", did you mean "${meant}"?`);
}

function refuseValue(what: 'collection' | 'database', key: string, value: string): Error {
  return invalidParameter(`invalid ${what} property: [key=${key}] [value=${value}]`);
}

function checkReplicaNumber(what: 'collection' | 'database', key: string, value: string): void {
  if (!/^[1-9]\d*$/.test(value)) throw refuseValue(what, key, value);
}

function checkTimezone(name: string): void {
  try {
    // An IANA name; an offset such as +01:00 is none.
    if (/^[A-Za-z]/.test(name)) new Intl.DateTimeFormat('en', { timeZone: name });
    else if (name !== '') throw new RangeError(name);
  } catch {
    throw invalidParameter(`unknown or invalid IANA Time Zone ID: ${name}`);
  }
}

function checkTtl(key: string, value: string): void {
  if (!/^[+-]?\d+$/.test(value)) {
    throw invalidParameter('collection TTL is not a valid positive integer');
  }
  const seconds = Number(value);
  if (seconds < -1 || seconds > TTL_SECONDS_MAX) {
    throw invalidParameter(
      `collection TTL is out of range, expect [-1, ${TTL_SECONDS_MAX}], got ${value}`,
    );
  }
  if (!TTL_OFF.has(value)) throw notYet(`collection property ${key}`);
}

/** A TTL field is a Timestamptz, which no schema has yet. */
function checkTtlField(name: string, schema: CollectionSchema): void {
  if (schema.fields.some((field) => field.name === name && !field.isDynamic)) {
    throw invalidParameter(`ttl field must be timestamptz, field name = ${name}`);
  }
  throw invalidParameter(`ttl field name ${name} not found in schema`);
}

function readIsolation(value: string, schema: CollectionSchema): boolean {
  if (!/^(?:true|false|[01tf])$/i.test(value)) {
    throw invalidParameter(`failed to parse partition key isolation: ${value}`);
  }
  const isOn = /^[1t]/i.test(value);
  if (isOn && findPartitionKeyField(schema) === undefined) {
    throw invalidParameter(
      'partition key isolation mode is enabled but no partition key field is set. Please set the ' +
        'partition key first',
    );
  }
  return isOn;
}

function checkWarmup(key: string, value: string): void {
  if (key === 'warmup') {
    throw invalidParameter(
      "warmup key 'warmup' is only allowed at field level, use warmup.scalarField/" +
        'warmup.scalarIndex/warmup.vectorField/warmup.vectorIndex at collection level',
    );
  }
  if (!WARMUP_POLICIES.includes(value)) {
    throw invalidParameter(`invalid warmup value for key ${key}: ${describeWarmup(value)}`);
  }
}

/** Of a field or an index. @throws MilvusError ParameterInvalid with Milvus' text */
export function checkWarmupPolicy(value: string | undefined): void {
  if (value === undefined || WARMUP_POLICIES.includes(value)) return;
  throw invalidParameter(describeWarmup(value));
}

function describeWarmup(value: string): string {
  const policies = WARMUP_POLICIES.map((policy) => `'${policy}'`).join(' or ');
  return `invalid warmup policy: ${value}, must be ${policies}`;
}
