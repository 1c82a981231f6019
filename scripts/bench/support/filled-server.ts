// The collection that the search parts use: a data set, flushed, with one HNSW index, loaded.

import { join } from 'node:path';
import type { Dataset } from './dataset.ts';
import { runLoad, writeRequests, type LoadResult } from './load-client.ts';
import { MilvusClient, type SearchSpec } from './milvus-client.ts';
import { cacheFolder } from './paths.ts';
import type { ServerProcess } from './server-process.ts';

export const COLLECTION = 'bench';
const INSERT_ROWS = 1000;
/** The parameters of the peers, too. */
export const HNSW = { M: 16, efConstruction: 200 };

export interface FillResult {
  readonly ingest: LoadResult;
  readonly indexSeconds: number;
}

export async function fillCollection(server: ServerProcess, data: Dataset): Promise<FillResult> {
  const client = new MilvusClient(server.address);
  try {
    await client.createCollection({ name: COLLECTION, dim: data.dim });
    const ingest = await insertAll(client, server.port, data);
    await client.flush(COLLECTION);
    const started = performance.now();
    await client.createIndex(COLLECTION, {
      index_type: 'HNSW',
      metric_type: 'IP',
      params: JSON.stringify(HNSW),
    });
    await client.waitForIndex(COLLECTION);
    const indexSeconds = (performance.now() - started) / 1000;
    await client.load(COLLECTION);
    return { ingest, indexSeconds };
  } finally {
    client.close();
  }
}

/** Through the load client, so that encoding is not in the time. */
export async function insertAll(
  client: MilvusClient,
  port: number,
  data: Dataset,
  { connections = 2, streams = 2 }: { connections?: number; streams?: number } = {},
): Promise<LoadResult> {
  const path = join(cacheFolder('requests'), 'insert');
  const starts = Array.from(
    { length: Math.ceil(data.rows / INSERT_ROWS) },
    (_, i) => i * INSERT_ROWS,
  );
  await writeRequests(
    path,
    (function* () {
      for (const first of starts) {
        const rows = Math.min(INSERT_ROWS, data.rows - first);
        yield client.encodeInsert(COLLECTION, data.dim, data.base, first, rows);
      }
    })(),
  );
  const load = { port, method: 'Insert', requests: path, count: starts.length };
  const result = await runLoad({ ...load, connections, streams });
  // A refused insert is a good answer to the load client.
  const rows = await client.countRows(COLLECTION);
  if (rows !== data.rows) throw new Error(`${rows} rows are there, not ${data.rows}`);
  return result;
}

export function searchSpec({ k, ef }: { k: number; ef: number }): SearchSpec {
  return { collection: COLLECTION, metric: 'IP', k, params: { ef } };
}

/** One request for each query of the data set. Returns the path. */
export async function writeSearches(
  client: MilvusClient,
  data: Dataset,
  spec: SearchSpec,
): Promise<string> {
  const path = join(cacheFolder('requests'), 'search');
  await writeRequests(
    path,
    Array.from({ length: data.queryCount }, (_, i) =>
      client.encodeSearch(spec, [data.queries.subarray(i * data.dim, (i + 1) * data.dim)]),
    ),
  );
  return path;
}
