// How many objects a cold message would become: protobufjs makes one for every element of a list,
// of which two bytes of a message can hold one. Counted over the bytes, before anything is made of
// them.

import { DecodeError, WireReader, WireType } from '../codec/wire.ts';

/** A message type, as protobufjs describes it. */
export interface MessageShape {
  readonly fieldsById: Readonly<Record<number, FieldShape>>;
}

interface FieldShape {
  readonly type: string;
  readonly map: boolean;
  /** Another message's type, or an enum. */
  readonly resolvedType: object | null;
  resolve(): FieldShape;
}

/** Elements of one message at most; what clients send has some thousands. */
const ELEMENTS_MAX = 1 << 18;
/** Shorter messages cannot hold as many. */
const SHORT_BYTES = ELEMENTS_MAX;
const VALUE_OF_MAP = 2;
const TEXTS: ReadonlySet<string> = new Set(['string', 'bytes']);
const WIDTHS: ReadonlyMap<string, number> = new Map([
  ['float', 4],
  ['fixed32', 4],
  ['sfixed32', 4],
  ['double', 8],
  ['fixed64', 8],
  ['sfixed64', 8],
]);

/** @throws DecodeError when there are more than ELEMENTS_MAX, or the bytes are not a message */
export function requireFewElements(type: MessageShape, bytes: Uint8Array): void {
  if (bytes.byteLength > SHORT_BYTES) new ElementCounter(bytes).countMessage(type);
}

class ElementCounter {
  readonly #reader: WireReader;
  #count = 0;

  constructor(bytes: Uint8Array) {
    this.#reader = new WireReader(bytes);
  }

  countMessage(type: MessageShape): void {
    const reader = this.#reader;
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
      this.#add(1);
      const field = type.fieldsById[tag >>> 3];
      if (field === undefined || (tag & 7) !== WireType.Bytes) reader.skip(tag);
      else this.#countField(field.resolve());
    }
  }

  #countField(field: FieldShape): void {
    const inner = field.resolvedType;
    if (field.map) this.#inside(() => this.#countEntry(field));
    else if (isMessage(inner)) this.#inside(() => this.countMessage(inner));
    else if (TEXTS.has(field.type)) this.#reader.skip(WireType.Bytes);
    else this.#inside(() => this.#countPacked(WIDTHS.get(field.type)));
  }

  #countEntry({ resolvedType }: FieldShape): void {
    const reader = this.#reader;
    for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
      const isValue = tag >>> 3 === VALUE_OF_MAP && (tag & 7) === WireType.Bytes;
      if (!isValue || !isMessage(resolvedType)) reader.skip(tag);
      else this.#inside(() => this.countMessage(resolvedType));
    }
  }

  #countPacked(width: number | undefined): void {
    const { bytes, position, end } = this.#reader;
    if (width !== undefined) this.#add((end - position) / width);
    else for (let at = position; at < end; at += 1) if (bytes[at]! < 0x80) this.#add(1);
  }

  #inside(count: () => void): void {
    const outerEnd = this.#reader.enter();
    count();
    this.#reader.leave(outerEnd);
  }

  #add(count: number): void {
    this.#count += count;
    if (this.#count > ELEMENTS_MAX) throw new DecodeError('message has too many elements');
  }
}

function isMessage(type: object | null): type is MessageShape {
  return type !== null && 'fieldsById' in type;
}
