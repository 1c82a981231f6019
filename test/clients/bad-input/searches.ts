// Search and hybrid search: windows, vectors, parameters, rankers, targets.

import {
  makeSearch,
  refuse,
  toPairs,
  type BadRequest,
  type Plain,
  type SearchParts,
} from './bad-request.ts';

const vectors = (count: number): number[][] => Array.from({ length: count }, () => [1, 0, 0, 0]);
const params = (given: Plain): Plain => makeSearch({ params: given });
const inner = (given: Plain | string, more: SearchParts = {}): Plain =>
  makeSearch({ inner: given, ...more });
const coded = (given: Plain | string): Plain =>
  makeSearch({ collection: 'sorted', inner: given });
const ivf = (given: Plain): Plain => makeSearch({ collection: 'ivf', inner: given });
const withFilter = (filter: string): Plain => makeSearch({ filter });
const TOPK_RANGE = 'it should be in range [1, 16384], but got';
const NQ_RANGE =
  'nq (number of search vector per search request) should be in range [1, 16384], but got';

const SEARCHES = refuse('Search', 1100, [
  ['topk 0', params({ topk: '0' }), `topk [0] is invalid, ${TOPK_RANGE} 0: invalid parameter`],
  ['topk 16385', params({ topk: '16385' }), `topk [16385] is invalid, ${TOPK_RANGE} 16385`],
  ['a negative topk', params({ topk: '-1' }), `topk [-1] is invalid, ${TOPK_RANGE} -1`],
  ['a topk that is no number', params({ topk: 'x' }), 'topk [x] is invalid'],
  ['no topk', params({ topk: undefined }), 'topk'],
  [
    'a negative offset',
    params({ offset: '-1' }),
    'offset [-1] is invalid, it should be in range [1, 16384]',
  ],
  [
    'offset 16385',
    params({ offset: '16385' }),
    'offset [16385] is invalid, it should be in range [1, 16384]',
  ],
  ['an offset that is no number', params({ offset: 'x' }), 'offset [x] is invalid'],
  [
    'offset and topk beyond the window',
    params({ topk: '16384', offset: '1' }),
    '(offset+limit) [16385] is invalid, should be in range [1, 16384], but got 16385',
  ],
  ['no query vector', makeSearch({ vectors: [] }), 'nq [0] is invalid', `${NQ_RANGE} 0`],
  [
    '16385 query vectors',
    makeSearch({ vectors: vectors(16385) }),
    'nq [16385] is invalid',
    `${NQ_RANGE} 16385`,
  ],
  [
    'no placeholder at all',
    makeSearch({ more: { placeholder_group: Buffer.alloc(0) } }),
    'invalid placeholder group',
  ],
  [
    'a query vector of another dim',
    makeSearch({ vectors: [[1, 0]] }),
    'vector dimension mismatch, expected vector size(byte) 16, actual 8.',
  ],
  [
    'query vectors of mixed dims',
    makeSearch({ vectors: [[1, 0, 0, 0], [1]] }),
    'vector dimension mismatch',
  ],
  [
    'a query vector of another type',
    makeSearch({ vectorType: 100 }),
    'vector type must be the same, field vec',
  ],
  [
    'NaN in a query vector',
    makeSearch({ vectors: [[NaN, 0, 0, 0]] }),
    'query vector of field vec has NaN or infinity',
  ],
  [
    'another metric',
    params({ metric_type: 'IP' }),
    'metric type not match: invalid parameter[expected=COSINE][actual=IP]',
  ],
  [
    'a metric that no one knows',
    params({ metric_type: 'MANHATTAN' }),
    'metric type not match',
    '[actual=MANHATTAN]',
  ],
  [
    'a field that is not there',
    params({ anns_field: 'nope' }),
    'failed to create query plan: failed to get field schema by name: fieldName(nope) not ' +
      'found: invalid parameter',
  ],
  [
    'a field that is no vector',
    params({ anns_field: 'f' }),
    'field (f) to search is not of vector data type',
  ],
  [
    'no field where two could be meant',
    makeSearch({ collection: 'twin', params: { anns_field: undefined } }),
    'multiple anns_fields exist, please specify a anns_field in search_params',
  ],
  [
    'ef below topk',
    inner({ ef: 1 }, { params: { topk: '10' } }),
    'ef(1) should be larger than k(10)',
  ],
  [
    'ef below topk and offset',
    inner({ ef: 10 }, { params: { topk: '6', offset: '5' } }),
    'ef(10) should be larger than k(11)',
  ],
  [
    'a negative ef',
    inner({ ef: -1 }),
    "Out of range in json: param 'ef' (-1) should be in range [1, 2147483647]",
  ],
  [
    'an ef that is no number',
    inner({ ef: 'x' }),
    "Type conflict in json: param 'ef'",
    'should be integer',
  ],
  [
    'an ef that is no integer',
    inner({ ef: 32.5 }),
    "Type conflict in json: param 'ef' (32.5) should be integer",
  ],
  [
    'an ef that is true',
    inner({ ef: true }),
    "Type conflict in json: param 'ef' (true) should be integer",
  ],
  ['an ef that is a list', inner({ ef: [32] }), "param 'ef' ([32]) should be integer"],
  [
    'an ef that is null',
    inner('{"ef": null}'),
    "Type conflict in json: param 'ef' (null) should be integer",
  ],
  [
    'nprobe 0',
    ivf({ nprobe: 0 }),
    "Out of range in json: param 'nprobe' (0) should be in range [1, 65536]",
  ],
  ['nprobe 65537', ivf({ nprobe: 65537 }), "param 'nprobe' (65537) should be in range [1, 65536]"],
  ['an nprobe that is no number', ivf({ nprobe: 'x' }), "Type conflict in json: param 'nprobe'"],
  [
    'refine_k below 1',
    coded({ refine_k: 0.5 }),
    "Out of range in json: param 'refine_k' (0.5) should be in range [1.000000, " +
      '340282346638528859811704183484516925440.000000]',
  ],
  [
    'a refine_k that is true',
    coded({ refine_k: true }),
    "Type conflict in json: param 'refine_k' (true) should be a number",
  ],
  [
    'a refine_k that is null',
    coded('{"refine_k": null}'),
    "Type conflict in json: param 'refine_k' (null) should be a number",
  ],
  [
    'an empty refine_k',
    coded({ refine_k: '' }),
    "invalid float value, key: 'refine_k', value: ''",
  ],
  ['a refine_k that is no number', coded({ refine_k: 'x' }), 'invalid float value', "'x'"],
  ['params that are no JSON', inner('{'), 'is not valid JSON'],
  ['params that are a list', inner('[1]'), 'should be a JSON object'],
  [
    'range_filter without radius',
    inner({ range_filter: 0.5 }),
    'range_filter requires radius to be set',
  ],
  ['a radius that is no number', inner({ radius: 'x' }), "Type conflict in json: param 'radius'"],
  [
    'range_filter beyond the radius of a distance',
    ivf({ radius: 1, range_filter: 2 }),
    'range_filter(2) must be less than radius(1)',
  ],
  [
    'range_filter below the radius of a similarity',
    inner({ radius: 0.9, range_filter: 0.1 }),
    'range_filter(0.1) must be greater than radius(0.9)',
  ],
  [
    'round_decimal 7',
    params({ round_decimal: '7' }),
    'round_decimal [7] is invalid, it should be -1 or an integer in range [0, 6].',
  ],
  ['round_decimal -2', params({ round_decimal: '-2' }), 'round_decimal [-2] is invalid'],
  [
    'a round_decimal that is no number',
    params({ round_decimal: 'x' }),
    'round_decimal [x] is invalid',
  ],
  [
    'an output field that is not there',
    makeSearch({ more: { output_fields: ['nope'] } }),
    'field nope not exist',
  ],
  [
    'an output field that is no name, with a dynamic field',
    makeSearch({ collection: 'loose', more: { output_fields: ['%'] } }),
    'parse output field name failed: %',
  ],
  [
    'a partition name with a partition key',
    makeSearch({ collection: 'keyed', more: { partition_names: ['_default_0'] } }),
    'not support manually specifying the partition names if partition key mode is used',
  ],
  [
    'a filter that does not parse',
    withFilter('id >'),
    'failed to create query plan: cannot parse expression: id >, error: ',
  ],
]);

