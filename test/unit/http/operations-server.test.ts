// The operations port over real sockets on a port that the system chooses.

import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { afterEach, describe, test } from 'node:test';
import { createDeferred } from '../../../src/base/deferred.ts';
import { silentLogger } from '../../../src/base/logger.ts';
import { startOperationsServer } from '../../../src/http/operations-server.ts';
import type {
  OperationsServer,
  OperationsServerOptions,
} from '../../../src/http/operations-server.ts';
import { STATE_CODES } from '../../../src/rpc/component-health.ts';

describe('operations server', () => {
  let server: OperationsServer | undefined;
  afterEach(() => server?.close(0));

  const start = async (options: Partial<OperationsServerOptions> = {}): Promise<string> => {
    server = await startOperationsServer({
      host: '127.0.0.1',
      port: 0,
      logger: silentLogger,
      listHealth: () => [{ name: 'proxy', code: STATE_CODES.Healthy }],
      renderMetrics: async () => ({ contentType: 'text/plain; version=0.0.4', text: 'up 1\n' }),
      ...options,
    });
    return `http://127.0.0.1:${server.port}`;
  };

  test('healthz answers OK, and as JSON the state of each role', async () => {
    const url = await start();
    const plain = await fetch(`${url}/healthz`);
    assert.deepEqual([plain.status, await plain.text()], [200, 'OK']);
    const headers = { 'content-type': 'application/json' };
    const json = await fetch(`${url}/healthz?x=1`, { headers });
    assert.deepEqual(await json.json(), { state: 'OK', detail: [{ name: 'proxy', code: 1 }] });
  });

  test('healthz answers 500 with how many are healthy; stand-by is', async () => {
    const detail = [
      { name: 'proxy', code: STATE_CODES.Healthy },
      { name: 'rootcoord', code: STATE_CODES.StandBy },
      { name: 'querynode', code: STATE_CODES.Initializing },
    ];
    const url = await start({ listHealth: () => detail });
    const state = 'Not all components are healthy, 2/3';
    const plain = await fetch(`${url}/healthz`);
    assert.deepEqual([plain.status, await plain.text()], [500, state]);
    const json = await fetch(`${url}/healthz`, { headers: { 'content-type': 'application/json' } });
    assert.deepEqual([json.status, await json.json()], [500, { state, detail }]);
  });

  test('livez and metrics answer, other paths are 404, other methods 405', async () => {
    const url = await start();
    assert.equal(await (await fetch(`${url}/livez`)).text(), 'OK');
    const metrics = await fetch(`${url}/metrics`);
    assert.equal(metrics.headers.get('content-type'), 'text/plain; version=0.0.4');
    assert.equal(await metrics.text(), 'up 1\n');
    const head = await fetch(`${url}/livez`, { method: 'HEAD' });
    assert.deepEqual([head.status, await head.text()], [200, '']);
    assert.equal((await fetch(`${url}/`)).status, 404);
    assert.equal((await fetch(`${url}/metrics/x`)).status, 404);
    assert.equal((await fetch(`${url}/livez`, { method: 'POST', body: 'x' })).status, 405);
  });

  test('a health check that fails is a 500 without its text', async () => {
    const url = await start({ listHealth: () => Promise.reject(new Error('secret')) });
    const failed = await fetch(`${url}/healthz`);
    assert.deepEqual([failed.status, await failed.text()], [500, 'internal error']);
    assert.equal((await fetch(`${url}/livez`)).status, 200);
  });

  test('an address in use is refused with its code', async () => {
    const url = await start();
    const port = Number(new URL(url).port);
    const taken = server;
    await assert.rejects(start({ port }), { code: 'EADDRINUSE' });
    server = taken;
  });

  test('close answers what is in progress and cuts the rest', { timeout: 9000 }, async () => {
    const entered = createDeferred<void>();
    const gate = createDeferred<void>();
    const url = await start({
      renderMetrics: async () => {
        entered.resolve();
        await gate.promise;
        return { contentType: 'text/plain', text: 'late' };
      },
    });
    const idle = connect(Number(new URL(url).port), '127.0.0.1');
    const isCut = new Promise((resolve) => idle.once('close', resolve));
    const pending = fetch(`${url}/metrics`);
    await entered.promise;
    const closed = server?.close(60_000);
    gate.resolve();
    assert.equal(await (await pending).text(), 'late');
    await closed;
    await isCut;
    await assert.rejects(fetch(`${url}/livez`));
  });
});
