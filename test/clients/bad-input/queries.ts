// Query: filters of every wrong kind (search compiles them alike), windows, output fields, targets.

import { makeQuery, refuse, type BadRequest } from './bad-request.ts';

const PLAN = 'failed to create query plan: cannot parse expression: ';
/** Filters that are wrong, and what is wrong with them. */
const FILTERS: readonly (readonly [filter: string, ...says: string[]])[] = [
  ['nope == 1', 'nope'],
  ['id ==', 'error: line 1:'],
  ['id in [1, 2', 'error: line 1:'],
  ['id inn [1, 2]', 'error: line 1:'],
  ['(id > 1', 'error: line 1:'],
  ['id > 1)', 'error: line 1:'],
  ['id = 1', 'error: line 1:'],
  ["name == 'open", 'error: line 1:'],
  ['name == 1', 'comparisons between VarChar and Int64 are not supported: invalid parameter'],
  ["id == 'x'", 'Int64', 'VarChar'],
  ['b > 1', 'Bool'],
  ['id in 1', "the right-hand side of 'in' must be a list"],
  ['id in [0.5]', "value 'float_val:0.5' in list cannot be casted to Int64"],
  ["id in ['x']", 'cannot be casted to Int64'],
  ['id like "a%"', 'like operation on non-string or no-json field is unsupported'],
  ['name like 33', '33'],
  ['not id', "'not'"],
  ['id and b', 'and'],
  ['1 < id > 5', '1 < id > 5'],
  ['id / 0 == 1', 'by zero'],
  ['vec == 1', 'vec'],
  ['vec is null', 'IsNull/IsNotNull operations are not supported on vector fields'],
  ['doc["a"] == doc["b"]', 'two column comparison with JSON type is not supported'],
  ['exists name', 'exists'],
  ['json_contains_all(doc["a"], 1)', 'must be an array'],
  ['array_length(name) > 1', 'array_length operation'],
  ['tags[x] == 1', 'tags[x]'],
  ['id in {ids}', 'the value of expression template variable name {ids} is not found'],
];

const QUERY_FILTERS = refuse(
  'Query',
  1100,
  FILTERS.map(([filter, ...says]) => [
    `the filter ${filter}`,
    makeQuery(filter),
    PLAN + filter,
    ...says,
  ]),
);

export const QUERIES: readonly BadRequest[] = [
  ...QUERY_FILTERS,
  ...refuse('Query', 1100, [
    [
      'a filter that is a number',
      makeQuery('1'),
      'failed to create query plan: ',
      'predicate is not a boolean expression',
    ],
    [
      'a filter that is a field',
      makeQuery('id'),
      'failed to create query plan: predicate is not a boolean expression: id, data type: Int64',
    ],
    [
      'a template that is no list',
      makeQuery('id in {ids}', {}, { expr_template_values: { ids: { int64_val: 1 } } }),
      'the value of term expression template variable {ids} is not array',
    ],
    [
      'limit 0',
      makeQuery('id > 0', { limit: '0' }),
      'invalid max query result window, limit [0] is invalid, should be greater than 0: ' +
        'invalid parameter',
    ],
    [
      'limit -2',
      makeQuery('id > 0', { limit: '-2' }),
      'limit [-2] is invalid, should be greater than 0',
    ],
    [
      'a limit that is no number',
      makeQuery('id > 0', { limit: '12 s' }),
      'limit [12 s] is invalid',
    ],
    ['a blank limit', makeQuery('id > 0', { limit: ' ' }), 'limit [] is invalid'],
    [
      'a negative offset',
      makeQuery('id > 0', { limit: '1', offset: '-1' }),
      'invalid max query result window, offset [-1] is invalid, should be gte than 0',
    ],
    [
      'an offset that is no number',
      makeQuery('id > 0', { limit: '1', offset: 'x' }),
      'offset [x] is invalid',
    ],
    [
      'limit and offset beyond the window',
      makeQuery('id > 0', { limit: '16384', offset: '1' }),
      'invalid max query result window, (offset+limit) should be in range [1, 16384], but ' +
        'got 16385',
    ],
    [
      'neither filter nor limit',
      makeQuery(''),
      'empty expression should be used with limit: invalid parameter',
    ],
    [
      'count with a limit',
      makeQuery('id > 0', { limit: '5' }, { output_fields: ['count(*)'] }),
      'count entities with pagination is not allowed',
    ],
    [
      'an output field that is not there',
      makeQuery('id > 0', {}, { output_fields: ['nope'] }),
      'field nope not exist',
    ],
    [
      'a partition name with a partition key',
      makeQuery('id > 0', {}, { collection_name: 'keyed', partition_names: ['_default_0'] }),
      'not support manually specifying the partition names',
    ],
  ]),
  ...refuse('Query', 101, [
    [
      'a query of a collection that is not loaded',
      makeQuery('id > 0', {}, { collection_name: 'idle' }),
      'collection not loaded',
      'idle',
    ],
  ]),
  ...refuse('Query', 201, [
    [
      'a query of a partition that is not loaded',
      makeQuery('id > 0', {}, { collection_name: 'partial', partition_names: ['_default'] }),
      'partition not loaded',
    ],
  ]),
  ...refuse('Query', 200, [
    [
      'a query of a partition that is not there',
      makeQuery('id > 0', {}, { partition_names: ['nope'] }),
      'partition name nope not found',
      'partition not found[partition=nope]',
    ],
  ]),
  ...refuse('Query', 100, [
    [
      'a query of a collection that is not there',
      makeQuery('id > 0', {}, { collection_name: 'nope' }),
      'collection not found[database=default][collection=nope]',
    ],
  ]),
  ...refuse('Query', 10, [
    [
      'an aggregate, which is not there yet',
      makeQuery('id > 0', {}, { output_fields: ['sum(i8)'] }),
      'not available yet',
    ],
  ]),
];
