// The one message of a unary call, out of the chunks of its stream (gRPC over HTTP2): the prefix
// with its length first, then its bytes, for which memory is taken as they come.

import { GrpcCode, GrpcError, makeTooLarge } from './grpc-error.ts';

const PREFIX_BYTES = 5;
/** A message is received into so much at first: its length is only a claim. */
const FIRST_BUFFER_BYTES = 4 * 1024 * 1024;
const WHOLE_BUFFER_BYTES = 1024 * 1024;
const EMPTY = Buffer.alloc(0);

/** Collects the one message of a request from chunks of any length. */
export class MessageReader {
  readonly #bytesMax: number;
  readonly #onLength: (length: number, isCompressed: boolean) => void;
  #head: Buffer | undefined;
  #isCompressed = false;
  /** Of the message, when its prefix has been read. */
  #length = -1;
  #body: Buffer = EMPTY;
  #filled = 0;

  /** `onLength` is called before any of the message is kept; what it throws, `push` throws. */
  constructor(bytesMax: number, onLength: (length: number, isCompressed: boolean) => void) {
    this.#bytesMax = bytesMax;
    this.#onLength = onLength;
  }

  push(chunk: Buffer): void {
    let rest = chunk;
    if (this.#length < 0) {
      if (this.#head !== undefined) rest = Buffer.concat([this.#head, chunk]);
      if (rest.byteLength < PREFIX_BYTES) {
        this.#head = rest;
        return;
      }
      this.#readPrefix(rest);
      rest = rest.subarray(PREFIX_BYTES);
      if (rest.byteLength === this.#length) {
        // All of a small message in one chunk, the usual case: nothing is copied.
        this.#body = rest;
        this.#filled = rest.byteLength;
        return;
      }
    }
    if (this.#filled + rest.byteLength > this.#length) {
      throw new GrpcError(GrpcCode.internal, 'bytes after the message of a unary call');
    }
    this.#reserve(this.#filled + rest.byteLength);
    this.#body.set(rest, this.#filled);
    this.#filled += rest.byteLength;
  }

  finish(): { isCompressed: boolean; bytes: Buffer } {
    if (this.#length < 0 || this.#filled < this.#length) {
      throw new GrpcError(GrpcCode.internal, 'the request ends inside its message');
    }
    return { isCompressed: this.#isCompressed, bytes: this.#body.subarray(0, this.#length) };
  }

  #readPrefix(bytes: Buffer): void {
    this.#isCompressed = bytes[0] !== 0;
    this.#length = bytes.readUInt32BE(1);
    if (this.#length > this.#bytesMax) {
      throw makeTooLarge(`a message of ${this.#length} bytes`, this.#bytesMax);
    }
    this.#onLength(this.#length, this.#isCompressed);
  }

  /**
   * Doubling, so that memory follows what has really arrived. Past a size all of it at once: a
   * large copy would hold the event loop up, and pages that are not written cost nothing.
   */
  #reserve(bytes: number): void {
    if (bytes <= this.#body.byteLength) return;
    const wanted =
      bytes > WHOLE_BUFFER_BYTES
        ? this.#length
        : Math.max(bytes, 2 * this.#body.byteLength, FIRST_BUFFER_BYTES);
    const grown = Buffer.allocUnsafeSlow(Math.min(wanted, this.#length));
    grown.set(this.#body.subarray(0, this.#filled));
    this.#body = grown;
  }
}
