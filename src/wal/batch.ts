// Gathers records into the list of pieces of one write: small pieces are copied together, big ones
// are passed by reference. Keeps the encoding of records apart from the log's files.

import { sumBytes } from '../base/file-helpers.ts';
import type { Crc32c } from '../base/crc32c.ts';
import { alignUp, encodeRecordHead, getRecordBytes, RECORD_HEAD_BYTES } from './record-format.ts';
import { PREFIX_BYTES } from './wal.ts';

const COPIED_BYTES_MAX = 4096;
const STAGING_BYTES = 64 * 1024;
const ZEROS = new Uint8Array(8);

/**
 * A record that waits for its turn; `prefixCrc` covers the padded prefix, `bodyCrc` also the padded
 * payload.
 */
export interface PendingRecord {
  readonly prefix: Uint8Array;
  readonly pieces: readonly Uint8Array[];
  readonly payloadBytes: number;
  readonly bytes: number;
  readonly prefixCrc: number;
  readonly bodyCrc: number;
}

export function makePendingRecord(
  pieces: readonly Uint8Array[],
  crc32c: Crc32c,
): PendingRecord {
  const payloadBytes = sumBytes(pieces);
  const prefix = takePrefix(pieces);
  const prefixCrc = crc32c(getPadding(prefix.byteLength), crc32c(prefix, 0));
  let crc = prefixCrc;
  for (const piece of pieces) crc = crc32c(piece, crc);
  return {
    prefix,
    pieces,
    payloadBytes,
    bytes: getRecordBytes(prefix.byteLength, payloadBytes),
    prefixCrc,
    bodyCrc: crc32c(getPadding(payloadBytes), crc),
  };
}

/** A shard's records begin with a piece that is long enough: nothing is copied. */
function takePrefix(pieces: readonly Uint8Array[]): Uint8Array {
  const [first] = pieces;
  if (first !== undefined && first.byteLength >= PREFIX_BYTES) {
    return first.subarray(0, PREFIX_BYTES);
  }
  const starts = pieces.map((piece) => piece.subarray(0, PREFIX_BYTES));
  return Buffer.concat(starts).subarray(0, PREFIX_BYTES);
}

function getPadding(bytes: number): Uint8Array {
  return ZEROS.subarray(0, alignUp(bytes) - bytes);
}

export class Batch {
  readonly #pieces: Uint8Array[] = [];
  #staging = new Uint8Array(0);
  #start = 0;
  #end = 0;

  /** Appends a record. `head` is what only its turn decides. */
  addRecord(
    record: PendingRecord,
    head: { epoch: bigint; sequence: bigint; lastDurableSequence: bigint },
    crc32c: Crc32c,
  ): void {
    const prefixBytes = record.prefix.byteLength;
    const into = this.#reserve(RECORD_HEAD_BYTES);
    encodeRecordHead(
      into,
      { ...head, payloadBytes: record.payloadBytes, prefixBytes },
      record,
      crc32c,
    );
    this.add(record.prefix);
    this.add(getPadding(prefixBytes));
    for (const piece of record.pieces) this.add(piece);
    this.add(getPadding(record.payloadBytes));
  }

  add(bytes: Uint8Array): void {
    if (bytes.byteLength <= COPIED_BYTES_MAX) {
      this.#reserve(bytes.byteLength).set(bytes);
    } else {
      this.#flush();
      this.#pieces.push(bytes);
    }
  }

  /** Returns the pieces in order; the batch is not used afterwards. */
  finish(): readonly Uint8Array[] {
    this.#flush();
    return this.#pieces;
  }

  #reserve(bytes: number): Uint8Array {
    if (this.#end + bytes > this.#staging.byteLength) {
      this.#flush();
      this.#staging = new Uint8Array(STAGING_BYTES);
      this.#start = 0;
      this.#end = 0;
    }
    this.#end += bytes;
    return this.#staging.subarray(this.#end - bytes, this.#end);
  }

  #flush(): void {
    if (this.#end > this.#start) this.#pieces.push(this.#staging.subarray(this.#start, this.#end));
    this.#start = this.#end;
  }
}
