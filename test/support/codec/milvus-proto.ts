// The Milvus protocol through protobufjs, the twin that the hand codec is compared with, and a
// plain form of messages in which both can be compared: proto field names, int64 as bigint, bytes
// as hex, defaults left out.

import { join } from 'node:path';
import protobuf from 'protobufjs';

export type Plain = { [name: string]: unknown };
export type MessageType = protobuf.Type;

let root: protobuf.Root | undefined;

export function getMessageType(name: string): MessageType {
  root ??= loadRoot();
  return root.lookupType(name);
}

function loadRoot(): protobuf.Root {
  const loaded = new protobuf.Root();
  const folder = join(process.cwd(), 'proto', 'milvus');
  loaded.resolvePath = (_origin, target) =>
    target.startsWith('/') ? target : join(folder, target);
  loaded.loadSync(['milvus.proto', 'schema.proto', 'common.proto'], { keepCase: true });
  loaded.resolveAll();
  return loaded;
}

export function encodeWithTwin(type: MessageType, plain: Plain): Buffer {
  return Buffer.from(type.encode(type.fromObject(toTwin(type, plain))).finish());
}

export function decodeWithTwin(type: MessageType, bytes: Uint8Array): Plain {
  const options = { longs: String, bytes: Array } as const;
  return fromTwin(type, type.toObject(type.decode(bytes), options as never));
}

/** Calls `map` on each value of the message, with its field. */
function mapFields(
  type: MessageType,
  plain: Plain,
  map: (field: protobuf.Field, value: unknown) => unknown,
): Plain {
  const mapped: Plain = {};
  for (const field of type.fieldsArray) {
    const value = plain[field.name];
    if (value === undefined || value === null) continue;
    if (field instanceof protobuf.MapField) {
      const entries = Object.entries(value).map(([key, each]) => [key, map(field, each)]);
      mapped[field.name] = Object.fromEntries(entries);
    } else if (field.repeated) {
      mapped[field.name] = (value as unknown[]).map((each) => map(field, each));
    } else mapped[field.name] = map(field, value);
  }
  return mapped;
}

function toTwin(type: MessageType, plain: Plain): Plain {
  return mapFields(type, plain, (field, value) => {
    if (field.resolvedType instanceof protobuf.Type) {
      return toTwin(field.resolvedType, value as Plain);
    }
    if (field.type === 'bytes') return Buffer.from(value as string, 'hex');
    return typeof value === 'bigint' ? String(value) : value;
  });
}

function fromTwin(type: MessageType, object: Plain): Plain {
  const plain = mapFields(type, object, (field, value) => {
    if (field.resolvedType instanceof protobuf.Type) {
      return fromTwin(field.resolvedType, value as Plain);
    }
    if (field.type === 'bytes') return Buffer.from(value as number[]).toString('hex');
    return isLong(field) ? BigInt(value as string) : value;
  });
  return dropDefaults(type, plain);
}

/** Leaves out what proto3 does not send, of this message only. */
export function dropDefaults(type: MessageType, plain: Plain): Plain {
  const kept: Plain = {};
  for (const field of type.fieldsArray) {
    const value = plain[field.name];
    if (value === undefined) continue;
    const isEmpty =
      field.repeated || field instanceof protobuf.MapField
        ? Object.keys(value as object).length === 0
        : field.partOf === null && !isMessage(field) && isDefault(value);
    if (!isEmpty) kept[field.name] = value;
  }
  return kept;
}

function isDefault(value: unknown): boolean {
  return value === 0 || value === 0n || value === '' || value === false;
}

function isMessage(field: protobuf.Field): boolean {
  return field.resolvedType instanceof protobuf.Type;
}

export function isLong(field: protobuf.Field): boolean {
  return field.type === 'int64' || field.type === 'uint64';
}
