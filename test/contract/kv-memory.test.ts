// The memory twin against the contract of Kv.

import { createMemoryKv } from '../../src/meta/memory.ts';
import { runKvSuite } from './kv.suite.ts';

runKvSuite({
  name: 'memory',
  createPlace: async () => ({
    open: async (runtime) => createMemoryKv(runtime),
    remove: async () => undefined,
  }),
  supports: { reopen: false },
});
