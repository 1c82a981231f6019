// NaN and infinity among 32-bit floats, by their bits: a pass over a vector column at memory speed.

const EXPONENT_BITS = 0x7f800000;
const EXPONENT_ONE = 0x00800000;

/**
 * Returns the index of the first NaN or infinity among float bits, or -1. A float is one when its
 * exponent bits are all set: adding one to them then carries into the sign bit.
 */
export function findNotFinite(bits: Int32Array): number {
  const blockEnd = bits.length - (bits.length % 8);
  let seen = 0;
  for (let i = 0; i < blockEnd; i += 8) {
    seen |=
      ((bits[i]! & EXPONENT_BITS) + EXPONENT_ONE) |
      ((bits[i + 1]! & EXPONENT_BITS) + EXPONENT_ONE) |
      ((bits[i + 2]! & EXPONENT_BITS) + EXPONENT_ONE) |
      ((bits[i + 3]! & EXPONENT_BITS) + EXPONENT_ONE) |
      ((bits[i + 4]! & EXPONENT_BITS) + EXPONENT_ONE) |
      ((bits[i + 5]! & EXPONENT_BITS) + EXPONENT_ONE) |
      ((bits[i + 6]! & EXPONENT_BITS) + EXPONENT_ONE) |
      ((bits[i + 7]! & EXPONENT_BITS) + EXPONENT_ONE);
  }
  for (let i = blockEnd; i < bits.length; i += 1) {
    seen |= (bits[i]! & EXPONENT_BITS) + EXPONENT_ONE;
  }
  return seen < 0 ? bits.findIndex((each) => (each & EXPONENT_BITS) === EXPONENT_BITS) : -1;
}
