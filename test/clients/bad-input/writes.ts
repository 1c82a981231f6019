// Insert, Upsert and Delete: columns that do not fit the schema, values out of range, targets that
// are not there.

import { DataType } from '../../../src/model/data-type.ts';
import {
  arrayData,
  boolData,
  doubleData,
  floatData,
  int64Data,
  intData,
  jsonData,
  makeWrite,
  refuse,
  textData,
  vectorData,
  type BadRequest,
  type Columns,
  type Plain,
} from './bad-request.ts';
import { KEYED_ROWS, OTHER_DATABASE, PLAIN_ROWS, SMALL_ROWS } from './world.ts';

const change = (columns: Columns, more: Plain = {}): Plain =>
  makeWrite('plain', { ...PLAIN_ROWS, ...columns }, more);
const small = (collection: string, columns: Columns = {}, more: Plain = {}): Plain =>
  makeWrite(collection, { ...SMALL_ROWS, ...columns }, more);

const VEC_BAD = [0, 1, 0, 0];
const INSERTS = refuse('Insert', 1100, [
  [
    'a missing field',
    change({ f: undefined }),
    'fieldSchema(f) has no corresponding fieldData pass in: invalid parameter',
    '[collection=plain]',
    '[field=f]',
  ],
  [
    'a missing primary key',
    change({ id: undefined }),
    'fieldSchema(id) has no corresponding fieldData pass in',
  ],
  [
    'a missing vector',
    change({ vec: undefined }),
    'fieldSchema(vec) has no corresponding fieldData pass in',
  ],
  [
    'a field that is not in the schema',
    change({ extra: int64Data([1, 2]) }),
    'field extra not exist',
    '[collection=plain]',
  ],
  [
    'a dynamic column without a dynamic field',
    change({ $meta: { ...jsonData(['{}', '{}']), is_dynamic: true } }),
    'dynamic field is not enabled',
    '[collection=plain]',
  ],
  [
    'text for a Float',
    change({ f: textData(['a', 'b']) }),
    'array type mismatch: invalid parameter',
    '[field=f]',
  ],
  [
    'Int64 for an Int8',
    change({ i8: int64Data([1, 2]) }),
    'array type mismatch',
    '[field=i8]',
    'need Int8 array',
  ],
  ['Double for a Float', change({ f: doubleData([1, 2]) }), 'array type mismatch', '[field=f]'],
  ['Float for a Double', change({ d: floatData([1, 2]) }), 'array type mismatch', '[field=d]'],
  [
    'a Bool for a VarChar',
    change({ name: boolData([true, false]) }),
    'array type mismatch',
    '[field=name]',
  ],
  [
    'a vector for a scalar',
    change({ f: vectorData(4, [...VEC_BAD, ...VEC_BAD]) }),
    'array type mismatch',
    '[field=f]',
  ],
  [
    'a scalar for a vector',
    change({ vec: floatData([1, 2]) }),
    'array type mismatch',
    '[field=vec]',
    'need float vector',
    'got scalar',
  ],
  [
    'a binary vector for a float vector',
    change({ vec: { type: 100, vectors: { dim: 32, binary_vector: Buffer.alloc(8) } } }),
    '[field=vec]',
    'binary',
  ],
  [
    'a vector column without vectors',
    change({ vec: { type: DataType.FloatVector } }),
    "float vector field 'vec' is illegal, array type mismatch: invalid " +
      'parameter[expected=need float vector][actual=got nil]',
    '[collection=plain]',
  ],
  [
    'a vector of another dim',
    change({ vec: vectorData(3, [1, 0, 0, 0, 1, 0]) }),
    'the dim (3) of field data(vec) is not equal to schema dim (4)',
    '[expected=4][actual=3]',
  ],
  [
    'half a vector',
    change({ vec: vectorData(4, [1, 0, 0, 0, 0, 1]) }),
    'not a multiple of its dim',
    '[field=vec]',
  ],
  [
    'a vector too few',
    change({ vec: vectorData(4, VEC_BAD) }),
    'the num_rows (1) of field (vec) is not equal to passed num_rows (2): invalid parameter',
    '[expected=2][actual=1]',
  ],
  [
    'NaN in a vector',
    change({ vec: vectorData(4, [1, 0, 0, 0, 0, NaN, 0, 0]) }),
    "value 'NaN' is not a number or infinity",
    '[collection=plain]',
    '[field=vec]',
    '[row=1]',
  ],
  [
    'infinity in a vector',
    change({ vec: vectorData(4, [Infinity, 0, 0, 0, 0, 0, 0, 0]) }),
    "value '+Inf' is not a number or infinity",
    '[row=0]',
  ],
  [
    'minus infinity in a vector',
    change({ vec: vectorData(4, [1, 0, 0, 0, 0, 0, 0, -Infinity]) }),
    "value '-Inf' is not a number or infinity",
    '[row=1]',
  ],
  [
    'NaN in a Float',
    change({ f: floatData([1, NaN]) }),
    "value 'NaN' is not a number",
    '[field=f]',
    '[row=1]',
  ],
  [
    'infinity in a Double',
    change({ d: doubleData([Infinity, 1]) }),
    "value '+Inf' is not a number",
    '[field=d]',
    '[row=0]',
  ],
  [
    'a row too many in a column',
    change({ i16: intData(DataType.Int16, [1, 2, 3]) }),
    'the num_rows (3) of field (i16) is not equal to passed num_rows (2)',
    '[collection=plain]',
    '[expected=2][actual=3]',
  ],
  [
    'a row too few in a column',
    change({ name: textData(['one']) }),
    'the num_rows (1) of field (name)',
  ],
  ['no rows', change({}, { num_rows: 0 }), 'num_rows should be greater than 0'],
  [
    'a number of rows that no column has',
    change({}, { num_rows: 3 }),
    'is not equal to passed num_rows (3)',
  ],
  [
    'too long a VarChar',
    change({ name: textData(['one', 'ninechars']) }),
    'length of varchar field name exceeds max length, row number: 1, length: 9, max length: 8',
    '[collection=plain]',
    '[row=1]',
  ],
  [
    'a VarChar too long in bytes',
    change({ name: textData(['ééééé', 'b']) }),
    'row number: 0, length: 10, max length: 8',
  ],
  [
    'an Int8 of 128',
    change({ i8: intData(DataType.Int8, [128, 0]) }),
    'the 0th element (128) out of range: [-128, 127]',
    '[field=i8]',
    '[row=0]',
    '[actual=128]',
  ],
  [
    'an Int16 of -32769',
    change({ i16: intData(DataType.Int16, [0, -32769]) }),
    'the 1th element (-32769) out of range: [-32768, 32767]',
    '[row=1]',
  ],
  [
    'an array over its capacity',
    change({
      tags: arrayData(DataType.Int64, [
        { long_data: { data: [1, 2, 3, 4] } },
        { long_data: { data: [] } },
      ]),
    }),
    'the length (4) of 0th array exceeds max capacity (3)',
    '[field=tags]',
    '[row=0]',
  ],
  [
    'an array of another type',
    change({
      tags: arrayData(DataType.VarChar, [
        { string_data: { data: ['a'] } },
        { string_data: { data: [] } },
      ]),
    }),
    'array element type mismatch',
    '[field=tags]',
  ],
  [
    'too long a VarChar in an array',
    change({
      words: arrayData(DataType.VarChar, [
        { string_data: { data: ['a'] } },
        { string_data: { data: ['abcde'] } },
      ]),
    }),
    'length of Array array field "words" exceeds max length',
    '[row=1]',
  ],
  [
    'invalid JSON',
    change({ doc: jsonData(['{}', '{"a": }']) }),
    'invalid JSON in field doc of collection plain, row 1',
  ],
  ['no JSON at all', change({ doc: jsonData(['', '{}']) }), 'field doc is not nullable', '[row=0]'],
  [
    'too long a JSON',
    change({ doc: jsonData([`"${'x'.repeat(65535)}"`, '{}']) }),
    'the length (65537) of json field (doc) exceeds max length (65536)',
    '[row=0]',
  ],
  [
    'null in a field that has none',
    change({ f: { ...floatData([1]), valid_data: [true, false] } }),
    'field f is not nullable',
    '[field=f]',
    '[row=1]',
    '[actual=null]',
  ],
  [
    'valid_data of another length',
    change({ opt: { ...textData(['a']), valid_data: [true] } }),
    'the length of valid_data of field(opt) is wrong',
    '[expected=2][actual=1]',
  ],
  [
    'the same column twice',
    change(
      {},
      {
        fields_data: [
          ...(change({})['fields_data'] as object[]),
          { field_name: 'f', ...floatData([1, 2]) },
        ],
      },
    ),
    'field f is given more than once',
  ],
  [
    'primary keys where they are drawn',
    small('drawn'),
    'field id is an auto id primary key',
    'more fieldData has pass in: invalid parameter',
    '[collection=drawn]',
  ],
  [
    'no primary keys where they are not drawn',
    small('idle', { id: undefined }),
    'fieldSchema(id) has no corresponding fieldData pass in',
    '[collection=idle]',
  ],
  [
    'a partition name with a partition key',
    makeWrite('keyed', KEYED_ROWS, { partition_name: '_default_0' }),
    'not support manually specifying the partition names if partition key mode is used',
  ],
  [
    'no partition key',
    makeWrite('keyed', SMALL_ROWS),
    'fieldSchema(team) has no corresponding fieldData pass in',
  ],
  ['a bad collection name', small('1st'), 'Invalid collection name: 1st'],
]);

