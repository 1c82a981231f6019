// The payload format's promises beyond equality, which test/contract/peers.suite.ts covers.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { native } from '../../../src/index/native.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { decodePayload, encodePayload } from '../../../src/rpc/payload.ts';
import { Random } from '../../support/codec/random.ts';
import { makeGrowing } from '../../support/native-segment.ts';

const isDamage = (error: unknown): boolean =>
  error instanceof MilvusError && error.errorName === 'DataIntegrity';

const SAMPLE = {
  collectionId: 7n,
  name: 'коллекция',
  rows: Uint8Array.from({ length: 100 }, (_, i) => i),
  scores: Float32Array.of(0.5, 0.25),
  nested: [{ keys: BigInt64Array.of(1n, -1n) }, undefined, null, new Map([[1, 'a']])],
};

test('a payload begins with its version', () => {
  assert.equal(encodePayload(SAMPLE)[0], 1);
});

test('byte arrays are decoded as views of the message, without a copy', () => {
  const message = encodePayload({ rows: new Uint8Array(1_000_000).fill(7) });
  const { rows } = decodePayload(message) as { rows: Uint8Array };
  assert.equal(rows.buffer, message.buffer);
  message.fill(9);
  assert.equal(rows[999_999], 9);
});

test('wide arrays arrive equal wherever the message lies in memory', () => {
  const message = encodePayload(SAMPLE);
  for (let shift = 0; shift < 8; shift += 1) {
    const moved = new Uint8Array(message.length + shift).subarray(shift);
    moved.set(message);
    assert.deepStrictEqual(decodePayload(moved), SAMPLE);
  }
});

test('strings of both widths arrive equal behind a head of any length', () => {
  const strings = ['a', 'ab', 'ключ', '向量', 'x'.repeat(300), 'ж'.repeat(300)];
  for (let headLength = 0; headLength < 8; headLength += 1) {
    const message = encodePayload(strings, new Uint8Array(headLength).fill(255));
    assert.ok(message.subarray(0, headLength).every((byte) => byte === 255));
    assert.deepStrictEqual(decodePayload(message.subarray(headLength)), strings);
  }
});

test('a small view of a large buffer is sent alone', () => {
  const view = new Uint8Array(new ArrayBuffer(1_000_000), 500, 10);
  assert.ok(encodePayload({ view }).length < 100);
});

test('what is not data cannot be encoded', () => {
  assert.throws(() => encodePayload({ run: () => 1 }));
  assert.throws(() => encodePayload(Symbol('s')));
});

test('R24 a native handle cannot be sent to another role', () => {
  const handle = makeGrowing(1, new Random(1));
  assert.throws(() => encodePayload({ handle }), /clone/);
  native.closeSegment(handle);
});

test('a message that is cut anywhere is damaged', () => {
  const message = encodePayload(SAMPLE);
  for (let length = 0; length < message.length; length += 1) {
    assert.throws(() => decodePayload(message.subarray(0, length)), isDamage, `${length} bytes`);
  }
});

test('a message of another version is damaged', () => {
  const message = encodePayload(SAMPLE);
  message[0] = 2;
  assert.throws(() => decodePayload(message), isDamage);
  message[0] = 1;
  // V8's own version.
  message[2] = 99;
  assert.throws(() => decodePayload(message), isDamage);
});

test('changed bytes give another value or DataIntegrity, nothing else', () => {
  const message = encodePayload(SAMPLE);
  for (let at = 0; at < message.length; at += 1) {
    for (const flip of [0x01, 0x80, 0xff]) {
      const changed = Uint8Array.from(message);
      changed[at]! ^= flip;
      try {
        decodePayload(changed);
      } catch (error) {
        assert.ok(isDamage(error), `byte ${at} ^ ${flip}: ${String(error)}`);
      }
    }
  }
});
