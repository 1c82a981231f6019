// Names of everything that has one, in every form that is refused.

import { DataType } from '../../../src/model/data-type.ts';
import {
  LONG_NAME,
  makeCreate,
  makeField,
  makeKey,
  makeVector,
  refuse,
  toPairs,
  type BadRequest,
} from './bad-request.ts';

const SMALL = [makeKey(), makeVector()];
const createCalled = (name: string): object => makeCreate(SMALL, {}, name);
const createWithField = (name: string): object =>
  makeCreate([...SMALL, makeField(name, DataType.Int64)]);
const aliasCalled = (alias: string): object => ({ collection_name: 'plain', alias });
const partitionCalled = (partition_name: string): object => ({
  collection_name: 'plain',
  partition_name,
});
const indexCalled = (index_name: string): object => ({
  collection_name: 'bare',
  field_name: 'vec',
  index_name,
  extra_params: toPairs({ index_type: 'HNSW', metric_type: 'L2' }),
});

const as = (request: object): Readonly<Record<string, unknown>> => ({ ...request });

export const NAMES: readonly BadRequest[] = [
  ...refuse('CreateCollection', 1100, [
    [
      'an empty collection name',
      as(createCalled('')),
      'collection name should not be empty: invalid parameter',
    ],
    [
      'a collection name of 256 bytes',
      as(createCalled(LONG_NAME)),
      `Invalid collection name: ${LONG_NAME}. the length of a collection name must be less ` +
        `than 255 characters`,
    ],
    [
      'a collection name that begins with a digit',
      as(createCalled('1st')),
      'Invalid collection name: 1st. the first character of a collection name must be an ' +
        'underscore or letter: invalid parameter',
    ],
    [
      'a collection name with a dash',
      as(createCalled('a-b')),
      'Invalid collection name: a-b. collection name can only contain numbers, letters and ' +
        'underscores: invalid parameter',
    ],
    [
      'a collection name with a letter that is not ASCII',
      as(createCalled('español')),
      'collection name can only contain numbers, letters and underscores',
    ],
    ['a blank collection name', as(createCalled('  ')), 'the first character of a collection name'],
  ]),
  ...refuse('CreateCollection', 1701, [
    [
      'an empty field name',
      as(createWithField('')),
      'field name should not be empty: field name invalid[field=]',
    ],
    [
      'a field name of 256 bytes',
      as(createWithField(LONG_NAME)),
      'The length of a field name must be less than 255 characters.',
      'field name invalid',
    ],
    [
      'a field name that begins with a digit',
      as(createWithField('1st')),
      'Invalid field name: 1st. The first character of a field name must be an underscore or ' +
        'letter.: field name invalid[field=1st]',
    ],
    [
      'a field name with a dash',
      as(createWithField('a-b')),
      'Invalid field name: a-b. Field name can only contain numbers, letters, and ' +
        'underscores.: field name invalid[field=a-b]',
    ],
    [
      'a field named like a word of the filter language',
      as(createWithField('json_contains')),
      'Invalid field name: json_contains. json_contains is keyword in milvus.: field name ' +
        'invalid[field=json_contains]',
    ],
    [
      'a field named like the dynamic field',
      as(createWithField('$meta')),
      'Invalid field name: $meta',
    ],
  ]),
  ...refuse('DescribeCollection', 1100, [
    [
      'describing a collection without a name',
      { collection_name: '' },
      'collection name should not be empty',
    ],
    [
      'describing a collection by a bad name',
      { collection_name: '1st' },
      'Invalid collection name: 1st',
    ],
  ]),
  ...refuse('RenameCollection', 1100, [
    [
      'renaming to an empty name',
      { oldName: 'plain', newName: '' },
      'collection name should not be empty',
    ],
    [
      'renaming to a bad name',
      { oldName: 'plain', newName: '1st' },
      'Invalid collection name: 1st',
    ],
    [
      'renaming to too long a name',
      { oldName: 'plain', newName: LONG_NAME },
      'must be less than 255 characters',
    ],
  ]),
  ...refuse('CreateAlias', 1100, [
    [
      'an empty alias',
      as(aliasCalled('')),
      'collection alias should not be empty: invalid parameter',
    ],
    [
      'an alias of 256 bytes',
      as(aliasCalled(LONG_NAME)),
      `Invalid collection alias: ${LONG_NAME}. the length of a collection alias must be less ` +
        `than 255 characters`,
    ],
    [
      'an alias that begins with a digit',
      as(aliasCalled('1st')),
      'Invalid collection alias: 1st. the first character of a collection alias must be an ' +
        'underscore or letter: invalid parameter',
    ],
    [
      'an alias with a dash',
      as(aliasCalled('a-b')),
      'Invalid collection alias: a-b. collection alias can only contain',
    ],
  ]),
  ...refuse('CreateDatabase', 802, [
    [
      'an empty database name',
      { db_name: '' },
      'database name should not be empty: invalid database name[database=]',
    ],
    [
      'a database name of 256 bytes',
      { db_name: LONG_NAME },
      'the length of a database name must be less than 255 characters',
      'invalid database name',
    ],
    [
      'a database name that begins with a digit',
      { db_name: '1st' },
      'the first character of a database name must be an underscore or letter: invalid ' +
        'database name[database=1st]',
    ],
    [
      'a database name with a dash',
      { db_name: 'a-b' },
      'database name can only contain numbers, letters and underscores: invalid database ' +
        'name[database=a-b]',
    ],
  ]),
  ...refuse('DropDatabase', 802, [
    [
      'dropping a database by a bad name',
      { db_name: '%$#' },
      'invalid database name[database=%$#]',
    ],
  ]),
  ...refuse('CreatePartition', 1100, [
    [
      'an empty partition name',
      as(partitionCalled('')),
      'Invalid partition name: . Partition name should not be empty.: invalid parameter',
    ],
    ['a blank partition name', as(partitionCalled('  ')), 'Partition name should not be empty.'],
    [
      'a partition name of 256 bytes',
      as(partitionCalled(LONG_NAME)),
      `Invalid partition name: ${LONG_NAME}. The length of a partition name must be less ` +
        `than 255 characters.`,
    ],
    [
      'a partition name that begins with a dash',
      as(partitionCalled('-a')),
      'Invalid partition name: -a. The first character of a partition name must be an ' +
        'underscore or letter.',
    ],
    [
      'a partition name with a space',
      as(partitionCalled('a b')),
      'Invalid partition name: a b. Partition name can only contain numbers, letters and ' +
        'underscores.',
    ],
  ]),
  ...refuse('CreateIndex', 1100, [
    ['an index name of 256 bytes', as(indexCalled(LONG_NAME)), `Invalid index name: ${LONG_NAME}`],
    ['an index name that begins with a digit', as(indexCalled('1st')), 'Invalid index name: 1st'],
    [
      'an index name with a dash',
      as(indexCalled('a-b')),
      'Invalid index name: a-b',
      'can only contain',
    ],
  ]),
];
