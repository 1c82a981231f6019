// Changes of one collection at the same time, and changes that fail half-way: none loses another,
// none leaves records behind (R10).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import { MilvusError } from '../../src/model/error.ts';
import { DataType } from '../../src/model/data-type.ts';
import type { Peers } from '../../src/rpc/contract.ts';
import { getMessageType } from '../support/codec/milvus-proto.ts';
import { makeField } from '../support/codec/random-batch.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { hasName } from '../support/has-name.ts';
import { SandboxCollection, toFound, until } from '../support/sandbox-collection.ts';
import { openProxy } from '../support/sandbox-proxy.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';
import { makeRows, withCollection } from '../support/with-collection.ts';

const brokenDisk = new MilvusError('IoFailed', { message: 'the disk is gone' });

function createIndex(peers: Peers, { info }: SandboxCollection, name = 'vec'): Promise<unknown> {
  const { fieldId } = info.schema.fields.find((field) => field.name === 'vec')!;
  const { collectionId } = info;
  const index = { fieldId, fieldName: 'vec', name, indexType: 'HNSW', metric: 'L2' };
  const params = { index_type: 'HNSW', metric_type: 'L2', M: '8', efConstruction: '40' };
  return peers.indexcoord.createIndex({ collectionId, ...index, params, isAutoIndex: false }, {});
}

function load(peers: Peers, collectionId: bigint, partitionIds: bigint[]): Promise<unknown> {
  const request = { collectionId, partitionIds, replicaNumber: 1, loadFields: [] };
  return peers.querycoord.load(request, {});
}

/** Fails the named call once, before it is carried out. */
function failOnce(sandbox: ClusterSandbox, name: string): void {
  sandbox.hooks.set(name, async () => {
    sandbox.hooks.delete(name);
    throw brokenDisk;
  });
}

async function listLeft(sandbox: ClusterSandbox, collectionId: bigint): Promise<string[]> {
  const records = await sandbox.listRecords(String(collectionId));
  return records.filter((key) => !key.startsWith('garbage/'));
}

test('two LoadPartitions at once both count', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const { peers } = sandbox;
    const { collectionId } = collection.info;
    const ids = [];
    for (const name of ['a', 'b', 'c']) ids.push(await collection.createPartition(name));
    await peers.querycoord.release({ collectionId, partitionIds: [] }, {});
    await Promise.all(ids.map((id) => load(peers, collectionId, [id])));
    const { partitionIds } = await peers.querycoord.getLoadStatus({ collectionId }, {});
    assert.deepEqual([...partitionIds].sort(), ids);
    await Promise.all([
      peers.querycoord.release({ collectionId, partitionIds: [ids[0]!] }, {}),
      peers.querycoord.release({ collectionId, partitionIds: [ids[2]!] }, {}),
    ]);
    await sandbox.restart();
    const after = await peers.querycoord.getLoadStatus({ collectionId }, {});
    assert.deepEqual(after.partitionIds, [ids[1]]);
  });
});

test('two CreateIndex at once give one index, built once', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const { peers } = sandbox;
    const { collectionId } = collection.info;
    await collection.insert(makeRows(0, 1100));
    await collection.flush();
    let builds = 0;
    sandbox.hooks.set('indexnode.build', async () => void (builds += 1));
    await Promise.all([createIndex(peers, collection), createIndex(peers, collection)]);
    await assert.rejects(createIndex(peers, collection, 'other'), hasName('ParameterInvalid'));
    await until(async () => {
      const { indexes } = await peers.indexcoord.describeIndexes({ collectionId }, {});
      return indexes[0]?.pendingRows === 0;
    });
    const { indexes } = await peers.indexcoord.listIndexes({ collectionId }, {});
    assert.deepEqual([indexes.length, builds], [1, 1]);
    assert.equal((await sandbox.listRecords('index/')).length, 1);
  });
});

/** What a role is asked when a collection is dropped, where it is not `dropCollection`. */
const DROP: Readonly<Record<string, string>> = { streamingnode: 'dropShard' };

test('R10 what races with the drop of its collection leaves no record', async () => {
  for (const held of ['streamingnode', 'querycoord', 'indexcoord', 'datacoord', 'none']) {
    await withCollection({}, 1, async (collection, sandbox) => {
      const { peers } = sandbox;
      const { collectionId } = collection.info;
      await collection.insert(makeRows(0, 1100));
      await collection.flush();
      const gate = createDeferred<void>();
      const reached = createDeferred<void>();
      sandbox.hooks.set(`${held}.${DROP[held] ?? 'dropCollection'}`, () => {
        reached.resolve();
        return gate.promise;
      });
      const race = (): Promise<unknown>[] => [
        createIndex(peers, collection),
        load(peers, collectionId, []),
        peers.querycoord.release({ collectionId, partitionIds: [] }, {}),
      ];
      const early = race();
      const drop = peers.rootcoord.dropCollection({ dbName: 'default', name: 'c' }, {});
      if (held !== 'none') await reached.promise;
      const late = race();
      const lateResults = await Promise.allSettled(late.slice(0, 2));
      gate.resolve();
      await drop;
      await Promise.allSettled([...early, ...late, ...race()]);
      assert.deepEqual(await listLeft(sandbox, collectionId), [], `held at ${held}`);
      if (held === 'none') return;
      for (const result of lateResults) {
        assert.ok(result.status === 'rejected' && hasName('CollectionNotFound')(result.reason));
      }
    });
  }
});

