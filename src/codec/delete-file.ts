// A shard's deletes by primary key, as stored: `ELD1`, entry count, CRC32 of the rest, then the
// entries. docs/formats/delete-file.md has the byte table. Written whole, never changed.

import assert from 'node:assert/strict';
import { crc32 } from 'node:zlib';
import { nextTurn, TurnMeter, VALUES_PER_TURN } from '../base/turns.ts';
import { MilvusError } from '../model/error.ts';
import { decodeKeys, encodeKeys, type MessageKeys } from './wal-message.ts';

const MAGIC = 0x31444c45; // "ELD1"
const HEADER_BYTES = 16;
const ENTRY_HEADER_BYTES = 32;

export interface DeleteFileEntry {
  readonly keys: MessageKeys;
  readonly timestamp: bigint;
  readonly killsUpTo: bigint;
  readonly partitionId: bigint;
}

/** Many keys take several turns of the event loop (P9). */
export async function encodeDeleteFile(
  entries: readonly DeleteFileEntry[],
): Promise<Uint8Array> {
  const turn = new TurnMeter(VALUES_PER_TURN);
  const bodies: Uint8Array[] = [];
  for (const { keys } of entries) {
    if (turn.isOver(keys.values.length)) await nextTurn();
    bodies.push(encodeKeys(keys));
  }
  const total = bodies.reduce((sum, body) => sum + ENTRY_HEADER_BYTES + body.byteLength, 0);
  const bytes = new Uint8Array(HEADER_BYTES + total);
  const view = new DataView(bytes.buffer);
  let at = HEADER_BYTES;
  entries.forEach((entry, i) => {
    const body = bodies[i]!;
    view.setBigInt64(at, entry.timestamp, true);
    view.setBigInt64(at + 8, entry.killsUpTo, true);
    view.setBigInt64(at + 16, entry.partitionId, true);
    view.setBigInt64(at + 24, BigInt(body.byteLength), true);
    bytes.set(body, at + ENTRY_HEADER_BYTES);
    at += ENTRY_HEADER_BYTES + body.byteLength;
  });
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, entries.length, true);
  view.setUint32(8, crc32(bytes.subarray(HEADER_BYTES)), true);
  return bytes;
}

/** @throws MilvusError DataIntegrity naming the file when magic or checksum is wrong. */
export function decodeDeleteFile(bytes: Uint8Array, file: string): DeleteFileEntry[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const isSound =
    bytes.byteLength >= HEADER_BYTES &&
    view.getUint32(0, true) === MAGIC &&
    view.getUint32(8, true) === crc32(bytes.subarray(HEADER_BYTES));
  if (!isSound) {
    throw new MilvusError('DataIntegrity', { message: 'delete file is damaged', fields: { file } });
  }
  const entries: DeleteFileEntry[] = [];
  let at = HEADER_BYTES;
  for (let i = 0; i < view.getUint32(4, true); i++) {
    const bodyBytes = Number(view.getBigInt64(at + 24, true));
    const bodyAt = at + ENTRY_HEADER_BYTES;
    assert(bodyAt + bodyBytes <= bytes.byteLength, 'delete file: entry cut short');
    entries.push({
      timestamp: view.getBigInt64(at, true),
      killsUpTo: view.getBigInt64(at + 8, true),
      partitionId: view.getBigInt64(at + 16, true),
      keys: decodeKeys(bytes.subarray(bodyAt, bodyAt + bodyBytes)),
    });
    at = bodyAt + bodyBytes;
  }
  return entries;
}
