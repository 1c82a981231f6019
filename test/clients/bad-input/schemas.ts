// Schemas: types, dimensions, lengths, keys, defaults, counts.

import { DataType } from '../../../src/model/data-type.ts';
import {
  makeAddField,
  makeArray,
  makeCreate,
  makeField,
  makeKey,
  makeText,
  makeVector,
  refuse,
  type BadRequest,
  type Field,
  type Plain,
} from './bad-request.ts';

const KEY = makeKey();
const VEC = makeVector();
const withDim = (dim: unknown): Plain => makeCreate([KEY, makeVector('vec', dim)]);
const withField = (field: Field): Plain => makeCreate([KEY, VEC, field]);
const repeat = (count: number, make: (i: number) => Field): Field[] =>
  Array.from({ length: count }, (_unused, i) => make(i));
const withDefault = (field: Field, default_value: Plain): Plain =>
  withField({ ...field, default_value });

const SCHEMA_1100 = refuse('CreateCollection', 1100, [
  ['dim 0', withDim(0), 'invalid dimension: 0', '2 ~ 32768', 'field vec'],
  ['dim 1', withDim(1), 'invalid dimension: 1', '2 ~ 32768'],
  [
    'dim 32769',
    withDim(32769),
    'invalid dimension: 32769 of field vec. float vector dimension should be in range 2 ~ 32768',
  ],
  ['a negative dim', withDim(-8), 'invalid dimension: -8'],
  ['a dim that is no number', withDim('x'), 'invalid dimension: x', 'field vec'],
  ['a dim that is no integer', withDim('4.5'), 'invalid dimension: 4.5'],
  [
    'no dim',
    makeCreate([KEY, makeField('vec', DataType.FloatVector)]),
    'dimension is not defined in field type params of field vec',
  ],
  [
    'a String field',
    withField(makeField('s', DataType.String)),
    'string data type not supported yet, please use VarChar type instead',
  ],
  ['a type that no one knows', withField(makeField('s', 77)), 'Invalid data type: 77', 's'],
  ['a field without a type', withField(makeField('s', 0)), 'Invalid data type: 0', 's'],
  [
    'an array without an element type',
    withField(makeArray('a', 0, { max_capacity: 3 })),
    'element type None is not supported',
  ],
  [
    'an array of arrays',
    withField(makeArray('a', DataType.Array, { max_capacity: 3 })),
    'element type Array is not supported',
  ],
  [
    'an array of JSON',
    withField(makeArray('a', DataType.JSON, { max_capacity: 3 })),
    'element type JSON is not supported',
  ],
  [
    'an array of vectors',
    withField(makeArray('a', DataType.FloatVector, { max_capacity: 3 })),
    'element type FloatVector is not supported',
  ],
  [
    'max_length 0',
    withField(makeText('s', 0)),
    'the maximum length specified for the field(s) should be in (0, 65535], but got 0 instead',
  ],
  [
    'max_length 65536',
    withField(makeText('s', 65536)),
    'the maximum length specified for the field(s) should be in (0, 65535]',
    '65536',
  ],
  ['a max_length that is no number', withField(makeText('s', 'x')), 'field(s)', 'x'],
  [
    'no max_length',
    withField(makeText('s', undefined)),
    'type param(max_length) should be specified for the field(s) of collection created',
  ],
  [
    'an array of VarChar without max_length',
    withField(makeArray('a', DataType.VarChar, { max_capacity: 3 })),
    'type param(max_length) should be specified for the field(a) of collection created',
  ],
  [
    'max_capacity 0',
    withField(makeArray('a', DataType.Int64, { max_capacity: 0 })),
    'the maximum capacity specified for a Array should be in (0, 4096]',
  ],
  [
    'max_capacity 4097',
    withField(makeArray('a', DataType.Int64, { max_capacity: 4097 })),
    'the maximum capacity specified for a Array should be in (0, 4096]',
  ],
  [
    'a max_capacity that is no number',
    withField(makeArray('a', DataType.Int64, { max_capacity: 'x' })),
    'the value for max_capacity of field a must be an integer',
  ],
  ['no max_capacity', withField(makeArray('a', DataType.Int64, {})), 'max_capacity', 'field a'],
  [
    '65 fields',
    makeCreate([KEY, VEC, ...repeat(63, (i) => makeField(`f${i}`, DataType.Int8))]),
    "maximum field's number should be limited to 64",
  ],
  [
    '11 vector fields',
    makeCreate([KEY, ...repeat(11, (i) => makeVector(`v${i}`))]),
    "maximum vector field's number should be limited to 10",
  ],
  [
    'two fields of one name',
    makeCreate([KEY, VEC, makeField('x', DataType.Int8), makeField('x', DataType.Bool)]),
    'duplicated field name x',
  ],
  ['no vector field', makeCreate([KEY]), 'schema does not contain vector field: invalid parameter'],
  ['no field at all', makeCreate([]), 'schema does not contain vector field'],
  ['no primary key', makeCreate([VEC]), 'primary key is not specified'],
  [
    'two primary keys',
    makeCreate([KEY, VEC, makeText('k2', 8, { is_primary_key: true })]),
    'there are more than one primary key, field name = id, k2',
  ],
  [
    'a Float primary key',
    makeCreate([makeField('id', DataType.Float, { is_primary_key: true }), VEC]),
    'the data type of primary key should be Int64 or VarChar',
  ],
  [
    'a vector primary key',
    makeCreate([{ ...VEC, is_primary_key: true }]),
    'the data type of primary key should be Int64 or VarChar',
  ],
  [
    'a nullable primary key',
    makeCreate([makeKey({ nullable: true }), VEC]),
    'primary field not support null',
  ],
  [
    'a primary key with a default',
    makeCreate([makeKey({ default_value: { long_data: 1 } }), VEC]),
    'primary field not support default_value',
  ],
  [
    'a primary key with a default that has no value',
    makeCreate([makeKey({ default_value: {} }), VEC]),
    'primary field not support default_value',
  ],
  [
    'auto id on another field',
    withField(makeField('x', DataType.Int64, { autoID: true })),
    'only primary field can speficy AutoID with true, field name = x',
  ],
  [
    'a partition key that is the primary key',
    makeCreate([makeKey({ is_partition_key: true }), VEC]),
    'the partition key field must not be primary field',
  ],
  [
    'a Float partition key',
    withField(makeField('x', DataType.Float, { is_partition_key: true })),
    'the data type of partition key should be Int64 or VarChar',
  ],
  [
    'a nullable partition key',
    withField(makeField('x', DataType.Int64, { is_partition_key: true, nullable: true })),
    'partition key field not support nullable: invalid parameter',
  ],
  [
    'two partition keys',
    makeCreate([
      KEY,
      VEC,
      makeField('x', DataType.Int64, { is_partition_key: true }),
      makeField('y', DataType.Int64, { is_partition_key: true }),
    ]),
    'there are more than one partition key, field name = x, y',
  ],
  [
    'a Bool default of an Int64 field',
    withDefault(makeField('x', DataType.Int64), { bool_data: true }),
    'type (Int64) of field (x) is not equal to the type(DataType_Bool) of default_value: ' +
      'invalid parameter',
  ],
  [
    'a string default of an Int8 field',
    withDefault(makeField('x', DataType.Int8), { string_data: '1' }),
    'type (Int8) of field (x) is not equal to the type(DataType_VarChar) of default_value',
  ],
  [
    'a default out of range of Int8',
    withDefault(makeField('x', DataType.Int8), { int_data: 128 }),
    '128',
    'out of range',
  ],
  [
    'too long a default',
    withDefault(makeText('x', 2), { string_data: 'abc' }),
    'the length (3) of string exceeds max length (2): invalid parameter' +
      '[expected=valid length string][actual=string length exceeds max length]',
  ],
  [
    'a default of NaN',
    withDefault(makeField('x', DataType.Float), { float_data: NaN }),
    "value 'NaN' is not a number or infinity: invalid parameter[field=x]",
  ],
  [
    'a default beyond all floats',
    withDefault(makeField('x', DataType.Float), { float_data: 1e39 }),
    "value '+Inf' is not a number or infinity",
  ],
  [
    'an infinite default of a Double',
    withDefault(makeField('x', DataType.Double), { double_data: -Infinity }),
    "value '-Inf' is not a number or infinity",
  ],
  [
    'a default out of range of Int16',
    withDefault(makeField('x', DataType.Int16), { int_data: -32769 }),
    'default value out of range: invalid parameter',
    '-32769 out of range -32768 <= value <= 32767',
  ],
  [
    'an Int default of an Int64 field',
    withDefault(makeField('x', DataType.Int64), { int_data: 1 }),
    'type (Int64) of field (x) is not equal to the type(DataType_Int) of default_value',
  ],
  [
    'a Double default of a Float field',
    withDefault(makeField('x', DataType.Float), { double_data: 1 }),
    'type (Float) of field (x) is not equal to the type(DataType_Double) of default_value',
  ],
  [
    'a default of bytes',
    withDefault(makeText('x', 8), { bytes_data: Buffer.from('a') }),
    'type (VarChar) of field (x) is not equal to the type(DataType_SJON) of default_value',
  ],
  [
    'a Date default of an Int32 field',
    withDefault(makeField('x', DataType.Int32), { date_data: 1 }),
    'type (Int32) of field (x) is not equal to the type(DataType_Date) of default_value',
  ],
  [
    'too long a default of letters of two bytes',
    withDefault(makeText('x', 3), { string_data: 'éé' }),
    'the length (4) of string exceeds max length (3)',
  ],
  [
    'a default of an array',
    withDefault(makeArray('x', DataType.Int64, { max_capacity: 3 }), { long_data: 1 }),
    'type not support default_value, type:Array, name:x',
  ],
  [
    'a dynamic field of its own',
    withField(makeField('x', DataType.JSON, { is_dynamic: true })),
    'cannot explicitly set a field as a dynamic field',
  ],
  [
    'one partition without a partition key',
    makeCreate([KEY, VEC], { num_partitions: 1 }),
    'num_partitions should only be specified with partition key field enabled',
  ],
  [
    'a field with a warmup that no one knows',
    withField(makeField('x', DataType.Int64, {}, { warmup: 'later' })),
    "invalid warmup policy: later, must be 'disable' or 'sync' or 'async'",
  ],
  [
    'a default of a JSON field',
    withDefault(makeField('x', DataType.JSON), { string_data: '{}' }),
    'type not support default_value, type:JSON, name:x',
  ],
  [
    'a default of a JSON field that has no value',
    withDefault(makeField('x', DataType.JSON), {}),
    'type not support default_value, type:JSON, name:x',
  ],
  [
    'a default of a vector field',
    withDefault(makeVector('x'), { float_data: 1 }),
    'type not support default_value, type:FloatVector, name:x',
  ],
  [
    'a shard too many',
    makeCreate([KEY, VEC], { shards_num: 17 }),
    "maximum shards's number should be limited to 16",
  ],
  [
    'a number of partitions without a partition key',
    makeCreate([KEY, VEC], { num_partitions: 4 }),
    'num_partitions should only be specified with partition key field enabled',
  ],
  [
    'too many partitions',
    makeCreate([KEY, VEC, makeField('x', DataType.Int64, { is_partition_key: true })], {
      num_partitions: 5000,
    }),
    'partition number (5000) exceeds max configuration (1024)',
  ],
  [
    'a schema that is no message',
    { collection_name: 'created', schema: Buffer.from([255, 255, 255]) },
    'schema is not a CollectionSchema message',
  ],
]);

