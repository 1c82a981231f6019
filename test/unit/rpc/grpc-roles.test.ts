// The gRPC transport between roles, beyond what test/contract/peers.suite.ts covers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Client, credentials } from '@grpc/grpc-js';
import { MilvusError, type ErrorName } from '../../../src/model/error.ts';
import type { CallContext, IndexNode, RootCoord, Roles } from '../../../src/rpc/contract.ts';
import { systemRuntime } from '../../../src/base/system-runtime.ts';
import { grpcPeer, startRoleServer, type RoleServerOptions } from '../../../src/rpc/grpc-roles.ts';
import { lazyPeer } from '../../../src/rpc/local.ts';
import { decodeCallReply } from '../../../src/rpc/call-message.ts';
import { hasName } from '../../support/has-name.ts';

type Echo = (request: unknown, call: CallContext) => Promise<unknown>;
interface EchoRole {
  readonly echo: Echo;
}

const HOST = '127.0.0.1';
const monotonicMs = (): number => systemRuntime.monotonicMs();
const serve = (options: Omit<RoleServerOptions, 'host' | 'monotonicMs'>) =>
  startRoleServer({ host: HOST, monotonicMs, ...options });
/** The transport does not look at what a role's methods are. */
const asRoles = (indexnode: object): Partial<Roles> => ({ indexnode: indexnode as IndexNode });

function connect(port: number, options = {}): { peer: EchoRole; close: () => void } {
  const { peer, close } = grpcPeer('indexnode', `${HOST}:${port}`, { monotonicMs, ...options });
  return { peer: peer as unknown as EchoRole, close };
}

test('several roles are served on one port', async () => {
  const rootcoord = { allocateIds: async () => ({ first: 1n }) } as unknown as RootCoord;
  const indexnode = { build: async () => ({ file: 'f' }) } as unknown as IndexNode;
  const server = await serve({ port: 0, roles: { rootcoord, indexnode } });
  const address = `${HOST}:${server.port}`;
  const root = grpcPeer('rootcoord', address, { monotonicMs });
  const index = grpcPeer('indexnode', address, { monotonicMs });
  assert.deepEqual(await root.peer.allocateIds({ count: 1 }, {}), { first: 1n });
  assert.deepEqual(await index.peer.build({} as never, {}), { file: 'f' });
  root.close();
  assert.deepEqual(await index.peer.build({} as never, {}), { file: 'f' });
  index.close();
  await server.stop();
});

test('a served role may be made later', async () => {
  let role: EchoRole | undefined;
  const roles = asRoles(lazyPeer(() => role));
  const server = await serve({ port: 0, roles });
  const { peer, close } = connect(server.port);
  await assert.rejects(peer.echo(1, {}), hasName('ServiceNotReady'));
  role = { echo: async (request) => request };
  assert.equal(await peer.echo(1, {}), 1);
  close();
  await server.stop();
});

test('an address where nobody listens rejects with ServiceUnavailable', async () => {
  const server = await serve({ port: 0, roles: {} });
  await server.stop();
  const { peer, close } = connect(server.port);
  for (let call = 0; call < 2; call += 1) {
    await assert.rejects(
      peer.echo(1, {}),
      (error) => hasName('ServiceUnavailable')(error) && (error as MilvusError).isUnexecuted,
    );
  }
  close();
});

test('a call whose connection is lost may have been carried out', async () => {
  let started: () => void = () => undefined;
  const whenStarted = new Promise<void>((resolve) => (started = resolve));
  const wait: Echo = (_, { signal }) => {
    started();
    return new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
  };
  const server = await serve({ port: 0, roles: asRoles({ echo: wait }) });
  const { peer, close } = connect(server.port);
  const lost = assert.rejects(
    peer.echo(1, {}),
    (error) => hasName('ServiceUnavailable')(error) && !(error as MilvusError).isUnexecuted,
  );
  await whenStarted;
  await server.stop(1);
  await lost;
  close();
});

test('a server that comes back on its port is found again', async () => {
  const roles = asRoles({ echo: (async (request) => request) as Echo });
  const first = await serve({ port: 0, roles });
  const { peer, close } = connect(first.port);
  assert.equal(await peer.echo(1, {}), 1);
  await first.stop();
  await assert.rejects(peer.echo(2, {}), hasName('ServiceUnavailable'));
  const second = await serve({ port: first.port, roles });
  let reply: unknown;
  while (reply === undefined) {
    reply = await peer.echo(3, {}).catch((error: unknown) => {
      assert.ok(hasName('ServiceUnavailable')(error));
      return new Promise<undefined>((resolve) => setImmediate(() => resolve(undefined)));
    });
  }
  assert.equal(reply, 3);
  close();
  await second.stop();
});

