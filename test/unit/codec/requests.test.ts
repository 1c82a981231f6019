// The hand codec against protobufjs, on random messages, field by field, in both directions.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import {
  decodeWithTwin,
  encodeWithTwin,
  getMessageType,
  type Plain,
} from '../../support/codec/milvus-proto.ts';
import { makeRandomMessage, type Overrides } from '../../support/codec/random-message.ts';
import { Random } from '../../support/codec/random.ts';
import { decodePlain, encodePlain } from '../../support/codec/reflect-codec.ts';
import { REQUEST_VIEWS } from '../../support/codec/requests-to-plain.ts';
import { readPlainTemplates } from '../../support/codec/views-to-plain.ts';

const SEED = 20240817;
const MESSAGES = 500;

const JSON_TEXTS = ['1', '-7', '"text"', 'true', '2.5', '9007199254740991'];

/** Template values of bytes are refused by design; JSON elements are JSON. Counts fit a double. */
const OVERRIDES: Overrides = new Map([
  ['TemplateValue.bytes_val', () => ''],
  ['JSONArray.data', (random: Random) => Buffer.from(random.pick(JSON_TEXTS)).toString('hex')],
  ['SearchRequest.nq', (random: Random) => BigInt(random.int32())],
  ['SubSearchRequest.nq', (random: Random) => BigInt(random.int32())],
  ['VectorField.dim', (random: Random) => BigInt(random.below(70000))],
  ['SparseFloatArray.dim', (random: Random) => BigInt(random.int32())],
] as readonly (readonly [string, (random: Random) => unknown])[]);

/** Replaces template values by what they stand for; IDs without a member count as absent. */
function resolveTemplates(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(resolveTemplates);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, each]) =>
    key === 'expr_template_values'
      ? [key, readPlainTemplates(each as Plain)]
      : [key, resolveTemplates(each)],
  );
  return Object.fromEntries(
    entries.filter(([key, each]) => each !== undefined && !(key === 'ids' && isEmpty(each))),
  );
}

function isEmpty(value: unknown): boolean {
  return Object.keys(value as Plain).length === 0;
}

function removeByteTemplates(value: unknown): void {
  if (typeof value !== 'object' || value === null) return;
  const object = value as Plain;
  if ('bytes_val' in object) delete object.bytes_val;
  for (const each of Object.values(object)) removeByteTemplates(each);
}

for (const [name, view] of Object.entries(REQUEST_VIEWS)) {
  const type = getMessageType(
    `milvus.proto.${name === 'PlaceholderGroup' ? 'common' : 'milvus'}.${name}`,
  );

  test(`${name}: what protobufjs writes reads the same here`, () => {
    const random = new Random(SEED);
    for (let i = 0; i < MESSAGES; i += 1) {
      const plain = makeRandomMessage(type, random, OVERRIDES);
      removeByteTemplates(plain);
      const bytes = encodeWithTwin(type, plain);
      const expected = resolveTemplates(decodeWithTwin(type, bytes));
      assert.deepEqual(view(bytes), expected, `seed ${SEED}, message ${i}`);
    }
  });

  test(`R18 ${name}: packed, unpacked, chunked and reordered fields read the same`, () => {
    const random = new Random(SEED + 1);
    for (let i = 0; i < MESSAGES; i += 1) {
      const plain = makeRandomMessage(type, random, OVERRIDES);
      removeByteTemplates(plain);
      const bytes = encodePlain(type, plain, random);
      assert.deepEqual(decodeWithTwin(type, bytes), plain, `seed ${SEED + 1}, message ${i}`);
      assert.deepEqual(view(bytes), resolveTemplates(plain), `seed ${SEED + 1}, message ${i}`);
      assert.deepEqual(decodePlain(type, bytes), plain);
    }
  });

  test(`${name}: unknown fields are skipped and nothing outside the message is read`, () => {
    const random = new Random(SEED + 2);
    const unknown = Buffer.from('f83e05fa3e03616263fd3e01020304f93e0102030405060708', 'hex');
    for (let i = 0; i < 50; i += 1) {
      const plain = makeRandomMessage(type, random, OVERRIDES);
      removeByteTemplates(plain);
      const message = Buffer.concat([unknown, encodeWithTwin(type, plain), unknown]);
      const padded = Buffer.concat([random.bytes(5), message, random.bytes(9)]);
      assert.deepEqual(view(padded.subarray(5, 5 + message.length)), resolveTemplates(plain));
    }
  });
}
