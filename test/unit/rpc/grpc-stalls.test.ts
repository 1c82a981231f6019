// Clients that reset, vanish or do not go on, at every point of a call: the server neither ends nor
// keeps their places and their memory.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { connect, constants, type ClientHttp2Session, type ClientHttp2Stream } from 'node:http2';
import { connect as connectTcp } from 'node:net';
import { test, type TestContext } from 'node:test';
import { gzipSync } from 'node:zlib';
import { systemRuntime } from '../../../src/base/system-runtime.ts';
import { Admission } from '../../../src/rpc/admission.ts';
import { GrpcHttp2Server, type UnaryMethod } from '../../../src/rpc/grpc-http2.ts';
import { RawHttp2Client } from '../../support/raw-http2.ts';

const HOST = '127.0.0.1';
const MIB = 1024 * 1024;
const STUCK = { timeout: 30_000 };
const CALLS_MAX = 4;

type Run = UnaryMethod['run'];

interface Started {
  readonly admission: Admission;
  readonly address: string;
  readonly session: ClientHttp2Session;
}

/** Stopped when the test ends, also by a failure. */
async function start(
  t: TestContext,
  runs: Record<string, Run>,
  stalledMs = 50,
): Promise<Started> {
  const admission = new Admission({
    bytesMax: 64 * MIB,
    callsMax: CALLS_MAX,
    sleep: (ms, signal) => systemRuntime.sleep(ms, signal),
  });
  const methods = new Map(
    Object.entries(runs).map(([name, run]): [string, UnaryMethod] => [
      `/test.Test/${name}`,
      { run, cost: { kind: 'other', copies: 2 }, refuse: (error) => Buffer.from(String(error)) },
    ]),
  );
  const server = new GrpcHttp2Server({
    ...{ methods, admission, stalledMs },
    receiveBytesMax: 16 * MIB,
    sendBytesMax: 64 * MIB,
    windowBytes: MIB,
    nowMs: () => 0,
  });
  const address = `http://${HOST}:${await server.listen(HOST, 0)}`;
  const session = connect(address);
  t.after(async () => {
    session.destroy();
    await server.stop(1000);
  });
  return { admission, address, session };
}

const echo: Run = async ({ message }) => message;

function frame(message: Buffer, { flag = 0, length = message.byteLength } = {}): Buffer {
  const head = Buffer.alloc(5);
  head[0] = flag;
  head.writeUInt32BE(length, 1);
  return Buffer.concat([head, message]);
}

function open(session: ClientHttp2Session, name: string, headers: object = {}): ClientHttp2Stream {
  const stream = session.request({
    ':method': 'POST',
    ':path': `/test.Test/${name}`,
    'content-type': 'application/grpc',
    te: 'trailers',
    ...headers,
  });
  stream.on('error', () => undefined);
  return stream;
}

async function ask(session: ClientHttp2Session, message: Buffer): Promise<string> {
  const stream = open(session, 'echo');
  stream.end(frame(message));
  const chunks: Buffer[] = [];
  stream.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(stream, 'close');
  return Buffer.concat(chunks).subarray(5).toString();
}

async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 2));
}

const RESETS = [constants.NGHTTP2_NO_ERROR, constants.NGHTTP2_CANCEL];

test('a client may reset its call inside the message, by any code', STUCK, async (t) => {
  const started = await start(t, { echo }, 60_000);
  const { session, address, admission } = started;
  const client = await RawHttp2Client.connect(Number(new URL(address).port));
  const head = frame(Buffer.alloc(0));
  const beginnings = [
    Buffer.alloc(0),
    head.subarray(0, 3),
    frame(Buffer.from('x'), { length: 99 }),
    frame(Buffer.alloc(1000), { length: 10 * MIB }),
  ];
  for (const code of [...RESETS, constants.NGHTTP2_STREAM_CLOSED]) {
    for (const sent of beginnings) {
      const stream = client.begin('/test.Test/echo', sent);
      await until(() => sent.length < 5 || admission.held.calls === 1);
      await new Promise((resolve) => session.ping(resolve));
      client.reset(stream, code);
      assert.equal(await ask(session, Buffer.from('next')), 'next');
      await until(() => admission.held.calls === 0 && admission.held.bytes === 0);
    }
  }
  client.close();
});

test('a client may reset its call while it waits at the gate, with any code', STUCK, async (t) => {
  let go: (() => void) | undefined;
  const hold: Run = () =>
    new Promise((resolve) => {
      go = () => resolve(Buffer.from('held'));
    });
  const started = await start(t, { echo, hold }, 60_000);
  const { session, address, admission } = started;
  const other = connect(address);
  for (const code of RESETS) {
    open(session, 'hold').end(frame(Buffer.alloc(15 * MIB)));
    await until(() => go !== undefined);
    const late = open(other, 'echo');
    late.write(frame(Buffer.alloc(MIB / 2), { length: 10 * MIB }));
    await until(() => admission.messages.waitingCount === 1);
    late.close(code);
    await new Promise((resolve) => other.ping(resolve));
    go!();
    go = undefined;
    await until(() => admission.held.calls === 0 && admission.held.bytes === 0);
    assert.equal(await ask(other, Buffer.from('next')), 'next');
  }
  other.destroy();
});

