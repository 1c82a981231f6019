// schema.IDs: primary keys in requests and replies.

import type { Steps } from '../base/turns.ts';
import { decodeInside, decodeList, decodeSpans } from './field-data.ts';
import type { RowColumn } from './row-batch.ts';
import { decodeStrings, Int64List } from './wire-lists.ts';
import type { WireReader } from './wire.ts';
import { WireWriter } from './wire-writer.ts';
import { writeLongInt64s, writeRows } from './write-steps.ts';

export type Ids =
  | { readonly kind: 'int'; readonly values: BigInt64Array }
  | { readonly kind: 'string'; readonly values: readonly string[] }
  /** Not a primary key type that can be stored yet. */
  | { readonly kind: 'uuid'; readonly values: readonly Uint8Array[] };

/** Keys to send: decoded ones, or the primary key column of a row batch as it is. */
export type IdsInput =
  | Ids
  | { readonly kind: 'column'; readonly column: RowColumn }
  /** From `encodeStringIds`. */
  | { readonly kind: 'encodedStrings'; readonly chunks: readonly Uint8Array[] };

/** Returns undefined when no member of the oneof is set. */
export function decodeIds(reader: WireReader): Ids | undefined {
  let ids: Ids | undefined;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) ids = { kind: 'int', values: decodeList(reader, new Int64List()) };
    else if (tag === 0x12) ids = decodeStringIds(reader);
    else if (tag === 0x1a) ids = decodeUuids(reader);
    else reader.skip(tag);
  }
  return ids;
}

export function* writeIds(writer: WireWriter, field: number, ids: IdsInput): Steps<void> {
  const mark = writer.begin(field, getIdBytesMax(ids));
  if (ids.kind === 'column') yield* writeColumn(writer, ids.column);
  else if (ids.kind === 'encodedStrings') {
    const inner = writer.begin(2, countBytes(ids.chunks));
    for (const chunk of ids.chunks) {
      writer.appendRaw(chunk);
      yield chunk.byteLength;
    }
    writer.end(inner);
  } else if (ids.kind === 'int') {
    const inner = writer.begin(1, ids.values.length * 9);
    yield* writeLongInt64s(writer, 1, ids.values);
    writer.end(inner);
  } else {
    const inner = writer.begin(ids.kind === 'string' ? 2 : 3, ids.values.length * 16);
    if (ids.kind === 'string') writer.writeStrings(1, ids.values);
    else for (const value of ids.values) writer.appendBytes(1, value);
    writer.end(inner);
  }
  writer.end(mark);
}

/** Some of the keys of a long list, as the fields of its StringArray. */
export function encodeStringIds(values: readonly string[]): Uint8Array {
  const writer = new WireWriter(values.length * 16);
  writer.writeStrings(1, values);
  return writer.finish();
}

/** How long `writeIds` makes a message; of single strings a guess. */
export function getIdBytesMax(ids: IdsInput): number {
  if (ids.kind === 'encodedStrings') return 32 + countBytes(ids.chunks);
  if (ids.kind === 'column') return 32 + ids.column.data.length + 10 * ids.column.rows;
  return 32 + (ids.kind === 'int' ? 10 : 24) * ids.values.length;
}

function countBytes(chunks: readonly Uint8Array[]): number {
  return chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0);
}

function* writeColumn(writer: WireWriter, column: RowColumn): Steps<void> {
  const { offsets } = column;
  const inner = writer.begin(offsets === undefined ? 1 : 2, column.data.length + column.rows * 2);
  if (offsets === undefined) yield* writeLongInt64s(writer, 1, column.asInt64());
  else {
    yield* writeRows(writer, column.rows, (row) =>
      writer.appendBytesRange(1, column.data, offsets[row]!, offsets[row + 1]!),
    );
  }
  writer.end(inner);
}

function decodeStringIds(reader: WireReader): Ids {
  const spans = decodeInside(reader, decodeSpans);
  reader.countObject(spans.count);
  return { kind: 'string', values: decodeStrings(reader.bytes, spans) };
}

function decodeUuids(reader: WireReader): Ids {
  const { count, pairs } = decodeInside(reader, decodeSpans);
  const values: Uint8Array[] = [];
  for (let i = 0; i < count; i += 1) {
    reader.countObject();
    const start = pairs[2 * i]!;
    values.push(reader.bytes.subarray(start, start + pairs[2 * i + 1]!));
  }
  return { kind: 'uuid', values };
}
