// Writes over two shards of which the second refuses or fails when the first has written: what is
// written is not written again, and the reply says which rows are there.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import { MilvusError, type ErrorName } from '../../src/model/error.ts';
import { hashKey } from '../../src/roles/proxy/write/sharding.ts';
import type { WriteRequest } from '../../src/rpc/contract.ts';
import { ClusterSandbox } from '../support/cluster-sandbox.ts';
import {
  MilvusReplyError,
  toWrite,
  type CollectionSpec,
  type MilvusClient,
  type Row,
} from '../support/milvus-client.ts';
import { until } from '../support/sandbox-collection.ts';
import { openProxy } from '../support/sandbox-proxy.ts';

const ROWS = 20;
const ARRAY_APPEND = 1;
const VECTOR = { name: 'vec', type: DataType.FloatVector, dim: 2 };
const TAGS = {
  name: 'tags',
  type: DataType.Array,
  elementType: DataType.Int64,
  maxCapacity: 4,
  nullable: true,
};
const KEY = { name: 'id', type: DataType.Int64, isPrimaryKey: true };
const KEYED = { name: 'c', shards: 2, fields: [KEY, VECTOR, TAGS] };
const AUTO = { name: 'c', shards: 2, fields: [{ ...KEY, autoId: true }, VECTOR, TAGS] };

const ids = Array.from({ length: ROWS }, (_unused, i) => BigInt(i));
const keyedRows = ids.map((id): Row => ({ id, vec: [Number(id), 0], tags: [1n] }));
const autoRows = keyedRows.map(({ vec, tags }): Row => ({ vec: vec!, tags: tags! }));

class World {
  readonly client: MilvusClient;
  readonly sandbox: ClusterSandbox;
  /** The shards in the order in which they were asked to write, by what comes after `watch`. */
  readonly asked: number[] = [];

  private constructor(sandbox: ClusterSandbox) {
    this.sandbox = sandbox;
    this.client = openProxy(sandbox);
  }

  static async run(spec: CollectionSpec, task: (world: World) => Promise<void>): Promise<void> {
    const sandbox = await ClusterSandbox.open({});
    try {
      const world = new World(sandbox);
      await world.client.createCollection(spec);
      await world.client.createIndex('c', 'vec', { index_type: 'FLAT', metric_type: 'L2' });
      await world.client.load('c');
      await task(world);
      assert.deepEqual(sandbox.errors, []);
    } finally {
      await sandbox.close();
    }
  }

  /** Calls `before`, counting from 0, when the first shard has written and the second is asked. */
  async watch(before: (time: number) => Promise<void>): Promise<void> {
    const { rootcoord, shard: findShard } = this.sandbox.peers;
    const ref = { dbName: 'default', name: 'c' };
    const { vchannels } = await rootcoord.describeCollection(ref, {});
    const readFirst = async (): Promise<bigint> => {
      const params = { limit: 1, outputFieldIds: [], countOnly: true };
      const target = { partitionIds: [], ignoreGrowing: false, pinnedTimestamp: 0n };
      const vchannel = vchannels[0]!;
      return (await findShard(vchannel).query({ vchannel, ...target, params }, {})).timestamp;
    };
    const start = await readFirst();
    let time = 0;
    this.sandbox.hooks.set('streamingnode.write', async (request) => {
      const shard = vchannels.indexOf((request as WriteRequest).vchannel);
      this.asked.push(shard);
      if (shard === 0) return;
      await until(async () => (await readFirst()) > start);
      await before(time++);
    });
  }

  async addField(name: string): Promise<void> {
    const { rootcoord } = this.sandbox.peers;
    const ref = { dbName: 'default', name: 'c' };
    const { schema } = await rootcoord.describeCollection(ref, {});
    const tags = schema.fields.find((field) => field.name === 'tags')!;
    await rootcoord.addCollectionField({ ...ref, field: { ...tags, name } }, {});
  }
}

test('R4 an insert whose second shard has a newer schema writes each row once', async () => {
  await World.run(AUTO, async (world) => {
    const { client } = world;
    await world.watch(async (time) => {
      if (time === 0) await world.addField('later');
    });
    const reply = await client.call('Insert', toWrite(AUTO, autoRows, ''));
    assert.deepEqual(world.asked, [0, 1, 1], 'the second shard alone is asked again');
    assert.equal(reply['insert_cnt'], String(ROWS));
    const told = (reply['IDs'] as { int_id: { data: string[] } }).int_id.data.map(BigInt);
    const found = await client.query('c', { filter: 'id > 0', outputFields: ['id', 'vec'] });
    assert.equal(found.length, ROWS);
    const vectors = new Map(found.map((row) => [row['id'], row['vec']]));
    assert.deepEqual(told.map((id) => vectors.get(id)), autoRows.map(({ vec }) => vec));
  });
});

test('R4 an upsert with drawn ids is repeated with the same ids', async () => {
  await World.run(AUTO, async (world) => {
    const { client } = world;
    const first = await client.call('Insert', toWrite(AUTO, autoRows, ''));
    const old = (first['IDs'] as { int_id: { data: string[] } }).int_id.data.map(BigInt);
    await world.watch(async (time) => {
      if (time < 2) await world.addField(`later${time}`);
    });
    const rows = old.map((id, i): Row => ({ id, vec: [i, 1], tags: [2n] }));
    const reply = await client.call('Upsert', toWrite(AUTO, rows, ''));
    assert.deepEqual(world.asked, [0, 1, 1, 1]);
    const told = (reply['IDs'] as { int_id: { data: string[] } }).int_id.data.map(BigInt);
    assert.equal(await client.count('c'), BigInt(ROWS));
    const found = await client.query('c', { filter: `id in [${told.join(',')}]` });
    assert.equal(found.length, ROWS);
    assert.ok(found.every(({ vec }) => (vec as number[])[1] === 1));
  });
});

