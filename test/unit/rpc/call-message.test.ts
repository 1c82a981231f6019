// The messages between roles against the .proto file that describes them, read by protobufjs.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { ERRORS, MilvusError, type ErrorName } from '../../../src/model/error.ts';
import {
  decodeCallReply,
  decodeCallRequest,
  encodeCallFailure,
  encodeCallHead,
  encodeCallReply,
  encodeCallRequest,
} from '../../../src/rpc/call-message.ts';
import { decodePayload, encodePayload } from '../../../src/rpc/payload.ts';

const root = protobuf.loadSync('proto/internal/roles.proto');
const lookup = (name: string): protobuf.Type => root.lookupType(`elanus.internal.${name}`);

interface FailureFields {
  errorName: string;
  code: number;
  message: string;
  retriable: boolean;
  isInputError: boolean;
  isUnexecuted: boolean;
}

function encodeFailure(failure: Partial<FailureFields>): Uint8Array {
  return lookup('CallReply').encode({ failure }).finish();
}

function decodeFailure(bytes: Uint8Array): MilvusError {
  try {
    decodeCallReply(bytes);
  } catch (error) {
    assert.ok(error instanceof MilvusError);
    return error;
  }
  return assert.fail('no failure in the reply');
}

test('the service has the path that the transport uses', () => {
  const { name, methods } = root.lookupService('elanus.internal.Roles');
  assert.deepEqual([name, Object.keys(methods)], ['Roles', ['Call']]);
});

test('a request is a CallRequest, and read as one', () => {
  const request = { rows: new Uint8Array(300).fill(1), id: 5n };
  const bytes = encodeCallRequest(encodeCallHead('querynode', 'search'), request);
  const decoded = lookup('CallRequest').toObject(lookup('CallRequest').decode(bytes));
  const { payload, ...names } = decoded as { payload: Uint8Array };
  assert.deepEqual(names, { role: 'querynode', method: 'search' });
  assert.deepStrictEqual(decodePayload(payload), request);
  const canonical = lookup('CallRequest').encode({ ...names, payload }).finish();
  for (const form of [bytes, canonical]) {
    const read = decodeCallRequest(form);
    assert.deepEqual([read.role, read.method], ['querynode', 'search']);
    assert.deepStrictEqual(decodePayload(read.payload), request);
  }
});

test('a caller that waits so long says so, and one that waits for ever says nothing', () => {
  for (const [timeoutMs, told] of [[1500, 1500], [0.2, 1], [-3, 1], [2 ** 31, undefined]]) {
    const bytes = encodeCallRequest(encodeCallHead('querynode', 'search', timeoutMs), 'q');
    const read = decodeCallRequest(bytes);
    assert.equal(read.timeoutMs, told);
    assert.equal(decodePayload(read.payload), 'q');
    const decoded = lookup('CallRequest').toObject(lookup('CallRequest').decode(bytes));
    assert.equal(decoded['timeoutMs'], told);
  }
});

test('one head serves many requests', () => {
  const head = encodeCallHead('indexnode', 'build');
  const messages = ['a', 'b'.repeat(1000)].map((text) => encodeCallRequest(head, text));
  const texts = messages.map((message) => decodePayload(decodeCallRequest(message).payload));
  assert.deepEqual(texts, ['a', 'b'.repeat(1000)]);
});

test('a reply is a CallReply with a payload, and read as one', () => {
  const bytes = encodeCallReply({ timestamp: 9n });
  const { payload } = lookup('CallReply').decode(bytes) as unknown as { payload: Uint8Array };
  assert.deepStrictEqual(decodePayload(payload), { timestamp: 9n });
  assert.deepStrictEqual(decodePayload(decodeCallReply(bytes)), { timestamp: 9n });
  const canonical = lookup('CallReply').encode({ payload: encodePayload(1) }).finish();
  assert.equal(decodePayload(decodeCallReply(canonical)), 1);
});

test('every error of the table is a CallFailure and comes back equal', () => {
  for (const name of Object.keys(ERRORS) as ErrorName[]) {
    const isUnexecuted = ERRORS[name].code % 2 === 0;
    const error = new MilvusError(name, { fields: { имя: 'значение' }, isUnexecuted });
    const bytes = encodeCallFailure(error);
    const decoded = lookup('CallReply').decode(bytes) as unknown as { failure: FailureFields };
    const { message, code, retriable, isInputError } = error;
    const expected = { errorName: name, code, message, retriable, isInputError, isUnexecuted };
    assert.deepEqual({ ...failureOf(decoded.failure) }, expected);
    const back = decodeFailure(bytes);
    assert.deepEqual({ ...failureOf(back), errorName: back.errorName }, expected);
  }
});

test('an error that only the other version knows keeps its code or its blame', () => {
  const nameOf = (failure: Partial<FailureFields>): string =>
    decodeFailure(encodeFailure({ errorName: 'Newer', code: 4242, ...failure })).errorName;
  assert.equal(nameOf({ code: 100 }), 'CollectionNotFound');
  assert.equal(nameOf({ isInputError: true }), 'ParameterInvalid');
  assert.equal(nameOf({ retriable: true }), 'ServiceUnavailable');
  assert.equal(nameOf({}), 'Unexpected');
  assert.equal(nameOf({ errorName: 'toString' }), 'Unexpected');
});

test('fields that this version does not know are skipped', () => {
  const unknown = Uint8Array.of(0x7a, 2, 1, 2);
  const bytes = Buffer.concat([unknown, encodeCallReply('ok'), unknown]);
  assert.equal(decodePayload(decodeCallReply(bytes)), 'ok');
});

function failureOf(failure: FailureFields): FailureFields {
  const { errorName, code, message, retriable, isInputError, isUnexecuted } = failure;
  return { errorName, code, message, retriable, isInputError, isUnexecuted };
}
