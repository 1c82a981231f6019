// schema.TemplateValue: the values that a request gives for the `{name}` places of its filter.
// int64 stays exact: it is a bigint, also as the JSON text of an element of a mixed array.

import type { TemplateValue } from '../model/template-value.ts';
import { decodeInside, decodeList, decodeSpans } from './field-data.ts';
import { BoolList, decodeStrings, FixedList, Int64List, joinFixedBytes } from './wire-lists.ts';
import { DecodeError, type WireReader } from './wire.ts';

const INTEGER = /^\s*-?(0|[1-9]\d*)\s*$/;
/** Longer texts are no int64, and slow to turn into a bigint. */
const INTEGER_CHARACTERS_MAX = 32;
const JSON_DEPTH_MAX = 100;

/** Reads an entry of a `map<string, TemplateValue>`; one without a value is left out. */
export function decodeTemplateEntry(reader: WireReader, into: Map<string, TemplateValue>): void {
  const outerEnd = reader.enter();
  let key = '';
  let value: TemplateValue | undefined;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) key = reader.readString();
    else if (tag === 0x12) value = decodeInside(reader, decodeTemplateValue);
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  if (value !== undefined) into.set(key, value);
}

function decodeTemplateValue(reader: WireReader): TemplateValue | undefined {
  let value: TemplateValue | undefined;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x08) value = reader.readBool();
    else if (tag === 0x10) value = reader.readInt64();
    else if (tag === 0x19) value = reader.readDouble();
    else if (tag === 0x22) value = reader.readString();
    else if (tag === 0x2a) value = decodeInside(reader, decodeTemplateArray);
    else if (tag === 0x32) throw new DecodeError('template values of bytes are not supported');
    else reader.skip(tag);
  }
  return value;
}

function decodeTemplateArray(reader: WireReader): BigInt64Array | readonly TemplateValue[] {
  let values: BigInt64Array | readonly TemplateValue[] = [];
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) values = decodeBools(reader);
    else if (tag === 0x12) values = decodeList(reader, new Int64List());
    else if (tag === 0x1a) values = decodeDoubles(reader);
    else if (tag === 0x22) values = decodeStringArray(reader);
    else if (tag === 0x2a) values = decodeInside(reader, decodeNestedArrays);
    else if (tag === 0x32) values = decodeStringArray(reader).map(parseJson);
    else reader.skip(tag);
  }
  return values;
}

function decodeBools(reader: WireReader): readonly boolean[] {
  const bits = decodeList(reader, new BoolList());
  reader.countObject(bits.length);
  return Array.from(bits, (bit) => bit !== 0);
}

function decodeDoubles(reader: WireReader): readonly number[] {
  const fixed = decodeList(reader, new FixedList(8), 0x09);
  reader.countObject(fixed.byteLength / 8);
  const bytes = joinFixedBytes(reader.bytes, fixed);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: fixed.byteLength / 8 }, (_, i) => view.getFloat64(8 * i, true));
}

function decodeNestedArrays(reader: WireReader): readonly TemplateValue[] {
  const values: TemplateValue[] = [];
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) values.push(decodeInside(reader, decodeTemplateArray));
    else reader.skip(tag);
  }
  return values;
}

function decodeStringArray(reader: WireReader): readonly string[] {
  const spans = decodeInside(reader, decodeSpans);
  reader.countObject(spans.count);
  return decodeStrings(reader.bytes, spans);
}

function parseJson(text: string): TemplateValue {
  if (text.length <= INTEGER_CHARACTERS_MAX && INTEGER.test(text)) {
    const exact = BigInt(text);
    return BigInt.asIntN(64, exact) === exact ? exact : Number(text);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new DecodeError('template value is not JSON');
  }
  return fromJson(value, 0);
}

/** Numbers inside a JSON array: whole ones are int64, as far as a double holds them exactly. */
function fromJson(value: unknown, depth: number): TemplateValue {
  if (depth > JSON_DEPTH_MAX) throw new DecodeError('template value nests too deeply');
  if (Array.isArray(value)) {
    return value.map((each: unknown) =>
      Number.isSafeInteger(each) ? BigInt(each as number) : fromJson(each, depth + 1),
    );
  }
  if (typeof value === 'boolean' || typeof value === 'number' || typeof value === 'string') {
    return value;
  }
  throw new DecodeError('template values of JSON objects and null are not supported');
}
