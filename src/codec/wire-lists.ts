// Repeated values of the wire, gathered into typed arrays without an object per value.
// Packed and unpacked encodings may be mixed and come in several chunks: each read appends.

import { isAscii } from 'node:buffer';
import { decodeUtf8, DecodeError, type WireReader } from './wire.ts';

/**
 * Byte ranges of one message: `pairs[2i]` is the start of range i, `pairs[2i + 1]` its length.
 * There may be room for more behind the last one.
 */
export interface Spans {
  readonly count: number;
  readonly pairs: Uint32Array;
}

/** Little-endian values of this width each, any alignment, in order of the ranges. */
export interface FixedBytes {
  readonly width: 1 | 4 | 8;
  readonly byteLength: number;
  readonly chunks: Spans;
}

export class SpanList {
  private pairs = new Uint32Array(8);
  private count = 0;

  clear(): void {
    this.count = 0;
  }

  push(start: number, length: number): void {
    const at = this.count * 2;
    if (at === this.pairs.length) {
      const grown = new Uint32Array(at * 2);
      grown.set(this.pairs);
      this.pairs = grown;
    }
    this.pairs[at] = start;
    this.pairs[at + 1] = length;
    this.count += 1;
  }

  /** Reads a length-delimited value and keeps where it lies. */
  readSpan(reader: WireReader): void {
    const length = reader.readLength();
    this.push(reader.position, length);
    reader.position += length;
  }

  /** Reads length-delimited values of this one-byte tag, which was just read, while they follow. */
  readSpans(reader: WireReader, tag: number): void {
    const { bytes } = reader;
    do {
      this.readSpan(reader);
      // Most are short: their length is one byte.
      const { end } = reader;
      let at = reader.position;
      while (at + 1 < end && bytes[at] === tag) {
        const length = bytes[at + 1]!;
        if (length >= 0x80 || at + 2 + length > end) break;
        this.push(at + 2, length);
        at += 2 + length;
      }
      reader.position = at;
    } while (reader.skipByte(tag));
  }

  finish(): Spans {
    return { count: this.count, pairs: this.pairs };
  }
}

/** Returns the text of each range; bad sequences become U+FFFD. */
export function decodeStrings(bytes: Buffer, { count, pairs }: Spans): string[] {
  const values: string[] = [];
  if (count === 0) return values;
  // Cut out of one string: a call into native for each would take ten times as long.
  const first = pairs[0]!;
  const end = pairs[2 * count - 2]! + pairs[2 * count - 1]!;
  const text = isAscii(bytes.subarray(first, end)) ? bytes.toString('latin1', first, end) : '';
  for (let i = 0; i < count; i += 1) {
    const start = pairs[2 * i]!;
    const stop = start + pairs[2 * i + 1]!;
    const isInText = start >= first && stop <= first + text.length;
    values.push(
      isInText ? text.slice(start - first, stop - first) : decodeUtf8(bytes, start, stop),
    );
  }
  return values;
}

/** repeated bool as one byte each, 0 or 1. */
export class BoolList {
  private values = new Uint8Array(0);
  private count = 0;

  readOne(reader: WireReader): void {
    this.reserve(1);
    this.values[this.count++] = reader.readBool() ? 1 : 0;
  }

  readPacked(reader: WireReader): void {
    const outerEnd = enterPacked(reader);
    this.reserve(reader.end - reader.position);
    while (reader.position < reader.end) this.readReserved(reader);
    leavePacked(reader, outerEnd);
  }

  finish(): Uint8Array {
    return this.values.subarray(0, this.count);
  }

  private readReserved(reader: WireReader): void {
    const byte = reader.bytes[reader.position]!;
    if (byte < 2) {
      reader.position += 1;
      this.values[this.count++] = byte;
    } else this.values[this.count++] = reader.readBool() ? 1 : 0;
  }

  private reserve(more: number): void {
    const needed = this.count + more;
    if (needed <= this.values.length) return;
    const grown = new Uint8Array(Math.max(needed, this.values.length * 2));
    grown.set(this.values.subarray(0, this.count));
    this.values = grown;
  }
}

/** repeated int32, uint32 or enum; longer varints lose their upper words, as in protobuf. */
export class Int32List {
  private values = new Int32Array(0);
  private count = 0;

