// Writer of protobuf's wire format into one growing buffer. `write…` leaves out proto3 defaults,
// `append…` always writes (members of a oneof, elements of repeated fields).
// A message's length goes before it: `begin` reserves the bytes that the hint needs, `end` fills
// them in and moves the content only when the hint was of another size.

import assert from 'node:assert/strict';
import { WireType } from './wire.ts';

const VARINT32_BYTES_MAX = 5;
const VARINT64_BYTES_MAX = 10;

const scratch64 = new BigInt64Array(1);
const scratch32 = new Int32Array(scratch64.buffer);

export class WireWriter {
  private buffer: Buffer;
  private length = 0;
  private readonly reserved: number[] = [];

  constructor(capacityBytes = 256) {
    this.buffer = Buffer.allocUnsafe(Math.max(capacityBytes, 16));
  }

  /** Bytes written so far. */
  get size(): number {
    return this.length;
  }

  /** Returns the bytes written; the writer must not be used afterwards. */
  finish(): Buffer {
    assert.equal(this.reserved.length, 0);
    return this.buffer.subarray(0, this.length);
  }

  /** Begins a sub-message whose content is about `hintBytes` long; returns the mark for `end`. */
  begin(field: number, hintBytes = 0): number {
    const reserve = getVarintBytes(hintBytes);
    this.ensure(10 + Math.max(hintBytes, 0));
    this.putVarint((field << 3) | WireType.Bytes);
    this.reserved.push(reserve);
    this.length += reserve;
    return this.length;
  }

  end(mark: number): void {
    const reserve = this.reserved.pop();
    assert.ok(reserve !== undefined && mark <= this.length);
    const content = this.length - mark;
    const needed = getVarintBytes(content);
    if (needed !== reserve) {
      this.ensure(needed);
      this.buffer.copyWithin(mark - reserve + needed, mark, this.length);
    }
    this.length = mark - reserve;
    this.putVarint(content);
    this.length += content;
  }

  appendUint32(field: number, value: number): void {
    this.ensure(15);
    this.putVarint((field << 3) | WireType.Varint);
    this.putVarint(value);
  }

  /** Enums too: negative values take ten bytes, as protobuf wants. */
  writeInt32(field: number, value: number): void {
    if (value !== 0) this.appendInt64(field, BigInt(value));
  }

  writeInt64(field: number, value: bigint | number): void {
    const exact = BigInt(value);
    if (exact !== 0n) this.appendInt64(field, exact);
  }

  appendInt64(field: number, value: bigint): void {
    this.ensure(5 + VARINT64_BYTES_MAX);
    this.putVarint((field << 3) | WireType.Varint);
    this.putVarint64(value);
  }

  writeBool(field: number, value: boolean): void {
    if (value) this.appendBool(field, true);
  }

  appendBool(field: number, value: boolean): void {
    this.appendUint32(field, value ? 1 : 0);
  }

  appendFloat(field: number, value: number): void {
    this.ensure(9);
    this.putVarint((field << 3) | WireType.Fixed32);
    this.buffer.writeFloatLE(value, this.length);
    this.length += 4;
  }

  appendDouble(field: number, value: number): void {
    this.ensure(13);
    this.putVarint((field << 3) | WireType.Fixed64);
    this.buffer.writeDoubleLE(value, this.length);
    this.length += 8;
  }

  writeString(field: number, value: string): void {
    if (value !== '') this.appendString(field, value);
  }

  appendString(field: number, value: string): void {
    const bytes = Buffer.byteLength(value);
    this.ensure(10 + bytes);
    this.putVarint((field << 3) | WireType.Bytes);
    this.putVarint(bytes);
    this.length += this.buffer.write(value, this.length, bytes, 'utf8');
  }

  writeBytes(field: number, value: Uint8Array): void {
    if (value.length > 0) this.appendBytes(field, value);
  }

  appendBytes(field: number, value: Uint8Array): void {
    this.ensure(10 + value.length);
    this.putVarint((field << 3) | WireType.Bytes);
    this.putVarint(value.length);
    this.buffer.set(value, this.length);
    this.length += value.length;
  }

