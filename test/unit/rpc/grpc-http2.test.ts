// The gRPC server of the client API, as stock clients (grpc-js) and as bytes on HTTP/2 see it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { test } from 'node:test';
import { deflateSync, gzipSync } from 'node:zlib';
import { Client, credentials, type ServiceError } from '@grpc/grpc-js';
import { createDeferred } from '../../../src/base/deferred.ts';
import { systemRuntime } from '../../../src/base/system-runtime.ts';
import { Admission } from '../../../src/rpc/admission.ts';
import { GrpcCode, GrpcError } from '../../../src/rpc/grpc-error.ts';
import { GrpcHttp2Server, type UnaryMethod } from '../../../src/rpc/grpc-http2.ts';

const HOST = '127.0.0.1';
const MIB = 1024 * 1024;
const RECEIVE_MAX = 8 * MIB;
const SEND_MAX = 16 * MIB;
const WINDOW_BYTES = 4 * MIB;
const STUCK = { timeout: 30_000 };
/** What the server's clock says. */
const CLOCK_MS = 5000;

type Run = UnaryMethod['run'];

const METHODS: Record<string, Run> = {
  echo: async ({ message }) => message,
  header: async ({ headers }) => Buffer.from(String(headers['dbname'])),
  length: async ({ message }) => Buffer.from(String(message.byteLength)),
  refuse: async () => {
    throw new GrpcError(GrpcCode.unimplemented, 'not 100 % done: é\n');
  },
  break: async () => {
    throw new TypeError('x is not a function');
  },
  large: async ({ message }) => Buffer.alloc(Number(message.toString())),
};

const makeAdmission = (bytesMax: number, callsMax = 10_000): Admission =>
  new Admission({ bytesMax, callsMax, sleep: (ms, signal) => systemRuntime.sleep(ms, signal) });

async function start(
  more: Record<string, Run> = {},
  receiveBytesMax = RECEIVE_MAX,
  admission = makeAdmission(1024 * MIB),
): Promise<{
  server: GrpcHttp2Server;
  port: number;
}> {
  const methods = new Map(
    Object.entries({ ...METHODS, ...more }).map(([name, run]): [string, UnaryMethod] => [
      `/test.Test/${name}`,
      { run, cost: { kind: 'other', copies: 2 }, refuse: (error) => Buffer.from(String(error)) },
    ]),
  );
  const server = new GrpcHttp2Server({
    methods,
    receiveBytesMax,
    sendBytesMax: SEND_MAX,
    windowBytes: WINDOW_BYTES,
    admission,
    nowMs: () => CLOCK_MS,
  });
  return { server, port: await server.listen(HOST, 0) };
}

const asIs = (bytes: Buffer): Buffer => bytes;

function makeClient(port: number, options: object = {}): Client {
  return new Client(`${HOST}:${port}`, credentials.createInsecure(), {
    'grpc.max_receive_message_length': -1,
    ...options,
  });
}

function call(
  client: Client,
  name: string,
  message: Buffer,
  deadline?: number,
): Promise<Buffer> {
  return new Promise((resolve, reject) => {
    const options = deadline === undefined ? {} : { deadline };
    client.makeUnaryRequest(`/test.Test/${name}`, asIs, asIs, message, options, (error, reply) =>
      error === null ? resolve(reply!) : reject(error),
    );
  });
}

const hasStatus = (code: number, text: RegExp) => (error: unknown): boolean => {
  const { code: got, details } = error as ServiceError;
  assert.equal(got, code, details);
  assert.match(details, text);
  return true;
};

function frame(message: Buffer, { flag = 0, length = message.byteLength } = {}): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

