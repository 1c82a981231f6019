// CPU per request of this checkout's server beside another checkout's, in turn on one machine:
// what a change costs, measured where neighbours disturb least. A ratio above 1 means that this
// checkout needs less.
// usage: node dist/scripts/bench/compare.js --against CHECKOUT [--repetitions 6] [--only CASES]

import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { makeClusters } from './support/dataset.ts';
import { runLoad, writeRequests } from './support/load-client.ts';
import { MilvusClient, type SearchSpec } from './support/milvus-client.ts';
import { cacheFolder, ROOT } from './support/paths.ts';
import { ServerProcess } from './support/server-process.ts';
import { summarize } from './support/statistics.ts';

const DIM = 128;
const ROWS = 40_000;
const BATCH = 1000;
const SEALED = 'sealed';
const GROWING = 'growing';
const GROWING_ROWS = 5000;
const SETTINGS = { LOG_LEVEL: 'warn', DATACOORD_COMPACTION_ENABLEAUTOCOMPACTION: 'false' };
const LOAD = { connections: 2, streams: 4 };

interface Case {
  readonly method: string;
  readonly count: number;
  /** The message of call `i` of all that one server gets. */
  readonly make: (client: MilvusClient, i: number) => Uint8Array;
}

const vectors = makeClusters(ROWS, DIM);
const vectorAt = (i: number): Float32Array => {
  const row = (i * 7919) % ROWS;
  return vectors.subarray(row * DIM, (row + 1) * DIM);
};

function search(spec: Partial<SearchSpec> & { filter?: string }) {
  const whole = { collection: SEALED, metric: 'IP', k: 10, params: { ef: 64 }, ...spec };
  return (client: MilvusClient, i: number) => client.encodeSearch(whole, [vectorAt(i)]);
}

function query(filter: (i: number) => string, outputFields: readonly string[], limit?: number) {
  return (client: MilvusClient, i: number) =>
    client.encode('QueryRequest', {
      collection_name: SEALED,
      expr: filter(i),
      output_fields: outputFields,
      query_params: limit === undefined ? [] : [{ key: 'limit', value: String(limit) }],
    });
}

const FIRST_NEW_ID = 10_000_000;

function write(method: 'InsertRequest' | 'UpsertRequest', rows: number, firstId: number) {
  return (client: MilvusClient, i: number) => {
    const ids = Array.from({ length: rows }, (_unused, row) => firstId + i * rows + row);
    const data = rows === 1 ? vectorAt(i) : vectors.subarray(0, rows * DIM);
    return client.encode(method, {
      collection_name: method === 'InsertRequest' ? GROWING : SEALED,
      num_rows: rows,
      fields_data: [
        { type: 5, field_name: 'id', scalars: { long_data: { data: ids } } },
        { type: 101, field_name: 'vector', vectors: { dim: DIM, float_vector: { data } } },
      ],
    });
  };
}

function remove(keys: number) {
  return (client: MilvusClient, i: number) => {
    const ids = Array.from({ length: keys }, (_unused, key) => (i * keys + key) % ROWS);
    const expr = `id in [${ids.join(', ')}]`;
    return client.encode('DeleteRequest', { collection_name: SEALED, expr });
  };
}

/** Reads before writes: deletes make the later ones of them cheaper. */
const CASES: Readonly<Record<string, Case>> = {
  'search, HNSW': { method: 'Search', count: 8000, make: search({}) },
  'search, HNSW, k 100, vectors': {
    method: 'Search',
    count: 3000,
    make: search({ k: 100, params: { ef: 128 }, outputFields: ['vector'] }),
  },
  'search, growing': { method: 'Search', count: 4000, make: search({ collection: GROWING }) },
  'query, 10 keys': {
    method: 'Query',
    count: 8000,
    make: query(
      (i) => `id in [${Array.from({ length: 10 }, (_unused, k) => (i * 31 + k * 977) % ROWS)}]`,
      ['id', 'vector'],
    ),
  },
  'query, filter, limit 100': {
    method: 'Query',
    count: 3000,
    make: query((i) => `id > ${(i * 61) % ROWS}`, ['id'], 100),
  },
  'query, count': {
    method: 'Query',
    count: 4000,
    make: query((i) => `id % 3 == ${i % 3}`, ['count(*)']),
  },
  'insert, 1 row': { method: 'Insert', count: 8000, make: write('InsertRequest', 1, FIRST_NEW_ID) },
  'insert, 1,000 rows': {
    method: 'Insert',
    count: 100,
    make: write('InsertRequest', BATCH, 2 * FIRST_NEW_ID),
  },
  'upsert, 1 row': { method: 'Upsert', count: 6000, make: write('UpsertRequest', 1, 0) },
  'delete, 1 key': { method: 'Delete', count: 6000, make: remove(1) },
  'delete, 100 keys': { method: 'Delete', count: 1500, make: remove(100) },
};

