// Damaged LMDB files: whatever bits are wrong, a store is refused by name or gives back what was
// written. It never ends the process and never tells something else.

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { cp, mkdir, mkdtemp, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import { systemRuntime } from '../../src/base/system-runtime.ts';
import { checkLmdbFile } from '../../src/meta/lmdb-file.ts';
import { openLmdbKv } from '../../src/meta/lmdb.ts';
import { makeRandom } from '../support/power-cut-wal.ts';

const PAGE_BYTES = 4096;
const ROOT_BYTES = 2 * PAGE_BYTES;
const seed = Number(process.env['DAMAGE_SEED'] ?? Math.floor(Math.random() * 1_000_000));

async function withFolder(t: TestContext, run: (folder: string) => Promise<void>): Promise<void> {
  t.diagnostic(`seed ${seed}`);
  const folder = await mkdtemp(join(tmpdir(), 'elanus-lmdb-'));
  try {
    await run(folder);
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** A store with branches, long values and free pages. */
async function makeStore(folder: string, random: () => number, rounds: number): Promise<void> {
  const kv = await openLmdbKv({ folder, runtime: systemRuntime });
  for (let round = 0; round < rounds; round += 1) {
    const puts = new Map<string, string>();
    const deletes = new Set<string>();
    for (let i = 0; i < 30; i += 1) {
      const key = `segment/${String(Math.floor(random() * 400)).padStart(20, '0')}`;
      const length = random() < 0.03 ? 20_000 * random() : 500 * random();
      if (random() < 0.7) puts.set(key, String(round).repeat(length));
      else if (!puts.has(key)) deletes.add(key);
    }
    for (const key of puts.keys()) deletes.delete(key);
    await kv.transact({
      puts: [...puts].map(([key, value]) => ({ key, value })),
      deletes: [...deletes],
    });
    if (round % 7 === 0) await checkLmdbFile(join(folder, 'data.mdb'), PAGE_BYTES);
  }
  await kv.close();
}

test('kv over lmdb: a store that nobody has damaged always passes the check', async (t) => {
  await withFolder(t, async (folder) => {
    const random = makeRandom(seed);
    for (let store = 0; store < 4; store += 1) {
      const path = join(folder, String(store));
      await makeStore(path, random, 60);
      await checkLmdbFile(join(path, 'data.mdb'), PAGE_BYTES);
    }
  });
});

/** Opens and reads these stores in another process. */
async function probe(folders: readonly string[]): Promise<Map<string, string>> {
  const path = fileURLToPath(new URL('./kv-lmdb-probe.js', import.meta.url));
  const child = spawn(process.execPath, [path, ...folders], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let output = '';
  for await (const chunk of child.stdout) output += String(chunk);
  const lines = output.split('\n').filter((line) => line !== '');
  return new Map(
    lines.map((text) => {
      const { folder, line } = JSON.parse(text) as { folder: string; line: string };
      return [folder, line];
    }),
  );
}

test('kv over lmdb: damage is refused by name, or does no harm', async (t) => {
  await withFolder(t, async (folder) => {
    const random = makeRandom(seed);
    const draw = (below: number): number => Math.floor(random() * below);
    const sound = join(folder, 'sound');
    await makeStore(sound, random, 30);
    const bytes = await readFile(join(sound, 'data.mdb'));
    const stores: string[] = [];
    const damage = async (edit: (copy: Buffer) => Buffer): Promise<void> => {
      const target = join(folder, `damaged-${stores.length}`);
      await mkdir(target);
      await writeFile(join(target, 'data.mdb'), edit(Buffer.from(bytes)));
      stores.push(target);
    };
    for (let i = 0; i < 150; i += 1) {
      await damage((copy) => {
        copy[draw(copy.length)]! ^= 1 << draw(8);
        return copy;
      });
      // Page headers and nodes, where the pointers are.
      await damage((copy) => {
        copy[draw(copy.length / PAGE_BYTES) * PAGE_BYTES + draw(160)]! ^= 1 << draw(8);
        return copy;
      });
      await damage((copy) => copy.fill(draw(256), draw(copy.length)));
      await damage((copy) => {
        const page = draw(copy.length / PAGE_BYTES) * PAGE_BYTES;
        return copy.fill(0, page, page + PAGE_BYTES);
      });
    }
    // A shorter file is one that was never begun: only the server knows that there is data.
    const least = ROOT_BYTES + 1;
    for (let i = 0; i < 10; i += 1) {
      await damage((copy) => copy.subarray(0, least + draw(copy.length - least)));
    }
    const whole = (await probe([await copyOf(sound, folder)])).values().next().value;
    const found = await probe(stores);
    let refused = 0;
    for (const store of stores) {
      const line = found.get(store) ?? 'the process ended';
      if (line === whole) continue;
      refused += 1;
      assert.match(line, /^refused .*(damaged|cannot open).*folder=.*remedy=/, store);
    }
    t.diagnostic(`${refused} of ${stores.length} refused`);
    assert.ok(refused > stores.length / 4);
  });
});

async function copyOf(sound: string, folder: string): Promise<string> {
  const copy = join(folder, 'copy');
  await cp(sound, copy, { recursive: true });
  return copy;
}

test('kv over lmdb: a file cut to nothing is told from one that was never begun', async (t) => {
  await withFolder(t, async (folder) => {
    await makeStore(folder, makeRandom(seed), 3);
    await truncate(join(folder, 'data.mdb'), 3 * PAGE_BYTES);
    await assert.rejects(openLmdbKv({ folder, runtime: systemRuntime }), /page .*the file was cut/);
  });
});

test('kv over lmdb: the example of the format page is what the writer writes', async (t) => {
  await withFolder(t, async (folder) => {
    const kv = await openLmdbKv({ folder, runtime: systemRuntime });
    for (let i = 1; i <= 7; i += 1) await kv.transact({ puts: [{ key: 'k', value: '{"v":1}' }] });
    await kv.close();
    const page = await readFile('docs/formats/catalog.md', 'utf8');
    const hex = /```hex\n([^`]*)```/.exec(page)?.[1]?.replaceAll(/\s/g, '') ?? '';
    const file = await readFile(join(folder, 'data.mdb'));
    assert.ok(hex.length > 0 && file.includes(Buffer.from(hex, 'hex')));
  });
});

test('kv over lmdb: values without a checksum are read, and get one when written', async (t) => {
  await withFolder(t, async (folder) => {
    const { open } = createRequire(import.meta.url)('lmdb') as typeof import('lmdb');
    const makeOld = (revision: number, text: string): Buffer =>
      Buffer.concat([Buffer.from([0, 0, 0, 0, 0, 0, 0, revision]), Buffer.from(text)]);
    const old = open<Buffer, Buffer>({
      path: folder,
      noSubdir: false,
      pageSize: PAGE_BYTES,
      keyEncoding: 'binary',
      encoding: 'binary',
      overlappingSync: false,
    });
    await old.put(Buffer.from('a'), makeOld(5, 'one'));
    await old.put(Buffer.from('b'), makeOld(6, 'two'));
    await old.put(Buffer.from('\0revision'), makeOld(6, ''));
    await old.close();
    const kv = await openLmdbKv({ folder, runtime: systemRuntime });
    assert.deepEqual(await kv.get('a'), { key: 'a', value: 'one', revision: 5n });
    await kv.transact({ puts: [{ key: 'a', value: 'three' }] });
    assert.deepEqual(await kv.get('a'), { key: 'a', value: 'three', revision: 7n });
    assert.deepEqual(await kv.get('b'), { key: 'b', value: 'two', revision: 6n });
    await kv.close();
    const file = await readFile(join(folder, 'data.mdb'));
    assert.equal(file[file.indexOf('three') - 12], 1);
    assert.equal(file[file.indexOf('two') - 8], 0);
  });
});
