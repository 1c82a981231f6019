// Indexes (types, metrics, parameters, life cycle) and what loading asks of them.

import { refuse, toPairs, type BadRequest, type Plain } from './bad-request.ts';

const index = (field_name: string, params: Plain, more: Plain = {}): Plain => ({
  collection_name: 'bare',
  field_name,
  extra_params: toPairs(params),
  ...more,
});
const hnsw = (params: Plain): Plain =>
  index('vec', { index_type: 'HNSW', metric_type: 'L2', params });
const ivf = (params: Plain): Plain =>
  index('vec', { index_type: 'IVF_FLAT', metric_type: 'L2', params });

const coded = (index_type: string, params: Plain): Plain =>
  index('vec', { index_type, metric_type: 'L2', params });

const INDEXES: readonly BadRequest[] = [
  ...refuse('CreateIndex', 1100, [
    [
      'a vector index type that no one knows',
      index('vec', { index_type: 'BEST', metric_type: 'L2' }),
      'invalid parameter[expected=valid index][actual=invalid index type: BEST]',
    ],
    [
      'another metric',
      index('vec', { index_type: 'HNSW', metric_type: 'HAMMING' }),
      'float vector index does not support metric type: HAMMING: invalid parameter',
    ],
    ['M 1', hnsw({ M: 1 }), "param 'M' (1) should be in range [2, 2048]"],
    ['M 2049', hnsw({ M: 2049 }), "param 'M' (2049) should be in range [2, 2048]"],
    [
      'an M that is no number',
      hnsw({ M: 'x' }),
      "invalid integer value, key: 'M', value: 'x': invalid parameter",
    ],
    ['an M that is no integer', hnsw({ M: 16.5 }), "key: 'M', value: '16.5'"],
    ['an M that is a list', hnsw({ M: [16] }), "invalid integer value, key: 'M', value: '[16]'"],
    [
      'efConstruction 0',
      hnsw({ efConstruction: 0 }),
      "param 'efConstruction' (0) should be in range [1, 2147483647]",
    ],
    [
      'a negative efConstruction',
      hnsw({ efConstruction: -1 }),
      "param 'efConstruction' (-1) should be in range [1, 2147483647]",
    ],
    [
      'nlist 0',
      ivf({ nlist: 0 }),
      "Out of range in json: param 'nlist' (0) should be in range [1, 65536]",
    ],
    ['nlist 65537', ivf({ nlist: 65537 }), "param 'nlist' (65537) should be in range [1, 65536]"],
    [
      'an nlist that is no number',
      ivf({ nlist: 'x' }),
      "invalid integer value, key: 'nlist', value: 'x'",
    ],
    [
      'codes of a scalar quantizer that no one knows',
      coded('HNSW_SQ', { sq_type: 'FP32' }),
      'invalid scalar quantizer type: invalid parameter',
    ],
    ['codes that are a number', coded('HNSW_SQ', { sq_type: 8 }), 'invalid scalar quantizer type'],
    [
      'a refine that is no bool',
      coded('IVF_RABITQ', { refine: 1 }),
      "Type conflict in json: param 'refine' (\"1\") should be a boolean",
    ],
    [
      'finer codes of a graph that no one knows',
      coded('HNSW_PQ', { refine: true, refine_type: 'INT8' }),
      'invalid refine type : INT8, optional types are [sq4u, sq6, sq8, fp16, bf16, fp32, flat]',
    ],
    [
      'finer codes of lists that only graphs have',
      coded('IVF_RABITQ', { refine: true, refine_type: 'SQ4U' }),
      'invalid refine type : SQ4U, optional types are [sq6, sq8, fp16, bf16, fp32, flat]',
    ],
    [
      'a warmup that no one knows',
      hnsw({ warmup: 'later' }),
      'invalid warmup policy: later',
    ],
    [
      'AUTOINDEX with parameters',
      index('vec', { index_type: 'AUTOINDEX', metric_type: 'L2', params: { M: 8 } }),
      'only metric type can be passed when use AutoIndex',
    ],
    [
      'index params that are no JSON',
      index('vec', { index_type: 'HNSW', metric_type: 'L2', params: '{' }),
      'index params is not valid JSON',
    ],
    ['a scalar index on a vector', index('vec', { index_type: 'INVERTED' }), 'INVERTED'],
    [
      'a binary index on a float vector',
      index('vec', { index_type: 'BIN_FLAT', metric_type: 'L2' }),
      "data type FloatVector can't build with this index BIN_FLAT: invalid parameter",
    ],
    [
      'a vector index on a scalar',
      index('f', { index_type: 'HNSW', metric_type: 'L2' }),
      'HNSW',
      'Float',
    ],
    [
      'a bitmap index on a Float',
      index('f', { index_type: 'BITMAP' }),
      'bitmap index are only supported on bool, int, string',
    ],
    [
      'a bitmap index on the primary key',
      index('id', { index_type: 'BITMAP' }),
      'create bitmap index on primary key not supported',
    ],
    [
      'a TRIE on a number',
      index('i8', { index_type: 'TRIE' }),
      'TRIE are only supported on varchar field',
    ],
    [
      'an STL_SORT on a Bool',
      index('b', { index_type: 'STL_SORT' }),
      'STL_SORT are only supported on numeric',
    ],
    [
      'a scalar index type that no one knows',
      index('f', { index_type: 'BEST' }),
      'invalid index type: BEST',
    ],
    [
      'a second index on one field',
      index('vec', { index_type: 'FLAT', metric_type: 'COSINE' }, { collection_name: 'idle' }),
      'at most one distinct index is allowed per field',
    ],
    [
      'a second index by another name',
      index(
        'vec',
        { index_type: 'FLAT', metric_type: 'COSINE' },
        { collection_name: 'idle', index_name: 'second' },
      ),
      'CreateIndex failed: creating multiple indexes on same field is not supported',
    ],
    [
      'index params of 128 KiB',
      index('vec', { index_type: 'HNSW', metric_type: 'L2', note: 'x'.repeat(131072) }),
      'index params are too large',
    ],
  ]),
  ...refuse('CreateIndex', 65535, [
    [
      'an index on a field that is not there',
      index('nope', { index_type: 'HNSW', metric_type: 'L2' }),
      'cannot create index on non-exist field: nope',
    ],
  ]),
  ...refuse('CreateIndex', 100, [
    [
      'an index on a collection that is not there',
      index('vec', {}, { collection_name: 'nope' }),
      'collection not found',
    ],
  ]),
  ...refuse('DropIndex', 1100, [
    [
      'dropping a vector index while loaded',
      { collection_name: 'plain', index_name: 'vec' },
      'vector index cannot be dropped on loaded collection',
    ],
  ]),
  ...refuse('DescribeIndex', 700, [
    [
      'describing what is not indexed',
      { collection_name: 'bare' },
      'index not found[collection=bare]',
    ],
    [
      'describing an index that is not there',
      { collection_name: 'plain', index_name: 'nope' },
      'index not found',
    ],
  ]),
  ...refuse('AlterIndex', 104, [
    [
      'altering an index while loaded',
      {
        collection_name: 'plain',
        index_name: 'vec',
        extra_params: toPairs({ 'mmap.enabled': 'true' }),
      },
      "can't alter index on loaded collection, please release the collection first: " +
        'collection already loaded[collection=plain]',
    ],
  ]),
  ...refuse('AlterIndex', 1100, [
    [
      'altering what cannot be altered',
      { collection_name: 'idle', index_name: 'vec', extra_params: toPairs({ M: '8' }) },
      'M is not a configable index property: invalid parameter',
    ],
    [
      'altering mmap to nonsense',
      {
        collection_name: 'idle',
        index_name: 'vec',
        extra_params: toPairs({ 'mmap.enabled': 'maybe' }),
      },
      'invalid mmap.enabled value: maybe, expected: true, false',
    ],
    [
      'altering nothing',
      { collection_name: 'idle', index_name: 'vec' },
      'no provided params to alter',
    ],
    [
      'setting and deleting at once',
      {
        collection_name: 'idle',
        index_name: 'vec',
        extra_params: toPairs({ 'mmap.enabled': 'true' }),
        delete_keys: ['warmup'],
      },
      'cannot provide both DeleteKeys and ExtraParams',
    ],
  ]),
  ...refuse('AlterIndex', 700, [
    [
      'altering an index that is not there',
      {
        collection_name: 'idle',
        index_name: 'nope',
        extra_params: toPairs({ 'mmap.enabled': 'true' }),
      },
      'index not found',
    ],
  ]),
];

