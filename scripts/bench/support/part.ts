// What every part of the benchmark gets and gives.

import type { Dataset } from './dataset.ts';

export interface BenchContext {
  /** 100,000 x 768 unless told otherwise. */
  readonly loadData: () => Promise<Dataset>;
  /** Python with the peers, or undefined when they cannot be had (said once). */
  readonly python: () => string | undefined;
  readonly repetitions: number;
  readonly print: (line: string) => void;
}

/** Runs one part and returns its numbers for the JSON file. */
export type BenchPart = (context: BenchContext) => Promise<object>;
