// Collections by name, partitions, aliases, databases, and jobs on collections that are not there.

import {
  makeCreate,
  makeKey,
  makeVector,
  refuse,
  toPairs,
  type BadRequest,
} from './bad-request.ts';
import { ALIAS, OTHER_DATABASE, PARTITION } from './world.ts';

const PARTITIONS: readonly BadRequest[] = [
  ...refuse('CreatePartition', 100, [
    [
      'a partition of a collection that is not there',
      { collection_name: 'nope', partition_name: 'p' },
      'collection not found',
    ],
  ]),
  ...refuse('CreatePartition', 1100, [
    [
      'a partition beside a partition key',
      { collection_name: 'keyed', partition_name: 'p' },
      'disable create partition if partition key mode is used',
    ],
  ]),
  ...refuse('DropPartition', 1100, [
    [
      'dropping the default partition',
      { collection_name: 'idle', partition_name: '_default' },
      'default partition cannot be deleted: invalid parameter[partition=_default]',
    ],
    [
      'dropping a partition of a partition key',
      { collection_name: 'keyed', partition_name: '_default_0' },
      'disable drop partition if partition key mode is used',
    ],
  ]),
  ...refuse('DropPartition', 65535, [
    [
      'dropping a loaded partition',
      { collection_name: 'plain', partition_name: PARTITION },
      'partition cannot be dropped, partition is loaded, please release it first',
    ],
  ]),
  ...refuse('ShowPartitions', 200, [
    [
      'showing a partition that is not there',
      { collection_name: 'plain', partition_names: ['nope'] },
      'partition not found',
    ],
  ]),
  ...refuse('GetPartitionStatistics', 200, [
    [
      'counting a partition that is not there',
      { collection_name: 'plain', partition_name: 'nope' },
      'partition not found[partition=nope]',
    ],
  ]),
];

const COLLECTIONS: readonly BadRequest[] = [
  ...refuse('CreateCollection', 1100, [
    [
      'a name that another schema has',
      makeCreate([makeKey(), makeVector('vec', 8)], {}, 'plain'),
      'create duplicate collection with different parameters, collection: plain: invalid parameter',
    ],
    [
      'another number of shards',
      makeCreate([makeKey(), makeVector()], { shards_num: 2 }, 'idle'),
      'create duplicate collection with different parameters, collection: idle',
    ],
  ]),
  ...refuse('CreateCollection', 1601, [
    [
      'a name that an alias has',
      makeCreate([makeKey(), makeVector()], {}, ALIAS),
      `alias and collection name conflict[database=default][alias=${ALIAS}]`,
    ],
  ]),
  ...refuse('CreateCollection', 800, [
    [
      'a collection in a database that is not there',
      makeCreate([makeKey(), makeVector()], { db_name: 'nowhere' }),
      'database not found[database=nowhere]',
    ],
  ]),
  ...refuse('DescribeCollection', 100, [
    [
      'describing a collection that is not there',
      { collection_name: 'nope' },
      "can't find collection[database=default][collection=nope]",
    ],
    [
      'describing a collection of another database',
      { collection_name: 'far' },
      "can't find collection[database=default][collection=far]",
    ],
  ]),
  ...refuse('DropCollection', 1100, [
    [
      'dropping by an alias',
      { collection_name: ALIAS },
      `cannot drop the collection via alias = ${ALIAS}: invalid parameter`,
    ],
  ]),
  ...refuse('DropCollection', 65535, [
    [
      'dropping what has an alias',
      { collection_name: 'idle' },
      'unable to drop the collection [idle] because it has associated aliases',
      ALIAS,
    ],
  ]),
  ...refuse('RenameCollection', 65535, [
    [
      'renaming to a name that is taken',
      { oldName: 'plain', newName: 'ivf' },
      'duplicated new collection name default:ivf with other collection name or alias',
    ],
    [
      'renaming an alias',
      { oldName: ALIAS, newName: 'fresh' },
      `unsupported use an alias to rename collection, alias:${ALIAS}`,
    ],
  ]),
  ...refuse('RenameCollection', 1601, [
    [
      'renaming to an alias',
      { oldName: 'plain', newName: ALIAS },
      `cannot rename collection to an existing alias: ${ALIAS}`,
      `alias and collection name conflict[database=default][alias=${ALIAS}]`,
    ],
  ]),
  ...refuse('RenameCollection', 1100, [
    [
      'renaming to the same name',
      { oldName: 'plain', newName: 'plain' },
      'collection name or database name should be different',
    ],
  ]),
  ...refuse('RenameCollection', 100, [
    [
      'renaming a collection that is not there',
      { oldName: 'nope', newName: 'fresh' },
      'collection not found[database=default][collection=nope]',
    ],
  ]),
  ...refuse('RenameCollection', 800, [
    [
      'renaming into a database that is not there',
      { oldName: 'plain', newName: 'plain', newDBName: 'nowhere' },
      'database not found[database=nowhere]',
    ],
  ]),
];

