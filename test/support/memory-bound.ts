// A server of 1 GiB under more load than that: started in a control group, pressed, asked whether
// it still serves.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { makeMemoryLimit } from './memory-limit.ts';
import { PRESSURE_FIELDS, pressMemory, type PressureReport } from './memory-pressure.ts';
import { MilvusClient } from './milvus-client.ts';
import { makeTempDirectory, ServerProcess } from './server-process.ts';

const GIB = 1024 * 1024 * 1024;

export interface MemoryBoundReport extends PressureReport {
  /** Anonymous memory of the server: the most that was seen, and at the end. */
  readonly peakBytes: number;
  readonly endBytes: number;
  /** Whether the kernel enforced the limit. */
  readonly isEnforced: boolean;
}

/** @throws AssertionError when the server was killed, answered wrongly or does not go on */
export async function checkMemoryBound(
  clients: number,
  seconds: number,
): Promise<MemoryBoundReport> {
  const directory = await makeTempDirectory('memory-bound');
  const limit = makeMemoryLimit(GIB);
  // Without a limit to read, the settings that the server would have chosen by it.
  const settings: Record<string, string> =
    limit !== undefined
      ? {}
      : {
          ELANUS_GROWINGBYTESMAX: String(GIB / 4),
          ELANUS_REQUESTBYTESMAX: String(GIB / 5),
          ELANUS_BUILD_MEMORYBYTESMAX: String(GIB / 4),
        };
  const enter = limit?.enter;
  const { server, address } = await ServerProcess.start({
    dataPath: directory.path,
    settings,
    ...(enter === undefined ? {} : { enter }),
  });
  let peakBytes = 0;
  const watch = setInterval(() => {
    peakBytes = Math.max(peakBytes, readAnonymousBytes(server.pid));
  }, 50);
  const client = new MilvusClient(address.grpc);
  try {
    const spec = { name: 'c', fields: PRESSURE_FIELDS };
    await client.createCollection(spec);
    await client.createIndex('c', 'v', { index_type: 'HNSW', metric_type: 'L2' });
    await client.load('c');
    const { grpc } = address;
    const report = await pressMemory({ address: grpc, collection: 'c', clients, seconds });
    const all = JSON.stringify([...report.answers]);
    assert.ok(server.isRunning, `the server has ended: ${server.output}`);
    assert.equal(limit?.countKills() ?? 0, 0, 'the kernel has killed the server');
    assert.deepEqual(report.wrong, [], all);
    assert.ok(peakBytes < GIB, `${peakBytes} bytes`);
    const vector = new Array<number>(PRESSURE_FIELDS[1].dim).fill(0.5);
    const [hits] = await client.search('c', { field: 'v', vectors: [vector], k: 3 });
    assert.equal(hits?.length, (await client.count('c')) === 0n ? 0 : 3);
    const endBytes = readAnonymousBytes(server.pid);
    return { ...report, peakBytes, endBytes, isEnforced: limit !== undefined };
  } finally {
    clearInterval(watch);
    client.close();
    await server.kill();
    limit?.remove();
    await directory.remove();
  }
}

function readAnonymousBytes(pid: number): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return 1024 * Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0);
  } catch {
    return 0; // It has ended; the caller finds out.
  }
}
