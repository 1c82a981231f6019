// Rows per second through gRPC, acknowledged after fsync, beside milvus-lite fed the same requests
// by the same client.

import { insertAll, COLLECTION } from './support/filled-server.ts';
import { LiteProcess } from './support/lite-process.ts';
import { MilvusClient } from './support/milvus-client.ts';
import { ServerProcess } from './support/server-process.ts';
import type { BenchPart } from './support/part.ts';
import { runPython } from './support/python.ts';
import { summarize, type Spread } from './support/statistics.ts';

/** milvus-lite and pymilvus are slow: they get a part of the rows. */
const SOME_ROWS = 10_000;

export const benchIngest: BenchPart = async ({ loadData, python, repetitions, print }) => {
  const data = await loadData();
  const some = { ...data, rows: SOME_ROWS };
  const parallel: number[] = [];
  const serial: number[] = [];
  const sdk: number[] = [];
  const lite: number[] = [];
  for (let i = 0; i < repetitions; i++) {
    parallel.push(await withServer(({ port }) => measure(port, data, 2)));
    serial.push(await withServer(({ port }) => measure(port, data, 1)));
    const interpreter = python();
    if (interpreter === undefined) continue;
    sdk.push(
      await withServer(async ({ address }) => {
        const args = [`http://${address}`, data.path, data.dim, SOME_ROWS];
        const result = await runPython(interpreter, 'insert_pymilvus.py', args);
        return (result as { rowsPerSecond: number }).rowsPerSecond;
      }),
    );
    const peer = await LiteProcess.start(interpreter);
    if (peer === undefined) continue;
    try {
      lite.push(await measure(peer.port, some, 2));
    } finally {
      await peer.stop();
    }
  }
  const rates: Record<string, Spread> = {};
  const report = (key: string, what: string, values: readonly number[]): void => {
    if (values.length === 0) return print(`${what}: skipped`);
    rates[key] = summarize(values);
    print(`${what}: ${rates[key].median.toFixed(0)} rows/s`);
  };
  report('rowsPerSecond', `${data.dim} dimensions, fsync, 4 in flight (aim 30000)`, parallel);
  report('serialRowsPerSecond', 'one request at a time', serial);
  report('pymilvusRowsPerSecond', 'through pymilvus', sdk);
  report('milvusLiteRowsPerSecond', 'milvus-lite, 4 in flight', lite);
  if (lite.length === 0) return rates;
  const ratio = summarize(parallel).median / summarize(lite).median;
  print(`ours / milvus-lite = ${ratio.toFixed(1)} (aim 10)`);
  return { ...rates, ratio };
};

async function withServer(run: (server: ServerProcess) => Promise<number>): Promise<number> {
  const server = await ServerProcess.start();
  try {
    return await run(server);
  } finally {
    await server.stop();
  }
}

/** Rows per second over `width` connections with `width` requests in flight on each. */
async function measure(
  port: number,
  data: Parameters<typeof insertAll>[2],
  width: number,
): Promise<number> {
  const client = new MilvusClient(`127.0.0.1:${port}`);
  try {
    await client.createCollection({ name: COLLECTION, dim: data.dim });
    const options = { connections: width, streams: width };
    const { seconds } = await insertAll(client, port, data, options);
    return data.rows / seconds;
  } finally {
    client.close();
  }
}
