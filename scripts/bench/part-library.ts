// Recall and speed of the native core in this process, flat and HNSW, beside hnswlib and faiss at
// equal recall. As many calls are in flight as threads; a call carries BATCH queries, so that
// handing it over weighs nothing. What it weighs for single queries is in the part `search`.

import { spawnSync } from 'node:child_process';
import { native, type NativeSegment } from '../../src/index/native.ts';
import { measureRecall, type Dataset } from './support/dataset.ts';
import { HNSW } from './support/filled-server.ts';
import { makeSearch, openSealed, readHits } from './support/native-collection.ts';
import type { BenchPart } from './support/part.ts';
import { runPython } from './support/python.ts';
import { interpolateQps, summarize, type SweepPoint } from './support/statistics.ts';

const K = 10;
const EFS = [16, 32, 64, 128, 256];
const RECALLS = [0.95, 0.98, 0.99, 0.998];
const BATCH = 100;
/** Of each flat call: one as a server gets it, and a batch. */
const FLAT_BATCHES = [1, 100];
const SECONDS = 1;
const THREADS = 2;

interface Sweeps {
  readonly hnsw: Readonly<Record<string, SweepPoint[]>>;
  /** By `faiss-<threads>-<batch>`. */
  readonly flatQps: Readonly<Record<string, number>>;
}

export const benchLibrary: BenchPart = async ({ loadData, python, repetitions, print }) => {
  native.configureThreads(THREADS, THREADS);
  const data = await loadData();
  const unindexed = await openSealed(data.base, data.dim);
  const sealed = await openSealed(data.base, data.dim);
  try {
    const flat = new Map<string, number[]>();
    const settings = [1, 2].flatMap((threads) => FLAT_BATCHES.map((batch) => ({ threads, batch })));
    const buildSeconds = await sealed.buildIndex({ kind: 'HNSW', metric: 'IP', ...HNSW });
    print(`HNSW build, 2 threads: ${buildSeconds.toFixed(1)} s`);
    const ours: Record<number, SweepPoint[][]> = { 1: [], 2: [] };
    const peers: Sweeps[] = [];
    const interpreter = python();
    // We and the peers by turns: the machine is not the same from one minute to the next.
    for (let i = 0; i < repetitions; i++) {
      for (const { threads, batch } of settings) {
        const key = `${threads}-${batch}`;
        const qps = await measureFlat(unindexed.segment, data, threads, batch);
        flat.set(key, [...(flat.get(key) ?? []), qps]);
      }
      for (const threads of [1, 2])
        ours[threads]!.push(await sweepHnsw(sealed.segment, data, threads));
      if (interpreter === undefined) continue;
      const args = [data.path, data.dim, HNSW.M, HNSW.efConstruction, K, BATCH, ...EFS];
      peers.push((await runPython(interpreter, 'library_peers.py', args)) as Sweeps);
    }
    const ratios: object[] = [];
    for (const { threads, batch } of settings) {
      const key = `${threads}-${batch}`;
      const mine = summarize(flat.get(key)!).median;
      const theirs = peers.map(({ flatQps }) => flatQps[`faiss-${key}`]!);
      const what = `flat, ${threads} thread(s), ${batch} queries a call: ${mine.toFixed(0)} QPS`;
      if (theirs.length === 0) {
        print(what);
        continue;
      }
      const peer = summarize(theirs).median;
      print(`${what} / faiss ${peer.toFixed(0)} = ${(mine / peer).toFixed(2)}`);
      ratios.push({ kind: 'flat', threads, batch, qps: mine, faissQps: peer, ratio: mine / peer });
    }
    for (const threads of [1, 2]) for (const recall of RECALLS) compareAt(recall, threads);
    return { buildSeconds, flat: Object.fromEntries(flat), ours, peers, ratios };

    function compareAt(recall: number, threads: number): void {
      const mine = medianAt(ours[threads]!, recall);
      if (mine === undefined) return;
      const found: Record<string, number> = {};
      for (const peer of ['hnswlib', 'faiss']) {
        const sweeps = peers.map(({ hnsw }) => hnsw[`${peer}-${threads}`]!);
        const qps = medianAt(sweeps, recall);
        if (qps !== undefined) found[peer] = qps;
      }
      const text = Object.entries(found).map(
        ([peer, qps]) => ` / ${peer} ${qps.toFixed(0)} = ${(mine / qps).toFixed(2)}`,
      );
      print(`HNSW, ${threads} thread(s), recall ${recall}: ${mine.toFixed(0)} QPS${text.join('')}`);
      ratios.push({ kind: 'HNSW', threads, recall, qps: mine, ...found });
    }
  } finally {
    await sealed.close();
    await unindexed.close();
  }
};

function medianAt(sweeps: readonly SweepPoint[][], recall: number): number | undefined {
  const found = sweeps
    .map((sweep) => interpolateQps(sweep, recall))
    .filter((qps) => qps !== undefined);
  return found.length === 0 ? undefined : summarize(found).median;
}

/**
 * Lets all threads of this process run on so many processors: the core's pool keeps the size that
 * it was started with.
 */
function limitProcessors(count: number): void {
  const args = ['-acp', `0-${count - 1}`, String(process.pid)];
  const { status, error } = spawnSync('taskset', args);
  if (status !== 0) throw new Error(`this part needs taskset of util-linux: ${error?.message}`);
}

/** Queries per second of calls with `batch` queries each, `threads` of them in flight. */
async function measureQps(
  data: Dataset,
  threads: number,
  batch: number,
  run: (queries: Float32Array) => Promise<unknown>,
): Promise<number> {
  limitProcessors(threads);
  const started = performance.now();
  const until = started + SECONDS * 1000;
  const { queries, queryCount, dim } = data;
  let calls = 0;
  await Promise.all(
    Array.from({ length: threads }, async () => {
      while (performance.now() < until) {
        const first = (calls++ * batch) % queryCount;
        await run(queries.subarray(first * dim, (first + batch) * dim));
      }
    }),
  );
  const qps = (calls * batch * 1000) / (performance.now() - started);
  limitProcessors(THREADS);
  return qps;
}

function measureFlat(
  segment: NativeSegment,
  data: Dataset,
  threads: number,
  batch: number,
): Promise<number> {
  return measureQps(data, threads, batch, (queries) =>
    native.search([segment], makeSearch(queries, data.dim, { k: K })),
  );
}

async function sweepHnsw(
  segment: NativeSegment,
  data: Dataset,
  threads: number,
): Promise<SweepPoint[]> {
  const points: SweepPoint[] = [];
  for (const ef of EFS) {
    const all = makeSearch(data.queries, data.dim, { k: K, ef });
    const recall = measureRecall(data, readHits(await native.search([segment], all)), K);
    const qps = await measureQps(data, threads, BATCH, (queries) =>
      native.search([segment], makeSearch(queries, data.dim, { k: K, ef })),
    );
    points.push({ recall, qps });
  }
  return points;
}
