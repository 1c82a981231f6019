// LMDB against the contract of Kv, and what only a store on disk must do: survive kill -9 and a
// full disk, stay small.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdtemp, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';
import { MilvusError } from '../../src/model/error.ts';
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
