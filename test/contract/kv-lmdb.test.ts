// LMDB against the contract of Kv, and what only a store on disk must do: survive kill -9 and a
// full disk, stay small.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdir, mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';
import { MilvusError } from '../../src/model/error.ts';
import {
  canRecordDisk,
  exportDisk,
  recordDisk,
  replayJournal,
  type JournalEntry,
} from '../support/disk-journal.ts';
import type {
  PowerCutFileSystemOptions,
  PowerCutOptions,
} from '../support/power-cut-file-system.ts';
import { makeRandom } from '../support/power-cut-wal.ts';
import type { FoundStore } from './kv-lmdb-reader.ts';
import { runKvSuite } from './kv.suite.ts';

const createFolder = (): Promise<string> => mkdtemp(join(tmpdir(), 'elanus-kv-'));

runKvSuite({
  name: 'lmdb',
  createPlace: async () => {
    const folder = await createFolder();
    return {
      open: (runtime) => openLmdbKv({ folder: join(folder, 'meta.v1'), runtime }),
      remove: () => rm(folder, { recursive: true }),
    };
  },
  supports: { reopen: true },
});

/** Runs the writer until it has acknowledged `count` transactions, kills it, returns the last. */
async function killWriterAfter(folder: string, count: number): Promise<number> {
  const writer = fileURLToPath(new URL('./kv-lmdb-writer.js', import.meta.url));
  const child = spawn(process.execPath, [writer, folder], { stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8');
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.split('\n').length > count) child.kill('SIGKILL');
  }
  return Number(output.slice(0, output.lastIndexOf('\n')).split('\n').at(-1));
}

test('kv over lmdb: kill -9 loses no acknowledged transaction and tears none', async () => {
  const folder = await createFolder();
  try {
    for (let round = 1; round <= 3; round += 1) {
      const acknowledged = await killWriterAfter(folder, 15 * round);
      const kv = await openLmdbKv({ folder, runtime: systemRuntime });
      const [one, other] = [await kv.get('one'), await kv.get('other')];
      assert.ok(Number(one?.value) >= acknowledged, `${one?.value} < ${acknowledged}`);
      assert.deepEqual([other?.value, other?.revision], [one?.value, one?.revision]);
      await kv.close();
    }
  } finally {
    await rm(folder, { recursive: true });
  }
});

/** Numbers of the transactions that were acknowledged in these calls; 0 = none. */
function countAcknowledged(entries: readonly JournalEntry[]): number {
  let last = 0;
  for (const entry of entries) if (entry.kind === 'note') last = Number(entry.text);
  return last;
}

/** What is wrong with a store that was found; undefined = nothing. */
function findLoss(found: FoundStore | undefined, acknowledged: number): string | undefined {
  if (found === undefined) return 'the reader crashed';
  const { one = 0, other, entries, error } = found;
  if (error !== undefined) return error;
  if (one < acknowledged) return `${one} is left of ${acknowledged}`;
  return other === one && entries === (one === 0 ? 0 : 102) ? undefined : `${one} is torn`;
}

/** Opens these stores in another process. */
async function readStores(folders: readonly string[]): Promise<FoundStore[]> {
  const reader = fileURLToPath(new URL('./kv-lmdb-reader.js', import.meta.url));
  const child = spawn(process.execPath, [reader, ...folders], {
    stdio: ['ignore', 'pipe', 'ignore'],
  });
  let output = '';
  for await (const chunk of child.stdout) output += String(chunk);
  const lines = output.split('\n').filter((line) => line !== '');
  return lines.map((line) => JSON.parse(line) as FoundStore);
}

test(
  'R11 kv over lmdb: what is acknowledged is on disk, at whatever call the power goes',
  { skip: canRecordDisk ? false : 'needs Linux with glibc' },
  async () => {
    const folder = await createFolder();
    try {
      const root = join(folder, 'disk');
      await mkdir(root);
      const writer = fileURLToPath(new URL('./kv-lmdb-writer.js', import.meta.url));
      const calls = await recordDisk([writer, join(root, 'meta')], { folder, root }, 13);
      const mapped = calls.filter(({ kind }) => kind === 'mapped');
      assert.deepEqual(mapped, [{ kind: 'mapped', path: '/meta/lock.mdb' }]);
      assert.ok(countAcknowledged(calls) >= 12);
      const random = makeRandom(11);
      let made = 0;
      const cutPower = async (
        at: number,
        options: PowerCutFileSystemOptions & PowerCutOptions,
      ): Promise<string> => {
        const disk = await replayJournal(calls.slice(0, at), options);
        const target = join(folder, `cut-${made++}`);
        await exportDisk(disk.powerCut(options), target);
        return join(target, 'meta');
      };
      const stores: { readonly at: number; readonly folder: string }[] = [];
      for (let at = 0; at <= calls.length; at += 1) {
        stores.push({ at, folder: await cutPower(at, {}) });
        stores.push({ at, folder: await cutPower(at, { random }) });
      }
      const found = await readStores(stores.map((store) => store.folder));
      stores.forEach(({ at }, i) => {
        const loss = findLoss(found[i], countAcknowledged(calls.slice(0, at)));
        assert.equal(loss, undefined, `power cut after ${at} calls`);
      });
      // The canary: on a disk that does not sync, the same must be seen to fail.
      let losses = 0;
      for (let at = calls.length - 8; at < calls.length; at += 1) {
        const store = await cutPower(at, { random, isFdatasyncIgnored: true });
        const [canary] = await readStores([store]);
        if (findLoss(canary, countAcknowledged(calls.slice(0, at))) !== undefined) losses += 1;
      }
      assert.ok(losses > 0);
    } finally {
      await rm(folder, { recursive: true });
    }
  },
);

test('kv over lmdb: a full disk is a typed error, and the store goes on', async () => {
  const folder = await createFolder();
  try {
    // The limit on file size stands for a disk of 120 KiB: the write fails with EFBIG.
    const command = `trap '' XFSZ; ulimit -f 240; exec "$0" "$@"`;
    const writer = fileURLToPath(new URL('./kv-lmdb-full-disk.js', import.meta.url));
    const child = spawn('/bin/sh', ['-c', command, process.execPath, writer, folder], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    let output = '';
    for await (const chunk of child.stdout) output += String(chunk);
    const { errors, acknowledged, visible, afterReopen } = JSON.parse(output);
    assert.deepEqual([errors, visible, afterReopen], ['IoFailed', acknowledged, acknowledged - 2]);
    assert.ok(acknowledged > 5);
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('kv over lmdb: an empty store takes a few pages of disk', async () => {
  const folder = await createFolder();
  try {
    const kv = await openLmdbKv({ folder, runtime: systemRuntime });
    const data = await stat(join(folder, 'data.mdb'));
    assert.ok(data.size <= 32 * 1024, `${data.size} bytes`);
    await kv.close();
  } finally {
    await rm(folder, { recursive: true });
  }
});

test('kv over lmdb: a place that cannot be opened is a typed error that names it', async () => {
  await assert.rejects(
    openLmdbKv({ folder: '/dev/null/meta', runtime: systemRuntime }),
    (error) => error instanceof MilvusError && error.message.includes('folder=/dev/null/meta'),
  );
});
