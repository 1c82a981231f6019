// All vector index types as one table, and those of Milvus that are not built yet.

import { AUTO_INDEX, GRAPH_INDEXES } from './graph-indexes.ts';
import type { VectorIndexType } from './index-type.ts';
import { LIST_INDEXES } from './list-indexes.ts';

export const AUTOINDEX = 'AUTOINDEX';

/** By name. AUTOINDEX, which takes no parameters, is not among them. */
export const VECTOR_INDEXES: Readonly<Record<string, VectorIndexType>> = {
  ...LIST_INDEXES,
  ...GRAPH_INDEXES,
};

/** Named in errors as not available yet. */
export const OTHER_VECTOR_INDEXES = new Set([
  'IVF_RABITQ_FASTSCAN',
  'IVF_FLAT_CC',
  'IVF_SQ_CC',
  'AISAQ',
  'FAISS',
  'GPU_BRUTE_FORCE',
  'GPU_IVF_FLAT',
  'GPU_IVF_PQ',
  'GPU_CAGRA',
  'BIN_FLAT',
  'BIN_IVF_FLAT',
  'MINHASH_LSH',
  'SPARSE_INVERTED_INDEX',
  'SPARSE_WAND',
]);
/** Of them those that take other vectors than floats. */
export const OTHER_VECTORS_INDEXES = new Set([
  'BIN_FLAT',
  'BIN_IVF_FLAT',
  'MINHASH_LSH',
  'SPARSE_INVERTED_INDEX',
  'SPARSE_WAND',
]);

/** Of an index that was made; '' is AUTOINDEX. */
export function getVectorIndex(name: string): VectorIndexType {
  if (name === AUTOINDEX || name === '') return AUTO_INDEX;
  const type = VECTOR_INDEXES[name];
  if (type === undefined) throw new Error(`${name} is no vector index type`);
  return type;
}
