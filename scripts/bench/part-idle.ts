// What a server costs that does nothing: memory after 10 seconds, and CPU time over the next 10.

import { ServerProcess } from './support/server-process.ts';
import { pause } from './support/milvus-client.ts';
import type { BenchPart } from './support/part.ts';

const SETTLE_MS = 10_000;
const WATCH_MS = 10_000;

export const benchIdle: BenchPart = async ({ print }) => {
  const server = await ServerProcess.start();
  try {
    await pause(SETTLE_MS);
    const before = server.cpuMs();
    await pause(WATCH_MS);
    const cpuPercent = ((server.cpuMs() - before) / WATCH_MS) * 100;
    const memory = server.memory();
    print(
      `idle: ${memory.residentMiB.toFixed(0)} MiB resident (aim 110), ` +
        `${memory.anonymousMiB.toFixed(0)} anonymous; CPU ${cpuPercent.toFixed(2)} %`,
    );
    return { ...memory, cpuPercent };
  } finally {
    await server.stop();
  }
};
