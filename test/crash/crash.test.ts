// The server is killed with SIGKILL at random moments, restarted, and compared with what it has
// acknowledged (P1, P3, P5). More kills or another seed: CRASH_KILLS=200 CRASH_SEED=7, or
// --kills=200 --seed=7 when run by itself. Kills are shared out between CRASH_WORLDS servers that
// live side by side.

import assert from 'node:assert/strict';
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { parseArgs } from 'node:util';
import {
  CrashFinding,
  liveWithCrashes,
  makeCrashSettings,
  type CrashSummary,
  type Victim,
} from '../support/crash/world.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';

const KILLS = 16;

const { kills, seed, worlds } = readOptions();

test(`nothing acknowledged is lost, comes back or is doubled by ${kills} kills`, async (t) => {
  t.diagnostic(`seed ${seed}`);
  const directory = await makeTempDirectory('crash');
  const lives = Array.from({ length: worlds }, (_unused, i) => {
    const share = Math.floor(kills / worlds) + (i < kills % worlds ? 1 : 0);
    const victim = new KilledProcess(join(directory.path, String(i)));
    return liveWithCrashes(victim, { seed: seed + i, kills: share });
  });
  const results = await Promise.allSettled(lives);
  for (const result of results) {
    if (result.status === 'fulfilled') t.diagnostic(printSummary(result.value));
  }
  const failures = results.flatMap((result) =>
    result.status === 'rejected' ? [result.reason] : [],
  );
  if (failures.length === 0) await directory.remove();
  else t.diagnostic(`the data is kept in ${directory.path}`);
  for (const failure of failures) {
    if (failure instanceof CrashFinding) assert.fail(failure.message);
    throw failure;
  }
});

class KilledProcess implements Victim {
  readonly startMsMax = 1200;
  readonly #dataPath: string;
  #server: ServerProcess | undefined;

  constructor(dataPath: string) {
    this.#dataPath = dataPath;
  }

  async start(random: () => number): Promise<string> {
    const server = new ServerProcess({
      dataPath: this.#dataPath,
      settings: makeCrashSettings(random),
    });
    this.#server = server;
    return (await server.ready).grpc;
  }

  async kill(): Promise<void> {
    await this.#server?.kill();
  }

  get complaints(): string {
    return this.#server?.output ?? '';
  }
}

function printSummary(summary: CrashSummary): string {
  const { complaints, ...numbers } = summary;
  const lines = [...complaints].map(([line, times]) => `${times} x ${line}`);
  return [JSON.stringify(numbers), ...lines].join('\n');
}

function readOptions(): { kills: number; seed: number; worlds: number } {
  const { values } = parseArgs({
    options: { kills: { type: 'string' }, seed: { type: 'string' }, worlds: { type: 'string' } },
    strict: false,
  });
  const read = (name: 'kills' | 'seed' | 'worlds', otherwise: number): number =>
    Number(values[name] ?? process.env[`CRASH_${name.toUpperCase()}`] ?? otherwise);
  return {
    kills: read('kills', KILLS),
    seed: read('seed', Math.floor(Math.random() * 1_000_000)),
    worlds: read('worlds', Math.min(2, availableParallelism())),
  };
}
