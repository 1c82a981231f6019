// Hybrid timestamps: unix milliseconds << 18 | logical counter, as bigint. Ordered; unique per
// allocation. Source: the TSO of Milvus 2.6.

const LOGICAL_BITS = 18n;

export function composeTimestamp(physicalMs: number, logical = 0): bigint {
  return (BigInt(physicalMs) << LOGICAL_BITS) | BigInt(logical);
}

/** Returns the unix milliseconds of a hybrid timestamp. */
export function getPhysicalMs(timestamp: bigint): number {
  return Number(timestamp >> LOGICAL_BITS);
}
