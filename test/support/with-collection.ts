// A sandbox for one test, also with a collection in it, and rows: nothing is left running.

import assert from 'node:assert/strict';
import { ClusterSandbox, type SandboxOptions } from './cluster-sandbox.ts';
import type { Row } from './collection-model.ts';
import { SandboxCollection, toFound } from './sandbox-collection.ts';

export async function withSandbox(
  options: SandboxOptions,
  task: (sandbox: ClusterSandbox) => Promise<void>,
): Promise<void> {
  const sandbox = await ClusterSandbox.open(options);
  try {
    await task(sandbox);
  } finally {
    await sandbox.close();
  }
}

/** The same with one collection, and nothing may have been logged as an error. */
export function withCollection(
  options: SandboxOptions,
  shardCount: number,
  task: (collection: SandboxCollection, sandbox: ClusterSandbox) => Promise<void>,
): Promise<void> {
  return withSandbox(options, async (sandbox) => {
    const collection = await SandboxCollection.create(sandbox.peers, 'c', shardCount);
    await task(collection, sandbox);
    assert.deepEqual(sandbox.errors, []);
  });
}

/** All rows, and how many, are the model's. */
export async function checkRows(collection: SandboxCollection): Promise<void> {
  assert.deepEqual(await collection.query(), collection.model.query().map(toFound));
  assert.equal(await collection.count(), collection.model.list().length);
}

/** Rows with the keys `from` up to, not including, `to`. */
export function makeRows(from: number, to: number): Row[] {
  return Array.from({ length: to - from }, (_unused, i) => ({
    id: BigInt(from + i),
    vec: [from + i, 0, 0, 0],
    n: BigInt(i),
    s: 's',
  }));
}

/** `count` rows with the keys from `first` on, each with this text. */
export function makeTextRows(first: number, count: number, text = 's'): Row[] {
  return Array.from({ length: count }, (_unused, i) => ({
    id: BigInt(first + i),
    vec: [first, i, 0, 0],
    n: BigInt(i),
    s: text,
  }));
}
