// The metrics registry, and the only file that loads prom-client, which writes the text format and
// tells about the process. The series are kept here: counting is a look-up by the values of the
// labels, about a fifth of what prom-client's own counters cost, and a scrape copies the sums out.
// Loading prom-client takes some 30 ms, so it waits until the first scrape.

import { createRequire } from 'node:module';
import type * as Prometheus from 'prom-client';
import type {
  Counter,
  Gauge,
  Histogram,
  Labels,
  MetricDefinition,
  MetricsRegistry,
  Sample,
} from '../base/metrics.ts';

export interface PrometheusOptions {
  /** Value of `node_id` for metrics that have this label and callers that do not give it. */
  readonly nodeId: string;
}

type AnyLabels = Readonly<Record<string, string>>;
type Kind = 'counter' | 'gauge' | 'histogram';

/** The numbers of one set of label values. */
interface Series {
  /** As the caller gave them; `labels` has all of them. */
  readonly own: AnyLabels;
  readonly labels: AnyLabels;
  /** Of a histogram: the sum of what was observed. */
  value: number;
  /** Of a histogram: observations by bucket, not added up; the last is what is above all bounds. */
  readonly counts: number[];
}

/** Where a branch keeps the series whose label values end there. */
const SERIES = Symbol('series');

type Branch = Map<string | typeof SERIES, unknown>;

/** A sample as prom-client's registry writes it. */
interface TextSample {
  readonly metricName?: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels?: AnyLabels;
  readonly value: number;
}

/**
 * The parts of prom-client's default metrics that cost nothing between scrapes. Its event-loop
 * monitor would wake an idle process a hundred times a second.
 */
const PROCESS_METRICS = [
  'processCpuTotal',
  'processStartTime',
  'osMemoryHeap',
  'processOpenFileDescriptors',
  'processMaxFileDescriptors',
  'heapSizeAndUsed',
];

export class PrometheusRegistry implements MetricsRegistry {
  readonly #nodeId: string;
  readonly #metrics: StoredMetric[] = [];
  #registry: Prometheus.Registry | undefined;

  constructor({ nodeId }: PrometheusOptions) {
    this.#nodeId = nodeId;
  }

  counter<Name extends string>(definition: MetricDefinition): Counter<Name> {
    const metric = this.#define('counter', definition);
    return {
      inc: (labels: Labels<Name>, by = 1) => {
        metric.find(labels).value += by;
      },
      collect: (provide) => metric.collect(provide),
    };
  }

  gauge<Name extends string>(definition: MetricDefinition): Gauge<Name> {
    const metric = this.#define('gauge', definition);
    return {
      set: (labels: Labels<Name>, value: number) => {
        metric.find(labels).value = value;
      },
      collect: (provide) => metric.collect(provide),
    };
  }

  histogram<Name extends string>(definition: MetricDefinition): Histogram<Name> {
    const metric = this.#define('histogram', definition);
    const { buckets = [] } = definition;
    return {
      observe: (labels: Labels<Name>, value) => {
        const series = metric.find(labels);
        let bucket = 0;
        while (bucket < buckets.length && value > buckets[bucket]!) bucket += 1;
        series.counts[bucket]! += 1;
        series.value += value;
      },
    };
  }

  forget(labels: AnyLabels): void {
    for (const metric of this.#metrics) metric.forget(labels);
  }

  /** Returns everything in Prometheus' text format; calls the providers. */
  async render(): Promise<{ readonly contentType: string; readonly text: string }> {
    this.#registry ??= this.#load();
    return { contentType: this.#registry.contentType, text: await this.#registry.metrics() };
  }

  #load(): Prometheus.Registry {
    const require = createRequire(import.meta.url);
    const { Registry } = require('prom-client') as typeof Prometheus;
    const registry = new Registry();
    for (const name of PROCESS_METRICS) {
      const register = require(`prom-client/lib/metrics/${name}`) as (registry: unknown) => void;
      register(registry);
    }
    // The registry wants of a metric only its name and `get`.
    for (const metric of this.#metrics) {
      registry.registerMetric(metric as unknown as Prometheus.Metric);
    }
    return registry;
  }

  #define(kind: Kind, definition: MetricDefinition): StoredMetric {
    const metric = new StoredMetric(kind, definition, this.#nodeId);
    this.#metrics.push(metric);
    this.#registry?.registerMetric(metric as unknown as Prometheus.Metric);
    return metric;
  }
}

class StoredMetric {
  readonly name: string;
  readonly #kind: Kind;
  readonly #definition: MetricDefinition;
  readonly #nodeId: string;
  /** In the order in which they came. */
  readonly #series = new Set<Series>();
  /** By one label value after another: their hashes are known, a joined key's would not be. */
  readonly #byLabels: Branch = new Map();
  #provide: (() => Iterable<Sample<string>>) | undefined;

