// What several requests share: the header and key-value pairs.
// All bytes in decoded requests are views of the message and live only as long as the request.

import { decodeInside } from './field-data.ts';
import type { WireReader } from './wire.ts';

/** common.KeyValuePair. */
export interface KeyValue {
  readonly key: string;
  readonly value: string;
}

/** common.MsgBase. `replicateInfo` (deprecated) stays undecoded. */
export interface MsgBase {
  readonly msgType: number;
  readonly msgId: bigint;
  readonly timestamp: bigint;
  readonly sourceId: bigint;
  readonly targetId: bigint;
  readonly properties: ReadonlyMap<string, string>;
  readonly replicateInfo: Uint8Array | undefined;
}

/** A type whose fields may be set one after another while decoding. */
export type Draft<T> = { -readonly [K in keyof T]: T[K] };

export function decodeKeyValue(reader: WireReader): KeyValue {
  let key = '';
  let value = '';
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) key = reader.readString();
    else if (tag === 0x12) value = reader.readString();
    else reader.skip(tag);
  }
  return { key, value };
}

export function decodeMsgBase(reader: WireReader): MsgBase {
  const properties = new Map<string, string>();
  const base: Draft<MsgBase> = {
    msgType: 0,
    msgId: 0n,
    timestamp: 0n,
    sourceId: 0n,
    targetId: 0n,
    properties,
    replicateInfo: undefined,
  };
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x08) base.msgType = reader.readInt32();
    else if (tag === 0x10) base.msgId = reader.readInt64();
    else if (tag === 0x18) base.timestamp = reader.readUint64();
    else if (tag === 0x20) base.sourceId = reader.readInt64();
    else if (tag === 0x28) base.targetId = reader.readInt64();
    else if (tag === 0x32) {
      const { key, value } = decodeInside(reader, decodeKeyValue);
      properties.set(key, value);
    } else if (tag === 0x3a) base.replicateInfo = reader.readBytes();
    else reader.skip(tag);
  }
  return base;
}
