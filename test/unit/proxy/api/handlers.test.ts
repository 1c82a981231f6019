// What every call of the client API goes through: which database it is about, how its message is
// read.

import assert from 'node:assert/strict';
import { join } from 'node:path';
import { test } from 'node:test';
import { MilvusError } from '../../../../src/model/error.ts';
import { createHandlers } from '../../../../src/roles/proxy/api/handlers.ts';
import { RPC_TABLE } from '../../../../src/roles/proxy/api/rpc-table.ts';
import { PartialWriteError } from '../../../../src/roles/proxy/write/shard-writes.ts';
import { MilvusProto } from '../../../../src/rpc/milvus-proto.ts';
import { toStatus } from '../../../../src/rpc/status.ts';
import { ClusterSandbox } from '../../../support/cluster-sandbox.ts';
import { makeProxy, openCall } from '../../../support/sandbox-proxy.ts';

const proto = MilvusProto.load(join('dist', 'proto', 'milvus.json'));
const methods = new Map(proto.methods.map((method) => [method.name, method]));

test('a row for each RPC is of a method of the protocol', () => {
  const unknown = Object.keys(RPC_TABLE).filter((name) => !methods.has(name));
  assert.deepEqual(unknown, []);
});

for (const [name, { read, codec }] of Object.entries(RPC_TABLE)) {
  test(`${name}: a message without any field is read, or refused by name`, () => {
    const decode = codec?.decode ?? methods.get(name)!.decodeRequest;
    const request = decode(new Uint8Array());
    try {
      read(request, (typeName, bytes) => proto.decodeMessage(typeName, bytes));
    } catch (error) {
      assert.ok(error instanceof MilvusError, String(error));
    }
  });
}

test('of a write that fails in part the reply says what is done', () => {
  const done = { keys: [], insertCount: 0, deleteCount: 3, upsertCount: 0, timestamp: 5n };
  const encode = (written: readonly number[], missing: readonly number[]): Buffer => {
    const cause = new MilvusError('ServiceInternal');
    const result = { ...done, written, missing };
    const error = new PartialWriteError(cause, result, { isRepeatable: true });
    return Buffer.from(RPC_TABLE['Delete']!.codec!.encodeError(toStatus(error), error));
  };
  // Of a delete no rows are named, and it is not acknowledged: field 5, true.
  const acknowledged = Buffer.from([0x28, 1, 0x38, 3, 0x48, 5]);
  assert.equal(encode([], []).includes(acknowledged), false);
  assert.ok(encode([], []).includes(Buffer.from([0x38, 3, 0x48, 5])));
  assert.ok(encode([0], [1]).includes(acknowledged));
});

test("a request is about its own database, its connection's, or the default one", async () => {
  const sandbox = await ClusterSandbox.open({});
  try {
    const handlers = createHandlers(makeProxy(sandbox), proto);
    for (const name of ['own', 'connected']) {
      await sandbox.peers.rootcoord.createDatabase({ name, properties: {} }, {});
    }
    // Its reply says which database it has looked in. A field: number 2, text.
    const alias = methods.get('ListAliases')!;
    const ask = async (own: string, connected: string): Promise<string> => {
      const { end, ...call } = openCall();
      const message = Buffer.concat([Buffer.from([0x12, own.length]), Buffer.from(own)]);
      const reply = await handlers.get(alias.name)!.run(message, { ...call, dbName: connected });
      end();
      return ['own', 'connected', 'default'].find((each) => Buffer.from(reply).includes(each))!;
    };
    assert.equal(await ask('own', 'connected'), 'own');
    assert.equal(await ask('', 'connected'), 'connected');
    assert.equal(await ask('', ''), 'default');
  } finally {
    await sandbox.close();
  }
});
