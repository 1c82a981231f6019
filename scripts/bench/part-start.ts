// Time from the start of the process to the first answer: on an empty directory, and after kill -9
// with 100,000 indexed rows to the first correct search.

import { ServerProcess } from './support/server-process.ts';
import { MilvusClient, readIds } from './support/milvus-client.ts';
import { getQuery, measureRecall } from './support/dataset.ts';
import { fillCollection, searchSpec } from './support/filled-server.ts';
import type { BenchPart } from './support/part.ts';
import { summarize } from './support/statistics.ts';

const PROBES = 20;

export const benchStart: BenchPart = async ({ loadData, repetitions, print }) => {
  const empty: number[] = [];
  for (let i = 0; i < repetitions; i++) {
    const started = performance.now();
    const server = await ServerProcess.start();
    empty.push(performance.now() - started);
    await server.stop();
  }
  const emptyMs = summarize(empty);
  print(`empty directory to first GetVersion: ${formatMs(emptyMs)} (aim 250)`);

  const data = await loadData();
  let server = await ServerProcess.start();
  await fillCollection(server, data);
  const restart: number[] = [];
  let recall = 1;
  for (let i = 0; i < repetitions; i++) {
    await server.kill('SIGKILL');
    const { folder, port } = server;
    const started = performance.now();
    server = await ServerProcess.start({ folder, port });
    const client = new MilvusClient(server.address);
    const found: number[][] = [];
    for (let query = 0; query < PROBES; query++) {
      const message = client.encodeSearch(searchSpec({ k: 10, ef: 128 }), [getQuery(data, query)]);
      found.push(readIds(await client.callBytes('Search', message)));
      if (query === 0) restart.push(performance.now() - started);
    }
    client.close();
    recall = Math.min(recall, measureRecall(data, found, 10));
  }
  await server.stop();
  const restartMs = summarize(restart);
  print(`kill -9 with ${data.rows} rows to first search: ${formatMs(restartMs)}, recall ${recall}`);
  return { emptyMs, restartMs, restartRecall: recall };
};

function formatMs({ median, min, max }: { median: number; min: number; max: number }): string {
  return `${median.toFixed(0)} ms (${min.toFixed(0)} to ${max.toFixed(0)})`;
}
