// Medians and spreads, and the speed of a sweep at a wanted recall.

export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export function summarize(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: sorted[sorted.length >> 1]!, min: sorted[0]!, max: sorted.at(-1)! };
}

/** Milliseconds by percentile. */
export function summarizeLatencies(times: readonly number[]): {
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
} {
  const sorted = [...times].sort((a, b) => a - b);
  const at = (share: number): number => sorted[Math.floor(share * (sorted.length - 1))]!;
  return { p50Ms: at(0.5), p95Ms: at(0.95), p99Ms: at(0.99) };
}

export interface SweepPoint {
  readonly recall: number;
  readonly qps: number;
}

/** Log-linear between the points around the recall; undefined outside the sweep. */
export function interpolateQps(points: readonly SweepPoint[], recall: number): number | undefined {
  const sorted = [...points].sort((a, b) => a.recall - b.recall || b.qps - a.qps);
  for (let i = 1; i < sorted.length; i++) {
    const low = sorted[i - 1]!;
    const high = sorted[i]!;
    if (recall < low.recall || recall > high.recall) continue;
    const share =
      high.recall === low.recall ? 0 : (recall - low.recall) / (high.recall - low.recall);
    return Math.exp(Math.log(low.qps) * (1 - share) + Math.log(high.qps) * share);
  }
  return undefined;
}