async function fill(server: ServerProcess): Promise<MilvusClient> {
  const client = new MilvusClient(server.address);
  for (const [name, rows] of [[SEALED, ROWS], [GROWING, GROWING_ROWS]] as const) {
    await client.createCollection({ name, dim: DIM });
    for (let first = 0; first < rows; first += BATCH) {
      await client.callBytes('Insert', client.encodeInsert(name, DIM, vectors, first, BATCH));
    }
  }
  await client.flush(SEALED);
  for (const name of [SEALED, GROWING]) {
    const params = '{"M":16,"efConstruction":100}';
    await client.createIndex(name, { index_type: 'HNSW', metric_type: 'IP', params });
  }
  await client.waitForIndex(SEALED);
  for (const name of [SEALED, GROWING]) await client.load(name);
  return client;
}

/** CPU of the server, microseconds a request. */
async function measure(
  server: ServerProcess,
  client: MilvusClient,
  { method, count, make }: Case,
  firstCall: number,
): Promise<number> {
  const requests = join(cacheFolder('requests'), 'compare');
  await writeRequests(
    requests,
    Array.from({ length: count }, (_unused, i) => make(client, firstCall + i)),
  );
  const before = server.cpuMs();
  await runLoad({ port: server.port, method, requests, count, ...LOAD });
  return ((server.cpuMs() - before) * 1000) / count;
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      against: { type: 'string' },
      repetitions: { type: 'string', default: '6' },
      only: { type: 'string' },
    },
  });
  if (values.against === undefined) throw new Error('usage: compare.js --against CHECKOUT');
  const roots = { ours: ROOT, theirs: values.against };
  const cases = Object.entries(CASES).filter(([name]) => name.includes(values.only ?? ''));
  const results = new Map(cases.map(([name]) => [name, { ours: [], theirs: [] } as Timings]));
  // Of two servers the one that started first needs some percent more, whichever it is.
  for (const order of [['ours', 'theirs'], ['theirs', 'ours']] as const) {
    const repetitions = Math.ceil(Number(values.repetitions) / 2);
    await comparePair(order.map((side) => ({ side, root: roots[side] })), repetitions, results);
  }
  console.log('case: us a request, other checkout, ratio (median of the alternations; spread)');
  for (const [name, { ours, theirs }] of results) {
    const ratio = summarize(ours.map((value, i) => theirs[i]! / value));
    console.log(
      `${name}: ${summarize(ours).median.toFixed(0)}, ${summarize(theirs).median.toFixed(0)}, ` +
        `${ratio.median.toFixed(2)} (${ratio.min.toFixed(2)} to ${ratio.max.toFixed(2)})`,
    );
  }
}

type Side = 'ours' | 'theirs';

/** CPU of each alternation, microseconds a request. */
type Timings = Record<Side, number[]>;

/** Starts the servers in the order given and measures both in turn, case by case. */
async function comparePair(
  pair: readonly { readonly side: Side; readonly root: string }[],
  repetitions: number,
  results: ReadonlyMap<string, Timings>,
): Promise<void> {
  const servers: ServerProcess[] = [];
  try {
    for (const { root } of pair) {
      servers.push(await ServerProcess.start({ root, settings: SETTINGS }));
    }
    const clients: MilvusClient[] = [];
    for (const server of servers) clients.push(await fill(server));
    for (const [name, timings] of results) {
      const one = CASES[name]!;
      // The first round warms both up and is not counted.
      for (let round = 0; round <= repetitions; round++) {
        // Who goes first alternates, too.
        for (const at of round % 2 === 0 ? [0, 1] : [1, 0]) {
          const us = await measure(servers[at]!, clients[at]!, one, round * one.count);
          if (round > 0) timings[pair[at]!.side].push(us);
        }
      }
    }
    for (const client of clients) client.close();
  } finally {
    for (const server of servers) await server.stop();
  }
}

await main();
