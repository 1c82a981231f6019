// schema.FieldData as a view over the request's bytes: integers decoded into typed arrays, all else
// as byte ranges, no object per value.
// A view is good only while the request is being handled: gRPC payloads are unaligned three times
// in four and lie in pooled buffers that are used again (R18). What must live longer is copied
// (roles/proxy/write/build-row-batch.ts).

import {
  BoolList,
  FixedList,
  Int32List,
  Int64List,
  SpanList,
  type FixedBytes,
  type Spans,
} from './wire-lists.ts';
import type { WireReader } from './wire.ts';

/** The oneof of schema.ScalarField; `kind` is the member's name without `_data`. */
export type ScalarColumn =
  | { readonly kind: 'bool'; readonly values: Uint8Array }
  | { readonly kind: 'int'; readonly values: Int32Array }
  | { readonly kind: 'long'; readonly values: BigInt64Array }
  | { readonly kind: 'float' | 'double'; readonly values: FixedBytes }
  | { readonly kind: 'string' | 'bytes' | 'json'; readonly values: Spans }
  /** Each range is an undecoded schema.ScalarField: one row's elements. */
  | { readonly kind: 'array'; readonly values: Spans; readonly elementType: number }
  /** Geometry, Timestamptz and other types that cannot be stored yet. */
  | { readonly kind: 'other'; readonly fieldNumber: number; readonly bytes: Uint8Array };

export interface ScalarFieldView {
  readonly column: ScalarColumn | undefined;
  /** One byte per element, 0 = null; only in arrays whose elements may be null. */
  readonly validData: Uint8Array | undefined;
}

/** The oneof of schema.VectorField. */
export type VectorColumn =
  | {
      readonly kind: 'float' | 'binary' | 'float16' | 'bfloat16' | 'int8';
      readonly values: FixedBytes;
    }
  | { readonly kind: 'array'; readonly bytes: Uint8Array }
  | { readonly kind: 'sparse'; readonly values: Spans; readonly dim: number };

export interface VectorFieldView {
  readonly dim: number;
  readonly column: VectorColumn | undefined;
  readonly validData: Uint8Array | undefined;
}

export interface FieldDataView {
  /** The bytes that all ranges refer to. */
  readonly message: Uint8Array;
  /** Number of schema.DataType as the client says. */
  readonly type: number;
  readonly fieldName: string;
  readonly fieldId: bigint;
  readonly isDynamic: boolean;
  /** One byte per row, 0 = null; absent when the client sent none. */
  readonly validData: Uint8Array | undefined;
  readonly scalars: ScalarFieldView | undefined;
  readonly vectors: VectorFieldView | undefined;
  /** The client sent struct arrays, which cannot be stored yet; undecoded. */
  readonly structArrays: Uint8Array | undefined;
}

export function decodeFieldData(reader: WireReader): FieldDataView {
  let type = 0;
  let fieldName = '';
  let fieldId = 0n;
  let isDynamic = false;
  let validData: BoolList | undefined;
  let scalars: ScalarFieldView | undefined;
  let vectors: VectorFieldView | undefined;
  let structArrays: Uint8Array | undefined;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 0x08:
        type = reader.readInt32();
        break;
      case 0x12:
        fieldName = reader.readString();
        break;
      case 0x1a:
        scalars = decodeInside(reader, decodeScalarField);
        vectors = structArrays = undefined;
        break;
      case 0x22:
        vectors = decodeInside(reader, decodeVectorField);
        scalars = structArrays = undefined;
        break;
      case 0x28:
        fieldId = reader.readInt64();
        break;
      case 0x30:
        isDynamic = reader.readBool();
        break;
      case 0x38:
        (validData ??= new BoolList()).readOne(reader);
        break;
      case 0x3a:
        (validData ??= new BoolList()).readPacked(reader);
        break;
      case 0x42:
        structArrays = reader.readBytes();
        scalars = vectors = undefined;
        break;
      default:
        reader.skip(tag);
    }
  }
  return {
    message: reader.bytes,
    type,
    fieldName,
    fieldId,
    isDynamic,
    validData: validData?.finish(),
    scalars,
    vectors,
    structArrays,
  };
}

/** Reads a length-delimited message with `decode`. */
export function decodeInside<T>(reader: WireReader, decode: (reader: WireReader) => T): T {
  const outerEnd = reader.enter();
  const value = decode(reader);
  reader.leave(outerEnd);
  return value;
}

