// Vectors for benchmarks: rows, queries and the exact nearest rows of each query, cached as files
// of raw numbers. Either files of that form given by path, or clusters made here: a Gaussian
// mixture in a few latent dimensions with clusters of unequal size, bent by a random tanh layer,
// with noise, scaled to unit length. Such data has a local dimension like that of text embeddings,
// so that a graph search over it is neither easy nor hopeless.

import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { findExact } from './exact.ts';
import { cacheFolder } from './paths.ts';

export interface Dataset {
  readonly name: string;
  readonly dim: number;
  readonly rows: number;
  /** rows × dim, unit length. */
  readonly base: Float32Array;
  readonly queries: Float32Array;
  readonly queryCount: number;
  /** queryCount × truthK row numbers, nearest first. */
  readonly truth: Int32Array;
  readonly truthK: number;
  /** Path without the endings `.base`, `.query`, `.gt`: what Python scripts read. */
  readonly path: string;
}

const LATENT = 40;
const HIDDEN = 256;
const CLUSTERS = 2000;
const SPREAD = 0.7;
const NOISE = 0.05;
const QUERIES = 1000;
const TRUTH_K = 100;
const SEED = 7;

export interface DatasetOptions {
  readonly rows: number;
  readonly dim: number;
  /** Files `path.base`, `.query`, `.gt` of float32 rows, float32 rows, int32 row numbers. */
  readonly path?: string;
}

export async function loadDataset({ rows, dim, path }: DatasetOptions): Promise<Dataset> {
  const stem = path ?? join(cacheFolder('data'), `clusters-${rows}x${dim}`);
  if (!existsSync(`${stem}.gt`)) {
    if (path !== undefined) throw new Error(`no data set at ${path}.base, .query, .gt`);
    console.log(`making ${rows} x ${dim} clustered vectors (once)`);
    await makeDataset(stem, rows, dim);
  }
  const base = new Float32Array(readNumbers(`${stem}.base`));
  const queries = new Float32Array(readNumbers(`${stem}.query`));
  const truth = new Int32Array(readNumbers(`${stem}.gt`));
  const queryCount = queries.length / dim;
  return {
    name: stem.split('/').at(-1)!,
    dim,
    rows: base.length / dim,
    base,
    queries,
    queryCount,
    truth,
    truthK: truth.length / queryCount,
    path: stem,
  };
}

/** Query i as a view. */
export function getQuery({ queries, dim }: Dataset, i: number): Float32Array {
  return queries.subarray(i * dim, (i + 1) * dim);
}

/** Mean share of the true nearest k among the k ids found for each query. */
export function measureRecall(
  { truth, truthK }: Dataset,
  found: readonly (readonly number[])[],
  k: number,
): number {
  let hits = 0;
  found.forEach((ids, query) => {
    const wanted = new Set(truth.subarray(query * truthK, query * truthK + k));
    for (const id of ids.slice(0, k)) hits += wanted.has(id) ? 1 : 0;
  });
  return hits / (found.length * k);
}

function readNumbers(path: string): ArrayBuffer {
  const bytes = readFileSync(path);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength) as ArrayBuffer;
}

/** Always the same rows. */
export function makeClusters(rows: number, dim: number): Float32Array {
  const random = new Random(SEED);
  return makeRows(random, rows, dim, makeLayers(random, dim));
}

function makeLayers(random: Random, dim: number): Layers {
  return {
    first: random.fill(LATENT * HIDDEN, 1.5 / Math.sqrt(LATENT)),
    second: random.fill(HIDDEN * dim, 1 / Math.sqrt(HIDDEN)),
    centres: random.fill(CLUSTERS * LATENT, 1),
  };
}

async function makeDataset(stem: string, rows: number, dim: number): Promise<void> {
  const random = new Random(SEED);
  const layers = makeLayers(random, dim);
  const base = makeRows(random, rows, dim, layers);
  const queries = makeRows(random, QUERIES, dim, layers);
  const truth = await findExact(base, queries, dim, TRUTH_K);
  for (const [ending, data] of [
    ['base', base],
    ['query', queries],
    ['gt', truth],
  ] as const) {
    const path = `${stem}.${ending}`;
    writeFileSync(`${path}.new`, new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
    renameSync(`${path}.new`, path);
  }
}

interface Layers {
  readonly first: Float32Array;
  readonly second: Float32Array;
  readonly centres: Float32Array;
}

function makeRows(
  random: Random,
  rows: number,
  dim: number,
  { first, second, centres }: Layers,
): Float32Array {
  const out = new Float32Array(rows * dim);
  const pickCluster = makeZipf(random, CLUSTERS);
  const hidden = new Float32Array(HIDDEN);
  for (let row = 0; row < rows; row++) {
    const cluster = pickCluster();
    hidden.fill(0);
    for (let i = 0; i < LATENT; i++) {
      const z = centres[cluster * LATENT + i]! + SPREAD * random.normal();
      for (let h = 0; h < HIDDEN; h++) hidden[h]! += z * first[i * HIDDEN + h]!;
    }
    const vector = out.subarray(row * dim, (row + 1) * dim);
    for (let h = 0; h < HIDDEN; h++) {
      const value = Math.tanh(hidden[h]!);
      const weights = second.subarray(h * dim, (h + 1) * dim);
      for (let d = 0; d < dim; d++) vector[d]! += value * weights[d]!;
    }
    const scale = (NOISE * getLength(vector)) / Math.sqrt(dim);
    for (let d = 0; d < dim; d++) vector[d]! += scale * random.normal();
    const length = getLength(vector);
    for (let d = 0; d < dim; d++) vector[d]! /= length;
  }
  return out;
}

function getLength(vector: Float32Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return Math.sqrt(sum);
}

/** Cluster i with weight (i + 1)^-0.6. */
function makeZipf(random: Random, count: number): () => number {
  const ends = new Float64Array(count);
  let sum = 0;
  for (let i = 0; i < count; i++) {
    sum += (i + 1) ** -0.6;
    ends[i] = sum;
  }
  return () => {
    const target = random.uniform() * sum;
    let low = 0;
    let high = count - 1;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (ends[middle]! < target) low = middle + 1;
      else high = middle;
    }
    return low;
  };
}

/** xorshift32, and Box-Muller over it. */
class Random {
  #state: number;
  #spare: number | undefined;

  constructor(seed: number) {
    this.#state = Math.imul(seed, 0x9e3779b1) | 1;
  }

  /** In (0, 1). */
  uniform(): number {
    let x = this.#state;
    x ^= x << 13;
    x ^= x >>> 17;
    x ^= x << 5;
    this.#state = x;
    return ((x >>> 0) + 0.5) / 2 ** 32;
  }

  normal(): number {
    if (this.#spare !== undefined) {
      const spare = this.#spare;
      this.#spare = undefined;
      return spare;
    }
    const radius = Math.sqrt(-2 * Math.log(this.uniform()));
    const angle = 2 * Math.PI * this.uniform();
    this.#spare = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  }

  fill(count: number, scale: number): Float32Array {
    return Float32Array.from({ length: count }, () => scale * this.normal());
  }
}
