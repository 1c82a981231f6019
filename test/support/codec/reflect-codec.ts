// A short slow codec for any message of the protocol, made of the hand codec's reader and writer
// and of protobufjs' description of the fields. It gives the directions that the server does not
// need: requests to bytes (packed, unpacked or in chunks, at random) and replies from bytes.

import protobuf from 'protobufjs';
import { DecodeError, WireReader } from '../../../src/codec/wire.ts';
import { WireWriter } from '../../../src/codec/wire-writer.ts';
import { dropDefaults, type MessageType, type Plain } from './milvus-proto.ts';
import type { Random } from './random.ts';

const UNPACKABLE = new Set(['string', 'bytes']);

export function encodePlain(type: MessageType, plain: Plain, random: Random): Buffer {
  const writer = new WireWriter(16);
  writeBody(writer, type, plain, random);
  return writer.finish();
}

function writeBody(writer: WireWriter, type: MessageType, plain: Plain, random: Random): void {
  const names = Object.keys(plain).sort(() => random.next() - 0.5);
  for (const name of names) {
    const field = type.fields[name]!;
    const value = plain[name];
    if (field instanceof protobuf.MapField) {
      for (const [key, each] of Object.entries(value as Plain)) {
        const mark = writer.begin(field.id, random.below(300));
        writer.writeString(1, key);
        writeValue(writer, 2, { field, value: each, random });
        writer.end(mark);
      }
    } else if (!field.repeated) writeValue(writer, field.id, { field, value, random });
    else writeRepeated(writer, field, value as unknown[], random);
  }
}

function writeRepeated(
  writer: WireWriter,
  field: protobuf.Field,
  values: readonly unknown[],
  random: Random,
): void {
  const isPackable = !(field.resolvedType instanceof protobuf.Type) && !UNPACKABLE.has(field.type);
  for (let at = 0; at < values.length; ) {
    const chunk = values.slice(at, at + 1 + random.below(values.length));
    if (isPackable && random.chance(0.7)) {
      writer.appendBytes(field.id, packValues(field, chunk));
      at += chunk.length;
    } else writeValue(writer, field.id, { field, value: values[at++], random });
  }
}

/** A packed field's content: what each value writes without its tag of one byte. */
function packValues(field: protobuf.Field, values: readonly unknown[]): Buffer {
  const parts = values.map((value) => {
    const writer = new WireWriter();
    writeScalar(writer, 1, field, value);
    return writer.finish().subarray(1);
  });
  return Buffer.concat(parts);
}

function writeValue(
  writer: WireWriter,
  id: number,
  from: { readonly field: protobuf.Field; readonly value: unknown; readonly random: Random },
): void {
  const { field, value, random } = from;
  if (!(field.resolvedType instanceof protobuf.Type)) {
    writeScalar(writer, id, field, value);
    return;
  }
  const mark = writer.begin(id, random.below(300));
  writeBody(writer, field.resolvedType, value as Plain, random);
  writer.end(mark);
}

function writeScalar(
  writer: WireWriter,
  id: number,
  field: protobuf.Field,
  value: unknown,
): void {
  if (typeof value === 'boolean') writer.appendBool(id, value);
  else if (typeof value === 'bigint') writer.appendInt64(id, value);
  else if (field.type === 'float') writer.appendFloat(id, value as number);
  else if (field.type === 'double') writer.appendDouble(id, value as number);
  else if (field.type === 'string') writer.appendString(id, value as string);
  else if (field.type === 'bytes') writer.appendBytes(id, Buffer.from(value as string, 'hex'));
  else if (field.type === 'uint32') writer.appendUint32(id, value as number);
  else writer.appendInt64(id, BigInt(value as number));
}

export function decodePlain(type: MessageType, bytes: Uint8Array): Plain {
  return readBody(new WireReader(bytes), type);
}

function readBody(reader: WireReader, type: MessageType): Plain {
  const plain: Plain = {};
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const field = type.fieldsById[tag >>> 3];
    if (field === undefined) reader.skip(tag);
    else if (field instanceof protobuf.MapField) readMapEntry(reader, field, plain);
    else if (!field.repeated) plain[field.name] = readValue(reader, field);
    else readRepeated(reader, { field, tag }, (plain[field.name] ??= []) as unknown[]);
  }
  return dropDefaults(type, plain);
}

function readMapEntry(reader: WireReader, field: protobuf.Field, plain: Plain): void {
  const outerEnd = reader.enter();
  let key = '';
  let value: unknown = field.resolvedType instanceof protobuf.Type ? {} : '';
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) key = reader.readString();
    else value = readValue(reader, field);
  }
  reader.leave(outerEnd);
  plain[field.name] = { ...((plain[field.name] ?? {}) as Plain), [key]: value };
}

function readRepeated(
  reader: WireReader,
  at: { readonly field: protobuf.Field; readonly tag: number },
  values: unknown[],
): void {
  const { field, tag } = at;
  const isPackable = !(field.resolvedType instanceof protobuf.Type) && !UNPACKABLE.has(field.type);
  const isPacked = isPackable && (tag & 7) === 2;
  if (!isPacked) {
    values.push(readValue(reader, field));
    return;
  }
  const outerEnd = reader.enter();
  while (reader.position < reader.end) values.push(readValue(reader, field));
  reader.leave(outerEnd);
}

function readValue(reader: WireReader, field: protobuf.Field): unknown {
  if (field.resolvedType instanceof protobuf.Type) {
    const outerEnd = reader.enter();
    const plain = readBody(reader, field.resolvedType);
    reader.leave(outerEnd);
    return plain;
  }
  switch (field.type) {
    case 'bool':
      return reader.readBool();
    case 'uint32':
      return reader.readUint32();
    case 'int64':
      return reader.readInt64();
    case 'uint64':
      return reader.readUint64();
    case 'float':
      return reader.readFloat();
    case 'double':
      return reader.readDouble();
    case 'string':
      return reader.readString();
    case 'bytes':
      return Buffer.from(reader.readBytes()).toString('hex');
    case 'group':
      throw new DecodeError('group');
    default:
      return reader.readInt32();
  }
}