  constructor(kind: Kind, definition: MetricDefinition, nodeId: string) {
    this.name = definition.name;
    this.#kind = kind;
    this.#definition = definition;
    this.#nodeId = nodeId;
    // Without labels there is one series, and it is there from the start.
    if (definition.labels.length === 0) this.find({});
  }

  /** Returns the series of these label values, made if it is not there. */
  find(own: AnyLabels): Series {
    let branch = this.#byLabels;
    for (const name of this.#definition.labels) {
      const value = own[name] ?? '';
      let next = branch.get(value) as Branch | undefined;
      if (next === undefined) {
        next = new Map();
        branch.set(value, next);
      }
      branch = next;
    }
    const found = branch.get(SERIES) as Series | undefined;
    if (found !== undefined) return found;
    const series = this.#makeSeries(own);
    branch.set(SERIES, series);
    this.#series.add(series);
    return series;
  }

  #makeSeries(own: AnyLabels): Series {
    const labels: Record<string, string> = {};
    for (const name of this.#definition.labels) {
      labels[name] = own[name] ?? (name === 'node_id' ? this.#nodeId : '');
    }
    const { buckets = [] } = this.#definition;
    const counts = this.#kind === 'histogram' ? new Array<number>(buckets.length + 1).fill(0) : [];
    return { own, labels, value: 0, counts };
  }

  collect(provide: () => Iterable<Sample<string>>): void {
    this.#provide = provide;
  }

  forget(labels: AnyLabels): void {
    const names = Object.keys(labels);
    if (names.some((name) => !this.#definition.labels.includes(name))) return;
    for (const series of this.#series) {
      if (!names.every((name) => series.labels[name] === labels[name])) continue;
      this.#series.delete(series);
      prune(this.#byLabels, this.#definition.labels.map((name) => series.own[name] ?? ''));
    }
  }

  /** What prom-client's registry asks of a metric. */
  async get(): Promise<object> {
    const { name, help } = this.#definition;
    if (this.#provide !== undefined) {
      this.#series.clear();
      this.#byLabels.clear();
      for (const { labels, value } of this.#provide()) this.find(labels).value = value;
    }
    const values = [...this.#series].flatMap((series) => this.#toSamples(series));
    return { name, help, type: this.#kind, values, aggregator: 'sum' };
  }

  #toSamples({ labels, value, counts }: Series): TextSample[] {
    if (this.#kind !== 'histogram') return [{ labels, value }];
    const { name, buckets = [] } = this.#definition;
    let count = 0;
    const samples: TextSample[] = [...buckets, '+Inf'].map((le, i) => {
      count += counts[i]!;
      return { metricName: `${name}_bucket`, labels: { le }, sharedLabels: labels, value: count };
    });
    return [
      ...samples,
      { metricName: `${name}_sum`, labels: {}, sharedLabels: labels, value },
      { metricName: `${name}_count`, labels: {}, sharedLabels: labels, value: count },
    ];
  }
}

/** Removes the series at the end of a path, and the branches that nothing else is on. */
function prune(branch: Branch, path: readonly string[]): void {
  const [value, ...rest] = path;
  if (value === undefined) {
    branch.delete(SERIES);
    return;
  }
  const next = branch.get(value) as Branch;
  prune(next, rest);
  if (next.size === 0) branch.delete(value);
}
