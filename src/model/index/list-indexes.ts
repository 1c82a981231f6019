// Index types that group rows into lists, all built as IVF_FLAT with exact scores, and FLAT, which
// is a scan. Compressed codes are not kept yet, so a quantized type saves no memory. Facts: Milvus
// 2.6.

import { checkRefineK, readCandidates, readSearchInteger } from './check-params.ts';
import {
  NBITS,
  readStored,
  SUBQUANTIZERS,
  type IntegerParam,
  type ParamBag,
  type SearchInput,
  type VectorIndexType,
} from './index-type.ts';

const KIND = 'IVF_FLAT';
const NLIST: IntegerParam = { min: 1, max: 65536, default: 128 };
export const NPROBE: IntegerParam = { min: 1, max: 65536, default: 8 };
const RABITQ_BITS: IntegerParam = { min: 1, max: 9, default: 1 };
/** Checked as Milvus does, though this engine has nothing that it changes. */
const RABITQ_QUERY_BITS: IntegerParam = { min: 0, max: 8, default: 0 };
const REFINE_TYPES = ['sq6', 'sq8', 'fp16', 'bf16', 'fp32', 'flat'];

function readNprobe({ given, isIterator }: SearchInput): ParamBag {
  const nprobe = readSearchInteger(given, 'nprobe', NPROBE) ?? NPROBE.default;
  // An iterator goes on to the last row, so it must see every list.
  return { nprobe: isIterator ? NPROBE.max : nprobe };
}

const IVF_FLAT: VectorIndexType = {
  params: { nlist: NLIST },
  builtAs: KIND,
  tunedBy: '`nprobe`',
  build: (params, rows) => ({
    kind: KIND,
    params: { nlist: Math.min(rows, readStored(params, 'nlist', NLIST.default)) },
  }),
  readSearch: readNprobe,
};
const QUANTIZED: VectorIndexType = {
  ...IVF_FLAT,
  refineTypes: REFINE_TYPES,
  readSearch: (input) => {
    checkRefineK(input.given);
    return readNprobe(input);
  },
};

export const LIST_INDEXES = {
  FLAT: {
    params: {},
    builtAs: 'a scan',
    tunedBy: '–',
    build: () => undefined,
    readSearch: () => ({}),
  },
  IVF_FLAT,
  IVF_SQ8: { ...QUANTIZED, quantizers: ['sq4', 'sq6', 'sq8'] },
  IVF_PQ: {
    ...QUANTIZED,
    params: { nlist: NLIST, m: SUBQUANTIZERS, nbits: NBITS },
    required: ['m'],
    dividesDim: ['m'],
  },
  IVF_RABITQ: {
    ...QUANTIZED,
    params: { nlist: NLIST, rbq_bits: RABITQ_BITS },
    readSearch: (input) => {
      checkRefineK(input.given);
      readSearchInteger(input.given, 'rbq_bits_query', RABITQ_QUERY_BITS);
      return readNprobe(input);
    },
  },
  SCANN: {
    ...IVF_FLAT,
    params: { nlist: NLIST, sub_dim: SUBQUANTIZERS },
    dividesDim: ['sub_dim'],
    readSearch: (input) => {
      readCandidates({ ...input, isRange: false }, 'reorder_k', 'reorder_k');
      return readNprobe(input);
    },
  },
} satisfies Record<string, VectorIndexType>;