test('R4 elements are appended once when the second shard has a newer schema', async () => {
  await World.run(KEYED, async (world) => {
    const { client } = world;
    await client.insert(KEYED, keyedRows);
    await world.watch(async (time) => {
      if (time === 0) await world.addField('later');
    });
    await client.call('Upsert', {
      ...toWrite(KEYED, ids.map((id) => ({ id, tags: [7n, 8n] })), ''),
      field_ops: [{ field_name: 'tags', op: ARRAY_APPEND }],
    });
    assert.deepEqual(world.asked, [0, 1, 1]);
    const found = await client.query('c', { filter: 'id >= 0' });
    assert.deepEqual(found.map(({ tags }) => tags), ids.map(() => [1n, 7n, 8n]));
    assert.deepEqual(found.map(({ vec }) => vec), keyedRows.map(({ vec }) => vec));
  });
});

for (const expr of ['id in [0, 1, 2, 3, 4, 5, 6, 7]', 'id < 8 and array_length(tags) == 1']) {
  test(`R10 a delete goes on at a shard with a newer schema: ${expr}`, async () => {
    await World.run(KEYED, async (world) => {
      const { client } = world;
      await client.insert(KEYED, keyedRows);
      await world.watch(async (time) => {
        if (time === 0) await world.addField('later');
      });
      const reply = await client.call('Delete', { collection_name: 'c', expr });
      assert.deepEqual(world.asked, [0, 1, 1]);
      assert.equal(reply['delete_cnt'], '8');
      assert.equal(await client.count('c'), BigInt(ROWS - 8));
    });
  });
}

const failAlways =
  (name: ErrorName, isUnexecuted = false) =>
  async (): Promise<void> => {
    throw new MilvusError(name, { isUnexecuted });
  };

async function getFailure(call: Promise<unknown>): Promise<MilvusReplyError> {
  try {
    await call;
  } catch (error) {
    assert.ok(error instanceof MilvusReplyError);
    return error;
  }
  return assert.fail('it was written');
}

test('R4 a write that fails at one shard says which rows are there', async () => {
  await World.run(KEYED, async (world) => {
    const { client } = world;
    await world.watch(failAlways('IoFailed'));
    const error = await getFailure(client.call('Insert', toWrite(KEYED, keyedRows, '')));
    const written = ids.filter((id) => hashKey(id) % 2 === 0);
    assert.equal(error.code, 1001);
    assert.equal(error.status.retriable, false);
    const { reply } = error;
    assert.deepEqual(reply['succ_index'], written.map(Number));
    assert.deepEqual(reply['err_index'], ids.filter((id) => hashKey(id) % 2 === 1).map(Number));
    assert.equal(reply['insert_cnt'], String(written.length));
    assert.ok(BigInt(reply['timestamp'] as string) > 0n);
    const found = await client.query('c', { filter: 'id >= 0' });
    assert.deepEqual(found.map(({ id }) => id), written);
    assert.deepEqual(world.asked, [0, 1], 'it may have been written: not a second time');
  });
});

test('R4 a delete that fails at one shard says how many rows are gone', async () => {
  await World.run(KEYED, async (world) => {
    const { client } = world;
    await client.insert(KEYED, keyedRows);
    await world.watch(failAlways('IoFailed'));
    const request = { collection_name: 'c', expr: `id in [${ids.join(',')}]` };
    const error = await getFailure(client.call('Delete', request));
    const gone = ids.filter((id) => hashKey(id) % 2 === 0).length;
    assert.equal(error.reply['delete_cnt'], String(gone));
    assert.equal(await client.count('c'), BigInt(ROWS - gone));
  });
});

test('R4 a shard that is full is asked again once another has written', async () => {
  await World.run(AUTO, async (world) => {
    const { client } = world;
    await world.watch(async (time) => {
      if (time < 3) await failAlways('RateLimit', true)();
    });
    await client.insert(AUTO, autoRows);
    assert.deepEqual(world.asked, [0, 1, 1, 1, 1]);
    assert.equal(await client.count('c'), BigInt(ROWS));
  });
});

test('R4 a write that stays in part has no code that has clients send it again', async () => {
  for (const name of ['RateLimit', 'CollectionSchemaMismatch'] as const) {
    await World.run(AUTO, async (world) => {
      await world.watch(failAlways(name, true));
      const error = await getFailure(world.client.insert(AUTO, autoRows));
      assert.equal(error.code, 5);
      assert.equal(error.status.retriable, false);
      assert.equal(world.asked.length, 1 + 8);
    });
  }
});

test('R24 a write that no shard has taken is refused at once when one is full', async () => {
  await World.run(KEYED, async ({ client, sandbox }) => {
    let asked = 0;
    sandbox.hooks.set('streamingnode.write', async () => {
      asked += 1;
      throw new MilvusError('RateLimit', { isUnexecuted: true });
    });
    const error = await getFailure(client.insert(KEYED, keyedRows));
    assert.equal(error.code, 8);
    assert.equal(error.status.retriable, true);
    assert.equal(asked, 2, 'each shard once');
  });
});

test('R10 a write that meets a newer schema everywhere is made anew', async () => {
  await World.run(KEYED, async (world) => {
    const { client, sandbox } = world;
    let asked = 0;
    sandbox.hooks.set('streamingnode.write', async () => {
      if (asked++ === 0) await world.addField('later');
    });
    await client.insert(KEYED, keyedRows);
    assert.equal(await client.count('c'), BigInt(ROWS));
  });
});
