// The checksum of whole objects (R16): computed while they are written, compared when one is read
// whole. In pieces, so that no turn of the event loop takes long (P9).

import type { Crc32c } from '../base/crc32c.ts';
import { nextTurn } from '../base/turns.ts';
import { MilvusError } from '../model/error.ts';
import type { ExpectedObject } from './object-storage.ts';

/** About 1 ms of checksumming at 4 GB/s. */
const PIECE_BYTES = 4 * 1024 * 1024;

/** Cuts bytes into views of at most PIECE_BYTES. */
export function* cutPieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.byteLength; at += PIECE_BYTES) {
    yield bytes.subarray(at, at + PIECE_BYTES);
  }
}

/** @throws MilvusError DataIntegrity when the object is not what is expected */
export async function checkObject(
  key: string,
  object: Uint8Array,
  { bytes, crc32c }: ExpectedObject,
  compute: Crc32c,
): Promise<void> {
  const wrong = (what: string, got: number, expected: number): MilvusError =>
    new MilvusError('DataIntegrity', {
      message: `stored object is damaged: ${what}`,
      fields: { key, got, expected },
    });
  if (bytes !== undefined && object.byteLength !== bytes) {
    throw wrong('length', object.byteLength, bytes);
  }
  if (crc32c === undefined) return;
  let checksum = 0;
  for (const piece of cutPieces(object)) {
    if (piece.byteOffset > object.byteOffset) await nextTurn();
    checksum = compute(piece, checksum);
  }
  if (checksum !== crc32c) throw wrong('checksum', checksum, crc32c);
}
