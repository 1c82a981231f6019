// A JSON object cut down to some of its keys, as text: values are copied byte for byte, so that an
// int64 or a long decimal stays exactly what the client wrote.

import { asBuffer, decodeUtf8, DecodeError } from './wire.ts';

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const COMMA = 0x2c;
const COLON = 0x3a;
const OPEN_BRACE = 0x7b;
const CLOSE_BRACE = 0x7d;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

/**
 * Returns the object with only those top-level keys, in the text's order; `{}` when it has none.
 *
 * @param text  UTF-8 of a JSON object that was checked when it was stored
 * @throws DecodeError when the text is not an object
 */
export function projectJson(text: Uint8Array, keys: ReadonlySet<string>): Buffer {
  const parts = listMembers(text).filter(({ key }) => keys.has(key));
  return joinMembers(parts.map(({ bytes }) => bytes));
}

/**
 * Returns the members of `before` whose keys `after` lacks, then those of `after`.
 * @throws DecodeError when either text is not an object
 */
export function mergeJsonObjects(before: Uint8Array, after: Uint8Array): Buffer {
  const given = listMembers(after);
  const keys = new Set(given.map(({ key }) => key));
  const kept = listMembers(before).filter(({ key }) => !keys.has(key));
  return joinMembers([...kept, ...given].map(({ bytes }) => bytes));
}

/** Top-level members with their text, `"key": value`. */
function listMembers(text: Uint8Array): { key: string; bytes: Buffer }[] {
  const bytes = asBuffer(text);
  const members: { key: string; bytes: Buffer }[] = [];
  let at = skipSpace(bytes, 0);
  if (bytes[at] !== OPEN_BRACE) throw new DecodeError('JSON text is not an object');
  at = skipSpace(bytes, at + 1);
  while (bytes[at] !== CLOSE_BRACE) {
    const start = at;
    const keyEnd = skipString(bytes, at);
    at = skipSpace(bytes, keyEnd);
    if (bytes[at] !== COLON) throw new DecodeError('JSON object is cut');
    at = skipValue(bytes, skipSpace(bytes, at + 1));
    members.push({ key: readKey(bytes, start, keyEnd), bytes: bytes.subarray(start, at) });
    at = skipSpace(bytes, at);
    if (bytes[at] === COMMA) at = skipSpace(bytes, at + 1);
    else if (bytes[at] !== CLOSE_BRACE) throw new DecodeError('JSON object is cut');
  }
  return members;
}

function joinMembers(parts: readonly Buffer[]): Buffer {
  const size = parts.reduce((sum, part) => sum + part.length + 1, 1);
  const joined = Buffer.allocUnsafe(Math.max(size, 2));
  joined[0] = OPEN_BRACE;
  let at = 1;
  for (const part of parts) {
    at += part.copy(joined, at);
    joined[at++] = COMMA;
  }
  joined[joined.length - 1] = CLOSE_BRACE; // over the last comma
  return joined;
}

function readKey(bytes: Buffer, start: number, end: number): string {
  const raw = decodeUtf8(bytes, start + 1, end - 1);
  if (!raw.includes('\\')) return raw;
  try {
    return JSON.parse(`"${raw}"`) as string;
  } catch {
    throw new DecodeError('JSON key is malformed');
  }
}

function skipSpace(bytes: Buffer, start: number): number {
  let at = start;
  while (bytes[at] === 0x20 || bytes[at] === 0x0a || bytes[at] === 0x0d || bytes[at] === 0x09) {
    at += 1;
  }
  return at;
}

/** Returns the position after the closing quote. */
function skipString(bytes: Buffer, start: number): number {
  if (bytes[start] !== QUOTE) throw new DecodeError('JSON object is cut');
  for (let at = start + 1; at < bytes.length; at += 1) {
    if (bytes[at] === BACKSLASH) at += 1;
    else if (bytes[at] === QUOTE) return at + 1;
  }
  throw new DecodeError('JSON string is cut');
}

/** Returns the position after a value: brackets are counted, strings are jumped over. */
function skipValue(bytes: Buffer, start: number): number {
  let depth = 0;
  for (let at = start; at < bytes.length; at += 1) {
    const byte = bytes[at]!;
    if (byte === QUOTE) {
      at = skipString(bytes, at) - 1;
      if (depth === 0) return at + 1;
    } else if (byte === OPEN_BRACE || byte === OPEN_BRACKET) depth += 1;
    else if (byte === CLOSE_BRACE || byte === CLOSE_BRACKET) {
      if (depth === 0) return trimEnd(bytes, start, at);
      depth -= 1;
      if (depth === 0) return at + 1;
    } else if (byte === COMMA && depth === 0) return trimEnd(bytes, start, at);
  }
  throw new DecodeError('JSON value is cut');
}

function trimEnd(bytes: Buffer, start: number, end: number): number {
  let at = end;
  while (at > start && bytes[at - 1]! <= 0x20) at -= 1;
  return at;
}
