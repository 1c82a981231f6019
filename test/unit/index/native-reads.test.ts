// What a read pins and what it gives away (R15), and the bytes that it takes as they lie (R18).

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { rm } from 'node:fs/promises';
import { after, before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { inspect } from 'node:util';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { compileFilter } from '../../../src/expr/compile.ts';
import { encodePlan } from '../../../src/expr/encode-plan.ts';
import {
  native,
  takeJobId,
  type NativeSearchRequest,
  type NativeSegment,
} from '../../../src/index/native.ts';
import type { SearchReply } from '../../../src/model/read.ts';
import { DataType } from '../../../src/model/data-type.ts';
import { Random } from '../../support/codec/random.ts';
import {
  DIM,
  KEY,
  makeGrowing,
  makeVector,
  SegmentFolder,
  TEXT,
  VECTOR,
} from '../../support/native-segment.ts';

const SEED = 15;
const ROWS = 5000;
/** Copied and, being past 64 KiB, kept as it is. */
const SHORT_NQ = 2;
const LONG_NQ = 2000;

let folder: SegmentFolder;
before(async () => {
  folder = await SegmentFolder.create();
});
after(() => folder.remove());

function makeQueries(nq: number): Buffer {
  const random = new Random(SEED);
  const floats = Float32Array.from(Array.from({ length: nq }, () => makeVector(random)).flat());
  return Buffer.from(floats.buffer);
}

function search(
  segment: NativeSegment,
  queries: Uint8Array,
  given: Partial<NativeSearchRequest> = {},
): Promise<SearchReply> {
  const nq = queries.byteLength / (DIM * Float32Array.BYTES_PER_ELEMENT);
  const request = { fieldId: VECTOR, metric: 'L2', nq, k: 10, queries, indexParams: {} };
  return native.search([segment], {
    ...request,
    readTimestamp: 2n,
    outputFieldIds: [TEXT, VECTOR],
    ...given,
  });
}

function compilePlan(filter: string): Uint8Array {
  const field = { elementType: 0, nullable: false, isPartitionKey: false, isDynamic: false };
  const schema = {
    fields: [
      { ...field, fieldId: KEY, name: 'id', dataType: DataType.Int64, isPrimaryKey: true },
      { ...field, fieldId: TEXT, name: 's', dataType: DataType.VarChar, isPrimaryKey: false },
    ],
  };
  return encodePlan(compileFilter(filter, schema, new Map()));
}

function makeRandomText(length: number): string {
  const random = new Random(SEED);
  return Array.from({ length }, () => (random.next() < 0.5 ? 'a' : 'b')).join('');
}

function assertSame(found: SearchReply, expected: SearchReply): void {
  assert.deepEqual(found.scores, expected.scores);
  assert.ok(Buffer.compare(found.rows, expected.rows) === 0);
}

test('R15 reads and builds under way outlive the segment and its file', async () => {
  const { segment, path } = await folder.seal(makeGrowing(ROWS, new Random(SEED)));
  const queries = makeQueries(200);
  const expected = await search(segment, queries);
  const reads = Array.from({ length: 20 }, () => search(segment, queries));
  const params = { kind: 'HNSW', metric: 'L2', params: { M: 8, efConstruction: 40 } };
  const building = native.buildIndex(segment, VECTOR, params, `${path}.index`, 1);
  native.closeSegment(segment);
  await rm(path);
  assert.throws(() => search(segment, queries), /closed/);
  for (const read of reads) assertSame(await read, expected);
  assert.ok((await building).bytes > ROWS);
});

test('R15 what a read returns is memory of its own, not the file', async () => {
  const { segment } = await folder.seal(makeGrowing(ROWS, new Random(SEED)));
  const queries = makeQueries(SHORT_NQ);
  const expected = await search(segment, queries);
  const spoiled = await search(segment, queries);
  spoiled.rows.fill(0); // In mapped memory this would end the process.
  spoiled.scores.fill(0);
  assertSame(await search(segment, queries), expected);
  native.closeSegment(segment);
});

test('R15 a short query, from the shared pool of buffers too, may be reused at once', async () => {
  const growing = makeGrowing(ROWS, new Random(SEED));
  const { segment: sealed } = await folder.seal(growing);
  for (const segment of [growing, sealed]) {
    const queries = makeQueries(SHORT_NQ);
    const expected = await search(segment, queries);
    const pooled = Buffer.from(queries);
    assert.ok(pooled.buffer.byteLength > pooled.byteLength);
    const reading = search(segment, pooled);
    pooled.fill(0x3f);
    assertSame(await reading, expected);
    native.closeSegment(segment);
  }
});

test('R15 a long query stays alive while it is read, though nobody else holds it', async () => {
  setFlagsFromString('--expose-gc');
  const collectGarbage = runInNewContext('gc') as () => void;
  const { segment } = await folder.seal(makeGrowing(ROWS, new Random(SEED)));
  const expected = await search(segment, makeQueries(LONG_NQ));
  const reads = Array.from({ length: 4 }, () => search(segment, makeQueries(LONG_NQ)));
  for (let round = 0; round < 5; round += 1) {
    collectGarbage();
    // Takes the place of what was freed.
    Buffer.alloc(LONG_NQ * DIM * Float32Array.BYTES_PER_ELEMENT, 0x3f);
  }
  for (const read of reads) assertSame(await read, expected);
  native.closeSegment(segment);
});

test('R15 a process that ends while native threads work ends without a crash', () => {
  const program = fileURLToPath(new URL('./native-exit.js', import.meta.url));
  for (let round = 0; round < 3; round += 1) {
    const { status, signal, stderr } = spawnSync(process.execPath, [program]);
    assert.deepEqual([status, signal, String(stderr)], [0, null, '']);
  }
});

// The keys lie in JavaScript's memory, are copied on the JavaScript thread and again, to be sorted,
// on a search thread. 512 MiB hold 300 MiB once and 192 MiB twice.
test(
  'what has no memory, on whichever thread, is an error and not the end of the process',
  { skip: process.platform !== 'linux' },
  () => {
    const program = fileURLToPath(new URL('./native-memory.js', import.meta.url));
    const free = spawnSync(process.execPath, [program], { encoding: 'utf8' });
    const limitKiB = Number(free.stdout) + (512 << 10);
    for (const keysMiB of ['300', '192']) {
      const script = `ulimit -v ${limitKiB}; exec "$0" "$@"`;
      const run = spawnSync('sh', ['-c', script, process.execPath, program, keysMiB], {
        encoding: 'utf8',
      });
      assert.deepEqual([run.status, run.signal, run.stderr], [0, null, '']);
      assert.deepEqual(JSON.parse(run.stdout), { code: 3, isSame: true });
    }
  },
);

test('P9 a few rows are read at once when their values are short, else on a thread', async () => {
  const request = { readTimestamp: 2n, limit: 0, countOnly: false };
  const keys = BigInt64Array.from({ length: 20 }, (_, i) => BigInt(i));
  const isPending = (promise: Promise<unknown>): boolean => inspect(promise).includes('<pending>');
  for (const [length, isLong] of [[100, false], [60_000, true]] as const) {
    const makeText = (key: number): string => (key < 20 ? 'x'.repeat(length) : '');
    const segment = makeGrowing(50, new Random(SEED), makeText);
    const query = native.query([segment], { ...request, keys, outputFieldIds: [TEXT] });
    assert.equal(isPending(query), isLong, `query of texts of ${length}`);
    const found = search(segment, makeQueries(1), { k: 50, outputFieldIds: [TEXT] });
    assert.equal(isPending(found), isLong, `search of texts of ${length}`);
    // What is not read does not count.
    const other = native.query([segment], { ...request, keys, outputFieldIds: [VECTOR] });
    assert.equal(isPending(other), false);
    assert.equal((await query).count, 20);
    await Promise.all([found, other]);
    native.closeSegment(segment);
  }
});

test('P9 a filter that long values may keep for long is not evaluated at once', async () => {
  const isPending = (promise: Promise<unknown>): boolean => inspect(promise).includes('<pending>');
  const text = makeRandomText(60_000);
  const segment = makeGrowing(10, new Random(SEED), () => text);
  for (const filter of ['s =~ "a[ab]{1000}c"', `s like "%${'a_'.repeat(20)}c%"`]) {
    const plan = compilePlan(filter);
    const jobs = [takeJobId(), takeJobId()];
    const read = { plan, outputFieldIds: [] };
    const count = { ...read, readTimestamp: 2n, limit: 0, countOnly: true };
    const reads = [
      native.query([segment], { ...count, jobId: jobs[0]! }),
      search(segment, makeQueries(1), { ...read, jobId: jobs[1]! }),
    ];
    const settled = Promise.allSettled(reads);
    for (const found of reads) assert.ok(isPending(found), filter);
    for (const jobId of jobs) native.cancelJob(jobId);
    await settled;
  }
  // What is not looked at does not count.
  const count = { readTimestamp: 2n, limit: 0, countOnly: true, outputFieldIds: [] };
  const other = native.query([segment], { ...count, plan: compilePlan('id < 5') });
  assert.equal(isPending(other), false);
  assert.equal((await other).count, 5);
  native.closeSegment(segment);
});

test('R22 a client that goes ends a filter that would take minutes', async () => {
  const text = makeRandomText(60_000);
  const growing = makeGrowing(100, new Random(SEED), () => text);
  const { segment: sealed } = await folder.seal(growing);
  const plan = compilePlan('s =~ "a[ab]{1000}[ab]{1000}[ab]{1000}c"');
  for (const segment of [growing, sealed]) {
    const jobId = takeJobId();
    const request = { plan, jobId, outputFieldIds: [], limit: 0, countOnly: true };
    const begin = performance.now();
    const query = native.query([segment], { ...request, readTimestamp: 2n });
    setTimeout(() => native.cancelJob(jobId), 20);
    await assert.rejects(query, /canceled/);
    assert.ok(performance.now() - begin < 2000);
    native.closeSegment(segment);
  }
});

test('R18 queries are read at every alignment', async () => {
  const growing = makeGrowing(ROWS, new Random(SEED));
  const { segment: sealed } = await folder.seal(growing);
  for (const nq of [SHORT_NQ, LONG_NQ]) {
    const queries = makeQueries(nq);
    const expected = await search(sealed, queries);
    for (let shift = 0; shift < 8; shift += 1) {
      const moved = Buffer.alloc(shift + queries.length, 0x3f);
      queries.copy(moved, shift);
      for (const segment of [growing, sealed]) {
        assertSame(await search(segment, moved.subarray(shift)), expected);
      }
    }
  }
  for (const segment of [growing, sealed]) native.closeSegment(segment);
});

test('R22 a canceled read ends without an answer, and the others go on', async () => {
  const segment = makeGrowing(ROWS, new Random(SEED));
  const queries = makeQueries(LONG_NQ);
  const expected = await search(segment, queries);
  const canceled = search(segment, queries, { jobId: 1 });
  const kept = search(segment, queries, { jobId: 2 });
  native.cancelJob(1);
  await assert.rejects(canceled, /canceled/);
  assertSame(await kept, expected);
  // Done, or never there: nothing happens.
  native.cancelJob(2);
  native.cancelJob(3);
  assertSame(await search(segment, queries, { jobId: 1 }), expected);
  native.closeSegment(segment);
});
