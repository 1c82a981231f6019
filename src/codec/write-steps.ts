// Long fields of a message written in steps, so that a large reply does not hold the event loop up
// (P9). What is short is one step.

import { BYTES_PER_TURN, type Steps } from '../base/turns.ts';
import type { WireWriter } from './wire-writer.ts';

const STEP_BYTES = BYTES_PER_TURN / 4;
/** A value takes as long as so many bytes, besides its own. */
const VALUE_BYTES = 32;
const VALUES_PER_STEP = STEP_BYTES / VALUE_BYTES;

/** Calls `write` for each row. */
export function* writeRows(
  writer: WireWriter,
  rows: number,
  write: (row: number) => void,
): Steps<void> {
  let at = writer.size;
  for (let row = 0; row < rows; row += 1) {
    write(row);
    const work = writer.size + VALUE_BYTES * row - at;
    if (work < STEP_BYTES) continue;
    at += work;
    yield work;
  }
}

/** A bytes field, also when it is empty. */
export function* writeLongBytes(
  writer: WireWriter,
  field: number,
  bytes: Uint8Array,
): Steps<void> {
  if (bytes.length <= STEP_BYTES) {
    writer.appendBytes(field, bytes);
    return;
  }
  const mark = writer.begin(field, bytes.length);
  for (let at = 0; at < bytes.length; at += STEP_BYTES) {
    const piece = bytes.subarray(at, at + STEP_BYTES);
    writer.appendRaw(piece);
    yield piece.length;
  }
  writer.end(mark);
}

/** Packed varints of a repeated int64; nothing when empty. */
export function* writeLongInt64s(
  writer: WireWriter,
  field: number,
  values: BigInt64Array,
): Steps<void> {
  if (values.length <= VALUES_PER_STEP) {
    writer.writePackedInt64(field, values);
    return;
  }
  const mark = writer.begin(field, 9 * values.length);
  for (let at = 0; at < values.length; at += VALUES_PER_STEP) {
    writer.appendVarints(values.subarray(at, at + VALUES_PER_STEP));
    yield STEP_BYTES;
  }
  writer.end(mark);
}

type Int32s = Uint8Array | Int8Array | Int16Array | Int32Array;

/** Packed varints of a repeated bool or int32; nothing when empty. */
export function* writeLongInt32s(
  writer: WireWriter,
  field: number,
  values: Int32s,
): Steps<void> {
  if (values.length <= VALUES_PER_STEP) {
    writer.writePackedInt32(field, values);
    return;
  }
  const mark = writer.begin(field, values.length);
  for (let at = 0; at < values.length; at += VALUES_PER_STEP) {
    writer.appendVarints32(values.subarray(at, at + VALUES_PER_STEP));
    yield STEP_BYTES;
  }
  writer.end(mark);
}
