// Health tells the truth: while the server starts and stops, and while something is wrong. The
// server runs in this process, on a disk that fails where the test says so.

import assert from 'node:assert/strict';
import { createServer } from 'node:net';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import type { FileHandle, FileSystem, OpenMode } from '../../src/base/file-system.ts';
import { silentLogger } from '../../src/base/logger.ts';
import { NodeFileSystem } from '../../src/base/node-file-system.ts';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { loadConfig } from '../../src/config.ts';
import { createMemoryKv } from '../../src/meta/memory.ts';
import { DataType } from '../../src/model/data-type.ts';
import { startServer, type RunningServer, type Seams } from '../../src/server.ts';
import { MilvusClient, MilvusReplyError, type CollectionSpec } from '../support/milvus-client.ts';
import { makeTempDirectory } from '../support/server-process.ts';
import { waitFor } from '../support/wait-for.ts';

const SPEC: CollectionSpec = {
  name: 'books',
  fields: [
    { name: 'key', type: DataType.Int64, isPrimaryKey: true },
    { name: 'vector', type: DataType.FloatVector, dim: 2 },
  ],
};
const makeRow = (key: bigint) => ({ key, vector: [Number(key), 1] });

/** The machine's own, but creating files below one folder fails while `broken` names it. */
class BreakableFileSystem extends NodeFileSystem implements FileSystem {
  broken: string | undefined;

  override async open(path: string, mode: OpenMode): Promise<FileHandle> {
    this.#check(path, mode !== 'read');
    const file = await super.open(path, mode);
    const write = file.write.bind(file);
    file.write = async (pieces, offset) => {
      this.#check(path, true);
      return write(pieces, offset);
    };
    return file;
  }

  #check(path: string, isWrite: boolean): void {
    if (!isWrite || this.broken === undefined || !path.includes(this.broken)) return;
    throw Object.assign(new Error('no space left on device'), { code: 'ENOSPC' });
  }
}

async function withServer(
  seams: Seams,
  run: (server: RunningServer, client: MilvusClient) => Promise<void>,
): Promise<void> {
  const { path, remove } = await makeTempDirectory('health');
  const env = { PROXY_PORT: '0', METRICS_PORT: '0', LOCALSTORAGE_PATH: path };
  const server = await startServer(loadConfig({ env }).config, { logger: silentLogger, ...seams });
  const client = new MilvusClient(`127.0.0.1:${server.port}`);
  try {
    await run(server, client);
  } finally {
    client.close();
    await server.stop();
    await remove();
  }
}

async function getReasons(client: MilvusClient): Promise<string[]> {
  const { isHealthy, reasons } = await client.call('CheckHealth', {});
  assert.equal(isHealthy, (reasons as string[]).length === 0);
  return reasons as string[];
}

async function probe(port: number): Promise<[number, string]> {
  const reply = await fetch(`http://127.0.0.1:${port}/healthz`);
  return [reply.status, await reply.text()];
}

async function findFreePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => server.close(resolve));
  return port;
}

test('while the server starts it is alive and not healthy, then healthy', async () => {
  const { path, remove } = await makeTempDirectory('health');
  const metricsPort = await findFreePort();
  const env = { PROXY_PORT: '0', METRICS_PORT: String(metricsPort), LOCALSTORAGE_PATH: path };
  const gate = createDeferred<void>();
  const kv = createMemoryKv(systemRuntime);
  const asked = createDeferred<void>();
  const get = kv.get.bind(kv);
  kv.get = async (key) => {
    asked.resolve();
    await gate.promise;
    return get(key);
  };
  const starting = startServer(loadConfig({ env }).config, { kv, logger: silentLogger });
  await asked.promise;
  const alive = await fetch(`http://127.0.0.1:${metricsPort}/livez`);
  assert.equal(alive.status, 200);
  assert.deepEqual(await probe(metricsPort), [500, 'Not all components are healthy, 0/9']);
  const headers = { 'content-type': 'application/json' };
  const reply = await fetch(`http://127.0.0.1:${metricsPort}/healthz`, { headers });
  const { detail } = (await reply.json()) as { detail: { name: string; code: number }[] };
  assert.deepEqual(detail[0], { name: 'proxy', code: 0 });
  gate.resolve();
  const server = await starting;
  assert.deepEqual(await probe(metricsPort), [200, 'OK']);
  await server.stop();
  await assert.rejects(probe(metricsPort));
  await remove();
});

