// Delete files as they are read: a delete batch is taken as it is, a file of the first version
// (`ELD1`, an entry for each delete) becomes one. docs/formats/delete-file.md has both.

import { crc32 } from 'node:zlib';
import type { Crc32c } from '../base/crc32c.ts';
import { nextTurn, TurnMeter } from '../base/turns.ts';
import { MilvusError } from '../model/error.ts';
import { DELETE_BATCH_MAGIC, DeleteBatchBuilder } from './delete-batch.ts';

const ELD1_MAGIC = 0x31444c45; // "ELD1"
const ELD1_HEADER_BYTES = 16;
const ELD1_ENTRY_BYTES = 32;
/** Bytes for one turn of the event loop, of which an entry counts some beside its keys (P9). */
const TURN_BYTES = 1024 * 1024;
const ENTRY_COST = 256;

/**
 * Returns the file's deletes as a batch. The checksum of one that is a batch already is left to
 * native.
 * @throws MilvusError DataIntegrity naming the file
 */
export async function readDeleteFile(
  bytes: Uint8Array,
  file: string,
  crc32c: Crc32c,
): Promise<Uint8Array> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = bytes.byteLength >= ELD1_HEADER_BYTES ? view.getUint32(0, true) : 0;
  if (magic === DELETE_BATCH_MAGIC) return bytes;
  const isSound =
    magic === ELD1_MAGIC &&
    view.getUint32(8, true) === crc32(bytes.subarray(ELD1_HEADER_BYTES)) &&
    view.getUint32(12, true) === 0;
  if (!isSound) throw damagedDeleteFile(file, 'magic number or checksum');
  const batch = new DeleteBatchBuilder();
  const turn = new TurnMeter(TURN_BYTES);
  let at = ELD1_HEADER_BYTES;
  while (at < bytes.byteLength) {
    const keysAt = at + ELD1_ENTRY_BYTES;
    const keysEnd = keysAt + Number(view.getBigInt64(at + 24, true));
    if (turn.isOver(ENTRY_COST + keysEnd - at)) await nextTurn();
    batch.push({
      timestamp: view.getBigInt64(at, true),
      killsUpTo: view.getBigInt64(at + 8, true),
      partitionId: view.getBigInt64(at + 16, true),
      keys: bytes.subarray(keysAt, keysEnd),
    });
    at = keysEnd;
  }
  // The one part of the header that no checksum covers.
  if (batch.runs !== view.getUint32(4, true)) throw damagedDeleteFile(file, 'count of entries');
  return batch.encode(crc32c);
}

export function damagedDeleteFile(file: string, reason: string): MilvusError {
  return new MilvusError('DataIntegrity', {
    message: 'delete file is damaged',
    fields: { file, reason },
  });
}
