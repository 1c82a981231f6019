// Walks the records of one log file in order of offset. Where the bytes are not a record it says so
// once and goes on at the next intact record of the file's epoch, if there is one: whether that
// is a torn tail or damage is for the caller to say. Reads in chunks, never the whole file.

import { readFully } from '../base/file-helpers.ts';
import type { FileHandle } from '../base/file-system.ts';
import type { Crc32c } from '../base/crc32c.ts';
import {
  alignUp,
  decodeRecordHead,
  getRecordBytes,
  HEADER_BYTES,
  isHeadIntact,
  isRecordIntact,
  PREFIX_BYTES_MAX,
  RECORD_HEAD_BYTES,
} from './record-format.ts';
import { RECORD_BYTES_MAX } from './wal.ts';

const CHUNK_BYTES = 1024 * 1024;

export interface ScannedRecord {
  readonly kind: 'record';
  readonly offset: number;
  readonly endOffset: number;
  readonly sequence: bigint;
  readonly lastDurableSequence: bigint;
  readonly payload: Uint8Array;
}

export interface BadSpan {
  readonly kind: 'bad';
  readonly offset: number;
  /** Of a record whose payload alone is damaged. */
  readonly head?: { readonly sequence: bigint; readonly prefix: Uint8Array };
}

export interface ScanOptions {
  readonly epoch: bigint;
  readonly crc32c: Crc32c;
  /** Stops after the first bad span rather than looking for records behind it. */
  readonly stopAtBad?: boolean;
}

/** Yields the file's records and bad spans; zeros up to the end are a bad span too. */
export async function* scanRecords(
  file: FileHandle,
  options: ScanOptions,
): AsyncGenerator<ScannedRecord | BadSpan> {
  const scanner = new RecordScanner(file, await file.bytes(), options);
  let offset: number | undefined = HEADER_BYTES;
  while (offset !== undefined && offset < scanner.fileBytes) {
    const parsed: ScannedRecord | number | undefined = scanner.parseRecord(offset);
    const record: ScannedRecord | undefined =
      typeof parsed === 'number' ? await scanner.readRecord(offset) : parsed;
    if (record !== undefined) {
      yield record;
      offset = record.endOffset;
    } else {
      const head = await scanner.readHead(offset);
      yield { kind: 'bad', offset, ...(head === undefined ? {} : { head }) };
      if (options.stopAtBad) return;
      offset = head?.endOffset ?? (await scanner.findRecord(offset + 8));
    }
  }
}

class RecordScanner {
  readonly fileBytes: number;
  readonly #file: FileHandle;
  readonly #options: ScanOptions;
  /**
   * The bytes of the file from `#chunkOffset`, in a buffer of their own: records are parts of it.
   */
  #chunk = new Uint8Array(0);
  #chunkOffset = 0;

  constructor(file: FileHandle, fileBytes: number, options: ScanOptions) {
    this.#file = file;
    this.fileBytes = fileBytes;
    this.#options = options;
  }

  /** Returns the record at `offset`, or undefined when there is no intact one of this epoch. */
  async readRecord(offset: number): Promise<ScannedRecord | undefined> {
    for (;;) {
      const record = this.parseRecord(offset);
      if (typeof record !== 'number') return record;
      if ((await this.#load(offset, record)) === undefined) return undefined;
    }
  }

  /**
   * As readRecord, from what is loaded; a number = that many bytes from `offset` must be loaded
   * first.
   */
  parseRecord(offset: number): ScannedRecord | number | undefined {
    const headBytes = this.#get(offset, RECORD_HEAD_BYTES);
    if (headBytes === undefined) return RECORD_HEAD_BYTES;
    const head = decodeRecordHead(headBytes);
    if (head.epoch !== this.#options.epoch) return undefined;
    if (head.payloadBytes > RECORD_BYTES_MAX || head.prefixBytes > PREFIX_BYTES_MAX) {
      return undefined;
    }
    const bytes = getRecordBytes(head.prefixBytes, head.payloadBytes);
    const record = this.#get(offset, bytes);
    if (record === undefined) return bytes;
    if (!isRecordIntact(record, this.#options.crc32c)) return undefined;
    const payloadStart = RECORD_HEAD_BYTES + alignUp(head.prefixBytes);
    return {
      kind: 'record',
      offset,
      endOffset: offset + bytes,
      sequence: head.sequence,
      lastDurableSequence: head.lastDurableSequence,
      payload: record.subarray(payloadStart, payloadStart + head.payloadBytes),
    };
  }

  /** Returns what the head of a damaged record says, if the head itself is whole. */
  async readHead(
    offset: number,
  ): Promise<{ sequence: bigint; prefix: Uint8Array; endOffset: number } | undefined> {
    const { epoch, crc32c } = this.#options;
    const headBytes = await this.#load(offset, RECORD_HEAD_BYTES);
    if (headBytes === undefined) return undefined;
    const head = decodeRecordHead(headBytes);
    if (head.epoch !== epoch || head.prefixBytes > PREFIX_BYTES_MAX) return undefined;
    const prefixEnd = RECORD_HEAD_BYTES + alignUp(head.prefixBytes);
    const bytes = await this.#load(offset, prefixEnd);
    if (bytes === undefined) return undefined;
    const padded = bytes.subarray(RECORD_HEAD_BYTES, prefixEnd);
    if (!isHeadIntact(bytes.subarray(0, RECORD_HEAD_BYTES), padded, crc32c)) return undefined;
    const endOffset = offset + getRecordBytes(head.prefixBytes, head.payloadBytes);
    return { sequence: head.sequence, prefix: padded.subarray(0, head.prefixBytes), endOffset };
  }

  /** Returns the offset of the first intact record at or after `from`, a multiple of 8. */
  async findRecord(from: number): Promise<number | undefined> {
    const low = Number(BigInt.asIntN(32, this.#options.epoch));
    const high = Number(BigInt.asIntN(32, this.#options.epoch >> 32n));
    for (let at = from; at + RECORD_HEAD_BYTES <= this.fileBytes; ) {
      const want = Math.min(CHUNK_BYTES, Math.floor((this.fileBytes - at) / 8) * 8);
      const bytes = await this.#load(at, want);
      if (bytes === undefined) return undefined;
      const words = new Int32Array(bytes.buffer, bytes.byteOffset, bytes.byteLength >> 2);
      for (let i = 2; i + 1 < words.length; i += 2) {
        if (words[i] !== low || words[i + 1] !== high) continue;
        const candidate = at + (i - 2) * 4;
        if ((await this.readRecord(candidate)) !== undefined) return candidate;
      }
      at += Math.max(8, want - 8);
    }
    return undefined;
  }

  #get(offset: number, bytes: number): Uint8Array | undefined {
    const start = offset - this.#chunkOffset;
    if (start < 0 || start + bytes > this.#chunk.byteLength) return undefined;
    return this.#chunk.subarray(start, start + bytes);
  }

  async #load(offset: number, bytes: number): Promise<Uint8Array | undefined> {
    if (offset + bytes > this.fileBytes) return undefined;
    const loaded = this.#get(offset, bytes);
    if (loaded !== undefined) return loaded;
    const want = Math.min(Math.max(bytes, CHUNK_BYTES), this.fileBytes - offset);
    const chunk = new Uint8Array(want);
    const read = await readFully(this.#file, chunk, offset);
    this.#chunk = chunk.subarray(0, read);
    this.#chunkOffset = offset;
    return read < bytes ? undefined : chunk.subarray(0, bytes);
  }
}