  /** As `appendBytes` of `bytes[start, end)`, without a view object per value. */
  appendBytesRange(field: number, bytes: Uint8Array, start: number, end: number): void {
    const length = end - start;
    this.ensure(10 + length);
    this.putVarint((field << 3) | WireType.Bytes);
    this.putVarint(length);
    if (length > 32) this.buffer.set(bytes.subarray(start, end), this.length);
    else {
      const { buffer, length: at } = this;
      for (let i = 0; i < length; i += 1) buffer[at + i] = bytes[start + i]!;
    }
    this.length += length;
  }

  /** Packed varints of a repeated bool, int32, uint32 or enum; nothing when empty. */
  writePackedInt32(field: number, values: ArrayLike<number>): void {
    if (values.length === 0) return;
    const mark = this.begin(field, values.length);
    this.appendVarints32(values);
    this.end(mark);
  }

  /** Some values of a packed field that has been begun. */
  appendVarints32(values: ArrayLike<number>): void {
    this.ensure(VARINT32_BYTES_MAX * values.length);
    for (let i = 0; i < values.length; i += 1) {
      const value = values[i]!;
      if (value >= 0) this.putVarint(value);
      else {
        this.ensure(VARINT64_BYTES_MAX + VARINT32_BYTES_MAX * (values.length - i));
        this.putVarint64(BigInt(value));
      }
    }
  }

  writePackedInt64(field: number, values: BigInt64Array | readonly bigint[]): void {
    if (values.length === 0) return;
    const mark = this.begin(field, values.length * 9);
    if (values instanceof BigInt64Array) this.appendVarints(values);
    else {
      this.ensure(VARINT64_BYTES_MAX * values.length);
      for (const value of values) this.putVarint64(value);
    }
    this.end(mark);
  }

  /** Some values of a packed field that has been begun. */
  appendVarints(values: BigInt64Array): void {
    this.ensure(VARINT64_BYTES_MAX * values.length);
    // By words: no bigint is made.
    const words = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
    for (let i = 0; i < words.length; i += 2) this.putVarintWords(words[i]!, words[i + 1]!);
  }

  /** Little-endian fixed-width values as one packed field; nothing when empty. */
  writePackedFixed(field: number, values: Float32Array | Float64Array): void {
    if (values.length === 0) return;
    this.appendBytes(field, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  }

  /** Appends bytes that are fields already. */
  appendRaw(bytes: Uint8Array): void {
    this.ensure(bytes.length);
    this.buffer.set(bytes, this.length);
    this.length += bytes.length;
  }

  writeStrings(field: number, values: readonly string[]): void {
    for (const value of values) this.appendString(field, value);
  }

  private putVarint(value: number): void {
    const { buffer } = this;
    let rest = value;
    while (rest > 0x7f) {
      buffer[this.length++] = (rest & 0x7f) | 0x80;
      rest = rest > 0x7fffffff ? Math.floor(rest / 128) : rest >>> 7;
    }
    buffer[this.length++] = rest;
  }

  private putVarint64(value: bigint): void {
    if (value >= 0n && value <= 0x7fffffffn) {
      this.putVarint(Number(value));
      return;
    }
    scratch64[0] = value;
    this.putVarintWords(scratch32[0]!, scratch32[1]!);
  }

  private putVarintWords(lowWord: number, highWord: number): void {
    let low = lowWord >>> 0;
    let high = highWord >>> 0;
    const { buffer } = this;
    while (high !== 0 || low > 0x7f) {
      buffer[this.length++] = (low & 0x7f) | 0x80;
      low = ((low >>> 7) | (high << 25)) >>> 0;
      high >>>= 7;
    }
    buffer[this.length++] = low;
  }

  private ensure(bytes: number): void {
    const needed = this.length + bytes;
    if (needed <= this.buffer.length) return;
    const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.buffer.length * 2));
    grown.set(this.buffer.subarray(0, this.length));
    this.buffer = grown;
  }
}

function getVarintBytes(value: number): number {
  if (value < 0x80) return 1;
  if (value < 0x4000) return 2;
  if (value < 0x200000) return 3;
  if (value < 0x10000000) return 4;
  return 5;
}