function open(session: ClientHttp2Session, name: string, headers: object = {}): ClientHttp2Stream {
  return session.request({
    ':method': 'POST',
    ':path': `/test.Test/${name}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
}

interface RawReply {
  readonly httpStatus: number;
  readonly code: string;
  readonly message: string;
  readonly body: Buffer;
}

async function readReply(stream: ClientHttp2Stream): Promise<RawReply> {
  let headers: Record<string, unknown> = {};
  stream.on('response', (got) => (headers = { ...headers, ...got }));
  stream.on('trailers', (got) => (headers = { ...headers, ...got }));
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  return {
    httpStatus: Number(headers[':status']),
    code: String(headers['grpc-status']),
    message: String(headers['grpc-message']),
    body: Buffer.concat(chunks).subarray(5),
  };
}

test('messages of any length come back whole', async () => {
  const { server, port } = await start();
  const client = makeClient(port);
  for (const length of [0, 1, 65_531, 65_536, 100_000, 5 * MIB, RECEIVE_MAX]) {
    const message = Buffer.alloc(length, length % 251);
    assert.ok((await call(client, 'echo', message)).equals(message), `${length} bytes`);
  }
  const many = Array.from({ length: 200 }, (_, i) => Buffer.from(`message ${i}`));
  const replies = await Promise.all(many.map((message) => call(client, 'echo', message)));
  assert.deepEqual(replies.map(String), many.map(String));
  client.close();
  await server.stop(1000);
});

test('a message may arrive in pieces of any length', async () => {
  const { server, port } = await start();
  const session = connect(`http://${HOST}:${port}`);
  const bytes = frame(Buffer.from('in pieces'));
  for (const size of [1, 2, 4, 5, 6, 13]) {
    const stream = open(session, 'echo');
    for (let at = 0; at < bytes.length; at += size) {
      await new Promise((resolve) => stream.write(bytes.subarray(at, at + size), resolve));
    }
    stream.end();
    assert.equal((await readReply(stream)).body.toString(), 'in pieces', `pieces of ${size}`);
  }
  session.destroy();
  await server.stop(1000);
});

test('R17 a message of 60 MiB arrives whole, and calls beside it are answered', async () => {
  const message = Buffer.alloc(60 * MIB);
  for (let at = 0; at < message.length; at += 4) message.writeUInt32LE(at, at);
  const more: Record<string, Run> = {
    isWhole: async ({ message: got }) => Buffer.from(String(got.equals(message))),
  };
  const { server, port } = await start(more, 64 * MIB);
  const session = connect(`http://${HOST}:${port}`);
  const client = makeClient(port);
  const bytes = frame(message);
  for (const size of [MIB + 1, 20 * MIB]) {
    const stream = open(session, 'isWhole');
    for (let at = 0; at < bytes.length; at += size) {
      await new Promise((resolve) => stream.write(bytes.subarray(at, at + size), resolve));
      assert.equal(String(await call(client, 'echo', Buffer.from('beside'))), 'beside');
    }
    stream.end();
    assert.equal((await readReply(stream)).body.toString(), 'true', `pieces of ${size}`);
  }
  assert.equal(String(await call(client, 'isWhole', message)), 'true');
  session.destroy();
  client.close();
  await server.stop(1000);
});

test('a method reads the headers of its call', async () => {
  const { server, port } = await start();
  const session = connect(`http://${HOST}:${port}`);
  const stream = open(session, 'header', { dbname: 'books' });
  stream.end(frame(Buffer.alloc(0)));
  assert.equal((await readReply(stream)).body.toString(), 'books');
  session.destroy();
  await server.stop(1000);
});

test('errors of methods arrive as statuses', async () => {
  const { server, port } = await start();
  const client = makeClient(port);
  const message = Buffer.from('?');
  await assert.rejects(
    call(client, 'refuse', message),
    hasStatus(GrpcCode.unimplemented, /^not 100 % done: é\n$/),
  );
  await assert.rejects(call(client, 'break', message), hasStatus(GrpcCode.internal, /function/));
  await assert.rejects(
    call(client, 'NoSuchMethod', message),
    hasStatus(GrpcCode.unimplemented, /^NoSuchMethod is not implemented/),
  );
  assert.equal(String(await call(client, 'echo', Buffer.from('still there'))), 'still there');
  client.close();
  await server.stop(1000);
});

test('messages over the limits are refused both ways', async () => {
  const { server, port } = await start();
  const client = makeClient(port);
  await assert.rejects(
    call(client, 'length', Buffer.alloc(RECEIVE_MAX + 1)),
    hasStatus(GrpcCode.resourceExhausted, /8388609 bytes.*limit is 8388608/),
  );
  assert.equal((await call(client, 'large', Buffer.from(String(SEND_MAX)))).length, SEND_MAX);
  await assert.rejects(
    call(client, 'large', Buffer.from(String(SEND_MAX + 1))),
    hasStatus(GrpcCode.resourceExhausted, /limit is 16777216/),
  );
  client.close();
  await server.stop(1000);
});

test('compressed requests are expanded, up to the limit', async () => {
  const { server, port } = await start();
  const session = connect(`http://${HOST}:${port}`);
  const send = (encoding: string | undefined, body: Buffer): Promise<RawReply> => {
    const headers = encoding === undefined ? {} : { 'grpc-encoding': encoding };
    const stream = open(session, 'length', headers);
    stream.end(frame(body, { flag: 1 }));
    return readReply(stream);
  };
  const text = Buffer.alloc(1_000_000, 'a');
  assert.equal((await send('gzip', gzipSync(text))).body.toString(), '1000000');
  assert.equal((await send('deflate', deflateSync(text))).body.toString(), '1000000');
  const bomb = await send('gzip', gzipSync(Buffer.alloc(RECEIVE_MAX + 1)));
  assert.equal(bomb.code, String(GrpcCode.resourceExhausted));
  assert.equal((await send('gzip', Buffer.from('junk'))).code, String(GrpcCode.internal));
  assert.equal((await send(undefined, gzipSync(text))).code, String(GrpcCode.internal));
  assert.equal((await send('snappy', text)).code, String(GrpcCode.unimplemented));
  session.destroy();
  await server.stop(1000);
});

test('a deadline ends the call and tells the method', STUCK, async () => {
  const canceled = createDeferred<void>();
  const wait: Run = (request) => {
    request.onCancel = () => canceled.resolve();
    return new Promise(() => undefined);
  };
  const { server, port } = await start({ wait });
  const session = connect(`http://${HOST}:${port}`);
  for (const timeout of ['20m', '20000u', '20000000n']) {
    const stream = open(session, 'wait', { 'grpc-timeout': timeout });
    stream.end(frame(Buffer.alloc(0)));
    assert.equal((await readReply(stream)).code, String(GrpcCode.deadlineExceeded), timeout);
  }
  await canceled.promise;
  session.destroy();
  await server.stop(1000);
});

test('a method knows when its client gives up', STUCK, async () => {
  const { server, port } = await start({
    deadline: async ({ deadlineMs }) => Buffer.from(String(deadlineMs)),
  });
  const session = connect(`http://${HOST}:${port}`);
  const ask = async (headers: object): Promise<string> => {
    const stream = open(session, 'deadline', headers);
    stream.end(frame(Buffer.alloc(0)));
    return String((await readReply(stream)).body);
  };
  assert.equal(await ask({ 'grpc-timeout': '3S' }), String(CLOCK_MS + 3000));
  // Longer than a timer can be.
  assert.equal(await ask({ 'grpc-timeout': '9999H' }), String(CLOCK_MS + 9999 * 3_600_000));
  assert.equal(await ask({}), 'undefined');
  session.destroy();
  await server.stop(1000);
});

test('a client that cancels or vanishes tells the method', STUCK, async () => {
  let canceled = createDeferred<void>();
  let started = createDeferred<void>();
  const wait: Run = (request) => {
    request.onCancel = () => canceled.resolve();
    started.resolve();
    return new Promise(() => undefined);
  };
  const { server, port } = await start({ wait });
  const session = connect(`http://${HOST}:${port}`);
  const stream = open(session, 'wait');
  stream.end(frame(Buffer.alloc(0)));
  await started.promise;
  stream.close(constants.NGHTTP2_CANCEL);
  await canceled.promise;
  canceled = createDeferred<void>();
  started = createDeferred<void>();
  open(session, 'wait').on('error', () => undefined).end(frame(Buffer.alloc(0)));
  await started.promise;
  session.destroy();
  await canceled.promise;
  await server.stop(1000);
});

test('a call that went well is not told of a cancel', async () => {
  let isCanceled = false;
  const watch: Run = async (request) => {
    request.onCancel = () => (isCanceled = true);
    return request.message;
  };
  const { server, port } = await start({ watch });
  const client = makeClient(port);
  await call(client, 'watch', Buffer.from('x'), Date.now() + 60_000);
  client.close();
  await server.stop(1000);
  assert.equal(isCanceled, false);
});

test('bytes that are no unary call are refused, and the connection lives on', async () => {
  const { server, port } = await start();
  const session = connect(`http://${HOST}:${port}`);
  const send = (bytes: Buffer, headers: object = {}): Promise<RawReply> => {
    const stream = open(session, 'echo', headers);
    stream.end(bytes);
    return readReply(stream);
  };
  const whole = frame(Buffer.from('whole'));
  const internal = String(GrpcCode.internal);
  assert.equal((await send(Buffer.alloc(0))).code, internal);
  assert.equal((await send(whole.subarray(0, 3))).code, internal);
  assert.equal((await send(whole.subarray(0, 8))).code, internal);
  assert.equal((await send(Buffer.concat([whole, whole]))).code, internal);
  const claim = frame(Buffer.from('x'), { length: 2 ** 32 - 1 });
  assert.equal((await send(claim)).code, String(GrpcCode.resourceExhausted));
  assert.equal((await send(whole, { 'content-type': 'text/plain' })).httpStatus, 415);
  assert.equal((await send(whole, { 'grpc-timeout': 'soon' })).body.toString(), 'whole');
  assert.equal((await send(whole)).body.toString(), 'whole');
  session.destroy();
  await server.stop(1000);
});

test('a connection that does not speak HTTP/2 is closed', STUCK, async () => {
  const { server, port } = await start();
  const socket = connectTcp(port, HOST);
  socket.on('error', () => undefined);
  socket.write('GET / HTTP/1.1\r\nHost: localhost\r\n\r\n');
  socket.resume();
  await once(socket, 'close');
  const client = makeClient(port);
  assert.equal(String(await call(client, 'echo', Buffer.from('next'))), 'next');
  client.close();
  await server.stop(1000);
});

test('a client may have the whole window in flight', async () => {
  const { server, port } = await start();
  const session = connect(`http://${HOST}:${port}`);
  await once(session, 'remoteSettings');
  await new Promise((resolve) => session.ping(resolve));
  assert.equal(session.remoteSettings.initialWindowSize, WINDOW_BYTES);
  assert.equal(session.state.remoteWindowSize, 2 * WINDOW_BYTES);
  session.destroy();
  await server.stop(1000);
});

test('stop waits for calls in progress and refuses new connections', STUCK, async () => {
  const gate = createDeferred<void>();
  const started = createDeferred<void>();
  const wait: Run = async ({ message }) => {
    started.resolve();
    await gate.promise;
    return message;
  };
  const { server, port } = await start({ wait });
  const client = makeClient(port);
  const work = call(client, 'wait', Buffer.from('done'));
  await started.promise;
  const stopped = server.stop(60_000);
  const late = connect(`http://${HOST}:${port}`);
  await once(late, 'error');
  gate.resolve();
  assert.equal(String(await work), 'done');
  await stopped;
  client.close();
});

test('stop cuts off calls that outlast the grace', STUCK, async () => {
  const canceled = createDeferred<void>();
  const started = createDeferred<void>();
  const wait: Run = (request) => {
    request.onCancel = () => canceled.resolve();
    started.resolve();
    return new Promise(() => undefined);
  };
  const { server, port } = await start({ wait });
  const client = makeClient(port);
  const cut = assert.rejects(call(client, 'wait', Buffer.alloc(0)));
  await started.promise;
  await server.stop(1);
  await cut;
  await canceled.promise;
  client.close();
});

test('P6 a message that does not fit waits unread until there is memory', STUCK, async () => {
  const gate = createDeferred<void>();
  const hold: Run = async () => {
    await gate.promise;
    return Buffer.from('held');
  };
  // Half of it is for messages, twice each.
  const admission = makeAdmission(16 * MIB);
  const { server, port } = await start({ hold }, RECEIVE_MAX, admission);
  const clients = [makeClient(port), makeClient(port), makeClient(port)] as const;
  const held = call(clients[0], 'hold', Buffer.alloc(3 * MIB));
  await until(() => admission.messages.held === 6 * MIB);
  const waiting = call(clients[1], 'length', Buffer.alloc(3 * MIB));
  await until(() => admission.messages.waitingCount === 1);
  // Others are served meanwhile, and one who gives up leaves the line.
  assert.equal((await call(clients[2], 'echo', Buffer.from('small'))).toString(), 'small');
  const late = call(clients[2], 'length', Buffer.alloc(3 * MIB), Date.now() + 200);
  await assert.rejects(late, hasStatus(GrpcCode.deadlineExceeded, /Deadline/));
  await until(() => admission.messages.waitingCount === 1);
  gate.resolve();
  assert.equal((await held).toString(), 'held');
  assert.equal((await waiting).toString(), String(3 * MIB));
  await until(() => admission.held.bytes === 0 && admission.held.calls === 0);
  for (const client of clients) client.close();
  await server.stop(1000);
});

test('P6 calls past the bound get the reply of their method, and hold nothing', STUCK, async () => {
  const gate = createDeferred<void>();
  const hold: Run = async () => {
    await gate.promise;
    return Buffer.from('held');
  };
  const admission = makeAdmission(16 * MIB, 1);
  const { server, port } = await start({ hold }, RECEIVE_MAX, admission);
  const client = makeClient(port);
  const held = call(client, 'hold', Buffer.alloc(0));
  await until(() => admission.held.calls === 1);
  for (const bytes of [0, 100, 3 * MIB]) {
    const refused = await call(client, 'echo', Buffer.alloc(bytes));
    assert.match(refused.toString(), /too many concurrent requests, queue is full\[limit=1\]/);
  }
  gate.resolve();
  assert.equal((await held).toString(), 'held');
  await until(() => admission.held.calls === 0);
  assert.equal((await call(client, 'large', Buffer.from('1000000'))).byteLength, 1_000_000);
  await until(() => admission.held.bytes === 0);
  client.close();
  await server.stop(1000);
});

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setImmediate(resolve));
}

test('a port in use rejects', async () => {
  const { server, port } = await start();
  const other = new GrpcHttp2Server({
    methods: new Map(),
    receiveBytesMax: MIB,
    sendBytesMax: MIB,
    windowBytes: WINDOW_BYTES,
    admission: makeAdmission(MIB),
    nowMs: () => CLOCK_MS,
  });
  await assert.rejects(other.listen(HOST, port), { code: 'EADDRINUSE' });
  await server.stop(1000);
});
