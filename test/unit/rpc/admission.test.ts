// The gate before the client API: calls of a kind and bytes in flight.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../../src/model/error.ts';
import { Admission, type CallCost } from '../../../src/rpc/admission.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

const KIB = 1024;
const MIB = 1024 * KIB;
const WRITE: CallCost = { kind: 'write', copies: 2 };
const READ: CallCost = { kind: 'read', copies: 2 };
const never = new AbortController().signal;

function make(bytesMax = 64 * MIB, callsMax = 100): { gate: Admission; runtime: VirtualRuntime } {
  const runtime = new VirtualRuntime();
  const sleep = (delayMs: number, signal: AbortSignal) => runtime.sleep(delayMs, signal);
  return { gate: new Admission({ bytesMax, callsMax, sleep }), runtime };
}

const hasCode =
  (code: number, text: RegExp) =>
  (error: unknown): boolean =>
    error instanceof MilvusError &&
    error.code === code &&
    error.retriable &&
    text.test(error.message);

test('P6 calls of one kind past proxy.maxTaskNum are refused with code 4, others are not', () => {
  const { gate } = make(64 * MIB, 3);
  const share = gate.makeShare();
  const calls = [1, 2, 3].map(() => gate.enter(WRITE, 10, share).call);
  assert.throws(() => gate.enter(WRITE, 10, share), hasCode(4, /queue is full\[limit=3\]$/));
  const read = gate.enter(READ, 10, share);
  calls[0]!.end();
  calls[0]!.end();
  const next = gate.enter(WRITE, 10, share);
  for (const call of [...calls, next.call, read.call]) call.end();
  assert.deepEqual(gate.held, { calls: 0, bytes: 0 });
});

test('P6 a message waits for memory, and is refused with code 8 when none comes', async () => {
  const { gate, runtime } = make();
  // Half of 64 MiB is for messages, of which one connection has half.
  const shares = [gate.makeShare(), gate.makeShare(), gate.makeShare()];
  const first = gate.enter(WRITE, 8 * MIB, shares[0]!);
  const second = gate.enter(WRITE, 7 * MIB, shares[1]!);
  assert.ok(first.wait === undefined && second.wait === undefined);
  const third = gate.enter(WRITE, 3 * MIB, shares[2]!);
  const waiting = third.wait!(never);
  const small = gate.enter(READ, 100, shares[2]!);
  assert.equal(small.wait, undefined, 'small messages are not counted');
  await runtime.advance(5000);
  second.call.end();
  await waiting;
  const fourth = gate.enter(WRITE, 6 * MIB, shares[1]!).wait!(never);
  const words = /retry later.*\[need=12582912\]\[have=10485760\]/;
  const refused = assert.rejects(fourth, hasCode(8, words));
  await runtime.advance(10_000);
  await refused;
});

test('P6 one connection cannot take all the memory for messages', async () => {
  const { gate } = make();
  const greedy = gate.makeShare();
  assert.equal(gate.enter(WRITE, 8 * MIB, greedy).wait, undefined);
  const more = gate.enter(WRITE, 1 * MIB, greedy);
  assert.notEqual(more.wait, undefined);
  void more.wait!(never);
  const other = gate.enter(WRITE, 4 * MIB, gate.makeShare());
  assert.notEqual(other.wait, undefined, 'it joins the line, and passes in it');
  await other.wait!(never);
});

test('P6 a reply is bounded before it is made, and held until it has gone', async () => {
  const { gate } = make();
  const { call } = gate.enter(READ, 100, gate.makeShare());
  await call.reserve(20 * MIB);
  assert.equal(gate.held.bytes, 20 * MIB);
  call.settle(6 * MIB);
  assert.equal(gate.held.bytes, 6 * MIB);
  const other = gate.enter(READ, 100, gate.makeShare()).call;
  await other.reserve(26 * MIB);
  // One that holds some never waits for others, which might wait for it.
  await assert.rejects(call.reserve(1 * MIB), hasCode(8, /need=1048576\]\[have=0\]/));
  other.end();
  await call.reserve(1 * MIB);
  call.keepReply(3 * MIB);
  assert.equal(gate.held.bytes, 3 * MIB);
  call.end();
  assert.deepEqual(gate.held, { calls: 0, bytes: 0 });
});

test('a call that ends while it waits holds nothing afterwards', async () => {
  const { gate } = make();
  const big = gate.enter(WRITE, 16 * MIB, gate.makeShare()).call;
  const late = gate.enter(WRITE, 4 * MIB, gate.makeShare());
  const waiting = late.wait!(never);
  late.call.end();
  big.end();
  await waiting;
  assert.deepEqual(gate.held, { calls: 0, bytes: 0 });
});
