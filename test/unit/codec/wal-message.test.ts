// Messages of the log: the bytes of docs/formats/wal-message.md, and back.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import {
  decodeWalMessage,
  decodeWalTarget,
  encodeKeys,
  encodeWalMessage,
  type WalMessage,
} from '../../../src/codec/wal-message.ts';
import { PREFIX_BYTES } from '../../../src/wal/wal.ts';

const HEAD = { collectionId: 1000n, timestamp: 470617262294302720n, shardIndex: 0 };
const DELETE: WalMessage = {
  ...HEAD,
  schemaVersion: 1,
  parts: [
    {
      kind: 'delete',
      partitionId: 0n,
      killsUpTo: 0n,
      keys: Uint8Array.from(encodeKeys({ kind: 'string', values: ['Dune', 'Ubik'] })),
    },
  ],
};
const SEALS: WalMessage = {
  ...HEAD,
  schemaVersion: 1,
  parts: [
    { kind: 'seal', partitionId: 1001n, segmentId: 1005n },
    { kind: 'seal', partitionId: 1002n, segmentId: 1006n },
  ],
};

test('wal message: the examples of the format page are what is written', () => {
  const page = readFileSync('docs/formats/wal-message.md', 'utf8');
  const blocks = [...page.matchAll(/```hex\n([^`]*)```/g)].map(([, block]) =>
    block!.replaceAll(/^[0-9a-f]{4} {2}/gm, '').replaceAll(/\s/g, ''),
  );
  const written = [DELETE, SEALS].map((message) =>
    Buffer.concat(encodeWalMessage(message)).toString('hex'),
  );
  assert.deepEqual(written, blocks);
});

test('wal message: what is written is read again, and its beginning says whose it is', () => {
  const insert = { kind: 'insert', partitionId: 7n, segmentId: 8n, rows: 2 } as const;
  const batch = Uint8Array.from([1, 2, 3, 4, 5]);
  const mixed = { ...DELETE, parts: [{ ...insert, batch }, ...SEALS.parts, ...DELETE.parts] };
  for (const message of [DELETE, SEALS, mixed]) {
    const record = Uint8Array.from(Buffer.concat(encodeWalMessage(message)));
    assert.deepEqual(decodeWalMessage(record), message);
    const { collectionId, shardIndex } = HEAD;
    const prefix = record.subarray(0, PREFIX_BYTES);
    assert.deepEqual(decodeWalTarget(prefix), { collectionId, shardIndex });
    assert.equal(decodeWalTarget(prefix.subarray(1)), undefined);
  }
});
