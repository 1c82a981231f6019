// A collection in a sandbox of its own, for one test: nothing is left running, no error unseen.

import assert from 'node:assert/strict';
import { ClusterSandbox, type SandboxOptions } from './cluster-sandbox.ts';
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
