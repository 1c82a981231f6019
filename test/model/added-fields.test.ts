// Fields that are added to a collection with rows: older ones read as null or the default (R25).

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import type { DefaultValue } from '../../src/model/schema.ts';
import type { ClusterSandbox } from '../support/cluster-sandbox.ts';
import { makeField } from '../support/codec/random-batch.ts';
import { Random } from '../support/codec/random.ts';
import { checkReads, makeRows, range } from '../support/random-rows.ts';
import type { SandboxCollection } from '../support/sandbox-collection.ts';
import { withCollection } from '../support/with-collection.ts';

const SEED = 20261;

test('a field added to rows that are still growing reads as null', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const random = new Random(SEED);
    await collection.insert(makeRows(random, 0, 10));
    const field = collection.info.schema.fields.find(({ name }) => name === 'n')!;
    await sandbox.peers.rootcoord.addCollectionField(
      { dbName: 'default', name: 'c', field: { ...field, name: 'm' } },
      {},
    );
    await collection.refresh();
    const checkField = async (): Promise<void> => {
      assert.equal(await collection.count({ filter: 'm is null' }), 10);
      assert.equal(await collection.count({ filter: 'm >= 0 or not (m >= 0)' }), 0);
      await checkReads(collection, random);
    };
    await checkField();
    await collection.flush();
    await checkField();
    await sandbox.restart();
    await checkField();
  });
});

/** What fields that are added with a default read as, and filters that every such row passes. */
const ADDED: readonly { name: string; dataType: number; value: DefaultValue; passes: string }[] = [
  { name: 'm', dataType: DataType.Int64, value: -7n, passes: 'm == -7 and m + 1 < -5' },
  { name: 't', dataType: DataType.VarChar, value: 'né', passes: 't == "né" and t like "n%"' },
  { name: 'e', dataType: DataType.VarChar, value: '', passes: 'e == ""' },
  { name: 'b', dataType: DataType.Bool, value: true, passes: 'b == true' },
  { name: 'i8', dataType: DataType.Int8, value: -8, passes: 'i8 in [-8, 9]' },
  { name: 'i16', dataType: DataType.Int16, value: -300, passes: 'i16 < i8' },
  { name: 'i32', dataType: DataType.Int32, value: 1 << 20, passes: 'i32 == 1048576' },
  { name: 'f', dataType: DataType.Float, value: 0.5, passes: 'f == 0.5' },
  { name: 'd', dataType: DataType.Double, value: 0.1, passes: 'not (d != 0.1)' },
];

async function addFields(sandbox: ClusterSandbox, collection: SandboxCollection): Promise<void> {
  for (const { name, dataType, value } of ADDED) {
    const field = makeField({ name, dataType, nullable: true, defaultValue: value });
    await sandbox.peers.rootcoord.addCollectionField(
      { dbName: 'default', name: 'c', field },
      {},
    );
  }
  await collection.refresh();
}

/** All rows but those of `others`, which have values of their own, have the defaults. */
async function checkAdded(collection: SandboxCollection, others: readonly bigint[]): Promise<void> {
  const ids = collection.model.query({}).map(({ id }) => id);
  const old = ids.length - others.length;
  for (const { name, passes } of ADDED) {
    assert.equal(await collection.count({ filter: passes }), old, passes);
    assert.equal(await collection.count({ filter: `${name} is null` }), 0, name);
    assert.equal(await collection.count({ filter: `${name} is not null` }), ids.length, name);
  }
  const wanted = (value: DefaultValue): unknown[] =>
    ids.map((id) => (others.includes(id) ? (typeof value === 'bigint' ? 5n : 'own') : value));
  assert.deepEqual(await collection.values('m'), wanted(-7n));
  assert.deepEqual(await collection.values('t'), wanted('né'));
}

for (const isGrpc of [false, true]) {
  const how = isGrpc ? ', gRPC between roles' : '';
  test(`R25 fields added with a default read as it in rows from before${how}`, async () => {
    await withCollection({ isGrpc, mvccRetentionMs: 0 }, 2, async (collection, sandbox) => {
      const random = new Random(SEED);
      const own = { m: 5n, t: 'own', e: 'own', b: false, i8: 1, i16: 2, i32: 3, f: 4, d: 5 };
      const others: bigint[] = [];
      const checkAll = async (): Promise<void> => {
        await checkAdded(collection, others);
        await checkReads(collection, random);
      };
      const write = async (from: number, to: number): Promise<void> => {
        await collection.upsert(makeRows(random, from, to).map((row) => ({ ...row, ...own })));
        for (const id of range(from, to)) if (!others.includes(id)) others.push(id);
      };
      await collection.insert(makeRows(random, 0, 20));
      await collection.flush();
      await collection.insert(makeRows(random, 20, 40));
      // What is growing cannot be written out: it stays as it was before the fields.
      const isFull = new Error('no space');
      sandbox.hooks.set('datacoord.commitChannel', () => Promise.reject(isFull));
      await addFields(sandbox, collection);
      await checkAll();
      await write(40, 50);
      await write(5, 8);
      await checkAll();
      assert.equal(await collection.deleteByFilter('m == -7 and id < 3'), 3);
      await checkAll();
      await sandbox.restart();
      // Records from before the fields have been replayed.
      await checkAll();
      sandbox.hooks.clear();
      assert(sandbox.errors.length > 0);
      assert(sandbox.errors.every((error) => error.includes('no space')));
      sandbox.errors.length = 0;
      await collection.flush();
      await checkAll();
      assert.equal(await collection.compact(), 0);
      await checkAll();
      await write(20, 22);
      await collection.flush();
      await sandbox.restart();
      await checkAll();
    });
  });
}
