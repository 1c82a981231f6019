// Which partitions a read goes to.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { CollectionInfo } from '../../../../src/model/collection-info.ts';
import { MilvusError } from '../../../../src/model/error.ts';
import { selectPartitions } from '../../../../src/roles/proxy/read/read-options.ts';

function makeInfo(partitionCount: number): CollectionInfo {
  return {
    collectionId: 1n,
    dbId: 1n,
    dbName: 'default',
    schema: {
      name: 'c',
      description: '',
      fields: [],
      enableDynamicField: false,
      version: 0,
      properties: {},
    },
    vchannels: ['v0'],
    partitions: Array.from({ length: partitionCount }, (_unused, i) => ({
      partitionId: BigInt(i),
      name: `p${i}`,
      createdTimestamp: 0n,
    })),
    aliases: [],
    consistencyLevel: 0,
    properties: {},
    createdTimestamp: 0n,
    schemaTimestamp: 0n,
  };
}

test('P9 as many names as a message holds are looked up in no more time than they are read', () => {
  const info = makeInfo(4096);
  const names = new Array<string>(500_000).fill('p4095');
  const started = performance.now();
  assert.deepEqual(selectPartitions(info, names, undefined), [4095n]);
  const took = performance.now() - started;
  assert.ok(took < 500, `${took} ms`);
});

test('the first name that no partition has is named', () => {
  const info = makeInfo(10);
  for (const more of [[], ['p1', 'p2', 'p3', 'p4']]) {
    const names = [...more, 'p3', 'x', 'y'];
    assert.throws(
      () => selectPartitions(info, names, undefined),
      (error) =>
        error instanceof MilvusError &&
        error.errorName === 'PartitionNotFound' &&
        error.message.includes('partition name x not found'),
    );
  }
  assert.deepEqual(selectPartitions(info, ['p3', 'p1', 'p3'], undefined), [3n, 1n]);
  assert.deepEqual(selectPartitions(info, [], undefined), []);
});
