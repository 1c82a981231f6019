// The log's bytes are those of docs/formats/wal.md, and its decoders refuse every changed bit.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { Batch, makePendingRecord } from '../../../src/wal/batch.ts';
import { crc32c } from '../../../src/base/crc32c.ts';
import { decodeHeader, encodeHeader, isRecordIntact } from '../../../src/wal/record-format.ts';
import { makeFileName, parseFileName } from '../../../src/wal/record-format.ts';

const EPOCH = 0x0123456789abcdefn;
const HEADER = {
  version: 1,
  number: 7,
  epoch: EPOCH,
  firstSequence: 42n,
  lastDurableSequence: 41n,
  previousNumber: 6,
};

function makeExample(): Buffer {
  const batch = new Batch();
  batch.add(encodeHeader(HEADER, crc32c));
  const pieces = [Buffer.from('hello, '), Buffer.from('this is a write-ahead log: 47 bytes too.')];
  const head = { epoch: EPOCH, sequence: 42n, lastDurableSequence: 41n };
  batch.addRecord(makePendingRecord(pieces, crc32c), head, crc32c);
  return Buffer.concat(batch.finish());
}

test('wal format: the example of the format page is what the writer writes', () => {
  const page = readFileSync('docs/formats/wal.md', 'utf8');
  const block = /```hex\n([^`]*)```/.exec(page)?.[1] ?? '';
  const hex = block.replaceAll(/^[0-9a-f]{4} {2}/gm, '').replaceAll(/\s/g, '');
  assert.equal(makeExample().toString('hex'), hex);
});

test('wal format: every changed bit of a header or a record is noticed', () => {
  const bytes = makeExample();
  assert.deepEqual(decodeHeader(bytes, crc32c), HEADER);
  assert.ok(isRecordIntact(bytes.subarray(64), crc32c));
  for (let bit = 0; bit < bytes.byteLength * 8; bit++) {
    const changed = Uint8Array.from(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    if (bit < 64 * 8) assert.equal(decodeHeader(changed, crc32c), undefined);
    else assert.ok(!isRecordIntact(changed.subarray(64), crc32c));
  }
});

test('wal format: file names carry number and epoch, and others are not of the log', () => {
  const name = makeFileName(7, EPOCH);
  assert.equal(name, '0000000007-0123456789abcdef.wal');
  assert.deepEqual(parseFileName(name), { number: 7, epoch: EPOCH });
  for (const other of ['7-1.wal', `${name}~`, 'x.spare', '']) {
    assert.equal(parseFileName(other), undefined);
  }
});
