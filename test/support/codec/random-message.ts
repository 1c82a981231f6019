// Random messages of any type of the Milvus protocol, in the plain form of milvus-proto.ts.

import protobuf from 'protobufjs';
import { dropDefaults, type MessageType, type Plain } from './milvus-proto.ts';
import type { Random } from './random.ts';

/** Values for a field that cannot be anything; by `Message.field`. */
export type Overrides = ReadonlyMap<string, (random: Random) => unknown>;

const DEPTH_MAX = 5;

export function makeRandomMessage(
  type: MessageType,
  random: Random,
  overrides: Overrides = new Map(),
  depth = 0,
): Plain {
  const plain: Plain = {};
  const chosen = new Set<string>();
  for (const oneof of type.oneofsArray) {
    const member = random.pick(oneof.fieldsArray);
    if (random.chance(0.9) && !isTooDeep(member, depth)) chosen.add(member.name);
  }
  for (const field of type.fieldsArray) {
    const isWanted = field.partOf === null ? random.chance(0.7) : chosen.has(field.name);
    if (!isWanted || isTooDeep(field, depth)) continue;
    const make = (): unknown => makeValue(field, random, overrides, depth);
    if (field instanceof protobuf.MapField) {
      const entries = Array.from({ length: random.below(4) }, () => [`k${random.text()}`, make()]);
      plain[field.name] = Object.fromEntries(entries);
    } else if (field.repeated) {
      const limit = field.resolvedType instanceof protobuf.Type ? 4 : 20;
      plain[field.name] = Array.from({ length: random.below(limit) }, make);
    } else plain[field.name] = make();
  }
  return dropDefaults(type, plain);
}

function isTooDeep(field: protobuf.Field, depth: number): boolean {
  return field.resolvedType instanceof protobuf.Type && depth >= DEPTH_MAX;
}

function makeValue(
  field: protobuf.Field,
  random: Random,
  overrides: Overrides,
  depth: number,
): unknown {
  const override = overrides.get(`${field.parent!.name}.${field.name}`);
  if (override !== undefined) return override(random);
  const { resolvedType } = field;
  if (resolvedType instanceof protobuf.Type) {
    return makeRandomMessage(resolvedType, random, overrides, depth + 1);
  }
  if (resolvedType instanceof protobuf.Enum) {
    return random.pick(Object.values(resolvedType.values));
  }
  return makeScalar(field.type, random);
}

function makeScalar(type: string, random: Random): unknown {
  switch (type) {
    case 'bool':
      return random.chance(0.5);
    case 'int32':
      return random.int32();
    case 'uint32':
      return random.int32() >>> 0;
    case 'int64':
      return random.int64();
    case 'uint64':
      return BigInt.asUintN(64, random.int64());
    case 'float':
      return Math.fround((random.next() - 0.5) * 1e6);
    case 'double':
      return (random.next() - 0.5) * 1e9;
    case 'string':
      return random.text();
    case 'bytes':
      return random.bytes(random.below(20)).toString('hex');
    default:
      throw new Error(`no random ${type}`);
  }
}