const SEARCH_TARGETS: readonly BadRequest[] = [
  ...refuse('Search', 101, [
    [
      'a search of a collection that is not loaded',
      makeSearch({ collection: 'idle' }),
      'collection not loaded',
      'idle',
    ],
    [
      'a search of a collection without an index',
      makeSearch({ collection: 'bare' }),
      'collection not loaded',
      'bare',
    ],
  ]),
  ...refuse('Search', 201, [
    [
      'a search of a partition that is not loaded',
      makeSearch({ collection: 'partial', more: { partition_names: ['_default'] } }),
      'partition not loaded',
      '_default',
    ],
  ]),
  ...refuse('Search', 200, [
    [
      'a search of a partition that is not there',
      makeSearch({ more: { partition_names: ['nope'] } }),
      'partition name nope not found',
      'partition not found[partition=nope]',
    ],
  ]),
  ...refuse('Search', 100, [
    [
      'a search of a collection that is not there',
      makeSearch({ collection: 'nope' }),
      'collection not found[database=default][collection=nope]',
    ],
  ]),
  ...refuse('Search', 800, [
    [
      'a search in a database that is not there',
      makeSearch({ more: { db_name: 'nowhere' } }),
      'database not found[database=nowhere]',
    ],
  ]),
  ...refuse('Search', 10, [
    [
      'grouping, which is not there yet',
      params({ group_by_field: 'i8' }),
      'grouping search is not available yet',
    ],
  ]),
];

