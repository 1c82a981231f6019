// Index types that are graphs: all are built as HNSW, which keeps at least the recall that each
// promises, with exact scores over mapped vectors. Compressed codes are not kept yet, so a
// quantized type saves no memory. Facts: Milvus 2.6.

import { checkRefineK, readCandidates, readSearchInteger } from './check-params.ts';
import {
  INT_MAX,
  NBITS,
  readStored,
  SUBQUANTIZERS,
  type IndexBuild,
  type IntegerParam,
  type ParamBag,
  type ParamTable,
  type SearchInput,
  type TextParams,
  type VectorIndexType,
} from './index-type.ts';

const KIND = 'HNSW';
const M: IntegerParam = { min: 2, max: 2048, default: 30 };
const EF_CONSTRUCTION: IntegerParam = { min: 1, max: INT_MAX, default: 360 };
const HNSW_PARAMS: ParamTable = { M, efConstruction: EF_CONSTRUCTION };
const NRQ: IntegerParam = { min: 1, max: 16, default: 2 };
const MAX_DEGREE: IntegerParam = { min: 1, max: 2048, default: 56 };
/** Checked as Milvus does, though this engine has nothing that it changes. */
const BEAMWIDTH: IntegerParam = { min: 1, max: 128, default: 8 };
const DISKANN_EF_CONSTRUCTION = 200;
/** What AUTOINDEX means: Milvus 2.6, older form. */
const AUTO_PARAMS: ParamBag = { M: 18, efConstruction: 240 };
const EF_MIN = 16;
const RANGE_EF_DEFAULT = 512;
const REFINE_TYPES = ['sq4u', 'sq6', 'sq8', 'fp16', 'bf16', 'fp32', 'flat'];

function buildHnsw(params: TextParams): IndexBuild {
  return {
    kind: KIND,
    params: {
      M: readStored(params, 'M', M.default),
      efConstruction: readStored(params, 'efConstruction', EF_CONSTRUCTION.default),
    },
  };
}

function readEf(input: SearchInput): ParamBag {
  const { k, isRange } = input;
  const ef = readCandidates(input, 'ef', 'ef');
  return { ef: ef ?? Math.max(k, isRange ? RANGE_EF_DEFAULT : EF_MIN) };
}

function readRefinedEf(input: SearchInput): ParamBag {
  checkRefineK(input.given);
  return readEf(input);
}

function readSearchList(input: SearchInput): ParamBag {
  const { given, k, isRange } = input;
  readSearchInteger(given, 'beamwidth', BEAMWIDTH);
  const key = given['search_list'] === undefined ? 'search_list_size' : 'search_list';
  const ef = readCandidates(input, key, 'search_list_size');
  return { ef: ef ?? Math.max(k, isRange ? RANGE_EF_DEFAULT : EF_MIN) };
}

/** It promises good recall without parameters. */
function readAutoEf(input: SearchInput): ParamBag {
  const { k, isRange } = input;
  const ef = readCandidates(input, 'ef', 'ef');
  return { ef: ef ?? Math.max(k, isRange ? RANGE_EF_DEFAULT : Math.max(2 * k, 64)) };
}

const HNSW: VectorIndexType = {
  params: HNSW_PARAMS,
  builtAs: KIND,
  tunedBy: '`ef` (≥ limit)',
  build: buildHnsw,
  readSearch: readEf,
};
const QUANTIZED: VectorIndexType = {
  ...HNSW,
  refineTypes: REFINE_TYPES,
  readSearch: readRefinedEf,
};

export const GRAPH_INDEXES = {
  HNSW,
  HNSW_SQ: { ...QUANTIZED, quantizers: ['sq4u', 'sq6', 'sq8', 'bf16', 'fp16'] },
  HNSW_PQ: {
    ...QUANTIZED,
    params: { ...HNSW_PARAMS, m: SUBQUANTIZERS, nbits: NBITS },
    dividesDim: ['m'],
  },
  HNSW_PRQ: {
    ...QUANTIZED,
    params: { ...HNSW_PARAMS, m: SUBQUANTIZERS, nbits: NBITS, nrq: NRQ },
    dividesDim: ['m'],
  },
  DISKANN: {
    params: {
      max_degree: MAX_DEGREE,
      search_list_size: { min: 1, max: INT_MAX, default: 100 },
    },
    builtAs: KIND,
    tunedBy: '`search_list` (≥ limit)',
    build: (params) => ({
      kind: KIND,
      params: {
        M: Math.max(2, readStored(params, 'max_degree', MAX_DEGREE.default) >> 1),
        efConstruction: DISKANN_EF_CONSTRUCTION,
      },
    }),
    readSearch: readSearchList,
  },
} satisfies Record<string, VectorIndexType>;

export const AUTO_INDEX: VectorIndexType = {
  params: {},
  builtAs: KIND,
  tunedBy: '`ef`',
  build: () => ({ kind: KIND, params: AUTO_PARAMS }),
  readSearch: readAutoEf,
};
