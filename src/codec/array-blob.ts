// One row of an Array column as docs/formats/row-batch.md has it. Fixed-width elements lie one
// after another; VarChar elements are `u32 n, u32 × (n + 1) offsets, characters`.
// Blobs may begin at any byte.

import { DataType } from '../model/data-type.ts';
import { getFixedWidth } from '../model/stored-types.ts';

/** A growing run of bytes with the range of each blob in it. */
export class BlobArena {
  private bytes = Buffer.allocUnsafeSlow(1024);
  private length = 0;

  /** Makes room for `count` more bytes and returns where they begin. */
  extend(count: number): number {
    const at = this.length;
    const needed = at + count;
    if (needed > this.bytes.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.bytes.length * 2));
      grown.set(this.bytes.subarray(0, at));
      this.bytes = grown;
    }
    this.length = needed;
    return at;
  }

  /** The memory itself; `extend` may replace it. */
  get memory(): Buffer {
    return this.bytes;
  }

  finish(): Buffer {
    return this.bytes.subarray(0, this.length);
  }
}

/** Number of elements of a blob. */
export function getArrayLength(blob: Uint8Array, elementType: number): number {
  if (elementType !== DataType.VarChar) return blob.length / getFixedWidth(elementType);
  return blob.length === 0 ? 0 : readUint32(blob, 0);
}

/** Calls back with the byte range of each VarChar element, as offsets into the blob. */
export function forEachString(
  blob: Uint8Array,
  visit: (start: number, end: number) => void,
): void {
  const count = getArrayLength(blob, DataType.VarChar);
  const base = 4 + 4 * (count + 1);
  for (let i = 0; i < count; i += 1) {
    visit(base + readUint32(blob, 4 + 4 * i), base + readUint32(blob, 8 + 4 * i));
  }
}

function readUint32(bytes: Uint8Array, at: number): number {
  return (
    (bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24)) >>> 0
  );
}
