// Hostile bytes: a decoder gives a value or a DecodeError, nothing else, and quickly.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeDeleteRequest,
  decodeInsertRequest,
  decodeUpsertRequest,
} from '../../../src/codec/insert-request.ts';
import { decodePlaceholderGroup } from '../../../src/codec/placeholder-group.ts';
import { RowBatchReader } from '../../../src/codec/row-batch.ts';
import {
  decodeHybridSearchRequest,
  decodeQueryRequest,
  decodeSearchRequest,
} from '../../../src/codec/read-requests.ts';
import { DecodeError, OBJECTS_MAX } from '../../../src/codec/wire.ts';
import { encodeWithTwin, getMessageType } from '../../support/codec/milvus-proto.ts';
import { makeRandomMessage } from '../../support/codec/random-message.ts';
import { makeRandomBatch } from '../../support/codec/random-batch.ts';
import { Random } from '../../support/codec/random.ts';

const SEED = 77;

const DECODERS: Readonly<Record<string, (bytes: Uint8Array) => unknown>> = {
  'milvus.InsertRequest': decodeInsertRequest,
  'milvus.UpsertRequest': decodeUpsertRequest,
  'milvus.DeleteRequest': decodeDeleteRequest,
  'milvus.SearchRequest': decodeSearchRequest,
  'milvus.HybridSearchRequest': decodeHybridSearchRequest,
  'milvus.QueryRequest': decodeQueryRequest,
  'common.PlaceholderGroup': decodePlaceholderGroup,
};

function mustNotCrash(decode: (bytes: Uint8Array) => unknown, bytes: Uint8Array): void {
  try {
    decode(bytes);
  } catch (error) {
    if (!(error instanceof DecodeError)) throw error;
  }
}

for (const [name, decode] of Object.entries(DECODERS)) {
  const type = getMessageType(`milvus.proto.${name}`);

  test(`${name}: a message cut anywhere is a value or a DecodeError`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < 10; i += 1) {
      const bytes = encodeWithTwin(type, makeRandomMessage(type, random));
      for (let end = 0; end < Math.min(bytes.length, 4000); end += 1) {
        mustNotCrash(decode, bytes.subarray(0, end));
      }
    }
  });

  test(`${name}: flipped bytes, wrong wire types and huge lengths do not crash`, () => {
    const random = new Random(SEED + 1);
    for (let i = 0; i < 200; i += 1) {
      const bytes = encodeWithTwin(type, makeRandomMessage(type, random));
      for (let round = 0; round < 10 && bytes.length > 0; round += 1) {
        const flipped = Buffer.from(bytes);
        for (let flips = 1 + random.below(4); flips > 0; flips -= 1) {
          const at = random.below(flipped.length);
          flipped[at] = random.pick([random.below(256), 0xff, 0x80, 0x7f, flipped[at]! ^ 7]);
        }
        mustNotCrash(decode, flipped);
      }
      mustNotCrash(decode, random.bytes(random.below(100)));
    }
  });
}

test('a length past the message is refused, also one of more than 32 bits', () => {
  for (const hex of ['1205616263', '12ffffffff0f', '12ffffffffffffffffff01', '0aff', '1aff01']) {
    assert.throws(() => decodeInsertRequest(Buffer.from(hex, 'hex')), DecodeError);
  }
});

test('groups, field number 0 and varints of eleven bytes are refused', () => {
  for (const hex of ['0b', '0c', '0001', '38ffffffffffffffffffff01', '38']) {
    assert.throws(() => decodeInsertRequest(Buffer.from(hex, 'hex')), DecodeError);
  }
});

test('deep nesting is refused', () => {
  let nested: Buffer = Buffer.alloc(0);
  for (let i = 0; i < 400; i += 1) nested = wrap(0x0a, wrap(0x2a, nested));
  const bytes = wrap(0x42, wrap(0x12, wrap(0x2a, wrap(0x2a, nested))));
  assert.throws(() => decodeDeleteRequest(bytes), DecodeError);
});

function wrap(tag: number, content: Buffer): Buffer {
  const length = [];
  let rest = content.length;
  for (; rest > 127; rest >>>= 7) length.push((rest & 127) | 128);
  return Buffer.concat([Buffer.from([tag, ...length, rest]), content]);
}

test('a message of very many empty parts is refused before it fills the memory', () => {
  const bytes = Buffer.alloc(2 * (OBJECTS_MAX + 1));
  for (let at = 0; at < bytes.length; at += 2) bytes[at] = 0x2a;
  assert.throws(() => decodeInsertRequest(bytes), /too many elements/);
});

test('row batches: cut or flipped bytes are a batch or a DecodeError', () => {
  const random = new Random(SEED + 2);
  for (let i = 0; i < 30; i += 1) {
    const bytes = makeRandomBatch(random, 1 + random.below(20)).bytes;
    for (let end = 0; end < bytes.length; end += 8) {
      mustNotCrash((each) => new RowBatchReader(each), bytes.subarray(0, end));
    }
    for (let round = 0; round < 100; round += 1) {
      const flipped = Buffer.from(bytes);
      const span = random.chance(0.7) ? Math.min(400, bytes.length) : bytes.length;
      flipped[random.below(span)] = random.below(256);
      mustNotCrash(readAll, flipped);
    }
  }
});

/** Reads every value, as a user of a checked batch may. */
function readAll(bytes: Uint8Array): number {
  const batch = new RowBatchReader(bytes);
  let seen = 0;
  for (const column of batch.columns) {
    for (let row = 0; row < Math.min(batch.rows, 1000); row += 1) {
      seen += column.isValid(row) ? column.getBytes(row).length : 0;
    }
  }
  return seen;
}

test('template values: deep or endless JSON is refused or a value, quickly', () => {
  const texts = ['['.repeat(50_000) + ']'.repeat(50_000), '9'.repeat(1_000_000), '{"a":1}', 'null'];
  for (const text of texts) {
    const list = wrap(0x0a, Buffer.from(text));
    const value = wrap(0x2a, wrap(0x32, list));
    const entry = Buffer.concat([wrap(0x0a, Buffer.from('k')), wrap(0x12, value)]);
    mustNotCrash(decodeDeleteRequest, wrap(0x42, entry));
  }
});
