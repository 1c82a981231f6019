// Opens each store named on the command line and reads all of it: another process, because LMDB
// may end the one that reads a damaged file. A line for each: the error, or a digest of what it
// holds.

import { createHash } from 'node:crypto';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';

for (const folder of process.argv.slice(2)) {
  let line: string;
  try {
    const kv = await openLmdbKv({ folder, runtime: systemRuntime });
    try {
      const digest = createHash('sha1');
      for await (const { key, value, revision } of kv.range('')) {
        digest.update(`${key}=${value}@${revision}\n`);
      }
      line = `whole ${digest.digest('hex')}`;
      // It must take writes too: they look for free pages.
      await kv.transact({ puts: [{ key: 'probe', value: 'p'.repeat(9000) }] });
    } finally {
      await kv.close();
    }
  } catch (error) {
    line = `refused ${(error as Error).message}`;
  }
  console.log(JSON.stringify({ folder, line }));
}
