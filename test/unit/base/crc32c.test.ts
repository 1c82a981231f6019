// CRC-32C against published values and against the definition, bit by bit.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { crc32c } from '../../../src/base/crc32c.ts';

function crcByBits(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
  }
  return ~crc >>> 0;
}

test('crc32c: the values of RFC 3720 B.4 come out', () => {
  assert.equal(crc32c(Buffer.from('123456789'), 0), 0xe3069283);
  assert.equal(crc32c(new Uint8Array(32), 0), 0x8a9136aa);
  assert.equal(crc32c(new Uint8Array(32).fill(255), 0), 0x62a8ab43);
  assert.equal(crc32c(Uint8Array.from({ length: 32 }, (_, i) => i), 0), 0x46dd794e);
  assert.equal(crc32c(new Uint8Array(0), 0), 0);
});

test('crc32c: any length equals the definition, in one piece or in two', () => {
  const bytes = Uint8Array.from({ length: 100 }, (_, i) => (i * i * 37 + 11) & 255);
  for (let length = 0; length <= 100; length++) {
    const part = bytes.subarray(0, length);
    assert.equal(crc32c(part, 0), crcByBits(part));
    const cut = (length * 7) % (length + 1);
    assert.equal(crc32c(part.subarray(cut), crc32c(part.subarray(0, cut), 0)), crcByBits(part));
  }
});
