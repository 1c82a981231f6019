// Array columns of an insert: each row's schema.ScalarField becomes the blob of
// docs/formats/row-batch.md, checked on the way for element type, number, range and length.

import { isUtf8 } from 'node:buffer';
import { DataType, getDataTypeName } from '../../../model/data-type.ts';
import { BlobArena, forEachString } from '../../../codec/array-blob.ts';
import {
  findRow,
  formatNotFinite,
  refuseLongArray,
  refuseLongElement,
  refuseValue,
  type Place,
} from './check-error.ts';
import {
  decodeScalarField,
  type ScalarColumn,
  type ScalarFieldView,
} from '../../../codec/field-data.ts';
import {
  copyFixedBytes,
  SpanList,
  type FixedBytes,
  type Spans,
} from '../../../codec/wire-lists.ts';
import { WireReader } from '../../../codec/wire.ts';

/** Longer texts are copied by a call into native. */
const SHORT_TEXT_BYTES = 64;

type ArrayColumn = Extract<ScalarColumn, { kind: 'array' }>;

/** One array on its way into the arena. */
interface Target {
  readonly place: Place;
  readonly arena: BlobArena;
  /** Number of the array among the column's values. */
  readonly index: number;
}

/**
 * @throws MilvusError ParameterInvalid, DecodeError
 */
export function checkArrayColumn(
  place: Place,
  column: ArrayColumn,
): { readonly bytes: Uint8Array; readonly spans: Spans } {
  const { count, pairs } = column.values;
  const { field, message, collection } = place;
  if (column.elementType !== 0 && column.elementType !== field.elementType) {
    throw refuseElementType(place, getDataTypeName(column.elementType), 0);
  }
  const arena = new BlobArena();
  const reader = new WireReader(message);
  const ranges = new Uint32Array(2 * count);
  const scratch = new SpanList();
  for (let i = 0; i < count; i += 1) {
    const start = pairs[2 * i]!;
    reader.restart(start, start + pairs[2 * i + 1]!);
    const array = decodeScalarField(reader, scratch);
    if (array.validData?.includes(0) === true) {
      const text = `field ${field.name} has null elements, which are not supported`;
      throw refuseValue(collection, { text, field: field.name, row: findRow(place, i) });
    }
    const begin = arena.extend(0);
    addArray({ place, arena, index: i }, array);
    ranges[2 * i] = begin;
    ranges[2 * i + 1] = arena.extend(0) - begin;
  }
  return { bytes: arena.finish(), spans: { count, pairs: ranges } };
}

function addArray(target: Target, array: ScalarFieldView): void {
  const { place, arena } = target;
  const { column } = array;
  const { elementType } = place.field;
  if (column === undefined) {
    if (elementType === DataType.VarChar) addStrings(target, { count: 0, pairs: EMPTY });
    return;
  }
  switch (elementType) {
    case DataType.Bool:
      if (column.kind !== 'bool') break;
      checkCapacity(target, column.values.length);
      addBytes(arena, column.values);
      return;
    case DataType.Int8:
    case DataType.Int16:
    case DataType.Int32:
      if (column.kind !== 'int') break;
      addIntegers(target, column.values);
      return;
    case DataType.Int64:
      if (column.kind !== 'long') break;
      addInt64(target, column.values);
      return;
    case DataType.Float:
    case DataType.Double:
      if (column.kind !== (elementType === DataType.Float ? 'float' : 'double')) break;
      addFloats(target, column.values);
      return;
    case DataType.VarChar:
      if (column.kind !== 'string') break;
      addStrings(target, column.values);
      return;
    default:
  }
  throw refuseElementType(place, column.kind, findRow(place, target.index));
}

const EMPTY = new Uint32Array(0);

function addBytes(arena: BlobArena, bytes: Uint8Array): void {
  const at = arena.extend(bytes.length); // first: it may replace the memory
  arena.memory.set(bytes, at);
}

