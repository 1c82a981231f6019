// Rows per second through gRPC, acknowledged after fsync, beside milvus-lite fed the same rows by
// pymilvus.

import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { insertAll, COLLECTION } from './support/filled-server.ts';
import { MilvusClient } from './support/milvus-client.ts';
import { ServerProcess } from './support/server-process.ts';
import type { BenchPart } from './support/part.ts';
import { runPython } from './support/python.ts';
import { summarize } from './support/statistics.ts';

/** milvus-lite is slow: it gets a part of the rows. */
const LITE_ROWS = 10_000;

export const benchIngest: BenchPart = async ({ loadData, python, repetitions, print }) => {
  const data = await loadData();
  const ours: number[] = [];
  const serial: number[] = [];
  const sdk: number[] = [];
  const lite: number[] = [];
  for (let i = 0; i < repetitions; i++) {
    ours.push(await measureOurs(2));
    serial.push(await measureOurs(1));
    const interpreter = python();
    if (interpreter === undefined) continue;
    const server = await ServerProcess.start();
    try {
      const args = [`http://${server.address}`, data.path, data.dim, LITE_ROWS];
      sdk.push(((await runPython(interpreter, 'insert_pymilvus.py', args)) as Rate).rowsPerSecond);
    } finally {
      await server.stop();
    }
    if (!existsSync(join(dirname(interpreter), 'milvus-lite'))) continue;
    const args = ['lite', data.path, data.dim, LITE_ROWS];
    lite.push(((await runPython(interpreter, 'insert_pymilvus.py', args)) as Rate).rowsPerSecond);
  }
  const result = {
    rowsPerSecond: summarize(ours),
    serialRowsPerSecond: summarize(serial),
    ...(sdk.length === 0 ? {} : { pymilvusRowsPerSecond: summarize(sdk) }),
    ...(lite.length === 0 ? {} : { milvusLiteRowsPerSecond: summarize(lite) }),
  };
  print(
    `ingest ${data.dim} dimensions, fsync, 4 in flight: ` +
      `${result.rowsPerSecond.median.toFixed(0)} rows/s (aim 30000)`,
  );
  print(`       one request at a time: ${result.serialRowsPerSecond.median.toFixed(0)} rows/s`);
  if (result.pymilvusRowsPerSecond !== undefined) {
    print(`       through pymilvus: ${result.pymilvusRowsPerSecond.median.toFixed(0)} rows/s`);
  }
  if (result.milvusLiteRowsPerSecond === undefined) print('       milvus-lite: skipped');
  else {
    const { median } = result.milvusLiteRowsPerSecond;
    const ratio = result.pymilvusRowsPerSecond!.median / median;
    print(
      `       milvus-lite through pymilvus: ${median.toFixed(0)} rows/s; ` +
        `ours / its = ${ratio.toFixed(1)}`,
    );
  }
  return result;

  async function measureOurs(width: number): Promise<number> {
    const server = await ServerProcess.start();
    const client = new MilvusClient(server.address);
    try {
      await client.createCollection({ name: COLLECTION, dim: data.dim });
      const options = { connections: width, streams: width };
      const { seconds } = await insertAll(client, server.port, data, options);
      return data.rows / seconds;
    } finally {
      client.close();
      await server.stop();
    }
  }
};

interface Rate {
  readonly rowsPerSecond: number;
}