test('while the server drains it is not healthy, and serves what it has taken', async () => {
  const kv = createMemoryKv(systemRuntime);
  const gate = createDeferred<void>();
  const asked = createDeferred<void>();
  const transact = kv.transact.bind(kv);
  let isHeld = false;
  kv.transact = async (transaction) => {
    if (isHeld) {
      asked.resolve();
      await gate.promise;
    }
    return transact(transaction);
  };
  await withServer({ kv }, async (server, client) => {
    isHeld = true;
    const creating = client.createCollection(SPEC);
    await asked.promise;
    const stopping = server.stop();
    const [status, text] = await probe(server.metricsPort);
    assert.deepEqual([status, text], [500, 'Not all components are healthy, 0/9']);
    gate.resolve();
    await creating;
    await stopping;
  });
});

test('a log that cannot be written is told, until a write succeeds', async () => {
  const fileSystem = new BreakableFileSystem();
  await withServer({ fileSystem }, async (server, client) => {
    await client.createCollection(SPEC);
    await client.insert(SPEC, [makeRow(1n)]);
    assert.deepEqual(await getReasons(client), []);
    fileSystem.broken = '/wal/';
    await assert.rejects(client.insert(SPEC, [makeRow(2n)]), /disk limit exceeded/);
    const [reason] = await getReasons(client);
    assert.match(reason ?? '', /^streamingnode: writing the write-ahead log fails: disk limit/);
    // What is written is still read: the server stays in service.
    assert.deepEqual(await probe(server.metricsPort), [200, `OK\n${reason}`]);
    const { state, subcomponent_states: roles } = await client.call('GetComponentStates', {});
    assert.equal((state as { state_code: string }).state_code, 1);
    type Component = { role: string; extra_info: { key: string; value: string }[] };
    const role = (roles as Component[]).find((one) => one.role === 'streamingnode');
    assert.equal(`streamingnode: ${role?.extra_info[0]?.value}`, reason);
    fileSystem.broken = undefined;
    await client.insert(SPEC, [makeRow(2n)]);
    assert.deepEqual(await getReasons(client), []);
  });
});

test('R23 FlushAll is done when all is written, and a segment that cannot be is told', async () => {
  const fileSystem = new BreakableFileSystem();
  await withServer({ fileSystem }, async (_server, client) => {
    await client.createCollection(SPEC);
    await client.insert(SPEC, [makeRow(1n)]);
    fileSystem.broken = '/storage/';
    const { flush_all_ts } = await client.call('FlushAll', {});
    const isDone = async (): Promise<boolean> =>
      (await client.call('GetFlushAllState', { flush_all_ts }))['flushed'] === true;
    // A try that has failed is told to who asks, until the next one begins.
    const isDoneAtLast = (): Promise<boolean> => isDone().catch(() => false);
    await waitFor(async () => (await getReasons(client)).length > 0);
    assert.match((await getReasons(client))[0]!, /a segment of default.books cannot be written: /);
    await assert.rejects(isDone(), /segment not written.*disk limit exceeded/);
    // What came later does not count.
    fileSystem.broken = undefined;
    await client.call('FlushAll', {});
    await client.insert(SPEC, [makeRow(2n)]);
    await waitFor(isDoneAtLast);
    assert.deepEqual(await getReasons(client), []);
  });
});

test('a collection that is dropped takes its problems with it', async () => {
  const fileSystem = new BreakableFileSystem();
  await withServer({ fileSystem }, async (_server, client) => {
    await client.createCollection(SPEC);
    await client.insert(SPEC, [makeRow(1n)]);
    fileSystem.broken = '/storage/';
    await client.call('FlushAll', {});
    await waitFor(async () => (await getReasons(client)).length > 0);
    await client.dropCollection(SPEC.name);
    assert.deepEqual(await getReasons(client), []);
    await assert.rejects(client.flush(SPEC.name), MilvusReplyError);
  });
});
