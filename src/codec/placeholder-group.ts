// common.PlaceholderGroup: the query vectors of a search.
// Native reads queries after the request's buffer may be gone, so they are copied into memory of
// their own (never the shared Buffer pool, R15).

import { decodeInside } from './field-data.ts';
import { SpanList, type Spans } from './wire-lists.ts';
import { WireReader } from './wire.ts';

/** Numbers of common.PlaceholderType. */
export const PlaceholderType = {
  None: 0,
  Int64: 5,
  VarChar: 21,
  BinaryVector: 100,
  FloatVector: 101,
  Float16Vector: 102,
  BFloat16Vector: 103,
  SparseFloatVector: 104,
  Int8Vector: 105,
  EmbListBinaryVector: 300,
  EmbListFloatVector: 301,
  EmbListFloat16Vector: 302,
  EmbListBFloat16Vector: 303,
  EmbListSparseFloatVector: 304,
  EmbListInt8Vector: 305,
} as const;

export interface Placeholder {
  readonly tag: string;
  /** A number of `PlaceholderType`. */
  readonly type: number;
  /** One range of `message` per query. */
  readonly values: Spans;
  readonly elementLevel: boolean;
  readonly message: Uint8Array;
}

/** The result refers to `message`: see codec/field-data.ts for how long it is good. */
export function decodePlaceholderGroup(message: Uint8Array): readonly Placeholder[] {
  const reader = new WireReader(message);
  const placeholders: Placeholder[] = [];
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) placeholders.push(decodeInside(reader, decodePlaceholder));
    else reader.skip(tag);
  }
  return placeholders;
}

/** Copies the values one after another: for FloatVector, nq × dim little-endian floats. */
export function copyPlaceholderValues(placeholder: Placeholder): Uint8Array {
  const { pairs, count } = placeholder.values;
  let size = 0;
  for (let i = 0; i < count; i += 1) size += pairs[2 * i + 1]!;
  const copy = new Uint8Array(new ArrayBuffer(size));
  let at = 0;
  for (let i = 0; i < count; i += 1) {
    const start = pairs[2 * i]!;
    const length = pairs[2 * i + 1]!;
    copy.set(placeholder.message.subarray(start, start + length), at);
    at += length;
  }
  return copy;
}

function decodePlaceholder(reader: WireReader): Placeholder {
  const values = new SpanList();
  let tagText = '';
  let type = 0;
  let elementLevel = false;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) tagText = reader.readString();
    else if (tag === 0x10) type = reader.readInt32();
    else if (tag === 0x1a) values.readSpan(reader);
    else if (tag === 0x20) elementLevel = reader.readBool();
    else reader.skip(tag);
  }
  return { tag: tagText, type, values: values.finish(), elementLevel, message: reader.bytes };
}