const KEYS_OF_CLUSTERS: readonly BadRequest[] = [
  ...refuse('CreateCollection', 105, [
    [
      'two clustering keys',
      makeCreate([
        KEY,
        VEC,
        makeField('x', DataType.Int64, { is_clustering_key: true }),
        makeField('y', DataType.Int64, { is_clustering_key: true }),
      ]),
      'there are more than one clustering key, field name = x, y: ' +
        'illegal collection schema[collectionName=created]',
    ],
    [
      'a JSON clustering key',
      withField(makeField('x', DataType.JSON, { is_clustering_key: true })),
      'clustering key field x has unsupported data type JSON',
    ],
  ]),
  ...refuse('CreateCollection', 107, [
    [
      'a vector clustering key',
      makeCreate([KEY, { ...VEC, is_clustering_key: true }]),
      'vector clustering key not allowed[collectionName=created]',
    ],
  ]),
  ...refuse('AddCollectionField', 1100, [
    [
      'adding a second clustering key',
      makeAddField(
        makeField('new', DataType.Int64, { nullable: true, is_clustering_key: true }),
        'sorted',
      ),
      'already has another clustering key field, field name: new: invalid parameter',
    ],
    [
      'adding a JSON clustering key',
      makeAddField(makeField('new', DataType.JSON, { nullable: true, is_clustering_key: true })),
      'clustering key field new has unsupported data type JSON',
    ],
  ]),
];