  readOne(reader: WireReader): void {
    this.reserve(1);
    this.values[this.count++] = reader.readInt32();
  }

  readPacked(reader: WireReader): void {
    const outerEnd = enterPacked(reader);
    this.reserve(countVarints(reader));
    while (reader.position < reader.end) this.values[this.count++] = reader.readInt32();
    leavePacked(reader, outerEnd);
  }

  finish(): Int32Array {
    return this.values.subarray(0, this.count);
  }

  private reserve(more: number): void {
    const needed = this.count + more;
    if (needed <= this.values.length) return;
    const grown = new Int32Array(Math.max(needed, this.values.length * 2));
    grown.set(this.values.subarray(0, this.count));
    this.values = grown;
  }
}

/** repeated int64, written as two words per value so that no bigint is made. */
export class Int64List {
  private words = new Int32Array(0);
  private count = 0;

  readOne(reader: WireReader): void {
    this.reserve(1);
    this.readReserved(reader);
  }

  readPacked(reader: WireReader): void {
    const outerEnd = enterPacked(reader);
    this.reserve(countVarints(reader));
    while (reader.position < reader.end) this.readReserved(reader);
    leavePacked(reader, outerEnd);
  }

  finish(): BigInt64Array {
    return new BigInt64Array(this.words.buffer, 0, this.count);
  }

  private readReserved(reader: WireReader): void {
    reader.readVarint();
    const at = this.count++ * 2;
    this.words[at] = reader.low;
    this.words[at + 1] = reader.high;
  }

  private reserve(more: number): void {
    const needed = (this.count + more) * 2;
    if (needed <= this.words.length) return;
    const grown = new Int32Array(Math.max(needed, this.words.length * 2));
    grown.set(this.words.subarray(0, this.count * 2));
    this.words = grown;
  }
}

/** repeated float or double: only where the bytes lie. */
export class FixedList {
  private readonly width: 4 | 8;
  private readonly chunks = new SpanList();
  private byteLength = 0;

  constructor(width: 4 | 8) {
    this.width = width;
  }

  readOne(reader: WireReader): void {
    if (reader.end - reader.position < this.width) {
      throw new DecodeError('value goes past the message');
    }
    this.push(reader, this.width);
  }

  readPacked(reader: WireReader): void {
    const length = reader.readLength();
    if (length % this.width !== 0) throw new DecodeError('packed values are cut');
    if (length > 0) this.push(reader, length);
  }

  finish(): FixedBytes {
    return { width: this.width, byteLength: this.byteLength, chunks: this.chunks.finish() };
  }

  private push(reader: WireReader, length: number): void {
    this.chunks.push(reader.position, length);
    reader.position += length;
    this.byteLength += length;
  }
}

/** Copies the values to `target` at `offset`; returns the offset after them. */
export function copyFixedBytes(
  message: Uint8Array,
  fixed: FixedBytes,
  target: Uint8Array,
  offset = 0,
): number {
  let at = offset;
  const { pairs, count } = fixed.chunks;
  for (let i = 0; i < count; i += 1) {
    const start = pairs[2 * i]!;
    const length = pairs[2 * i + 1]!;
    if (length > 16) target.set(message.subarray(start, start + length), at);
    else for (let k = 0; k < length; k += 1) target[at + k] = message[start + k]!;
    at += length;
  }
  return at;
}

/** Returns the values as one range of bytes: a view of the message where they are in one piece. */
export function joinFixedBytes(message: Uint8Array, fixed: FixedBytes): Uint8Array {
  if (fixed.chunks.count === 1) {
    const start = fixed.chunks.pairs[0]!;
    return message.subarray(start, start + fixed.byteLength);
  }
  const joined = new Uint8Array(fixed.byteLength);
  copyFixedBytes(message, fixed, joined);
  return joined;
}

function enterPacked(reader: WireReader): number {
  const length = reader.readLength();
  const outerEnd = reader.end;
  reader.end = reader.position + length;
  return outerEnd;
}

function leavePacked(reader: WireReader, outerEnd: number): void {
  reader.end = outerEnd;
}

function countVarints(reader: WireReader): number {
  const { bytes, end } = reader;
  let count = 0;
  for (let at = reader.position; at < end; at += 1) count += bytes[at]! < 0x80 ? 1 : 0;
  return count;
}
