// The metrics of vector indexes as rows of one table, with Milvus' names.

export interface Metric {
  readonly name: string;
  /** False for a distance: the smallest is the best. */
  readonly isHigherBetter: boolean;
  /** Brings a score into [0, 1], larger = better, so that different metrics can be added up. */
  readonly normalize: (score: number) => number;
}

const METRICS: readonly Metric[] = [
  {
    name: 'L2',
    isHigherBetter: false,
    normalize: (score) => 1 - (2 * Math.atan(score)) / Math.PI,
  },
  { name: 'IP', isHigherBetter: true, normalize: (score) => 0.5 + Math.atan(score) / Math.PI },
  { name: 'COSINE', isHigherBetter: true, normalize: (score) => (1 + score) / 2 },
];

const BY_NAME = new Map(METRICS.map((metric) => [metric.name, metric]));

/** Of a vector index: its metric was checked when it was made. */
export function getMetric(name: string): Metric {
  const metric = BY_NAME.get(name);
  if (metric === undefined) throw new Error(`${name} is no metric`);
  return metric;
}
