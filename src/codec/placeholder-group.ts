// common.PlaceholderGroup: the query vectors of a search, as ranges of the message's bytes.

import { decodeInside } from './field-data.ts';
import { SpanList, type Spans } from './wire-lists.ts';
import { WireReader } from './wire.ts';

export interface Placeholder {
  readonly tag: string;
  /** Number of common.PlaceholderType: of a vector type that of schema.DataType. */
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