const LOADING: readonly BadRequest[] = [
  ...refuse('LoadCollection', 700, [
    ['loading without an index', { collection_name: 'bare' }, 'index not found[collection=bare]'],
  ]),
  ...refuse('LoadCollection', 100, [
    ['loading a collection that is not there', { collection_name: 'nope' }, 'collection not found'],
  ]),
  ...refuse('LoadCollection', 1100, [
    [
      'loading a field that is not there',
      { collection_name: 'idle', load_fields: ['id', 'vec', 'nope'] },
      'nope',
    ],
    [
      'loading without the primary key',
      { collection_name: 'idle', load_fields: ['vec'] },
      'does not contain primary key field id',
    ],
    [
      'loading without the partition key',
      { collection_name: 'keyed', load_fields: ['id', 'vec'] },
      'does not contain partition key field team',
    ],
  ]),
  ...refuse('LoadCollection', 65535, [
    [
      'loading three replicas',
      { collection_name: 'idle', replica_number: 3 },
      'when load 3 replica count: service resource insufficient',
    ],
  ]),
  ...refuse('LoadPartitions', 1100, [
    [
      'loading no partition',
      { collection_name: 'idle', partition_names: [] },
      'due to no partition specified',
    ],
    [
      'loading partitions of a partition key',
      { collection_name: 'keyed', partition_names: ['_default_0'] },
      'disable load partitions if partition key mode is used',
    ],
  ]),
  ...refuse('LoadPartitions', 200, [
    [
      'loading a partition that is not there',
      { collection_name: 'idle', partition_names: ['nope'] },
      'partition not found[partition=nope]',
    ],
  ]),
  ...refuse('ReleaseCollection', 100, [
    [
      'releasing a collection that is not there',
      { collection_name: 'nope' },
      'collection not found',
    ],
  ]),
  ...refuse('ReleasePartitions', 1100, [
    [
      'releasing no partition',
      { collection_name: 'plain', partition_names: [] },
      'due to no partition specified',
      'invalid parameter[expected=any partition][actual=empty partition list]',
    ],
    [
      'releasing partitions of a partition key',
      { collection_name: 'keyed', partition_names: ['_default_0'] },
      'disable release partitions if partition key mode is used',
    ],
  ]),
  ...refuse('ReleasePartitions', 200, [
    [
      'releasing a partition that is not there',
      { collection_name: 'plain', partition_names: ['nope'] },
      'partition not found[partition=nope]',
    ],
  ]),
  ...refuse('GetLoadingProgress', 101, [
    ['the progress of what is not loaded', { collection_name: 'idle' }, 'collection not loaded'],
  ]),
];

export const INDEXES_AND_LOADING: readonly BadRequest[] = [...INDEXES, ...LOADING];
