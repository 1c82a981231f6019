// Changes of collections and fields: what can be added, properties and their values.

import { DataType } from '../../../src/model/data-type.ts';
import { makeAddField, makeField, refuse, type BadRequest, type Plain } from './bad-request.ts';

const ADDED_NAMES = refuse('AddCollectionField', 1701, [
  [
    'adding a field with a bad name',
    makeAddField(makeField('1st', DataType.Int64, { nullable: true })),
    'Invalid field name: 1st',
  ],
]);

const ADDED_TO_NOTHING = refuse('AddCollectionField', 100, [
  [
    'adding a field to a collection that is not there',
    makeAddField(makeField('new', DataType.Int64, { nullable: true }), 'nope'),
    'collection not found',
  ],
]);

const alterField = (field_name: string, key: string, value: string): Plain => ({
  collection_name: 'plain',
  field_name,
  properties: [{ key, value }],
});

const ALTERED = refuse('AlterCollectionField', 1100, [
  [
    'altering a field that is not there',
    alterField('nope', 'max_length', '9'),
    'field nope does not exist in collection plain',
  ],
  [
    'altering max_length of a Float',
    alterField('f', 'max_length', '9'),
    'can not modify the maxlength for non-string types: invalid parameter',
  ],
  [
    'altering max_length to 0',
    alterField('name', 'max_length', '0'),
    'field(name) should be in (0, 65535]',
  ],
  ['altering max_capacity to 0', alterField('tags', 'max_capacity', '0'), 'should be in (0, 4096]'],
  [
    'altering max_capacity of a VarChar',
    alterField('name', 'max_capacity', '3'),
    'max_capacity',
    'name',
  ],
  [
    'altering what cannot be altered',
    alterField('name', 'nullable', 'true'),
    'nullable does not allow update in collection field param',
  ],
]);

const COLLECTION = refuse('AlterCollection', 1100, [
  ['altering nothing', { collection_name: 'plain' }, 'no properties or delete keys provided'],
  [
    'setting and deleting at once',
    { collection_name: 'plain', properties: [{ key: 'a', value: '1' }], delete_keys: ['b'] },
    'cannot provide both DeleteKeys and ExtraParams',
  ],
  [
    'deleting the switch of the dynamic field',
    { collection_name: 'plain', delete_keys: ['dynamicfield.enabled'] },
    'cannot delete key dynamicfield.enabled',
  ],
]);

const setProperty = (key: string, value: string): Plain => ({
  collection_name: 'plain',
  properties: [{ key, value }],
});

const PROPERTIES_TOO_LARGE = refuse('AlterCollection', 1102, [
  [
    'too long a description that is set later',
    setProperty('collection.description', 'x'.repeat(2000)),
    'collection description is too long',
  ],
  [
    'more bytes of properties than are kept',
    setProperty('note', 'x'.repeat(300_000)),
    'properties are too large[need=',
  ],
]);

const PROPERTY_VALUES = refuse('AlterCollection', 1100, [
  [
    'a property in other letters',
    setProperty('QUERY_MODE', 'large_topk'),
    'invalid property key "QUERY_MODE", did you mean "query_mode"?: invalid parameter',
  ],
  [
    'a time to live in other letters',
    setProperty('Collection.TTL.seconds', '60'),
    'did you mean "collection.ttl.seconds"?',
  ],
  [
    'a mode of queries that no one knows',
    setProperty('query_mode', 'LARGE_TOPK'),
    'invalid query_mode value "LARGE_TOPK", valid values: [large_topk]',
  ],
  [
    'a time to live that is no number',
    setProperty('collection.ttl.seconds', 'soon'),
    'collection TTL is not a valid positive integer',
  ],
  [
    'a time to live beyond 100 years',
    setProperty('collection.ttl.seconds', '3155760001'),
    'collection TTL is out of range, expect [-1, 3155760000], got 3155760001',
  ],
  [
    'a TTL field that is not there',
    setProperty('ttl_field', 'nope'),
    'ttl field name nope not found in schema',
  ],
  [
    'a TTL field that is no time',
    setProperty('ttl_field', 'd'),
    'ttl field must be timestamptz, field name = d',
  ],
  [
    'a time zone that is none',
    setProperty('timezone', 'Mars/Olympus'),
    'unknown or invalid IANA Time Zone ID: Mars/Olympus',
  ],
  [
    'isolation without a partition key',
    setProperty('partitionkey.isolation', 'true'),
    'partition key isolation mode is enabled but no partition key field is set',
  ],
  [
    'an isolation that is no bool',
    setProperty('partitionkey.isolation', 'maybe'),
    'failed to parse partition key isolation: maybe',
  ],
  [
    'a warmup of a field, of the collection',
    setProperty('warmup', 'sync'),
    "warmup key 'warmup' is only allowed at field level",
  ],
  [
    'a warmup that no one knows',
    setProperty('warmup.vectorIndex', 'ASYNC'),
    'invalid warmup value for key warmup.vectorIndex: invalid warmup policy: ASYNC',
  ],
  [
    'no replica',
    setProperty('collection.replica.number', '0'),
    'invalid collection property: [key=collection.replica.number] [value=0]',
  ],
]);

const PROPERTIES = refuse('AlterCollection', 10, [
  [
    'turning the dynamic field on',
    setProperty('dynamicfield.enabled', 'true'),
    'turning the dynamic field on is not available yet',
  ],
  [
    'a quota',
    setProperty('collection.insertRate.max.mb', '5'),
    'collection property collection.insertRate.max.mb is not available yet',
  ],
  [
    'no compaction',
    setProperty('collection.autocompaction.enabled', 'false'),
    'a collection that is not compacted is not available yet',
  ],
]);

const FIELD_LOADED = refuse('AlterCollectionField', 104, [
  [
    'altering mmap of a field of a loaded collection',
    alterField('name', 'mmap.enabled', 'true'),
    'can not alter collection field properties if collection loaded',
  ],
]);

const LOADED = refuse('AlterCollection', 104, [
  [
    'deleting mmap of a loaded collection',
    { collection_name: 'plain', delete_keys: ['mmap.enabled'] },
    'can not delete mmap properties if collection loaded',
  ],
  [
    'altering mmap of a loaded collection',
    { collection_name: 'plain', properties: [{ key: 'mmap.enabled', value: 'true' }] },
    'can not alter mmap properties if collection loaded',
  ],
]);

export const ALTERATIONS: readonly BadRequest[] = [
  ...ADDED_NAMES,
  ...ADDED_TO_NOTHING,
  ...PROPERTY_VALUES,
  ...PROPERTIES_TOO_LARGE,
  ...ALTERED,
  ...COLLECTION,
  ...LOADED,
  ...FIELD_LOADED,
  ...PROPERTIES,
];
