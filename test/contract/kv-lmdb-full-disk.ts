// The process that kv-lmdb.test.ts starts under a limit on file size: writes until the store is
// full, deletes something, opens it again, prints what it saw as one JSON object. Not a test
// itself.

import { systemRuntime } from '../../src/base/system-runtime.ts';
import type { Kv } from '../../src/meta/kv.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';
import { MilvusError } from '../../src/model/error.ts';

async function count(kv: Kv): Promise<number> {
  let entries = 0;
  for await (const _ of kv.range('')) entries += 1;
  return entries;
}

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: kv-lmdb-full-disk FOLDER');
let kv = await openLmdbKv({ folder, runtime: systemRuntime });
let acknowledged = 0;
const errors = new Set<string>();
for (let number = 0; number < 60; number += 1) {
  try {
    const value = 'x'.repeat(3000);
    await kv.transact({ puts: [{ key: `${number}`, value }] });
    acknowledged += 1;
  } catch (error) {
    errors.add(error instanceof MilvusError ? error.errorName : String(error));
  }
}
const visible = await count(kv);
await kv.transact({ deletes: ['0', '1'] });
await kv.close();
kv = await openLmdbKv({ folder, runtime: systemRuntime });
const afterReopen = await count(kv);
await kv.close();
console.log(JSON.stringify({ errors: [...errors].join(), acknowledged, visible, afterReopen }));
