// Reader of protobuf's wire format over one byte array, safe against hostile input: it never reads
// past the end, bounds depth and the number of objects made, and throws nothing but DecodeError.
// Unknown fields, and known ones with another wire type, are skipped. Groups are refused.
// Spec: https://protobuf.dev/programming-guides/encoding/

/** Bytes that are not a message of the expected shape. The gRPC layer maps it to a status. */
export class DecodeError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'DecodeError';
  }
}

export const WireType = { Varint: 0, Fixed64: 1, Bytes: 2, Fixed32: 5 } as const;

/** Messages inside messages at most; protobuf's own default. */
const DEPTH_MAX = 100;
/** Strings, byte strings and sub-messages of one request at most: bounds memory, not bytes. */
export const OBJECTS_MAX = 1 << 20;
/** Shorter ASCII strings are cheaper to build here than in a call to native. */
const SHORT_STRING_BYTES = 16;

const scratch64 = new BigInt64Array(1);
const scratch32 = new Int32Array(scratch64.buffer);
const scratchUnsigned64 = new BigUint64Array(scratch64.buffer);

/** Wraps bytes as a Buffer over the same memory. */
export function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes)
    ? bytes
    : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

export class WireReader {
  readonly bytes: Buffer;
  position: number;
  /** First byte after the message being read. */
  end: number;
  /** Words of the last varint. */
  low = 0;
  high = 0;
  private depth = 0;
  private objects = 0;
  private readonly view: DataView;

  constructor(bytes: Uint8Array, start = 0, end = bytes.length) {
    this.bytes = asBuffer(bytes);
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    this.position = start;
    this.end = end;
  }

  /** Begins anew at another message of the same bytes. */
  restart(start: number, end: number): void {
    this.position = start;
    this.end = end;
    this.depth = 0;
    this.objects = 0;
  }

  /** Returns the next tag (field << 3 | wire type), or 0 at the end of the message. */
  nextTag(): number {
    if (this.position >= this.end) return 0;
    const first = this.bytes[this.position]!;
    if (first > 7 && first < 0x80) {
      this.position += 1;
      return first;
    }
    this.readVarint();
    if (this.high !== 0 || this.low >>> 3 === 0) throw new DecodeError('bad field number');
    return this.low >>> 0;
  }

  /** Goes past the next byte when it is this one. */
  skipByte(byte: number): boolean {
    if (this.position >= this.end || this.bytes[this.position] !== byte) return false;
    this.position += 1;
    return true;
  }

  /** Reads a varint of up to 10 bytes into `low` and `high`. */
  readVarint(): void {
    const { bytes, end } = this;
    let position = this.position;
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (position >= end) throw new DecodeError('varint is cut');
      const byte = bytes[position++]!;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >>> 4;
      } else if (shift < 63) high |= bits << (shift - 32);
      else high |= (bits & 1) << 31;
      if (byte < 0x80) {
        this.position = position;
        this.low = low;
        this.high = high;
        return;
      }
    }
    throw new DecodeError('varint is longer than 10 bytes');
  }

  readUint32(): number {
    if (this.position < this.end) {
      const byte = this.bytes[this.position]!;
      if (byte < 0x80) {
        this.position += 1;
        return byte;
      }
    }
    this.readVarint();
    return this.low >>> 0;
  }

  readInt32(): number {
    return this.readUint32() | 0;
  }

  readBool(): boolean {
    this.readVarint();
    return (this.low | this.high) !== 0;
  }

  readInt64(): bigint {
    this.readVarint();
    scratch32[0] = this.low;
    scratch32[1] = this.high;
    return scratch64[0]!;
  }

  readUint64(): bigint {
    this.readVarint();
    scratch32[0] = this.low;
    scratch32[1] = this.high;
    return scratchUnsigned64[0]!;
  }

  /** An int64 as a number, exact up to 2^53: for counts and dimensions. */
  readInt64AsNumber(): number {
    this.readVarint();
    return this.high * 4294967296 + (this.low >>> 0);
  }

  readFloat(): number {
    this.need(4);
    const value = this.view.getFloat32(this.position, true);
    this.position += 4;
    return value;
  }

  readDouble(): number {
    this.need(8);
    const value = this.view.getFloat64(this.position, true);
    this.position += 8;
    return value;
  }

  /** Reads a length prefix that fits the message. */
  readLength(): number {
    const length = this.readUint32Strict();
    if (length > this.end - this.position) throw new DecodeError('length goes past the message');
    return length;
  }

  /** Returns a view, not a copy: it lives as long as the message's buffer. */
  readBytes(): Uint8Array {
    this.countObject();
    const length = this.readLength();
    const start = this.position;
    this.position = start + length;
    return this.bytes.subarray(start, start + length);
  }

  /** Reads UTF-8; bad sequences become U+FFFD. */
  readString(): string {
    this.countObject();
    const length = this.readLength();
    const start = this.position;
    this.position = start + length;
    return decodeUtf8(this.bytes, start, start + length);
  }

  /** Narrows the reader to the sub-message that begins here; returns what `leave` needs. */
  enter(): number {
    this.countObject();
    const length = this.readLength();
    if (++this.depth > DEPTH_MAX) throw new DecodeError('messages nest too deeply');
    const outerEnd = this.end;
    this.end = this.position + length;
    return outerEnd;
  }

  leave(outerEnd: number): void {
    this.position = this.end;
    this.end = outerEnd;
    this.depth -= 1;
  }

  /** Skips the value of a field that the caller does not know. */
  skip(tag: number): void {
    switch (tag & 7) {
      case WireType.Varint:
        this.readVarint();
        return;
      case WireType.Fixed64:
        this.need(8);
        this.position += 8;
        return;
      case WireType.Bytes: {
        const length = this.readLength();
        this.position += length;
        return;
      }
      case WireType.Fixed32:
        this.need(4);
        this.position += 4;
        return;
      default:
        throw new DecodeError(`unsupported wire type ${tag & 7}`);
    }
  }

  countObject(count = 1): void {
    this.objects += count;
    if (this.objects > OBJECTS_MAX) throw new DecodeError('message has too many elements');
  }

  private need(length: number): void {
    if (length > this.end - this.position) throw new DecodeError('value goes past the message');
  }

  private readUint32Strict(): number {
    if (this.position < this.end) {
      const byte = this.bytes[this.position]!;
      if (byte < 0x80) {
        this.position += 1;
        return byte;
      }
    }
    this.readVarint();
    if (this.high !== 0) throw new DecodeError('length goes past the message');
    return this.low >>> 0;
  }
}

/** Decodes bytes [start, end); bad sequences become U+FFFD. */
export function decodeUtf8(bytes: Buffer, start: number, end: number): string {
  if (end - start > SHORT_STRING_BYTES) return bytes.toString('utf8', start, end);
  let text = '';
  for (let at = start; at < end; at += 1) {
    const byte = bytes[at]!;
    if (byte >= 0x80) return bytes.toString('utf8', start, end);
    text += String.fromCharCode(byte);
  }
  return text;
}