test('a deadline that passes as the client resets ends one call only', STUCK, async (t) => {
  const wait: Run = () => new Promise((resolve) => setTimeout(() => resolve(Buffer.from('x')), 4));
  const started = await start(t, { echo, wait }, 60_000);
  const { session, admission } = started;
  const closed: Promise<unknown>[] = [];
  for (let i = 0; i < 300; i += 1) {
    const stream = open(session, 'wait', { 'grpc-timeout': `${1 + (i % 5)}m` });
    closed.push(new Promise((resolve) => stream.resume().once('close', resolve)));
    if (i % 2 === 0) stream.end(frame(Buffer.from('x')));
    else stream.write(frame(Buffer.from('x'), { length: 3 }));
    setTimeout(() => stream.close(RESETS[i % 3 === 0 ? 0 : 1]), i % 6);
    if (i % CALLS_MAX === 0) await new Promise((resolve) => setTimeout(resolve, 2));
  }
  // What is still on its way would take the places of the next call.
  await Promise.all(closed);
  await new Promise((resolve) => session.ping(resolve));
  await until(() => admission.held.calls === 0 && admission.held.bytes === 0);
  assert.equal(await ask(session, Buffer.from('next')), 'next');
});

test('calls whose message never comes whole do not keep the others out', STUCK, async (t) => {
  const started = await start(t, { echo });
  const { session, admission } = started;
  const beginnings = [
    frame(Buffer.from('x'), { length: 100 }),
    frame(Buffer.from('whole, but the stream is not ended')),
    frame(Buffer.alloc(100_000), { length: MIB }),
  ];
  for (const sent of beginnings) {
    for (let i = 0; i < CALLS_MAX; i += 1) open(session, 'echo').write(sent);
    await until(() => admission.held.calls === CALLS_MAX);
    assert.match(await ask(session, Buffer.from('x')), /too many concurrent requests/);
    await until(() => admission.held.calls === 0 && admission.held.bytes === 0);
    assert.equal(await ask(session, Buffer.from('next')), 'next');
  }
});

test('a refused call holds nothing although its client never ends it', STUCK, async (t) => {
  const started = await start(t, { echo }, 60_000);
  const { session, admission } = started;
  const small = frame(Buffer.from('x'));
  for (const first of [small, frame(Buffer.alloc(MIB))]) {
    const stream = open(session, 'echo');
    stream.write(Buffer.concat([first, small]));
    await once(stream, 'response');
    await until(() => admission.held.calls === 0 && admission.held.bytes === 0);
  }
});

test('replies that nobody takes are given up, small and large ones', STUCK, async (t) => {
  const large: Run = async () => Buffer.alloc(8 * MIB);
  const started = await start(t, { echo, large });
  const { session, address, admission } = started;
  // A client without room for a byte, and one whose socket nobody reads.
  for (const settings of [{ initialWindowSize: 0 }, { initialWindowSize: 2 ** 30 }]) {
    const socket = connectTcp(Number(new URL(address).port), HOST);
    const closed = connect(address, { settings, createConnection: () => socket });
    closed.on('error', () => undefined);
    await once(closed, 'localSettings');
    if (settings.initialWindowSize > 0) closed.setLocalWindowSize(2 ** 30);
    await new Promise((resolve) => closed.ping(resolve));
    for (const name of ['echo', 'large']) {
      open(closed, name).end(frame(Buffer.from('x')));
      await new Promise((resolve) => setImmediate(resolve));
    }
    if (settings.initialWindowSize > 0) socket.pause();
    await until(() => admission.held.calls === 0 && admission.held.bytes === 0);
    assert.equal(await ask(session, Buffer.from('next')), 'next');
    closed.destroy();
  }
});

test('a message that is being expanded counts until that is done', STUCK, async (t) => {
  const started = await start(t, { echo }, 60_000);
  const { session, admission } = started;
  const bytes = gzipSync(Buffer.alloc(15 * MIB));
  const stream = open(session, 'echo', { 'grpc-encoding': 'gzip' });
  stream.end(frame(bytes, { flag: 1 }));
  await until(() => admission.held.bytes > 0);
  stream.close(constants.NGHTTP2_CANCEL);
  await new Promise((resolve) => session.ping(resolve));
  await until(() => admission.held.calls === 0 && admission.held.bytes === 0);
  assert.equal(await ask(session, Buffer.from('next')), 'next');
});