const analyzed = (params: Plain): Field => makeField('x', DataType.VarChar, {}, params);

const NOT_YET = refuse('CreateCollection', 10, [
  [
    'a field with an analyzer',
    withField(analyzed({ max_length: 8, enable_analyzer: 'true' })),
    'the analyzer of a field (enable_analyzer of field x) is not available yet',
  ],
  [
    'a field to match texts in',
    withField(analyzed({ max_length: 8, enable_match: 'True', enable_analyzer: 'True' })),
    'is not available yet',
  ],
  [
    'a field with settings of an analyzer that is off',
    withField(analyzed({ max_length: 8, enable_analyzer: 'false', analyzer_params: '{}' })),
    'analyzer_params of field x',
  ],
  [
    'a type that is not there yet',
    withField(makeField('x', DataType.Geometry)),
    'Geometry',
    'field x',
    'not available yet',
  ],
  [
    'a function',
    makeCreate([KEY, VEC], { schema: { functions: [{ name: 'bm25' }] } }),
    'functions',
    'not available yet',
  ],
  [
    'a property that is not there yet',
    makeCreate([KEY, VEC], { properties: [{ key: 'query_mode', value: 'large_topk' }] }),
    'collection property query_mode is not available yet',
  ],
]);

const ADDED = refuse('AddCollectionField', 1100, [
  [
    'adding a field that is not nullable',
    makeAddField(makeField('new', DataType.Int64)),
    'added field must be nullable, please check it, field name = new: invalid parameter',
  ],
  [
    'adding a field that is there',
    makeAddField(makeField('f', DataType.Float, { nullable: true })),
    'duplicated field name',
    'f',
  ],
  [
    'adding a partition key',
    makeAddField(makeField('new', DataType.Int64, { nullable: true, is_partition_key: true })),
    'not support to add partition key field, field name  = new: invalid parameter',
  ],
  [
    'adding a primary key',
    makeAddField(makeField('new', DataType.Int64, { is_primary_key: true })),
    'not support to add pk field, field name = new: invalid parameter',
  ],
  [
    'adding a VarChar without max_length',
    makeAddField(makeText('new', undefined, { nullable: true })),
    'type param(max_length) should be specified for the field(new) of collection plain',
  ],
  [
    'adding a field with a default of another type',
    makeAddField(
      makeField('new', DataType.Int64, { nullable: true, default_value: { bool_data: true } }),
    ),
    'type (Int64) of field (new) is not equal to the type(DataType_Bool) of default_value',
  ],
  [
    'adding a JSON field with a default',
    makeAddField(
      makeField('new', DataType.JSON, { nullable: true, default_value: { string_data: '{}' } }),
    ),
    'type not support default_value, type:JSON, name:new',
  ],
]);

