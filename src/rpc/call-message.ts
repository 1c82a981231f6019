// The two messages of proto/internal/roles.proto ↔ bytes. A payload is written straight behind its
// envelope, whose length prefix always takes five bytes, so that large columns need no second copy.

import { WireReader, asBuffer } from '../codec/wire.ts';
import { WireWriter } from '../codec/wire-writer.ts';
import { ERRORS, MilvusError, getErrorName, type ErrorName } from '../model/error.ts';
import { encodePayload } from './payload.ts';

// Tags: field number << 3 | wire type.
const TAG_ROLE = 0x0a;
const TAG_METHOD = 0x12;
const TAG_REQUEST_PAYLOAD = 0x1a;
const TAG_TIMEOUT_MS = 0x20;
const TAG_REPLY_PAYLOAD = 0x0a;
const TAG_REPLY_FAILURE = 0x12;
const TAG_ERROR_NAME = 0x0a;
const TAG_CODE = 0x10;
const TAG_MESSAGE = 0x1a;
const TAG_RETRIABLE = 0x20;
const TAG_INPUT_ERROR = 0x28;
const TAG_UNEXECUTED = 0x30;

const TIMEOUT_MS_MAX = 2 ** 31 - 1;
/** A varint of five bytes holds 35 bits. */
const LENGTH_BYTES = 5;

const EMPTY_BYTES: Uint8Array = new Uint8Array(0);
const REPLY_HEAD = makeHead(TAG_REPLY_PAYLOAD);

export interface CallRequest {
  readonly role: string;
  readonly method: string;
  /** So long the caller waits; absent = for ever. */
  readonly timeoutMs?: number;
  /** A view; see decodePayload. */
  readonly payload: Uint8Array;
}

/** Returns the bytes before a request's payload: once for each method, or call with a timeout. */
export function encodeCallHead(role: string, method: string, timeoutMs?: number): Uint8Array {
  const writer = new WireWriter();
  writer.appendString(1, role);
  writer.appendString(2, method);
  // Of an int32; whoever waits longer waits for ever.
  const isBounded = timeoutMs !== undefined && timeoutMs <= TIMEOUT_MS_MAX;
  if (isBounded) writer.writeInt32(4, Math.max(1, Math.ceil(timeoutMs)));
  return makeHead(TAG_REQUEST_PAYLOAD, writer.finish());
}

/** Returns a CallRequest whose head is `encodeCallHead(role, method)`. */
export function encodeCallRequest(head: Uint8Array, request: unknown): Buffer {
  return fillLength(encodePayload(request, head), head.length);
}

/** @throws DecodeError */
export function decodeCallRequest(bytes: Uint8Array): CallRequest {
  const reader = new WireReader(bytes);
  let role = '';
  let method = '';
  let timeoutMs: number | undefined;
  let payload = EMPTY_BYTES;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === TAG_ROLE) role = reader.readString();
    else if (tag === TAG_METHOD) method = reader.readString();
    else if (tag === TAG_REQUEST_PAYLOAD) payload = reader.readBytes();
    else if (tag === TAG_TIMEOUT_MS) timeoutMs = reader.readInt32();
    else reader.skip(tag);
  }
  return { role, method, payload, ...(timeoutMs === undefined ? {} : { timeoutMs }) };
}

export function encodeCallReply(reply: unknown): Buffer {
  return fillLength(encodePayload(reply, REPLY_HEAD), REPLY_HEAD.length);
}

export function encodeCallFailure(error: MilvusError): Buffer {
  const writer = new WireWriter(128 + error.message.length);
  const mark = writer.begin(2, 64 + error.message.length);
  writer.writeString(1, error.errorName);
  writer.writeInt32(2, error.code);
  writer.writeString(3, error.message);
  writer.writeBool(4, error.retriable);
  writer.writeBool(5, error.isInputError);
  writer.writeBool(6, error.isUnexecuted);
  writer.end(mark);
  return writer.finish();
}

/**
 * Returns a reply's payload, a view.
 *
 * @throws MilvusError the one that the reply carries
 * @throws DecodeError
 */
export function decodeCallReply(bytes: Uint8Array): Uint8Array {
  const reader = new WireReader(bytes);
  let payload = EMPTY_BYTES;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === TAG_REPLY_PAYLOAD) payload = reader.readBytes();
    else if (tag === TAG_REPLY_FAILURE) throw readFailure(reader);
    else reader.skip(tag);
  }
  return payload;
}

function readFailure(reader: WireReader): MilvusError {
  const outerEnd = reader.enter();
  let name = '';
  let code = 0;
  let message = '';
  let retriable = false;
  let isInputError = false;
  let isUnexecuted = false;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === TAG_ERROR_NAME) name = reader.readString();
    else if (tag === TAG_CODE) code = reader.readInt32();
    else if (tag === TAG_MESSAGE) message = reader.readString();
    else if (tag === TAG_RETRIABLE) retriable = reader.readBool();
    else if (tag === TAG_INPUT_ERROR) isInputError = reader.readBool();
    else if (tag === TAG_UNEXECUTED) isUnexecuted = reader.readBool();
    else reader.skip(tag);
  }
  reader.leave(outerEnd);
  const known = Object.hasOwn(ERRORS, name) ? (name as ErrorName) : undefined;
  const errorName = known ?? findSimilar(code, retriable, isInputError);
  return new MilvusError(errorName, { message, isUnexecuted });
}

/** For an error that only the other side's version knows: the same code, else the same blame. */
function findSimilar(code: number, retriable: boolean, isInputError: boolean): ErrorName {
  const byCode = getErrorName(code);
  if (byCode !== 'Unexpected') return byCode;
  if (isInputError) return 'ParameterInvalid';
  return retriable ? 'ServiceUnavailable' : 'Unexpected';
}

function makeHead(payloadTag: number, before: Uint8Array = EMPTY_BYTES): Uint8Array {
  const head = new Uint8Array(before.length + 1 + LENGTH_BYTES);
  head.set(before);
  head[before.length] = payloadTag;
  return head;
}

/** Writes the payload's length into the last bytes of the head: a varint with needless zeros. */
function fillLength(bytes: Uint8Array, headLength: number): Buffer {
  let rest = bytes.length - headLength;
  for (let at = headLength - LENGTH_BYTES; at < headLength - 1; at += 1) {
    bytes[at] = (rest % 128) | 0x80;
    rest = Math.floor(rest / 128);
  }
  bytes[headLength - 1] = rest;
  return asBuffer(bytes);
}
