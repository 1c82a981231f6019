// The process in which kv-lmdb.test.ts opens stores that may be damaged, because LMDB may end it:
// prints, for each store, what kv-lmdb-writer.ts has left there, as one JSON object. Not a test
// itself.

import { systemRuntime } from '../../src/base/system-runtime.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';

export interface FoundStore {
  readonly one?: number;
  readonly other?: number;
  readonly entries?: number;
  readonly error?: string;
}

async function read(folder: string): Promise<FoundStore> {
  const kv = await openLmdbKv({ folder, runtime: systemRuntime });
  try {
    const one = Number((await kv.get('one'))?.value ?? 0);
    const other = Number((await kv.get('other'))?.value ?? 0);
    let entries = 0;
    for await (const _entry of kv.range('')) entries += 1;
    // It can be written again.
    await kv.transact({ puts: [{ key: 'one', value: String(one + 1) }] });
    return { one, other, entries };
  } finally {
    await kv.close();
  }
}

for (const folder of process.argv.slice(2)) {
  const found = await read(folder).catch((error: unknown) => ({ error: String(error) }));
  console.log(JSON.stringify(found));
}
