// The true nearest words, by comparing with every vector here in JavaScript: independent of the
// server's own scan.

import type { WordVectors } from './glove.ts';

/** Row numbers of the `k` rows most similar by cosine to row `query`, without the row itself. */
export function findNeighbours(
  { vectors, dim }: WordVectors,
  lengths: Float32Array,
  query: number,
  k: number,
): number[] {
  const wanted = vectors.subarray(query * dim, (query + 1) * dim);
  const best: { row: number; score: number }[] = [];
  let worst = -Infinity;
  for (let row = 0, at = 0; row < lengths.length; row++) {
    let sum = 0;
    for (let d = 0; d < dim; d++, at++) sum += wanted[d]! * vectors[at]!;
    const score = sum / lengths[row]!;
    if (score <= worst || row === query) continue;
    const place = best.findIndex((other) => other.score < score);
    best.splice(place < 0 ? best.length : place, 0, { row, score });
    if (best.length > k) best.pop();
    if (best.length === k) worst = best[k - 1]!.score;
  }
  return best.map(({ row }) => row);
}

export function getLengths({ vectors, dim }: WordVectors): Float32Array {
  const lengths = new Float32Array(vectors.length / dim);
  for (let row = 0, at = 0; row < lengths.length; row++) {
    let sum = 0;
    for (let d = 0; d < dim; d++, at++) sum += vectors[at]! ** 2;
    lengths[row] = Math.sqrt(sum) || 1;
  }
  return lengths;
}