// Hybrid search over `twin`: v1 by L2, v2 by COSINE.

const sub = (field: string, parts: SearchParts = {}): Plain =>
  makeSearch({ collection: 'twin', ...parts, params: { anns_field: field, ...parts.params } });
const TWO = [sub('v1'), sub('v2')];
const hybrid = (requests: readonly Plain[], rank: Plain, more: Plain = {}): Plain => ({
  collection_name: 'twin',
  requests,
  rank_params: toPairs(rank),
  ...more,
});
const weighted = (weights: unknown): Plain =>
  hybrid(TWO, { strategy: 'weighted', params: { weights }, limit: '3' });
const rrf = (k: unknown): Plain => hybrid(TWO, { strategy: 'rrf', params: { k }, limit: '3' });
const RRF = { strategy: 'rrf', params: {}, limit: '3' };

const HYBRID: readonly BadRequest[] = [
  ...refuse('HybridSearch', 1100, [
    [
      'a weight too few',
      weighted([0.5]),
      'the length of weights param mismatch with ann search requests: invalid ' +
        'parameter[expected=2][actual=1]',
    ],
    ['a weight too many', weighted([0.5, 0.5, 0.5]), '[expected=2][actual=3]'],
    ['a weight above 1', weighted([0.5, 1.1]), 'rank param weight should be in range [0, 1]'],
    ['a negative weight', weighted([-0.1, 0.5]), 'rank param weight should be in range [0, 1]'],
    [
      'a weight that is no number',
      weighted(['x', 0.5]),
      'The type of rank param weight should be float',
    ],
    [
      'no weights',
      hybrid(TWO, { strategy: 'weighted', params: {}, limit: '3' }),
      'weights not found in rank_params',
    ],
    ['rrf k 0', rrf(0), 'rank params k should be in range (0, 16384)'],
    ['rrf k 16384', rrf(16384), 'rank params k should be in range (0, 16384)'],
    ['an rrf k that is no number', rrf('x'), 'The type of rank param k should be float'],
    [
      'a ranker that no one knows',
      hybrid(TWO, { ...RRF, strategy: 'best' }),
      'unsupported rank type best',
    ],
    [
      'ranker params that are no JSON',
      hybrid(TWO, { ...RRF, params: '{' }),
      'parse rerank params failed',
    ],
    [
      'ranker params that are null',
      hybrid(TWO, { ...RRF, params: 'null' }),
      'parse rerank params failed',
    ],
    [
      'ranker params that are a list',
      hybrid(TWO, { ...RRF, params: '[60]' }),
      'parse rerank params failed',
    ],
    ['no limit', hybrid(TWO, { strategy: 'rrf', params: {} }), 'limit not found in rank_params'],
    [
      'limit 0',
      hybrid(TWO, { ...RRF, limit: '0' }),
      'limit [0] is invalid, it should be in range [1, 16384], but got 0',
    ],
    [
      'an offset in a part only',
      hybrid([sub('v1', { params: { offset: '2' } }), TWO[1]!], RRF),
      'offset [2] of a sub-search is invalid: a hybrid search has one offset, of the whole',
    ],
    [
      'an offset in a part that is not the whole one',
      hybrid([sub('v1', { params: { offset: '2' } }), TWO[1]!], { ...RRF, offset: '3' }),
      'offset [2] of a sub-search is invalid',
      'which is 3',
    ],
    [
      'an offset in a part that is no number',
      hybrid([sub('v1', { params: { offset: 'x' } }), TWO[1]!], RRF),
      'offset [x] is invalid',
    ],
    [
      'round_decimal 7',
      hybrid(TWO, { ...RRF, round_decimal: '7' }),
      'round_decimal [7] is invalid, it should be -1 or an integer in range [0, 6].',
    ],
    ['limit 16385', hybrid(TWO, { ...RRF, limit: '16385' }), 'limit [16385] is invalid'],
    ['a negative offset', hybrid(TWO, { ...RRF, offset: '-1' }), 'is invalid'],
    ['no sub-search', hybrid([], RRF), 'minimum of ann search requests is 1, but got 0'],
    [
      '1025 sub-searches',
      hybrid(
        Array.from({ length: 1025 }, () => TWO[0]!),
        RRF,
      ),
      'maximum of ann search requests is 1024',
    ],
    [
      'a sub-search of a field that is not there',
      hybrid([TWO[0]!, sub('nope')], RRF),
      'failed to get field schema by name: fieldName(nope) not found',
    ],
    [
      'a sub-search of another dim',
      hybrid([TWO[0]!, sub('v2', { vectors: [[1, 0]] })], RRF),
      'vector dimension mismatch',
    ],
    [
      'a sub-search with another metric',
      hybrid([sub('v1', { params: { metric_type: 'IP' } }), TWO[1]!], RRF),
      'metric type not match: invalid parameter[expected=L2][actual=IP]',
    ],
    [
      'a sub-search with topk 0',
      hybrid([sub('v1', { params: { topk: '0' } }), TWO[1]!], RRF),
      'topk [0] is invalid',
    ],
    [
      'a sub-search with a bad filter',
      hybrid([sub('v1', { filter: 'nope > 1' }), TWO[1]!], RRF),
      'failed to create query plan: cannot parse expression: nope > 1',
    ],
    [
      'sub-searches of different nq',
      hybrid([sub('v1', { vectors: vectors(2) }), TWO[1]!], RRF),
      'nq',
    ],
    [
      'an output field that is not there',
      hybrid(TWO, RRF, { output_fields: ['nope'] }),
      'field nope not exist',
    ],
  ]),
  ...refuse('HybridSearch', 10, [
    [
      'a part that is ranked by a function',
      hybrid([{ ...TWO[0], function_score: { functions: [{ name: 'f' }] } }, TWO[1]!], RRF),
      'function rankers is not available yet',
    ],
  ]),
  ...refuse('HybridSearch', 200, [
    [
      'a hybrid search of a partition that is not there',
      hybrid(TWO, RRF, { partition_names: ['nope'] }),
      'partition name nope not found',
    ],
  ]),
  ...refuse('HybridSearch', 100, [
    [
      'a hybrid search of a collection that is not there',
      hybrid(TWO, RRF, { collection_name: 'nope' }),
      'collection not found',
    ],
  ]),
  ...refuse('HybridSearch', 101, [
    [
      'a hybrid search of a collection that is not loaded',
      hybrid([makeSearch({ collection: 'idle' })], RRF, { collection_name: 'idle' }),
      'collection not loaded',
    ],
  ]),
];

const withIds = (ids: Plain): Plain => makeSearch({ more: { ids, placeholder_group: undefined } });
const BY_KEYS = refuse('Search', 1100, [
  [
    'keys that are not there',
    withIds({ int_id: { data: [1, 98, 99] } }),
    'some of the provided primary key IDs do not exist: missing IDs = [98 99]',
  ],
  [
    'the same key twice',
    withIds({ int_id: { data: [1, 2, 1] } }),
    'duplicate IDs found in search request',
  ],
  ['no key', withIds({ int_id: { data: [] } }), 'nq [0] is invalid'],
  [
    'keys of another type',
    withIds({ str_id: { data: ['1'] } }),
    'primary key is int64, but IDs type mismatch',
  ],
]);

export const SEARCH_REQUESTS: readonly BadRequest[] = [
  ...SEARCHES,
  ...SEARCH_TARGETS,
  ...BY_KEYS,
  ...HYBRID,
];
