// Deletes by primary key as columns: what a shard buffers, what goes to those who hold segments,
// what a delete file holds and what native reads are the same bytes (docs/formats/delete-file.md).
// Growing takes amortised constant time and makes no object for a delete or a key. Not a reader of
// batches: native is.

import assert from 'node:assert/strict';
import type { Crc32c } from '../base/crc32c.ts';
import { KEYS_HEADER_BYTES, KEYS_INT64, KEYS_STRING, type MessagePart } from './wal-message.ts';

export const DELETE_BATCH_MAGIC = 0x32444c45; // "ELD2"
const DELETE_BATCH_HEADER_BYTES = 32;
const CHECKSUM_FROM = 8;
/** Keys, runs and bytes of text of one batch are u32. */
const U32_MAX = 2 ** 32 - 1;

/** The keys of one delete. */
export interface DeleteRun {
  /** As a WAL message holds them (docs/formats/wal-message.md). */
  readonly keys: Uint8Array;
  /** Not before that of the run before. */
  readonly timestamp: bigint;
  /** Versions with a later timestamp stay. */
  readonly killsUpTo: bigint;
  /** 0 = every partition. */
  readonly partitionId: bigint;
}

type DeletePart = Extract<MessagePart, { kind: 'delete' }>;

/** What a delete of a record, stamped with `timestamp`, does to rows. */
export function toDeleteRun(part: DeletePart, timestamp: bigint): DeleteRun {
  const { partitionId, killsUpTo, keys } = part;
  return { keys, timestamp, killsUpTo: killsUpTo === 0n ? timestamp - 1n : killsUpTo, partitionId };
}

/** Bytes that grow at their end, by doubling. */
class Column {
  length = 0;
  #bytes = new Uint8Array(0);
  #view = new DataView(this.#bytes.buffer);

  pushInt64(value: bigint): void {
    const at = this.#extend(8);
    this.#view.setBigInt64(at, value, true);
  }

  pushUint32(value: number): void {
    const at = this.#extend(4);
    this.#view.setUint32(at, value, true);
  }

  append(bytes: Uint8Array): void {
    const at = this.#extend(bytes.byteLength);
    this.#bytes.set(bytes, at);
  }

  used(): Uint8Array {
    return this.#bytes.subarray(0, this.length);
  }

  /** Makes room and returns where it begins. */
  #extend(bytes: number): number {
    const at = this.length;
    this.length += bytes;
    if (this.length > this.#bytes.byteLength) {
      const grown = new Uint8Array(Math.max(this.length, 2 * at));
      grown.set(this.#bytes.subarray(0, at));
      this.#bytes = grown;
      this.#view = new DataView(grown.buffer);
    }
    return at;
  }
}

export class DeleteBatchBuilder {
  runs = 0;
  keys = 0;
  /** Of the first run, 0 without one. */
  fromTimestamp = 0n;
  /** Of the last run, 0 without one. */
  toTimestamp = 0n;
  readonly #timestamps = new Column();
  readonly #killsUpTo = new Column();
  readonly #partitionIds = new Column();
  readonly #keyEnds = new Column();
  /** int64 keys; of string keys where each one ends in `#text`. */
  readonly #values = new Column();
  readonly #text = new Column();
  #kind = KEYS_INT64;

  /** Of what `encode` returns, but for padding. */
  get bytes(): number {
    const { length: keyEnds } = this.#keyEnds;
    const columns = 3 * this.#timestamps.length + keyEnds + this.#values.length;
    return DELETE_BATCH_HEADER_BYTES + columns + this.#text.length;
  }

  /** All runs have keys of one kind. Copies the keys. */
  push(run: DeleteRun): void {
    const { keys, timestamp } = run;
    assert(timestamp >= this.toTimestamp, 'delete batch: runs ascend by timestamp');
    const view = viewOf(keys);
    const kind = view.getUint32(0, true);
    const count = view.getUint32(4, true);
    assert(this.keys === 0 || kind === this.#kind, 'delete batch: keys of one kind');
    this.#kind = kind;
    if (kind === KEYS_INT64) this.#values.append(keys.subarray(KEYS_HEADER_BYTES));
    else this.#pushStrings(keys, view, count);
    this.keys += count;
    this.#timestamps.pushInt64(timestamp);
    this.#killsUpTo.pushInt64(run.killsUpTo);
    this.#partitionIds.pushInt64(run.partitionId);
    this.#keyEnds.pushUint32(this.keys);
    if (this.runs === 0) this.fromTimestamp = timestamp;
    this.toTimestamp = timestamp;
    this.runs += 1;
  }

  #pushStrings(keys: Uint8Array, view: DataView, count: number): void {
    const base = this.#text.length;
    for (let i = 1; i <= count; i++) {
      this.#values.pushUint32(base + view.getUint32(KEYS_HEADER_BYTES + 4 * i, true));
    }
    this.#text.append(keys.subarray(getTextAt(count)));
  }

