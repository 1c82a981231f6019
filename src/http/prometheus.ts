// The metrics registry over prom-client, and the only file that loads it. Loading takes some 30 ms,
// so it waits until `load`, the first scrape, or EARLY_COUNT_MAX recordings, whichever comes first.
// Invariant: nothing recorded before that is lost; it is kept in order and replayed.

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
type AnyMetric = Prometheus.Counter | Prometheus.Gauge | Prometheus.Histogram;

/** A metric of ours; `vendor` exists once prom-client is loaded. */
interface Entry {
  readonly kind: Kind;
  readonly definition: MetricDefinition;
  vendor: AnyMetric | undefined;
  provide: (() => Iterable<Sample<string>>) | undefined;
}

interface Early {
  readonly entry: Entry;
  readonly labels: AnyLabels;
  readonly value: number;
}

/** Recordings kept before prom-client is loaded anyway: some 100 KiB. */
const EARLY_COUNT_MAX = 1024;

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
  readonly #entries: Entry[] = [];
  #early: Early[] = [];
  #vendor: typeof Prometheus | undefined;
  #registry: Prometheus.Registry | undefined;

  constructor({ nodeId }: PrometheusOptions) {
    this.#nodeId = nodeId;
  }

  counter<Name extends string>(definition: MetricDefinition): Counter<Name> {
    const entry = this.#define('counter', definition);
    return { inc: (labels: Labels<Name>, by = 1) => this.#record(entry, labels, by) };
  }

  gauge<Name extends string>(definition: MetricDefinition): Gauge<Name> {
    const entry = this.#define('gauge', definition);
    return {
      set: (labels: Labels<Name>, value: number) => this.#record(entry, labels, value),
      collect: (provide: () => Iterable<Sample<Name>>) => {
        entry.provide = provide as () => Iterable<Sample<string>>;
      },
    };
  }

  histogram<Name extends string>(definition: MetricDefinition): Histogram<Name> {
    const entry = this.#define('histogram', definition);
    return { observe: (labels: Labels<Name>, value) => this.#record(entry, labels, value) };
  }

  async forget(labels: AnyLabels): Promise<void> {
    this.load();
    for (const { vendor, provide } of this.#entries) {
      if (vendor === undefined || provide !== undefined) continue;
      const { values } = await vendor.get();
      for (const series of values) {
        const own = { ...series.labels } as Record<string, string>;
        delete own.le;
        if (Object.keys(labels).every((name) => own[name] === labels[name])) vendor.remove(own);
      }
    }
  }

  /** Loads prom-client now: call it once the server has started. Repeating is harmless. */
  load(): void {
    if (this.#vendor !== undefined) return;
    const require = createRequire(import.meta.url);
    this.#vendor = require('prom-client') as typeof Prometheus;
    this.#registry = new this.#vendor.Registry();
    for (const name of PROCESS_METRICS) {
      const register = require(`prom-client/lib/metrics/${name}`) as (registry: unknown) => void;
      register(this.#registry);
    }
    for (const entry of this.#entries) this.#connect(entry);
    for (const { entry, labels, value } of this.#early) this.#record(entry, labels, value);
    this.#early = [];
  }

  /** Returns everything in Prometheus' text format; calls the gauges' providers. */
  async render(): Promise<{ readonly contentType: string; readonly text: string }> {
    this.load();
    const registry = this.#registry as Prometheus.Registry;
    return { contentType: registry.contentType, text: await registry.metrics() };
  }

  #define(kind: Kind, definition: MetricDefinition): Entry {
    const entry: Entry = { kind, definition, vendor: undefined, provide: undefined };
    this.#entries.push(entry);
    if (this.#vendor !== undefined) this.#connect(entry);
    return entry;
  }

  #connect(entry: Entry): void {
    const { Counter, Gauge, Histogram } = this.#vendor as typeof Prometheus;
    const { name, help, labels, buckets = [] } = entry.definition;
    const registers = [this.#registry as Prometheus.Registry];
    const options = { name, help, labelNames: [...labels], registers };
    if (entry.kind === 'counter') entry.vendor = new Counter(options);
    if (entry.kind === 'histogram') {
      entry.vendor = new Histogram({ ...options, buckets: [...buckets] });
    }
    if (entry.kind === 'gauge') {
      const fill = (own: AnyLabels): Record<string, string> => this.#fill(entry, own);
      entry.vendor = new Gauge({
        ...options,
        collect(): void {
          if (entry.provide === undefined) return;
          this.reset();
          for (const sample of entry.provide()) {
            this.set(fill(sample.labels), sample.value);
          }
        },
      });
    }
  }

  /** Gives `node_id` its value. A loop, because two spreads take 2 µs, more than all the rest. */
  #fill({ definition }: Entry, own: AnyLabels): Record<string, string> {
    const all: Record<string, string> = {};
    for (const name of definition.labels) {
      all[name] = own[name] ?? (name === 'node_id' ? this.#nodeId : '');
    }
    return all;
  }

  #record(entry: Entry, labels: AnyLabels, value: number): void {
    const { vendor } = entry;
    if (vendor === undefined) {
      this.#early.push({ entry, labels, value });
      if (this.#early.length >= EARLY_COUNT_MAX) this.load();
      return;
    }
    const all = this.#fill(entry, labels);
    if (entry.kind === 'counter') (vendor as Prometheus.Counter).inc(all, value);
    else if (entry.kind === 'gauge') (vendor as Prometheus.Gauge).set(all, value);
    else (vendor as Prometheus.Histogram).observe(all, value);
  }
}
