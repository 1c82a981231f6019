// The server as a process: who may open its data, how it ends, what its operations port says.

import assert from 'node:assert/strict';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { KEYS } from '../../src/meta/catalog.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';
import { ServerProcess } from '../support/server-process.ts';

async function withFolder(run: (folder: string) => Promise<void>): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), 'elanus-e2e-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function expectRefusal(folder: string, words: RegExp): Promise<void> {
  const server = new ServerProcess({ dataPath: folder });
  await assert.rejects(server.ready, (error: Error) => {
    assert.match(error.message, words);
    return true;
  });
  const { code } = await server.exited;
  assert.equal(code, 1);
}

test('R11 a second process on the same data directory is refused and says why', async () => {
  await withFolder(async (folder) => {
    const first = new ServerProcess({ dataPath: folder });
    await first.ready;
    await expectRefusal(folder, /data directory .* is in use by another process/);
    await first.kill();
    // A killed owner leaves no lock behind.
    const next = new ServerProcess({ dataPath: folder });
    await next.ready;
    await next.kill();
  });
});

test('a data directory of a newer format is refused and left as it is', async () => {
  await withFolder(async (folder) => {
    const options = { folder: join(folder, 'meta'), runtime: systemRuntime };
    const kv = await openLmdbKv(options);
    await kv.transact({ puts: [{ key: KEYS.version, value: '{"v":999}' }] });
    await kv.close();
    const words = /newer format than this version of Elanus reads.*folder=.*meta.*remedy=/;
    await expectRefusal(folder, words);
    const again = await openLmdbKv(options);
    assert.equal((await again.get(KEYS.version))?.value, '{"v":999}');
    await again.close();
  });
});

test('a record of a newer format is refused by folder and key, and left as it is', async () => {
  await withFolder(async (folder) => {
    const first = new ServerProcess({ dataPath: folder });
    await first.ready;
    await first.stop();
    const options = { folder: join(folder, 'meta'), runtime: systemRuntime };
    const kv = await openLmdbKv(options);
    const key = KEYS.database(77n);
    await kv.transact({ puts: [{ key, value: '{"v":999}' }] });
    await kv.close();
    await expectRefusal(folder, /newer format.*folder=.*meta.*key=database\/0*77.*remedy=/);
    const again = await openLmdbKv(options);
    assert.equal((await again.get(key))?.value, '{"v":999}');
    await again.close();
  });
});

test('SIGTERM ends the server with status 0', async () => {
  await withFolder(async (folder) => {
    const server = new ServerProcess({ dataPath: folder });
    await server.ready;
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
  });
});

test('the operations port answers health, liveness and metrics', async () => {
  await withFolder(async (folder) => {
    const server = new ServerProcess({ dataPath: folder });
    const { host, metricsPort } = await server.ready;
    const base = `http://${host}:${metricsPort}`;
    const health = await fetch(`${base}/healthz`);
    assert.equal(health.status, 200);
    assert.equal(await health.text(), 'OK');
    const detail = await fetch(`${base}/healthz`, {
      headers: { 'content-type': 'application/json' },
    });
    assert.equal(((await detail.json()) as { state: string }).state, 'OK');
    assert.equal((await fetch(`${base}/livez`)).status, 200);
    const metrics = await (await fetch(`${base}/metrics`)).text();
    for (const name of ['milvus_rootcoord_proxy_num', 'milvus_build_info', 'milvus_num_node']) {
      assert.match(metrics, new RegExp(`^${name}\\b`, 'm'));
    }
    await server.kill();
  });
});
