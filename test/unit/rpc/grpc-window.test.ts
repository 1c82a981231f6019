// Watches the private fields of grpc-js that raiseWindow needs, and what clients see of it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createRequire } from 'node:module';
import { connect, type ClientHttp2Session, type Settings } from 'node:http2';
import { test } from 'node:test';
import { Server, ServerCredentials, type ServerUnaryCall } from '@grpc/grpc-js';
import { raiseWindow } from '../../../src/rpc/grpc-window.ts';

const WINDOW_BYTES = 8 * 1024 * 1024;
const asIs = (bytes: Buffer): Buffer => bytes;

async function startServer(windowBytes: number): Promise<{ server: Server; port: number }> {
  const server = new Server({ 'grpc.max_receive_message_length': -1 });
  raiseWindow(server, windowBytes);
  const path = '/test.Sizes/Measure';
  const method = {
    path,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  } as const;
  server.addService({ Measure: method }, {
    Measure: (
      call: ServerUnaryCall<Buffer, Buffer>,
      reply: (error: null, bytes: Buffer) => void,
    ): void => reply(null, Buffer.from(String(call.request.length))),
  });
  const port = await new Promise<number>((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return { server, port };
}

/** Resolves with the server's settings, once its window update has arrived too. */
async function readSettings(session: ClientHttp2Session): Promise<Settings> {
  const [settings] = (await once(session, 'remoteSettings')) as [Settings];
  await new Promise<void>((resolve, reject) => {
    session.ping((error) => (error === null ? resolve() : reject(error)));
  });
  return settings;
}

/** A gRPC call by hand; resolves with the reply's text. */
async function measure(session: ClientHttp2Session, length: number): Promise<string> {
  const frame = Buffer.alloc(5 + length);
  frame.writeUInt32BE(length, 1);
  const stream = session.request({
    ':method': 'POST',
    ':path': '/test.Sizes/Measure',
    'content-type': 'application/grpc',
    te: 'trailers',
  });
  stream.end(frame);
  const chunks: Buffer[] = [];
  for await (const chunk of stream) chunks.push(chunk as Buffer);
  return Buffer.concat(chunks).subarray(5).toString();
}

test('the version of grpc-js is the one that raiseWindow was written for', () => {
  const { version } = createRequire(import.meta.url)('@grpc/grpc-js/package.json') as {
    version: string;
  };
  assert.equal(version, '1.14.7');
});

test('a client sees the larger windows, and 3 MB fit into them', async () => {
  const { server, port } = await startServer(WINDOW_BYTES);
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    const settings = await readSettings(session);
    assert.equal(settings.initialWindowSize, WINDOW_BYTES);
    assert.equal(session.state.remoteWindowSize, 2 * WINDOW_BYTES);
    assert.equal(await measure(session, 3_000_000), '3000000');
  } finally {
    session.destroy();
    server.forceShutdown();
  }
});

// Without the window the write would wait for ever.
const STUCK = { timeout: 30_000 };

test('3 MB leave the client before the server has read any of it', STUCK, async () => {
  const { server, port } = await startServer(WINDOW_BYTES);
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    await readSettings(session);
    // A method that does not exist: the server never reads, so it never opens its window again.
    const stream = session.request({ ':method': 'POST', ':path': '/none' });
    stream.on('error', () => undefined);
    const before = session.state.remoteWindowSize!;
    await new Promise((resolve) => stream.write(Buffer.alloc(3_000_000), resolve));
    assert.ok(before - session.state.remoteWindowSize! >= 3_000_000);
  } finally {
    session.destroy();
    server.forceShutdown();
  }
});

test('connections that are injected get the larger window too', async () => {
  const server = new Server();
  raiseWindow(server, WINDOW_BYTES);
  const injector = server.createConnectionInjector(ServerCredentials.createInsecure());
  const { createServer } = await import('node:net');
  const listener = createServer((socket) => injector.injectConnection(socket));
  listener.listen(0, '127.0.0.1');
  await once(listener, 'listening');
  const { port } = listener.address() as { port: number };
  const session = connect(`http://127.0.0.1:${port}`);
  try {
    assert.equal((await readSettings(session)).initialWindowSize, WINDOW_BYTES);
  } finally {
    session.destroy();
    injector.destroy();
    listener.close();
    server.forceShutdown();
  }
});

test('a grpc-js that is made otherwise is refused with a clear error', () => {
  assert.throws(() => raiseWindow({} as Server, WINDOW_BYTES), /grpc-js lacks the fields/);
  const half = { commonServerOptions: {} } as unknown as Server;
  assert.throws(() => raiseWindow(half, WINDOW_BYTES), /createHttp2Server/);
});

test('a window that HTTP/2 does not know is refused', () => {
  const server = new Server();
  for (const bytes of [0, -1, 1.5, 65_534, 2 ** 31, NaN]) {
    assert.throws(() => raiseWindow(server, bytes), RangeError);
  }
  server.forceShutdown();
});
