// The process that kv-lmdb.test.ts kills: writes many keys per transaction and prints each number
// once its transaction has been acknowledged. Not a test itself.

import { writeSync } from 'node:fs';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';

const folder = process.argv[2];
if (folder === undefined) throw new Error('usage: kv-lmdb-writer FOLDER');
const filler = 'x'.repeat(1000);
const kv = await openLmdbKv({ folder, runtime: systemRuntime });
for (let number = Number((await kv.get('one'))?.value ?? 0) + 1; ; number += 1) {
  const value = String(number);
  const between = Array.from({ length: 100 }, (_, at) => ({ key: `between/${at}`, value: filler }));
  await kv.transact({ puts: [{ key: 'one', value }, ...between, { key: 'other', value }] });
  writeSync(1, `${value}\n`);
}
