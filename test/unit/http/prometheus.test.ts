// The registry: sums are right in the text format, and names and labels are Milvus' own.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createMetrics, silentRegistry } from '../../../src/base/metrics.ts';
import { PrometheusRegistry } from '../../../src/http/prometheus.ts';

const at = { db_name: 'default', collection_name: 'books' };

async function scrape(registry: PrometheusRegistry, pattern: RegExp): Promise<string[]> {
  const { text } = await registry.render();
  return text.split('\n').filter((line) => pattern.test(line) && !line.startsWith('#'));
}

test('metrics: counters add up by their labels, gauges keep the last value', async () => {
  const registry = new PrometheusRegistry({ nodeId: '1' });
  const metrics = createMetrics(registry);
  for (let count = 0; count < 3; count += 1) {
    metrics.proxyReqCount.inc({ function_name: 'Search', status: 'success', ...at });
  }
  metrics.proxySendBytesCount.inc({}, 100);
  metrics.rootcoordProxyNum.set({}, 1);
  metrics.rootcoordProxyNum.set({}, 2);
  const names = /^milvus_(proxy_(req_count|send)|rootcoord_proxy)/;
  assert.equal((await scrape(registry, names)).length, 3);
  metrics.proxyReqCount.inc({ function_name: 'Search', status: 'success', ...at });
  assert.deepEqual(await scrape(registry, names), [
    'milvus_proxy_req_count{node_id="1",function_name="Search",status="success",' +
      'db_name="default",collection_name="books"} 4',
    'milvus_proxy_send_bytes_count{node_id="1"} 100',
    'milvus_rootcoord_proxy_num 2',
  ]);
});

test('metrics: a histogram is that of prom-client, observation by observation', async () => {
  const registry = new PrometheusRegistry({ nodeId: '1' });
  const metrics = createMetrics(registry);
  const { Histogram, Registry } = await import('prom-client');
  const registers = [new Registry()];
  const definition = {
    name: 'milvus_proxy_req_latency',
    help: 'time of a request, ms',
    labelNames: ['node_id', 'function_name'],
    buckets: [0.1, 0.25, 0.5, ...Array.from({ length: 18 }, (_, power) => 2 ** power)],
  };
  const oracle = new Histogram({ ...definition, registers });
  const values = [0, 0.1, 0.11, 1, 1.5, 131_072, 131_073, 7, 7, 0.25];
  for (const [i, value] of values.entries()) {
    const function_name = i % 3 === 0 ? 'Insert' : 'Search "quoted"';
    metrics.proxyReqLatency.observe({ function_name }, value);
    oracle.observe({ node_id: '1', function_name }, value);
  }
  const expected = (await registers[0]!.metrics()).split('\n').filter((line) => line !== '');
  const name = /^(# (HELP|TYPE) )?milvus_proxy_req_latency(_|\b)/;
  const { text } = await registry.render();
  assert.deepEqual(text.split('\n').filter((line) => name.test(line)), expected);
});

test('metrics: latencies have the buckets of the stock dashboards', async () => {
  const registry = new PrometheusRegistry({ nodeId: '1' });
  const metrics = createMetrics(registry);
  metrics.proxySearchLatency.observe({ query_type: 'search', ...at }, 0.2);
  metrics.rootcoordDdlReqLatency.observe({ function_name: 'CreateCollection' }, 3);
  const bounds = async (name: string): Promise<string[]> =>
    (await scrape(registry, new RegExp(`^${name}_bucket`))).map(
      (line) => /le="([^"]+)"/.exec(line)?.[1] ?? '',
    );
  const powers = Array.from({ length: 18 }, (_, power) => String(2 ** power));
  assert.deepEqual(await bounds('milvus_rootcoord_ddl_req_latency'), [...powers, '+Inf']);
  const fine = ['0.1', '0.25', '0.5', ...powers, '+Inf'];
  assert.deepEqual(await bounds('milvus_proxy_sq_latency'), fine);
});

test('metrics: a gauge with a provider says what the provider says now, and no more', async () => {
  const registry = new PrometheusRegistry({ nodeId: '7' });
  const metrics = createMetrics(registry);
  let states = ['Sealed', 'Growing'];
  metrics.querynodeSegmentNum.collect(() =>
    states.map((segment_state) => ({
      labels: { collection_id: '5', segment_state, segment_level: 'L1' },
      value: 2,
    })),
  );
  assert.equal((await scrape(registry, /^milvus_querynode_segment_num.*node_id="7"/)).length, 2);
  states = ['Growing'];
  assert.deepEqual(await scrape(registry, /^milvus_querynode_segment_num/), [
    'milvus_querynode_segment_num{node_id="7",collection_id="5",segment_state="Growing",' +
      'segment_level="L1"} 2',
  ]);
});

test('metrics: forget drops every series of a dropped collection and nothing else', async () => {
  const registry = new PrometheusRegistry({ nodeId: '1' });
  const metrics = createMetrics(registry);
  for (const collection_name of ['books', 'films']) {
    const place = { db_name: 'default', collection_name };
    metrics.proxyInsertVectorsCount.inc(place, 10);
    metrics.proxyMutationLatency.observe({ msg_type: 'insert', ...place }, 1);
  }
  metrics.proxySendBytesCount.inc({}, 5);
  registry.forget({ db_name: 'default', collection_name: 'books' });
  assert.deepEqual(await scrape(registry, /books/), []);
  assert.ok((await scrape(registry, /films/)).length > 20);
  assert.equal((await scrape(registry, /^milvus_proxy_send_bytes_count\{/)).length, 1);
});

test('metrics: the process tells its memory, processor time and files', async () => {
  const registry = new PrometheusRegistry({ nodeId: '1' });
  const names = /^process_(resident_memory_bytes|cpu_seconds_total|open_fds|start_time_seconds) \d/;
  assert.equal((await scrape(registry, names)).length, 4);
});

test('metrics: the silent registry takes everything', () => {
  const metrics = createMetrics(silentRegistry);
  metrics.proxyReqLatency.observe({ function_name: 'Search' }, 1);
  metrics.numNode.set({ node_id: '1', role_name: 'proxy' }, 1);
  metrics.datacoordStoredRowsNum.collect(() => []);
  silentRegistry.forget({});
});