  /** Returns a batch of its own. Cost: a copy and a checksum of all bytes. */
  encode(crc32c: Crc32c): Uint8Array {
    const { runs, keys } = this;
    const frame = new Frame(this.#kind, runs, keys, this.#text.length);
    const { batch, runsAt, keyEndsAt, valuesAt } = frame;
    batch.set(this.#timestamps.used(), runsAt);
    batch.set(this.#killsUpTo.used(), runsAt + 8 * runs);
    batch.set(this.#partitionIds.used(), runsAt + 16 * runs);
    batch.set(this.#keyEnds.used(), keyEndsAt);
    // The first offset of string keys is 0.
    batch.set(this.#values.used(), this.#kind === KEYS_STRING ? valuesAt + 4 : valuesAt);
    batch.set(this.#text.used(), frame.textAt);
    return frame.seal(crc32c);
  }
}

/**
 * Returns a batch of these runs, which are in the order of time and have keys of one kind. For few
 * of them, all at hand: nothing has to grow.
 */
export function encodeDeleteRuns(list: readonly DeleteRun[], crc32c: Crc32c): Uint8Array {
  let kind = KEYS_INT64;
  let keyCount = 0;
  let textBytes = 0;
  for (const { keys } of list) {
    const view = viewOf(keys);
    kind = view.getUint32(0, true);
    const count = view.getUint32(4, true);
    keyCount += count;
    if (kind === KEYS_STRING) textBytes += keys.byteLength - getTextAt(count);
  }
  const frame = new Frame(kind, list.length, keyCount, textBytes);
  const { batch, view, runsAt, keyEndsAt, valuesAt, textAt } = frame;
  let key = 0;
  let text = 0;
  for (const [run, { keys, timestamp, killsUpTo, partitionId }] of list.entries()) {
    const given = viewOf(keys);
    const count = given.getUint32(4, true);
    if (kind === KEYS_INT64) {
      batch.set(keys.subarray(KEYS_HEADER_BYTES), valuesAt + 8 * key);
    } else {
      for (let i = 1; i <= count; i++) {
        const end = given.getUint32(KEYS_HEADER_BYTES + 4 * i, true);
        view.setUint32(valuesAt + 4 * (key + i), text + end, true);
      }
      const characters = keys.subarray(getTextAt(count));
      batch.set(characters, textAt + text);
      text += characters.byteLength;
    }
    key += count;
    view.setBigInt64(runsAt + 8 * run, timestamp, true);
    view.setBigInt64(runsAt + 8 * (list.length + run), killsUpTo, true);
    view.setBigInt64(runsAt + 8 * (2 * list.length + run), partitionId, true);
    view.setUint32(keyEndsAt + 4 * run, key, true);
  }
  return frame.seal(crc32c);
}

/** A batch whose columns are still to be filled in: where they begin. */
class Frame {
  readonly batch: Uint8Array;
  readonly view: DataView;
  readonly runsAt = DELETE_BATCH_HEADER_BYTES;
  readonly keyEndsAt: number;
  readonly valuesAt: number;
  readonly textAt: number;

  constructor(kind: number, runs: number, keys: number, textBytes: number) {
    assert(keys <= U32_MAX && textBytes <= U32_MAX, 'delete batch: too large');
    this.keyEndsAt = this.runsAt + 3 * 8 * runs;
    this.valuesAt = align8(this.keyEndsAt + 4 * runs);
    const values = kind === KEYS_STRING ? align8(4 * (keys + 1)) : 8 * keys;
    this.textAt = this.valuesAt + values;
    this.batch = new Uint8Array(this.textAt + textBytes);
    this.view = viewOf(this.batch);
    this.view.setUint32(0, DELETE_BATCH_MAGIC, true);
    this.view.setUint32(8, kind, true);
    this.view.setUint32(12, runs, true);
    this.view.setUint32(16, keys, true);
    this.view.setUint32(24, textBytes, true);
  }

  seal(crc32c: Crc32c): Uint8Array {
    this.view.setUint32(4, crc32c(this.batch.subarray(CHECKSUM_FROM), 0), true);
    return this.batch;
  }
}

/** Where the characters of string keys begin in their encoding. */
function getTextAt(count: number): number {
  return KEYS_HEADER_BYTES + 4 * (count + 1);
}

function viewOf(bytes: Uint8Array): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

function align8(bytes: number): number {
  return Math.ceil(bytes / 8) * 8;
}
