// Peers of one process, beyond what test/contract/peers.suite.ts covers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../../src/model/error.ts';
import type { CallContext } from '../../../src/rpc/contract.ts';
import { lazyPeer, localPeer } from '../../../src/rpc/local.ts';

type Echo = (request: object, call: CallContext) => Promise<unknown>;
interface EchoRole {
  readonly echo: Echo;
}

test('a role may be made after its peer', async () => {
  let role: EchoRole | undefined;
  const peer = lazyPeer(() => role);
  const { echo } = peer;
  await assert.rejects(
    echo({}, {}),
    (error: unknown) => error instanceof MilvusError && error.errorName === 'ServiceNotReady',
  );
  role = { echo: async (request) => request };
  assert.deepEqual(await echo({ a: 1 }, {}), { a: 1 });
});

test('two roles can be peers of each other', async () => {
  class Ping {
    readonly #pong: Pong;
    constructor(pong: Pong) {
      this.#pong = pong;
    }
    readonly ping = async ({ n }: { n: number }): Promise<number> =>
      n === 0 ? 0 : 1 + (await this.#pong.pong({ n: n - 1 }));
  }
  class Pong {
    readonly #ping: Ping;
    constructor(ping: Ping) {
      this.#ping = ping;
    }
    readonly pong = async ({ n }: { n: number }): Promise<number> =>
      n === 0 ? 0 : 1 + (await this.#ping.ping({ n: n - 1 }));
  }
  let ping: Ping | undefined;
  const pong = new Pong(lazyPeer(() => ping));
  ping = new Ping(localPeer(pong));
  assert.equal(await ping.ping({ n: 9 }), 9);
});

test('a peer of a peer works, and knows no more methods', async () => {
  const role: EchoRole = { echo: async (request) => request };
  const peer = localPeer(localPeer(role, { copy: true }));
  assert.deepEqual(await peer.echo({ a: 1n }, {}), { a: 1n });
  const { fly } = peer as unknown as { fly: Echo };
  await assert.rejects(fly({}, {}), /service unimplemented\[method=fly\]/);
});

test('without copies request, reply and call pass as they are', async () => {
  const seen: unknown[] = [];
  const reply = { rows: new Uint8Array(3) };
  const echo: Echo = async (...given) => {
    for (const each of given) seen.push(each);
    return reply;
  };
  const request = { plan: Uint8Array.of(1) };
  const call = { signal: new AbortController().signal };
  assert.equal(await localPeer<EchoRole>({ echo }).echo(request, call), reply);
  assert.ok(seen[0] === request && seen[1] === call);
});

test('the original of an unexpected error is its cause', async () => {
  const original = new TypeError('x is not a function');
  const peer = localPeer({
    fail: async (): Promise<void> => {
      throw original;
    },
  });
  await assert.rejects(peer.fail(), (error: unknown) => (error as Error).cause === original);
});
