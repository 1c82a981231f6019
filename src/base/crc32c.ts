// CRC-32C (Castagnoli, reflected polynomial 0x82F63B78) by eight tables, eight bytes a step.
// The default and the oracle of the addon's version. Source: RFC 3720 appendix B.4; Kounavis and
// Berry 2005, "slicing by 8".

/**
 * Continues `seed`, the CRC of what came before (0 at the start), over `bytes`; returns 0 ..
 * 2^32-1.
 */
export type Crc32c = (bytes: Uint8Array, seed: number) => number;

// Bindings of their own: destructuring in the function would cost more than a short record's CRC.
const [t0, t1, t2, t3, t4, t5, t6, t7] = makeTables() as [
  Int32Array, Int32Array, Int32Array, Int32Array,
  Int32Array, Int32Array, Int32Array, Int32Array,
];

function makeTables(): Int32Array[] {
  const first = new Int32Array(256);
  for (let i = 0; i < 256; i++) {
    let crc = i;
    for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0x82f63b78 : crc >>> 1;
    first[i] = crc;
  }
  const tables = [first];
  for (let k = 1; k < 8; k++) {
    const last = tables[k - 1]!;
    tables.push(last.map((crc) => (crc >>> 8) ^ first[crc & 255]!));
  }
  return tables;
}

export function crc32c(bytes: Uint8Array, seed: number): number {
  const end = bytes.length;
  let crc = ~seed;
  let at = 0;
  for (; at + 8 <= end; at += 8) {
    crc ^= bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
    crc =
      t7[crc & 255]! ^ t6[(crc >>> 8) & 255]! ^ t5[(crc >>> 16) & 255]! ^ t4[crc >>> 24]! ^
      t3[bytes[at + 4]!]! ^ t2[bytes[at + 5]!]! ^ t1[bytes[at + 6]!]! ^ t0[bytes[at + 7]!]!;
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ t0[(crc ^ bytes[at]!) & 255]!;
  return ~crc >>> 0;
}
