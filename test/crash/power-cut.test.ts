// The whole engine loses its power again and again: what was written and not synced is gone, or
// half of it (R26). SIGKILL keeps the page cache and so proves nothing about syncs. The canaries
// run on disks that sync nothing: they must fail, or the test could not see a missing sync.

import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';
import { PowerCutServer } from '../support/crash/power-cut-server.ts';
import { CrashFinding, liveWithCrashes, makeCrashSettings } from '../support/crash/world.ts';
import type { PowerCutFileSystemOptions } from '../support/power-cut-file-system.ts';
import { makeRandom } from '../support/power-cut-wal.ts';
import { makeTempDirectory } from '../support/server-process.ts';

const cuts = Number(process.env['CRASH_CUTS'] ?? 25);
const seed = Number(process.env['CRASH_SEED'] ?? Math.floor(Math.random() * 1_000_000));

async function live(t: TestContext, kills: number, disk: PowerCutFileSystemOptions): Promise<void> {
  t.diagnostic(`seed ${seed}`);
  const { path, remove } = await makeTempDirectory('power-cut');
  const random = makeRandom(seed);
  const server = new PowerCutServer({
    folder: path,
    random,
    makeSettings: makeCrashSettings,
    disk,
  });
  try {
    const { complaints, ...numbers } = await liveWithCrashes(server, { seed, kills });
    t.diagnostic(JSON.stringify(numbers));
    for (const [line, times] of complaints) t.diagnostic(`${times} x ${line}`);
  } finally {
    await server.remove();
    await remove();
  }
}

/** Rows that are gone, or what the server says of a file that is damaged, cut short or gone. */
const SEEN = /\blost:|damage|not found|the collection is stopped/;

function isDataLoss(error: unknown): boolean {
  const isSeen = error instanceof CrashFinding && SEEN.test(error.message);
  if (!isSeen) console.error(error);
  return isSeen;
}

test(`nothing acknowledged is lost, comes back or is doubled by ${cuts} power cuts`, (t) =>
  live(t, cuts, {}));

test('a disk that does not sync content is noticed', async (t) => {
  await assert.rejects(live(t, 25, { isFdatasyncIgnored: true }), isDataLoss);
});

test('a disk that does not sync names is noticed', async (t) => {
  await assert.rejects(live(t, 25, { isSyncDirectoryIgnored: true }), isDataLoss);
});