const NOT_THERE: readonly BadRequest[] = [
  ...refuse('Insert', 100, [
    [
      'a collection that is not there',
      small('nope'),
      'collection not found[database=default][collection=nope]',
    ],
    [
      'a collection of another database',
      small('far'),
      'collection not found[database=default][collection=far]',
    ],
    [
      'a collection that the other database does not have',
      small('plain', {}, { db_name: OTHER_DATABASE }),
      `collection not found[database=${OTHER_DATABASE}][collection=plain]`,
    ],
  ]),
  ...refuse('Insert', 800, [
    [
      'a database that is not there',
      small('plain', {}, { db_name: 'nowhere' }),
      'database not found[database=nowhere]',
    ],
  ]),
  ...refuse('Insert', 200, [
    [
      'a partition that is not there',
      small('idle', {}, { partition_name: 'nope' }),
      'partition not found[partition=nope]',
    ],
  ]),
  ...refuse('Insert', 109, [
    [
      'a stale schema',
      small('idle', {}, { schema_timestamp: 1 }),
      'collection schema mismatch',
      '[collection=idle]',
      '[got=1]',
    ],
  ]),
];

const UPSERTS: readonly BadRequest[] = [
  ...refuse('Upsert', 1100, [
    [
      'the same key twice',
      small('idle', { id: int64Data([7, 7]) }),
      'duplicate primary keys are not allowed in the same batch: invalid parameter',
    ],
    [
      'an upsert without its key',
      small('idle', { id: undefined }),
      'must assign pk when upsert, primary field: id',
    ],
    [
      'an upsert of another dim',
      small('idle', { vec: vectorData(2, [1, 2, 3, 4]) }),
      'is not equal to schema dim (4)',
    ],
    [
      'an upsert with a partition name and a partition key',
      makeWrite('keyed', KEYED_ROWS, { partition_name: 'x' }),
      'not support manually specifying the partition names',
    ],
    [
      'an upsert without rows',
      small('idle', {}, { num_rows: 0 }),
      'num_rows should be greater than 0',
    ],
  ]),
  ...refuse('Upsert', 200, [
    [
      'an upsert into a partition that is not there',
      small('idle', {}, { partition_name: 'nope' }),
      'partition not found[partition=nope]',
    ],
  ]),
  ...refuse('Upsert', 100, [
    ['an upsert into a collection that is not there', small('nope'), 'collection not found'],
  ]),
];

