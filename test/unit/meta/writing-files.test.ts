// A file that is being written is named by one transaction or becomes garbage, never both.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Catalog } from '../../../src/meta/catalog.ts';
import type { Transaction } from '../../../src/meta/kv.ts';
import { createMemoryKv } from '../../../src/meta/memory.ts';
import { WritingFiles } from '../../../src/meta/writing-files.ts';
import { MilvusError } from '../../../src/model/error.ts';
import { VirtualRuntime } from '../../support/virtual-runtime.ts';

function makeWorld() {
  const runtime = new VirtualRuntime();
  const kv = createMemoryKv(runtime);
  const transact = kv.transact.bind(kv);
  const world = { isFull: false, isAnswerLost: false };
  kv.transact = async (transaction: Transaction) => {
    if (world.isFull) throw new Error('full');
    const result = await transact(transaction);
    if (world.isAnswerLost) throw new Error('lost');
    return result;
  };
  const catalog = new Catalog(kv);
  const open = (): WritingFiles => new WritingFiles(catalog, () => runtime.nowMs());
  const listGarbage = async (): Promise<string[]> =>
    (await catalog.list('garbage')).flatMap(({ files }) => files).sort();
  const listWriting = async (): Promise<string[]> =>
    (await catalog.list('writing')).map(({ file }) => file);
  return { world, catalog, open, listGarbage, listWriting };
}

const isGivenUp = (error: unknown): boolean =>
  error instanceof MilvusError && error.errorName === 'SegmentNotFound';

test('a file that is named leaves no record, one that is given up becomes garbage', async () => {
  const { catalog, open, listGarbage, listWriting } = makeWorld();
  const writing = open();
  for (const file of ['s/1', 's/2', 's/3']) await writing.begin(1n, file);
  assert.deepEqual(await listWriting(), ['s/1', 's/2', 's/3']);
  await catalog.write([{ key: 'segment/1', record: {} }, ...writing.listRemovals(['s/1'])]);
  writing.end(['s/1']);
  await writing.giveUp(['s/1', 's/2', 'never/begun']);
  assert.throws(() => writing.listRemovals(['s/2']), isGivenUp);
  assert.deepEqual([await listWriting(), await listGarbage()], [['s/3'], ['s/2']]);
});

test('a commit that comes after its file was given up is refused by the store', async () => {
  const { catalog, open, listGarbage } = makeWorld();
  const writing = open();
  await writing.begin(1n, 's/1');
  const late = [{ key: 'segment/1', record: {} }, ...writing.listRemovals(['s/1'])];
  await writing.giveUp(['s/1']);
  await assert.rejects(catalog.write(late), /transaction refused/);
  assert.equal(await catalog.has('segment/1'), false);
  assert.deepEqual(await listGarbage(), ['s/1']);
});

test('P7 giving up while the store cannot write is caught up on', async () => {
  const { world, open, listGarbage, listWriting } = makeWorld();
  const writing = open();
  await writing.begin(1n, 's/1');
  world.isFull = true;
  await writing.giveUp(['s/1']);
  assert.throws(() => writing.listRemovals(['s/1']), isGivenUp);
  await assert.rejects(writing.begin(1n, 's/2'), /full/);
  world.isFull = false;
  await writing.begin(1n, 's/2');
  assert.deepEqual([await listWriting(), await listGarbage()], [['s/2'], ['s/1']]);
});

test('what was settled by a transaction whose answer was lost is not settled again', async () => {
  const { world, catalog, open, listGarbage, listWriting } = makeWorld();
  const writing = open();
  await writing.begin(1n, 's/1');
  await writing.begin(1n, 's/2');
  world.isAnswerLost = true;
  await writing.giveUp(['s/1']);
  const naming = [{ key: 'segment/2', record: {} }, ...writing.listRemovals(['s/2'])];
  await assert.rejects(catalog.write(naming), /lost/);
  world.isAnswerLost = false;
  // The caller cannot know that it was named.
  await writing.giveUp(['s/2']);
  await writing.begin(1n, 's/3');
  assert.deepEqual([await listWriting(), await listGarbage()], [['s/3'], ['s/1']]);
});

test('what a dead process was writing becomes garbage, of the folders asked for', async () => {
  const { open, listGarbage, listWriting } = makeWorld();
  const dead = open();
  const files = Array.from({ length: 120 }, (_, at) => `segments/1/${String(at).padStart(3, '0')}`);
  for (const file of files) await dead.begin(1n, file);
  await dead.begin(1n, 'indexes/1/2/3-4');
  await open().clear(['segments/', 'deletes/']);
  assert.deepEqual(await listGarbage(), files);
  assert.deepEqual(await listWriting(), ['indexes/1/2/3-4']);
});

test('P7 a file is begun while others are being given up', async () => {
  const { open, listGarbage, listWriting } = makeWorld();
  const writing = open();
  await writing.begin(1n, 's/1');
  await writing.begin(1n, 's/2');
  const givenUp = writing.giveUp(['s/1']);
  await Promise.all([writing.begin(2n, 's/3'), writing.giveUp(['s/2']), writing.begin(3n, 's/4')]);
  await givenUp;
  assert.deepEqual([await listWriting(), await listGarbage()], [['s/3', 's/4'], ['s/1', 's/2']]);
});
