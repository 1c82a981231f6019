// Made-up word vectors for machines that cannot reach the npm registry: clusters of unequal size.

import { makeClusters } from '../bench/support/dataset.ts';
import type { WordVectors } from './glove.ts';

const DIM = 100;

export function makeSynthetic(rows: number): WordVectors {
  const words = Array.from({ length: rows }, (_, i) => `word-${i}`);
  return { source: 'made-up clusters', dim: DIM, words, vectors: makeClusters(rows, DIM) };
}