const ADDED_DEFAULTS = refuse('AddCollectionField', 1100, [
  [
    'adding a field with a default of NaN',
    makeAddField(
      makeField('new', DataType.Double, { nullable: true, default_value: { double_data: NaN } }),
    ),
    "value 'NaN' is not a number or infinity",
  ],
  [
    'adding a field with a default out of range',
    makeAddField(
      makeField('new', DataType.Int8, { nullable: true, default_value: { int_data: -129 } }),
    ),
    '-129 out of range -128 <= value <= 127',
  ],
  [
    'adding a field with too long a default',
    makeAddField(makeText('new', 2, { nullable: true, default_value: { string_data: 'abc' } })),
    'the length (3) of string exceeds max length (2)',
  ],
  [
    'adding a field that is no message',
    { collection_name: 'plain', schema: Buffer.from([255, 255, 255]) },
    'schema is not a FieldSchema message',
  ],
]);

const ADDED_ANALYZER = refuse('AddCollectionField', 10, [
  [
    'adding a field with an analyzer',
    makeAddField(
      makeField(
        'new',
        DataType.VarChar,
        { nullable: true },
        { max_length: 8, enable_analyzer: true },
      ),
    ),
    'the analyzer of a field (enable_analyzer of field new) is not available yet',
  ],
]);

const TOO_LARGE = refuse('CreateCollection', 1102, [
  [
    'too long a description',
    makeCreate([KEY, VEC], { schema: { description: 'x'.repeat(100000) } }),
    'collection description is too long',
  ],
]);

export const SCHEMAS: readonly BadRequest[] = [
  ...SCHEMA_1100,
  ...KEYS_OF_CLUSTERS,
  ...ADDED_DEFAULTS,
  ...ADDED_ANALYZER,
  ...NOT_YET,
  ...TOO_LARGE,
  ...ADDED,
];
