// A collection in a sandbox of its own, for one test: nothing is left running, no error unseen.

import assert from 'node:assert/strict';
import { ClusterSandbox, type SandboxOptions } from './cluster-sandbox.ts';
import type { Row } from './collection-model.ts';
import { SandboxCollection } from './sandbox-collection.ts';

export async function withCollection(
  options: SandboxOptions,
  shardCount: number,
  task: (collection: SandboxCollection, sandbox: ClusterSandbox) => Promise<void>,
): Promise<void> {
  const sandbox = await ClusterSandbox.open(options);
  try {
    const collection = await SandboxCollection.create(sandbox.peers, 'c', shardCount);
    await task(collection, sandbox);
    assert.deepEqual(sandbox.errors, []);
  } finally {
    await sandbox.close();
  }
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