test('R10 a partition whose drop fails half-way is gone, whatever comes after', async () => {
  for (const failing of ['streamingnode', 'querycoord', 'datacoord', 'restart']) {
    const runtime = new VirtualRuntime();
    await withCollection({ runtime }, 1, async (collection, sandbox) => {
      const { rootcoord } = sandbox.peers;
      const ref = { dbName: 'default', name: 'c', partitionName: 'p' };
      const partitionId = await collection.createPartition('p');
      await collection.insert(makeRows(0, 10), partitionId);
      await collection.flush();
      await collection.insert(makeRows(10, 20), partitionId);
      await collection.insert(makeRows(20, 30));
      const role = failing === 'restart' ? 'streamingnode' : failing;
      failOnce(sandbox, `${role}.dropPartition`);
      await assert.rejects(rootcoord.dropPartition(ref, {}), hasName('IoFailed'));
      // The next change of the collection is told to the shards.
      const field = { ...makeField({ name: 'm', dataType: DataType.Int64, nullable: true }) };
      const added = { dbName: 'default', name: 'c', field };
      await rootcoord.addCollectionField(added, {});
      await collection.refresh();
      assert.ok(!collection.info.partitions.some(({ name }) => name === 'p'));
      const write = collection.insert(makeRows(30, 31), partitionId);
      await assert.rejects(write, hasName('PartitionNotFound'));
      if (failing === 'restart') await sandbox.restart();
      else if (failing === 'datacoord') await runtime.advance(2000);
      else await rootcoord.dropPartition(ref, {});
      collection.model.dropPartition(partitionId);
      await until(async () => (await sandbox.listRecords('dropping/')).length === 0);
      assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
      await sandbox.restart();
      assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
    });
  }
});

test('R10 a collection whose drop fails half-way is gone, and its name is free', async () => {
  for (const failing of ['streamingnode', 'querycoord', 'indexcoord', 'datacoord']) {
    const runtime = new VirtualRuntime();
    await withCollection({ runtime }, 1, async (collection, sandbox) => {
      const { rootcoord } = sandbox.peers;
      const ref = { dbName: 'default', name: 'c' };
      await createIndex(sandbox.peers, collection);
      await collection.insert(makeRows(0, 10));
      await collection.flush();
      failOnce(sandbox, `${failing}.${DROP[failing] ?? 'dropCollection'}`);
      await assert.rejects(rootcoord.dropCollection(ref, {}), hasName('IoFailed'));
      await assert.rejects(rootcoord.describeCollection(ref, {}), hasName('CollectionNotFound'));
      const successor = await SandboxCollection.create(sandbox.peers, 'c');
      await successor.insert(makeRows(5, 8));
      if (failing === 'querycoord') await sandbox.restart();
      await until(async () => {
        await runtime.advance(1000);
        return (await sandbox.listRecords('dropping/')).length === 0;
      });
      assert.deepEqual(await listLeft(sandbox, collection.info.collectionId), []);
      assert.deepEqual(await successor.query(), successor.model.query({}).map(toFound));
    });
  }
});

test('a collection that could not be opened does not stay, or is opened by the retry', async () => {
  for (const isUndone of [true, false]) {
    await withCollection({}, 1, async (_other, sandbox) => {
      const create = (): Promise<SandboxCollection> =>
        SandboxCollection.create(sandbox.peers, 'late');
      failOnce(sandbox, 'streamingnode.openShard');
      if (!isUndone) {
        sandbox.hooks.set('kv.transact', async (transaction) => {
          const { puts } = transaction as { puts: { key: string }[] };
          if (puts.some(({ key }) => key.startsWith('dropping/'))) throw brokenDisk;
        });
      }
      await assert.rejects(create(), hasName('IoFailed'));
      sandbox.hooks.clear();
      const found = sandbox.peers.rootcoord.describeCollection(
        { dbName: 'default', name: 'late' },
        {},
      );
      if (isUndone) await assert.rejects(found, hasName('CollectionNotFound'));
      else await found;
      const collection = await create();
      await collection.insert(makeRows(0, 5));
      await sandbox.restart();
      assert.deepEqual(await collection.query(), collection.model.query({}).map(toFound));
    });
  }
});

test('a collection whose schema has an index that is refused is not made', async () => {
  await withCollection({}, 1, async (_other, sandbox) => {
    const client = openProxy(sandbox);
    const type = getMessageType('milvus.proto.schema.CollectionSchema');
    const create = (indexType: string): Promise<unknown> => {
      const index = { key: 'index_type', value: indexType };
      const vector = { name: 'vec', data_type: DataType.FloatVector, index_params: [index] };
      const schema = {
        name: 'old',
        fields: [
          { name: 'id', data_type: DataType.Int64, is_primary_key: true },
          { ...vector, type_params: [{ key: 'dim', value: '4' }] },
        ],
      };
      const bytes = Buffer.from(type.encode(type.fromObject(schema)).finish());
      return client.call('CreateCollection', { collection_name: 'old', schema: bytes });
    };
    await assert.rejects(create('BOGUS'), /invalid index type: BOGUS/);
    assert.equal(await client.hasCollection('old'), false);
    await create('HNSW');
    assert.deepEqual(await client.listIndexedFields('old'), ['vec']);
  });
});

test('a release of which a shard was not told is made good by the retry', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const { collectionId } = collection.info;
    const release = (): Promise<unknown> =>
      sandbox.peers.querycoord.release({ collectionId, partitionIds: [] }, {});
    failOnce(sandbox, 'streamingnode.setLoaded');
    await assert.rejects(release(), hasName('IoFailed'));
    await release();
    await assert.rejects(collection.query(), hasName('CollectionNotLoaded'));
  });
});
