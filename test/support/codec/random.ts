// Seeded random numbers for tests: equal seeds give equal runs.

export class Random {
  private state: number;

  constructor(seed: number) {
    this.state = seed >>> 0;
  }

  /** In [0, 1). Mulberry32. */
  next(): number {
    this.state = (this.state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(this.state ^ (this.state >>> 15), this.state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  }

  /** In [0, limit). */
  below(limit: number): number {
    return Math.floor(this.next() * limit);
  }

  chance(probability: number): boolean {
    return this.next() < probability;
  }

  pick<T>(values: readonly T[]): T {
    return values[this.below(values.length)]!;
  }

  bytes(length: number): Buffer {
    return Buffer.from(Array.from({ length }, () => this.below(256)));
  }

  /** Of many magnitudes, both signs. */
  int64(): bigint {
    const bits = BigInt(this.below(64));
    const high = BigInt(this.below(4294967296)) << 32n;
    const value = (high | BigInt(this.below(4294967296))) >> bits;
    return BigInt.asIntN(64, this.chance(0.3) ? -value : value);
  }

  int32(): number {
    return Number(BigInt.asIntN(32, this.int64()));
  }

  text(): string {
    const alphabet = ['a', 'b', 'Z', '0', '_', ' ', '"', '\\', 'é', '中', '😀', '\n'];
    const length = this.below(this.chance(0.1) ? 200 : 12);
    return Array.from({ length }, () => this.pick(alphabet)).join('');
  }
}
