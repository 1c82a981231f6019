// Exact nearest rows by inner product, by our own flat scan.

import { native } from '../../../src/index/native.ts';
import { makeSearch, openGrowing, readHits } from './native-collection.ts';

/** Row numbers, k of each query, nearest first. */
export async function findExact(
  base: Float32Array,
  queries: Float32Array,
  dim: number,
  k: number,
): Promise<Int32Array> {
  const segment = openGrowing(base, dim);
  try {
    const hits = readHits(await native.search([segment], makeSearch(queries, dim, { k })));
    return Int32Array.from(hits.flat());
  } finally {
    native.closeSegment(segment);
  }
}