function addIntegers(target: Target, values: Int32Array): void {
  checkCapacity(target, values.length);
  const { place, arena, index } = target;
  const { elementType, name } = place.field;
  const width = elementType === DataType.Int8 ? 1 : elementType === DataType.Int16 ? 2 : 4;
  const max = 2 ** (8 * width - 1) - 1;
  const at = arena.extend(values.length * width);
  for (let i = 0; i < values.length; i += 1) {
    const value = values[i]!;
    if (value > max || value < -max - 1) {
      throw refuseValue(place.collection, {
        text: `the ${i}th element (${value}) out of range: [${-max - 1}, ${max}]`,
        field: name,
        row: findRow(place, index),
        expected: getDataTypeName(elementType),
        actual: value,
      });
    }
    arena.memory.writeIntLE(value, at + i * width, width);
  }
}

function addInt64(target: Target, values: BigInt64Array): void {
  checkCapacity(target, values.length);
  addBytes(
    target.arena,
    new Uint8Array(values.buffer, values.byteOffset, values.byteLength),
  );
}

function addFloats(target: Target, values: FixedBytes): void {
  const { place, arena, index } = target;
  const count = values.byteLength / values.width;
  checkCapacity(target, count);
  const at = arena.extend(values.byteLength);
  copyFixedBytes(place.message, values, arena.memory, at);
  for (let i = 0; i < count; i += 1) {
    const value =
      values.width === 4
        ? arena.memory.readFloatLE(at + 4 * i)
        : arena.memory.readDoubleLE(at + 8 * i);
    if (Number.isFinite(value)) continue;
    throw refuseValue(place.collection, {
      text: `value '${formatNotFinite(value)}' is not a number or infinity`,
      field: place.field.name,
      row: findRow(place, index),
      expected: 'a finite number',
      actual: `${formatNotFinite(value)} at element ${i}`,
    });
  }
}

function addStrings(target: Target, spans: Spans): void {
  const { arena } = target;
  const { message } = target.place;
  const { count, pairs } = spans;
  checkCapacity(target, count);
  const textBytes = checkLengths(target, spans);
  const headerBytes = 4 + 4 * (count + 1);
  const begin = arena.extend(headerBytes + textBytes);
  const { memory } = arena;
  memory.writeUInt32LE(count, begin);
  const textAt = begin + headerBytes;
  let at = textAt;
  let bits = 0;
  for (let i = 0; i < count; i += 1) {
    const start = pairs[2 * i]!;
    const length = pairs[2 * i + 1]!;
    memory.writeUInt32LE(at - textAt, begin + 4 + 4 * i);
    if (length > SHORT_TEXT_BYTES) {
      memory.set(message.subarray(start, start + length), at);
      bits = 0x80;
    }
    for (let k = 0; k < length && length <= SHORT_TEXT_BYTES; k += 1) {
      const byte = message[start + k]!;
      memory[at + k] = byte;
      bits |= byte;
    }
    at += length;
  }
  memory.writeUInt32LE(at - textAt, begin + 4 + 4 * count);
  if (bits >= 0x80) checkUtf8(target, memory.subarray(begin, at), headerBytes);
}

/** All of the text is UTF-8 and no element begins inside a character: then every one is UTF-8. */
function checkUtf8({ place, index }: Target, blob: Buffer, headerBytes: number): void {
  let isGood = isUtf8(blob.subarray(headerBytes));
  forEachString(blob, (start) => {
    isGood &&= (blob[start] ?? 0) >> 6 !== 2;
  });
  if (isGood) return;
  const { field, collection } = place;
  throw refuseValue(collection, {
    text: `varchar array element of field ${field.name} is not UTF-8`,
    field: field.name,
    row: findRow(place, index),
  });
}

/** Returns the bytes of all elements. */
function checkLengths({ place, index }: Target, { count, pairs }: Spans): number {
  const { field, collection } = place;
  let bytes = 0;
  for (let i = 0; i < count; i += 1) {
    const length = pairs[2 * i + 1]!;
    bytes += length;
    if (length > field.maxLength) {
      throw refuseLongElement(field, collection, findRow(place, index), { at: i, length });
    }
  }
  return bytes;
}

function checkCapacity(target: Target, count: number): void {
  const { field, collection } = target.place;
  if (count <= field.maxCapacity) return;
  throw refuseLongArray(field, collection, findRow(target.place, target.index), count);
}

function refuseElementType(place: Place, actual: string, row: number): Error {
  return refuseValue(place.collection, {
    text: `field '${place.field.name}' illegal, array element type mismatch`,
    field: place.field.name,
    row,
    expected: `need ${getDataTypeName(place.field.elementType)} elements`,
    actual: `got ${actual}`,
  });
}