test('stop waits for calls in progress', async () => {
  let finish: (value: unknown) => void = () => undefined;
  let started: () => void = () => undefined;
  const whenStarted = new Promise<void>((resolve) => (started = resolve));
  const wait: Echo = () => {
    started();
    return new Promise((resolve) => (finish = resolve));
  };
  const roles = asRoles({ echo: wait });
  const server = await serve({ port: 0, roles });
  const { peer, close } = connect(server.port);
  const work = peer.echo(1, {});
  await whenStarted;
  const stopped = server.stop(60_000);
  finish('done');
  assert.equal(await work, 'done');
  await stopped;
  close();
});

test('stop cuts off calls that outlast the grace, and aborts their signals', async () => {
  let signal: AbortSignal | undefined;
  let started: () => void = () => undefined;
  const whenStarted = new Promise<void>((resolve) => (started = resolve));
  const wait: Echo = (_, call) => {
    signal = call.signal;
    started();
    return new Promise((resolve) => signal?.addEventListener('abort', resolve, { once: true }));
  };
  const roles = asRoles({ echo: wait });
  const server = await serve({ port: 0, roles });
  const { peer, close } = connect(server.port);
  const cut = assert.rejects(peer.echo(1, {}), hasName('ServiceUnavailable'));
  await whenStarted;
  await server.stop(1);
  await cut;
  assert.equal(signal?.aborted, true);
  close();
});

test('a closed peer rejects later calls', async () => {
  const roles = asRoles({ echo: (async (request) => request) as Echo });
  const server = await serve({ port: 0, roles });
  const { peer, close } = connect(server.port);
  assert.equal(await peer.echo(1, {}), 1);
  close();
  close();
  await assert.rejects(peer.echo(1, {}), hasName('ServiceUnavailable'));
  await server.stop();
});

test('a port in use rejects', async () => {
  const server = await serve({ port: 0, roles: {} });
  await assert.rejects(serve({ port: server.port, roles: {} }));
  await server.stop();
});

test('messages over the limit are refused both ways', async () => {
  const makeBytes: Echo = async (length) => new Uint8Array(length as number);
  const roles = asRoles({ echo: makeBytes });
  const limits = { messageBytesMax: 100_000 };
  const server = await serve({ port: 0, roles, ...limits });
  const { peer, close } = connect(server.port, limits);
  assert.equal(((await peer.echo(90_000, {})) as Uint8Array).length, 90_000);
  await assert.rejects(peer.echo(110_000, {}), hasName('GeneralCapacityExceeded'));
  const large = peer.echo(new Uint8Array(110_000), {});
  await assert.rejects(large, hasName('GeneralCapacityExceeded'));
  close();
  await server.stop();
});

test('errors that are not MilvusErrors are told to the server, with the call', async () => {
  const told: unknown[] = [];
  const defect = new TypeError('x is not a function');
  const fail: Echo = async (isDefect) => {
    throw isDefect === true ? defect : new MilvusError('ServiceNotReady');
  };
  const roles = asRoles({ echo: fail });
  const onDefect = (...given: unknown[]): void => void told.push(given);
  const server = await serve({ port: 0, roles, onDefect });
  const { peer, close } = connect(server.port);
  await assert.rejects(peer.echo(false, {}), hasName('ServiceNotReady'));
  await assert.rejects(peer.echo(true, {}), hasName('Unexpected'));
  assert.deepEqual(told, [['indexnode.echo', defect]]);
  close();
  await server.stop();
});

test('bytes that are not a call are answered with an error', async () => {
  const server = await serve({ port: 0, roles: asRoles({}) });
  const client = new Client(`${HOST}:${server.port}`, credentials.createInsecure());
  const asIs = (bytes: Buffer): Buffer => bytes;
  const send = (bytes: Buffer): Promise<Buffer> =>
    new Promise((resolve, reject) => {
      const path = '/elanus.internal.Roles/Call';
      client.makeUnaryRequest(path, asIs, asIs, bytes, (error, reply) =>
        error === null ? resolve(reply!) : reject(error),
      );
    });
  const expected: readonly (readonly [Buffer, ErrorName])[] = [
    [Buffer.from([0x0a, 50, 1]), 'DataIntegrity'],
    [Buffer.alloc(0), 'ServiceUnavailable'],
    [Buffer.from('\x0a\x08toString'), 'ServiceUnavailable'],
    [Buffer.from('\x0a\x09indexnode\x12\x0bconstructor'), 'Unimplemented'],
  ];
  for (const [bytes, name] of expected) {
    const reply = await send(bytes);
    assert.throws(() => decodeCallReply(reply), hasName(name));
  }
  client.close();
  await server.stop();
});
