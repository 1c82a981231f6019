// The protocol's types, reflected one method at a time, against protobufjs over the whole
// description.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import protobuf from 'protobufjs';
import { MilvusProto } from '../../../src/rpc/milvus-proto.ts';
import { selectTypes } from '../../../src/rpc/proto-subset.ts';

const json = JSON.parse(readFileSync('dist/proto/milvus.json', 'utf8')) as protobuf.INamespace;
const whole = protobuf.Root.fromJSON(json);

test('every method has the types that the whole description gives it', () => {
  const { methods } = new MilvusProto(json);
  const services = [...new Set(methods.map(({ service }) => service))];
  const expected = services.flatMap((name) => whole.lookupService(name).methodsArray);
  assert.ok(expected.length > 100);
  assert.deepEqual(
    methods.map(({ name }) => name),
    expected.map(({ name }) => name),
  );
  for (const [i, method] of methods.entries()) {
    const twin = expected[i]!.resolve() as protobuf.Method;
    assert.equal(method.isRequestStream, twin.requestStream === true, method.name);
    assert.equal(method.isReplyStream, twin.responseStream === true, method.name);
    const isStatus = twin.resolvedResponseType!.fullName === '.milvus.proto.common.Status';
    assert.equal(method.repliesStatus, isStatus, method.name);
    const conversion = {
      longs: String,
      enums: Number,
      defaults: true,
      arrays: true,
      objects: true,
    };
    const emptyRequest = twin.resolvedRequestType!.toObject(
      twin.resolvedRequestType!.create(),
      conversion,
    );
    assert.deepEqual(method.decodeRequest(new Uint8Array(0)), emptyRequest, method.name);
    assert.equal(method.encodeReply({}).byteLength, 0, method.name);
  }
});

test('a type brings the fields of all types that it reaches', () => {
  for (const name of ['SearchRequest', 'DescribeCollectionResponse', 'InsertRequest']) {
    const { json: part, fullName } = selectTypes(json, 'milvus.proto.milvus', name);
    const twins = [whole.lookupType(fullName)];
    const root = protobuf.Root.fromJSON(part);
    const seen = new Set<string>();
    for (let twin = twins.pop(); twin !== undefined; twin = twins.pop()) {
      if (seen.has(twin.fullName)) continue;
      seen.add(twin.fullName);
      const type = root.lookupType(twin.fullName);
      assert.deepEqual(type.toJSON(), twin.toJSON());
      for (const { resolvedType } of twin.fieldsArray.map((field) => field.resolve())) {
        if (resolvedType instanceof protobuf.Type) twins.push(resolvedType);
      }
    }
    assert.ok(seen.size > 2);
  }
});

test('a name that is no type is refused', () => {
  assert.throws(() => selectTypes(json, '', 'milvus.proto'), /not in the description/);
  assert.throws(
    () => selectTypes(json, 'milvus.proto.milvus', 'NoSuchType'),
    /not in the description/,
  );
});

test('P6 a message of very many elements is refused before anything is made of it', () => {
  const { methods } = new MilvusProto(json);
  const decode = (name: string, bytes: Uint8Array): object =>
    methods.find((method) => method.name === name)!.decodeRequest(bytes);
  /** A field with `count` times the same bytes. */
  const repeat = (bytes: readonly number[], count: number): Buffer =>
    Buffer.alloc(bytes.length * count, Buffer.from(bytes));
  const nest = (tag: number, content: Buffer): Buffer => {
    const head = Buffer.alloc(6);
    head[0] = tag;
    for (let i = 1; i < 6; i += 1) {
      head[i] = (Math.floor(content.length / 128 ** (i - 1)) % 128) | (i < 5 ? 0x80 : 0);
    }
    return Buffer.concat([head, content]);
  };
  const many = 10_000_000;
  const messages: [string, Buffer][] = [
    ['AlterCollection', repeat([0x2a, 0], many)], // properties
    ['LoadPartitions', repeat([0x22, 0], many)], // partition names
    ['GetFlushState', nest(0x0a, repeat([1], many))], // packed segment ids
    ['GetFlushState', repeat([0x08, 1], many)], // and not packed
    ['AlterCollection', nest(0x0a, repeat([0x32, 0], many))], // a map in the base
  ];
  const before = process.memoryUsage().heapUsed;
  for (const [name, bytes] of messages) {
    assert.throws(() => decode(name, bytes), /too many elements/, name);
  }
  assert.ok(process.memoryUsage().heapUsed - before < 100e6);
  const few = decode('GetFlushState', nest(0x0a, repeat([0x80, 0x80, 0x80, 1], 200_000)));
  assert.equal((few as { segmentIDs: string[] }).segmentIDs.length, 200_000);
  const long = decode('AlterCollection', nest(0x1a, repeat([0x61], 1_000_000)));
  assert.equal((long as { collection_name: string }).collection_name.length, 1_000_000);
});