const remove = (expr: string, more: Plain = {}): Plain => ({
  collection_name: 'plain',
  expr,
  ...more,
});

const DELETES: readonly BadRequest[] = [
  ...refuse('Delete', 1100, [
    [
      'a delete without a filter',
      remove(''),
      'failed to create delete plan',
      'expr cannot be empty',
    ],
    [
      'a delete with a blank filter',
      remove('  '),
      'failed to create delete plan',
      'expr cannot be empty',
    ],
    ['a delete of everything', remove('true'), 'failed to create delete plan', 'always true'],
    [
      'a delete that folds to everything',
      remove('1 == 1'),
      'failed to create delete plan',
      'always true',
    ],
    [
      'a delete that does not parse',
      remove('id in ['),
      'failed to create delete plan: cannot parse expression: id in [',
    ],
    [
      'a delete by a field that is not there',
      remove('nope > 1'),
      'failed to create delete plan: cannot parse expression: nope > 1',
      'nope',
    ],
    [
      'a delete that compares types',
      remove('name >= 0'),
      'failed to create delete plan: cannot parse expression: name >= 0: comparisons ' +
        'between VarChar and Int64 are not supported: query plan failed: invalid parameter',
    ],
    [
      'a delete of float keys',
      remove('id in [0.5, 1]'),
      'failed to create delete plan: cannot parse expression',
    ],
    [
      'a delete with a template that is not given',
      remove('id in {ids}'),
      'the value of expression template variable name {ids} is not found',
    ],
  ]),
  ...refuse('Delete', 200, [
    [
      'a delete in a partition that is not there',
      remove('id in [1]', { partition_name: 'nope' }),
      'partition not found[partition=nope]',
    ],
  ]),
  ...refuse('Delete', 100, [
    [
      'a delete in a collection that is not there',
      { collection_name: 'nope', expr: 'id in [1]' },
      'collection not found[database=default][collection=nope]',
    ],
  ]),
];

const WHEN_NOT_LOADED = refuse('Delete', 101, [
  [
    'a delete by values in a collection that is not loaded',
    { collection_name: 'bare', expr: 'f > 0' },
    'collection not loaded',
  ],
]);

export const WRITES: readonly BadRequest[] = [
  ...INSERTS,
  ...NOT_THERE,
  ...UPSERTS,
  ...DELETES,
  ...WHEN_NOT_LOADED,
];
