// Searches through gRPC over 100,000 x 768 with an HNSW index: one at a time and 16 in flight,
// beside hnswlib in its own process with the same data, graph parameters and recall. The client
// shares the machine with the server.

import { join } from 'node:path';
import { fillCollection, HNSW, searchSpec, writeSearches } from './support/filled-server.ts';
import { measureRecall } from './support/dataset.ts';
import { readReplies, runLoad, type LoadResult } from './support/load-client.ts';
import { MilvusClient, readIds } from './support/milvus-client.ts';
import { cacheFolder } from './support/paths.ts';
import { ServerProcess } from './support/server-process.ts';
import type { BenchPart } from './support/part.ts';
import { runPython } from './support/python.ts';
import { interpolateQps, summarize, type SweepPoint } from './support/statistics.ts';

const K = 10;
const EFS = [16, 24, 32, 40, 64, 128];
const RECALLS = [0.98, 0.99, 0.998];
const SERIAL_RECALL = 0.99;
const SECONDS = 2;

export const benchSearch: BenchPart = async ({ loadData, python, repetitions, print }) => {
  const data = await loadData();
  const server = await ServerProcess.start();
  const client = new MilvusClient(server.address);
  try {
    const { ingest, indexSeconds } = await fillCollection(server, data);
    print(`index over ${data.rows} rows: ${indexSeconds.toFixed(1)} s`);
    const points: (SweepPoint & { ef: number; serial: LoadResult[]; busy: LoadResult[] })[] = [];
    for (const ef of EFS)
      points.push({ ef, recall: await measureServerRecall(ef), qps: 0, serial: [], busy: [] });
    const peers: SweepPoint[][] = [];
    const interpreter = python();
    for (let i = 0; i < repetitions; i++) {
      for (const point of points) {
        const requests = await writeSearches(client, data, searchSpec({ k: K, ef: point.ef }));
        const load = { port: server.port, method: 'Search', requests, seconds: SECONDS };
        point.serial.push(await runLoad(load));
        point.busy.push(await runLoad({ ...load, connections: 4, streams: 4 }));
      }
      if (interpreter === undefined) continue;
      const args = [data.path, data.dim, HNSW.M, HNSW.efConstruction, K, 2, ...EFS];
      peers.push((await runPython(interpreter, 'search_hnswlib.py', args)) as SweepPoint[]);
    }
    const chosen = points.find(({ recall }) => recall >= SERIAL_RECALL) ?? points.at(-1)!;
    const serialP50Us = summarize(chosen.serial.map(({ p50Us }) => p50Us));
    const serialP99Us = summarize(chosen.serial.map(({ p99Us }) => p99Us));
    print(
      `serial, ef ${chosen.ef}, recall ${chosen.recall.toFixed(4)}: ` +
        `p50 ${serialP50Us.median.toFixed(0)} us (aim 600), p99 ` +
        `${serialP99Us.median.toFixed(0)} us`,
    );
    let pymilvusP50Us: number | undefined;
    if (interpreter !== undefined) {
      const args = [`http://${server.address}`, data.path, data.dim, K, chosen.ef];
      const { p50Us } = (await runPython(interpreter, 'search_pymilvus.py', args)) as {
        p50Us: number;
      };
      pymilvusP50Us = p50Us;
      print(`serial through pymilvus: p50 ${p50Us.toFixed(0)} us (aim 1500)`);
    }
    const ours = points.map(({ recall, busy }) => ({
      recall,
      qps: summarize(busy.map(({ callsPerSecond }) => callsPerSecond)).median,
    }));
    for (const { recall, qps } of ours)
      print(`16 in flight: recall ${recall.toFixed(4)} ${qps.toFixed(0)} QPS`);
    const ratios = RECALLS.map((recall) => {
      const mine = interpolateQps(ours, recall);
      const theirs = peers
        .map((sweep) => interpolateQps(sweep, recall))
        .filter((q) => q !== undefined);
      if (mine === undefined || theirs.length === 0) return { recall };
      const peer = summarize(theirs).median;
      print(
        `  at recall ${recall}: ${mine.toFixed(0)} QPS / hnswlib 2 threads ${peer.toFixed(0)} ` +
          `= ${(mine / peer).toFixed(2)}`,
      );
      return { recall, qps: mine, hnswlibQps: peer, ratio: mine / peer };
    });
    return {
      ingest,
      indexSeconds,
      serial: { ef: chosen.ef, recall: chosen.recall, p50Us: serialP50Us, p99Us: serialP99Us },
      pymilvusP50Us,
      points,
      peers,
      ratios,
      memory: server.memory(),
    };
  } finally {
    client.close();
    await server.stop();
  }

  async function measureServerRecall(ef: number): Promise<number> {
    const requests = await writeSearches(client, data, searchSpec({ k: K, ef }));
    const replies = join(cacheFolder('requests'), 'replies');
    const load = { port: server.port, method: 'Search', requests, replies };
    await runLoad({ ...load, count: data.queryCount });
    const found = (await readReplies(replies)).map((bytes) =>
      readIds(client.decode('SearchResults', bytes)),
    );
    return measureRecall(data, found, K);
  }
};