const FLUSHING: readonly BadRequest[] = [
  ...refuse('Flush', 100, [
    [
      'flushing a collection that is not there',
      { collection_names: ['nope'] },
      'collection not found',
    ],
  ]),
  ...refuse('ManualCompaction', 100, [
    [
      'compacting a collection that is not there',
      { collection_name: 'nope' },
      'collection not found',
    ],
  ]),
  ...refuse('ManualCompaction', 1100, [
    [
      'compacting to less than a segment may have',
      { collection_name: 'plain', target_size: 1 },
      'target_size',
    ],
    [
      'compacting to less than nothing',
      { collection_name: 'plain', target_size: -1 },
      'target_size',
    ],
  ]),
  ...refuse('GetCollectionStatistics', 100, [
    [
      'counting a collection that is not there',
      { collection_name: 'nope' },
      'collection not found',
    ],
  ]),
  ...refuse('GetPersistentSegmentInfo', 100, [
    [
      'the segments of a collection that is not there',
      { collectionName: 'nope' },
      'collection not found',
    ],
  ]),
];

const ALIASES: readonly BadRequest[] = [
  ...refuse('CreateAlias', 100, [
    [
      'an alias of a collection that is not there',
      { collection_name: 'nope', alias: 'fresh' },
      'collection not found[database=default][collection=nope]',
    ],
  ]),
  ...refuse('CreateAlias', 100, [
    [
      'an alias of an alias',
      { collection_name: ALIAS, alias: 'fresh' },
      'alias fresh cannot point to another alias: collection not found',
    ],
  ]),
  ...refuse('ListAliases', 100, [
    [
      'the aliases of a collection that is not there',
      { collection_name: 'nope' },
      'collection not found',
    ],
  ]),
  ...refuse('CreateAlias', 1601, [
    [
      'an alias that a collection is called',
      { collection_name: 'plain', alias: 'ivf' },
      'alias and collection name conflict[database=default][alias=ivf]',
    ],
  ]),
  ...refuse('CreateAlias', 1602, [
    [
      'an alias of another collection',
      { collection_name: 'plain', alias: ALIAS },
      `${ALIAS} is alias to another collection: idle: alias already ` +
        `exist[database=default][alias=${ALIAS}]`,
    ],
  ]),
  ...refuse('AlterAlias', 1600, [
    [
      'altering an alias that is not there',
      { collection_name: 'plain', alias: 'fresh' },
      'alias not found[database=default][alias=fresh]',
    ],
  ]),
  ...refuse('AlterAlias', 100, [
    [
      'altering an alias to a collection that is not there',
      { collection_name: 'nope', alias: ALIAS },
      'collection not found',
    ],
  ]),
  ...refuse('DescribeAlias', 1600, [
    [
      'describing an alias that is not there',
      { alias: 'fresh' },
      'alias not found[database=default][alias=fresh]',
    ],
  ]),
];

const DATABASES: readonly BadRequest[] = [
  ...refuse('CreateDatabase', 65535, [
    [
      'a database that is there',
      { db_name: OTHER_DATABASE },
      `database already exist: ${OTHER_DATABASE}`,
    ],
    ['the default database', { db_name: 'default' }, 'database already exist: default'],
  ]),
  ...refuse('CreateDatabase', 1100, [
    [
      'a database with a property in other letters',
      { db_name: 'fresh', properties: toPairs({ 'Database.Max.Collections': '3' }) },
      'invalid property key "Database.Max.Collections", did you mean "database.max.collections"?',
    ],
    [
      'a number of collections that is none',
      { db_name: 'fresh', properties: toPairs({ 'database.max.collections': 'many' }) },
      'invalid database property: [key=database.max.collections] [value=many]',
    ],
    [
      'a negative number of collections',
      { db_name: 'fresh', properties: toPairs({ 'database.max.collections': '-1' }) },
      'invalid database property: [key=database.max.collections] [value=-1]',
    ],
    [
      'no replica',
      { db_name: 'fresh', properties: toPairs({ 'database.replica.number': '0' }) },
      'invalid database property: [key=database.replica.number] [value=0]',
    ],
    [
      'a time zone that is none',
      { db_name: 'fresh', properties: toPairs({ timezone: '+01:00' }) },
      'unknown or invalid IANA Time Zone ID: +01:00',
    ],
  ]),
  ...refuse('CreateDatabase', 10, [
    [
      'a database that is encrypted',
      { db_name: 'fresh', properties: toPairs({ 'cipher.enabled': 'true' }) },
      'database property cipher.enabled is not available yet',
    ],
  ]),
  ...refuse('DropDatabase', 65535, [
    [
      'dropping a database that is not empty',
      { db_name: OTHER_DATABASE },
      `database:${OTHER_DATABASE} not empty, must drop all collections before drop database`,
    ],
  ]),
  ...refuse('DropDatabase', 1100, [
    ['dropping the default database', { db_name: 'default' }, 'can not drop default database'],
  ]),
  ...refuse('DescribeDatabase', 800, [
    [
      'describing a database that is not there',
      { db_name: 'nowhere' },
      'database not found[database=nowhere]',
    ],
  ]),
  ...refuse('AlterDatabase', 800, [
    [
      'altering a database that is not there',
      { db_name: 'nowhere', properties: toPairs({ a: '1' }) },
      'database not found[database=nowhere]',
    ],
  ]),
  ...refuse('AlterDatabase', 1100, [
    [
      'altering nothing of a database',
      { db_name: OTHER_DATABASE },
      'alter database with empty properties and delete keys, expected to set either ' +
        'properties or delete keys',
    ],
  ]),
  ...refuse('ShowCollections', 800, [
    [
      'listing a database that is not there',
      { db_name: 'nowhere' },
      'database not found[database=nowhere]',
    ],
  ]),
];

export const CATALOG: readonly BadRequest[] = [
  ...PARTITIONS,
  ...COLLECTIONS,
  ...FLUSHING,
  ...ALIASES,
  ...DATABASES,
];
