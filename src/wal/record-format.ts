// The bytes of a log file: constants, encoders and decoders shared by writer and reader.
// docs/formats/wal.md is the page of this format. Little-endian; everything starts at a multiple of
// 8.

import type { Crc32c } from '../base/crc32c.ts';

export const FORMAT_VERSION = 1;
export const HEADER_BYTES = 64;
export const RECORD_HEAD_BYTES = 40;
/** Records of before had a name there. */
export const PREFIX_BYTES_MAX = 1024;
const MAGIC = 0x314c41574e414c45n; // "ELANWAL1"
const HEADER_CRC_OFFSET = 60;
const HEAD_CRC_OFFSET = 36;

export interface FileHeader {
  readonly version: number;
  readonly number: number;
  /**
   * Random per file: nothing that was in these blocks before, or that a client sends, can look
   * valid.
   */
  readonly epoch: bigint;
  readonly firstSequence: bigint;
  /** Every record up to this one was durable, in the files before, when this file was begun. */
  readonly lastDurableSequence: bigint;
  /** Number of the file before; 0 = none. */
  readonly previousNumber: number;
}

export interface RecordHead {
  readonly payloadBytes: number;
  readonly epoch: bigint;
  readonly sequence: bigint;
  readonly lastDurableSequence: bigint;
  readonly prefixBytes: number;
}

export function alignUp(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}

export function getRecordBytes(prefixBytes: number, payloadBytes: number): number {
  return RECORD_HEAD_BYTES + alignUp(prefixBytes) + alignUp(payloadBytes);
}

export function encodeHeader(header: FileHeader, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(HEADER_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, MAGIC, true);
  view.setUint32(8, header.version, true);
  view.setBigUint64(16, BigInt(header.number), true);
  view.setBigUint64(24, header.epoch, true);
  view.setBigUint64(32, header.firstSequence, true);
  view.setBigUint64(40, header.lastDurableSequence, true);
  view.setBigUint64(48, BigInt(header.previousNumber), true);
  view.setUint32(HEADER_CRC_OFFSET, crc32c(bytes.subarray(0, HEADER_CRC_OFFSET), 0), true);
  return bytes;
}

/** Returns the header, or undefined when the bytes are not a whole and undamaged one. */
export function decodeHeader(bytes: Uint8Array, crc32c: Crc32c): FileHeader | undefined {
  if (bytes.byteLength < HEADER_BYTES) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset, HEADER_BYTES);
  if (view.getBigUint64(0, true) !== MAGIC) return undefined;
  const crc = crc32c(bytes.subarray(0, HEADER_CRC_OFFSET), 0);
  if (view.getUint32(HEADER_CRC_OFFSET, true) !== crc) return undefined;
  return {
    version: view.getUint32(8, true),
    number: Number(view.getBigUint64(16, true)),
    epoch: view.getBigUint64(24, true),
    firstSequence: view.getBigUint64(32, true),
    lastDurableSequence: view.getBigUint64(40, true),
    previousNumber: Number(view.getBigUint64(48, true)),
  };
}

/**
 * Writes a record's head into `into` (RECORD_HEAD_BYTES long).
 * @param crcs  `prefixCrc` of the padded prefix, `bodyCrc` of that and the padded payload, taken
 *   when the record came in: the head, known only when the record's turn comes, continues both.
 */
export function encodeRecordHead(
  into: Uint8Array,
  head: RecordHead,
  crcs: { readonly bodyCrc: number; readonly prefixCrc: number },
  crc32c: Crc32c,
): void {
  const view = new DataView(into.buffer, into.byteOffset, RECORD_HEAD_BYTES);
  view.setUint32(4, head.payloadBytes, true);
  view.setBigUint64(8, head.epoch, true);
  view.setBigUint64(16, head.sequence, true);
  view.setBigUint64(24, head.lastDurableSequence, true);
  view.setUint32(32, head.prefixBytes, true);
  const ownCrc = crc32c(into.subarray(4, HEAD_CRC_OFFSET), crcs.prefixCrc);
  view.setUint32(HEAD_CRC_OFFSET, ownCrc, true);
  view.setUint32(0, crc32c(into.subarray(4, RECORD_HEAD_BYTES), crcs.bodyCrc), true);
}

export function decodeRecordHead(bytes: Uint8Array): RecordHead {
  const view = new DataView(bytes.buffer, bytes.byteOffset, RECORD_HEAD_BYTES);
  return {
    payloadBytes: view.getUint32(4, true),
    epoch: view.getBigUint64(8, true),
    sequence: view.getBigUint64(16, true),
    lastDurableSequence: view.getBigUint64(24, true),
    prefixBytes: view.getUint32(32, true),
  };
}

/**
 * Returns whether a record's head and padded prefix are right, whatever has become of its payload.
 * Records of versions that wrote 0 for this checksum never are.
 */
export function isHeadIntact(head: Uint8Array, prefix: Uint8Array, crc32c: Crc32c): boolean {
  const stored = new DataView(head.buffer, head.byteOffset).getUint32(HEAD_CRC_OFFSET, true);
  const crc = crc32c(head.subarray(4, HEAD_CRC_OFFSET), crc32c(prefix, 0));
  return stored !== 0 && stored === crc;
}

/** Returns whether the CRC of a whole record, head to padding, is right. */
export function isRecordIntact(record: Uint8Array, crc32c: Crc32c): boolean {
  const stored = new DataView(record.buffer, record.byteOffset, 4).getUint32(0, true);
  const bodyCrc = crc32c(record.subarray(RECORD_HEAD_BYTES), 0);
  return crc32c(record.subarray(4, RECORD_HEAD_BYTES), bodyCrc) === stored;
}

/**
 * File names: `<number, 10 digits>-<epoch, 16 hex digits>.wal`; the epoch survives a lost header.
 */
export function makeFileName(number: number, epoch: bigint): string {
  return `${String(number).padStart(10, '0')}-${epoch.toString(16).padStart(16, '0')}.wal`;
}

export function parseFileName(name: string): { number: number; epoch: bigint } | undefined {
  const match = /^(\d{10})-([0-9a-f]{16})\.wal$/.exec(name);
  if (match === null) return undefined;
  return { number: Number(match[1]), epoch: BigInt(`0x${match[2]}`) };
}

/** Files being zero-filled: not yet part of the log, removed at open without a look inside. */
export const SPARE_SUFFIX = '.spare';
