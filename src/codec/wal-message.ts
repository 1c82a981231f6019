// One WAL record: what one request did to one shard, all parts at one timestamp (rules R2, R4).
// docs/formats/wal-message.md has the byte table. Every part names what replay needs: partition,
// segment, keys.

import assert from 'node:assert/strict';
import type { Keys } from '../model/keys.ts';

const MAGIC = 0x314d4c45; // "ELM1"
const HEADER_BYTES = 40;
/** So much of a message says whose it is. */
const TARGET_BYTES = 32;
const PART_HEADER_BYTES = 40;
const PART_KINDS = { insert: 1, delete: 2, seal: 3 } as const;
export const KEYS_INT64 = 0;
export const KEYS_STRING = 1;
export const KEYS_HEADER_BYTES = 8;

export type MessagePart =
  | {
      readonly kind: 'insert';
      readonly partitionId: bigint;
      readonly segmentId: bigint;
      readonly rows: number;
      readonly batch: Uint8Array;
    }
  | {
      readonly kind: 'delete';
      readonly partitionId: bigint;
      readonly killsUpTo: bigint;
      /** As `encodeKeys` makes them. */
      readonly keys: Uint8Array;
    }
  | {
      /** No row of the segment comes behind; it is being written. */
      readonly kind: 'seal';
      readonly partitionId: bigint;
      readonly segmentId: bigint;
    };

const NO_BODY = new Uint8Array();

export interface WalMessage {
  readonly collectionId: bigint;
  readonly timestamp: bigint;
  readonly schemaVersion: number;
  /** Which shard of the collection; with the collection id it names the vchannel. */
  readonly shardIndex: number;
  readonly parts: readonly MessagePart[];
}

const align8 = (bytes: number): number => (bytes + 7) & ~7;

/**
 * Encodes keys as `u32 kind, u32 count`, then int64 values or `u32 × (count + 1)` offsets and
 * UTF-8.
 */
export function encodeKeys(keys: Keys): Uint8Array {
  if (keys.kind === 'int64') {
    const bytes = new Uint8Array(8 + keys.values.byteLength);
    const view = new DataView(bytes.buffer);
    view.setUint32(0, KEYS_INT64, true);
    view.setUint32(4, keys.values.length, true);
    const { buffer, byteOffset, byteLength } = keys.values;
    bytes.set(new Uint8Array(buffer, byteOffset, byteLength), 8);
    return bytes;
  }
  const { values } = keys;
  const textAt = 8 + 4 * (values.length + 1);
  // One call into native instead of one for each value.
  const text = values.join('');
  const total = Buffer.byteLength(text);
  const isAscii = total === text.length;
  const bytes = Buffer.from(new ArrayBuffer(textAt + total));
  const view = new DataView(bytes.buffer);
  view.setUint32(0, KEYS_STRING, true);
  view.setUint32(4, values.length, true);
  let at = 0;
  values.forEach((value, i) => {
    view.setUint32(8 + 4 * i, at, true);
    at += isAscii ? value.length : Buffer.byteLength(value);
  });
  view.setUint32(8 + 4 * values.length, at, true);
  bytes.write(text, textAt, 'utf8');
  return bytes;
}

/** How many keys `encodeKeys` was given. */
export function countKeys(keys: Uint8Array): number {
  return new DataView(keys.buffer, keys.byteOffset, keys.byteLength).getUint32(4, true);
}

/**
 * Encodes a message as pieces that the WAL writes one after another; row batches and keys are
 * passed on without a copy. Each piece but the last is a multiple of 8 bytes.
 */
export function encodeWalMessage(message: WalMessage): Uint8Array[] {
  const head = new Uint8Array(HEADER_BYTES + PART_HEADER_BYTES * message.parts.length);
  const view = new DataView(head.buffer);
  view.setUint32(0, MAGIC, true);
  view.setUint32(4, message.parts.length, true);
  view.setBigInt64(8, message.collectionId, true);
  view.setBigInt64(16, message.timestamp, true);
  view.setUint32(24, message.schemaVersion, true);
  view.setUint32(28, message.shardIndex, true);
  const pieces: Uint8Array[] = [head];
  let at = HEADER_BYTES;
  for (const part of message.parts) {
    const body = getBody(part);
    view.setUint32(at, PART_KINDS[part.kind], true);
    view.setUint32(at + 4, countItems(part), true);
    view.setBigInt64(at + 8, part.partitionId, true);
    view.setBigInt64(at + 16, part.kind === 'delete' ? part.killsUpTo : part.segmentId, true);
    view.setBigInt64(at + 24, BigInt(body.byteLength), true);
    pieces.push(body);
    const padding = align8(body.byteLength) - body.byteLength;
    if (padding > 0) pieces.push(new Uint8Array(padding));
    at += PART_HEADER_BYTES;
  }
  return pieces;
}

function getBody(part: MessagePart): Uint8Array {
  if (part.kind === 'insert') return part.batch;
  return part.kind === 'delete' ? part.keys : NO_BODY;
}

function countItems(part: MessagePart): number {
  if (part.kind === 'insert') return part.rows;
  return part.kind === 'delete' ? countKeys(part.keys) : 0;
}

/** Whose record begins so; undefined when it is of no known form. */
export function decodeWalTarget(
  prefix: Uint8Array,
): Pick<WalMessage, 'collectionId' | 'shardIndex'> | undefined {
  if (prefix.byteLength < TARGET_BYTES) return undefined;
  const view = new DataView(prefix.buffer, prefix.byteOffset, TARGET_BYTES);
  if (view.getUint32(0, true) !== MAGIC) return undefined;
  return { collectionId: view.getBigInt64(8, true), shardIndex: view.getUint32(28, true) };
}

/**
 * Decodes a record; batches and keys are views into it. Asserts on bytes that no version of this
 * code has written.
 */
export function decodeWalMessage(record: Uint8Array): WalMessage {
  const target = decodeWalTarget(record);
  assert(target !== undefined, 'wal message: magic');
  const view = new DataView(record.buffer, record.byteOffset, record.byteLength);
  const partCount = view.getUint32(4, true);
  const parts: MessagePart[] = [];
  let bodyAt = HEADER_BYTES + PART_HEADER_BYTES * partCount;
  for (let i = 0; i < partCount; i++) {
    const at = HEADER_BYTES + PART_HEADER_BYTES * i;
    const kind = view.getUint32(at, true);
    const partitionId = view.getBigInt64(at + 8, true);
    const reference = view.getBigInt64(at + 16, true);
    const bodyBytes = Number(view.getBigInt64(at + 24, true));
    assert(bodyAt + bodyBytes <= record.byteLength, 'wal message: part cut short');
    const body = record.subarray(bodyAt, bodyAt + bodyBytes);
    bodyAt += align8(bodyBytes);
    if (kind === PART_KINDS.insert) {
      const rows = view.getUint32(at + 4, true);
      parts.push({ kind: 'insert', partitionId, segmentId: reference, rows, batch: body });
    } else if (kind === PART_KINDS.seal) {
      parts.push({ kind: 'seal', partitionId, segmentId: reference });
    } else {
      assert.equal(kind, PART_KINDS.delete, 'wal message: kind of part');
      parts.push({ kind: 'delete', partitionId, killsUpTo: reference, keys: body });
    }
  }
  return {
    ...target,
    timestamp: view.getBigInt64(16, true),
    schemaVersion: view.getUint32(24, true),
    parts,
  };
}