/** `scratch` takes the ranges of texts, which are then good until it is used again. */
export function decodeScalarField(reader: WireReader, scratch?: SpanList): ScalarFieldView {
  let column: ScalarColumn | undefined;
  let validData: BoolList | undefined;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const field = tag >>> 3;
    if (tag === 0x88) (validData ??= new BoolList()).readOne(reader);
    else if (tag === 0x8a) (validData ??= new BoolList()).readPacked(reader);
    else if ((tag & 7) === 2 && field <= 16) column = decodeScalarColumn(reader, field, scratch);
    else reader.skip(tag);
  }
  return { column, validData: validData?.finish() };
}

function decodeScalarColumn(reader: WireReader, field: number, scratch?: SpanList): ScalarColumn {
  switch (field) {
    case 1:
      return { kind: 'bool', values: decodeList(reader, new BoolList()) };
    case 2:
      return { kind: 'int', values: decodeList(reader, new Int32List()) };
    case 3:
      return { kind: 'long', values: decodeList(reader, new Int64List()) };
    case 4:
      return { kind: 'float', values: decodeList(reader, new FixedList(4), 0x0d) };
    case 5:
      return { kind: 'double', values: decodeList(reader, new FixedList(8), 0x09) };
    case 6:
      return {
        kind: 'string',
        values: decodeInside(reader, (inner) => decodeSpans(inner, scratch)),
      };
    case 7:
      return { kind: 'bytes', values: decodeInside(reader, decodeSpans) };
    case 8:
      return decodeInside(reader, decodeArrayArray);
    case 9:
      return { kind: 'json', values: decodeInside(reader, decodeSpans) };
    default:
      return { kind: 'other', fieldNumber: field, bytes: reader.readBytes() };
  }
}

interface NumberList<T> {
  readOne(reader: WireReader): void;
  readPacked(reader: WireReader): void;
  finish(): T;
}

/** BoolArray, IntArray, LongArray, FloatArray, DoubleArray: `repeated … data = 1`. */
export function decodeList<T>(reader: WireReader, list: NumberList<T>, unpackedTag = 0x08): T {
  const outerEnd = reader.enter();
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) list.readPacked(reader);
    else if (tag === unpackedTag) list.readOne(reader);
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  return list.finish();
}

/** StringArray, BytesArray, JSONArray: `repeated … data = 1`. */
export function decodeSpans(reader: WireReader, spans = new SpanList()): Spans {
  spans.clear();
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) spans.readSpans(reader, tag);
    else reader.skip(tag);
  }
  return spans.finish();
}

function decodeArrayArray(reader: WireReader): ScalarColumn {
  const spans = new SpanList();
  let elementType = 0;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) spans.readSpans(reader, tag);
    else if (tag === 0x10) elementType = reader.readInt32();
    else reader.skip(tag);
  }
  return { kind: 'array', values: spans.finish(), elementType };
}

const BYTE_VECTOR_KINDS = new Map<number, 'binary' | 'float16' | 'bfloat16' | 'int8'>([
  [3, 'binary'],
  [4, 'float16'],
  [5, 'bfloat16'],
  [7, 'int8'],
]);

function decodeVectorField(reader: WireReader): VectorFieldView {
  let dim = 0;
  let column: VectorColumn | undefined;
  let validData: BoolList | undefined;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const byteKind = (tag & 7) === 2 ? BYTE_VECTOR_KINDS.get(tag >>> 3) : undefined;
    if (tag === 0x08) dim = reader.readInt64AsNumber();
    else if (tag === 0x12) {
      column = { kind: 'float', values: decodeList(reader, new FixedList(4), 0x0d) };
    } else if (tag === 0x32) column = decodeInside(reader, decodeSparse);
    else if (tag === 0x42) column = { kind: 'array', bytes: reader.readBytes() };
    else if (byteKind !== undefined) column = { kind: byteKind, values: readByteValues(reader) };
    else if (tag === 0x48) (validData ??= new BoolList()).readOne(reader);
    else if (tag === 0x4a) (validData ??= new BoolList()).readPacked(reader);
    else reader.skip(tag);
  }
  return { dim, column, validData: validData?.finish() };
}

function readByteValues(reader: WireReader): FixedBytes {
  const spans = new SpanList();
  spans.readSpan(reader);
  const chunks = spans.finish();
  return { width: 1, byteLength: chunks.pairs[1]!, chunks };
}

function decodeSparse(reader: WireReader): VectorColumn {
  const spans = new SpanList();
  let dim = 0;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) spans.readSpans(reader, tag);
    else if (tag === 0x10) dim = reader.readInt64AsNumber();
    else reader.skip(tag);
  }
  return { kind: 'sparse', values: spans.finish(), dim };
}
