// The addon end to end: a growing segment, the file it is written to, indexes over that file, and
// that all of them answer alike (P5). Native details have their own tests in native/test.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { RowBatchReader } from '../../../src/codec/row-batch.ts';
import { encodePlan } from '../../../src/expr/encode-plan.ts';
import type { Literal, PathStep, PlanNode } from '../../../src/expr/plan.ts';
import {
  native,
  type NativeSegment,
} from '../../../src/index/native.ts';
import type { SearchReply } from '../../../src/model/read.ts';
import { DataType } from '../../../src/model/data-type.ts';
import { readSegmentLayout, writeSegmentFile } from '../../../src/segment/segment-file.ts';
import { encodeDeletes, packKeys } from '../../support/deletes.ts';
import {
  AGE,
  DIM,
  FIELDS,
  JSON_FIELD,
  NAME,
  ROWS,
  SCHEMA,
  SEED,
  TAGS,
  VECTOR,
  bytesOf,
  compareAge,
  encodeRows,
  makeGrowing,
  makeQuery,
  makeRow,
  makeSearch,
  random,
  readKeys,
  scoreL2,
  type Row,
} from '../../support/native-rows.ts';

let folder = '';
let files = 0;
before(async () => {
  folder = await mkdtemp(join(tmpdir(), 'elanus-native-'));
});
after(async () => {
  await rm(folder, { recursive: true });
});

async function seal(segments: readonly NativeSegment[], dropUpTo = 0n): Promise<NativeSegment> {
  const path = join(folder, `segment-${files++}`);
  const writer = await native.createWriter(segments, dropUpTo);
  const file = await open(path, 'w+');
  const fileBytes = await writeSegmentFile(SCHEMA, FIELDS, writer, {
    write: async (bytes) => {
      await file.write(bytes);
    },
  });
  await file.close();
  native.closeWriter(writer);
  const content = await readFile(path);
  assert.equal(content.length, fileBytes);
  const { rows, layout } = await readSegmentLayout(path, fileBytes, (offset, length) =>
    Promise.resolve(content.subarray(offset, offset + length)),
  );
  return native.openSealed(FIELDS, path, rows, layout);
}

function hasCode(code: number): (error: unknown) => boolean {
  return (error) => error instanceof Error && (error as Error & { code: unknown }).code === code;
}

describe('growing segment', () => {
  test('finds the nearest rows, best first, with the fields asked for', async () => {
    const segment = makeGrowing();
    const query = Float32Array.from({ length: DIM }, random);
    const result = await native.search(
      [segment],
      makeSearch({ queries: bytesOf(query), outputFieldIds: [NAME, VECTOR] }),
    );
    const expected = ROWS.filter(({ vector }) => vector !== null)
      .map(({ key, vector }) => ({ key, score: scoreL2(query, vector!) }))
      .sort((a, b) => a.score - b.score)
      .slice(0, 10);
    assert.deepEqual([...result.counts], [10]);
    assert.deepEqual(
      readKeys(result.rows),
      expected.map(({ key }) => key),
    );
    expected.forEach(({ score }, i) => assert.ok(Math.abs(score - result.scores[i]!) < 1e-4));
    const batch = new RowBatchReader(result.rows);
    assert.equal(batch.findColumn(NAME)!.getString(0), `name-${expected[0]!.key}`);
    assert.equal(batch.findColumn(1n)!.asInt64()[0], 10n);
    native.closeSegment(segment);
  });

  test('reads as of a timestamp: later rows and deletes are not seen', async () => {
    const segment = makeGrowing(ROWS.slice(0, 100), 10n);
    native.appendRows(segment, encodeRows([makeRow(9000n)]), 20n);
    const count = async (readTimestamp: bigint): Promise<number> =>
      (await native.query([segment], makeQuery({ readTimestamp, countOnly: true }))).count;
    assert.equal(await count(15n), 100);
    assert.equal(await count(20n), 101);
    const keys = BigInt64Array.of(ROWS[0]!.key, 9000n, 123456n);
    assert.equal(native.deleteKeys([segment], packKeys(keys), 30n, 29n), 2);
    assert.equal(await count(29n), 101);
    assert.equal(await count(30n), 99);
    const stats = native.segmentStats(segment);
    assert.deepEqual([stats.rows, stats.deletedRows], [101, 2]);
    assert.deepEqual([stats.minTimestamp, stats.maxTimestamp], [10n, 20n]);
    native.closeSegment(segment);
  });

  test('a filter keeps rows of a search and of a query, smallest keys first', async () => {
    const segment = makeGrowing();
    const plan = compareAge(2, 10n);
    const kept = ROWS.filter(({ age }) => age !== null && age < 10n).map(({ key }) => key);
    const found = await native.search([segment], makeSearch({ k: 50, plan }));
    assert.equal(found.visibleRows, kept.length);
    for (const key of readKeys(found.rows)) assert.ok(kept.includes(key));
    const rows = await native.query([segment], makeQuery({ plan, limit: 20 }));
    const sorted = kept.toSorted((a, b) => Number(a - b));
    assert.deepEqual(readKeys(rows.rows), sorted.slice(0, 20));
    native.closeSegment(segment);
  });

  test('a repeated key is one hit with its best score, the newest row in a query', async () => {
    const segment = makeGrowing([], 1n);
    const near = new Array<number>(DIM).fill(0);
    for (let i = 0; i < 40; i++) {
      const vector = near.map(() => i / 100);
      const row = { ...makeRow(1n), vector, age: BigInt(i) };
      native.appendRows(segment, encodeRows([row]), BigInt(i + 1));
    }
    native.appendRows(segment, encodeRows([{ ...makeRow(2n), vector: near.map(() => 1) }]), 50n);
    const queries = bytesOf(Float32Array.from(near));
    const found = await native.search([segment], makeSearch({ queries, k: 2 }));
    assert.deepEqual(readKeys(found.rows), [1n, 2n]);
    assert.equal(found.scores[0], 0);
    const rows = await native.query([segment], makeQuery({ outputFieldIds: [AGE] }));
    assert.deepEqual(readKeys(rows.rows), [1n, 2n]);
    assert.equal(new RowBatchReader(rows.rows).findColumn(AGE)!.asInt64()[0], 39n);
    const counted = await native.query([segment], makeQuery({ countOnly: true }));
    assert.equal(counted.count, 41);
    native.closeSegment(segment);
  });

  test('equal scores come by primary key, of equal rows of a key the newest', async () => {
    const segment = native.createGrowing(FIELDS);
    const vector = new Array<number>(DIM).fill(0.5);
    for (let i = 99; i >= 0; i--) {
      native.appendRows(segment, encodeRows([{ ...makeRow(BigInt(i)), vector }]), 5n);
    }
    native.appendRows(segment, encodeRows([{ ...makeRow(3n), vector }]), 7n);
    const found = await native.search([segment], makeSearch({ k: 5 }));
    assert.deepEqual(readKeys(found.rows), [0n, 1n, 2n, 3n, 4n]);
    assert.equal(new RowBatchReader(found.rows).findColumn(1n)!.asInt64()[3], 7n);
    native.closeSegment(segment);
  });

  test('a range search keeps scores between its bounds', async () => {
    const segment = makeGrowing();
    for (const metric of ['L2', 'IP', 'COSINE']) {
      const queries = makeSearch().queries;
      const all = await native.search([segment], makeSearch({ metric, queries, k: 200 }));
      const radius = all.scores[150]!;
      const rangeFilter = all.scores[50]!;
      const bounded = makeSearch({ metric, queries, k: 200, radius, rangeFilter });
      const found = await native.search([segment], bounded);
      const inside = [...all.scores].filter((score) =>
        metric === 'L2'
          ? score < radius && score >= rangeFilter
          : score > radius && score <= rangeFilter,
      );
      assert.deepEqual([...found.scores], inside, metric);
      assert.ok(inside.length >= 99);
    }
    native.closeSegment(segment);
  });

  test('refuses a damaged batch, a wrong query and a closed handle with a code', async () => {
    const segment = makeGrowing(ROWS.slice(0, 10));
    assert.throws(() => native.appendRows(segment, Buffer.alloc(64), 1n), hasCode(1009));
    const short = makeSearch({ queries: new Uint8Array(4) });
    await assert.rejects(native.search([segment], short), hasCode(1100));
    const plan = Buffer.from('not a plan');
    await assert.rejects(native.search([segment], makeSearch({ plan })), hasCode(1100));
    assert.throws(() => native.search([segment], makeSearch({ metric: 'HAMMING' })), TypeError);
    assert.throws(() => native.appendRows(segment, encodeRows([]), -1n), TypeError);
    assert.throws(() => native.closeSegment({} as NativeSegment), TypeError);
    native.closeSegment(segment);
    native.closeSegment(segment);
    assert.throws(() => native.segmentStats(segment), hasCode(5));
  });
});

describe('sealed segment', () => {
  async function assertSameAnswers(a: NativeSegment, b: NativeSegment): Promise<void> {
    const outputFieldIds = [VECTOR, AGE, NAME, JSON_FIELD, TAGS];
    const plans = [undefined, compareAge(4, 50n), compareAge(0, 7n)];
    for (const metric of ['L2', 'IP', 'COSINE']) {
      for (const plan of plans) {
        const filter = plan === undefined ? {} : { plan };
        const request = makeSearch({ metric, nq: 5, k: 20, ...filter, outputFieldIds });
        assertSameResult(await native.search([a], request), await native.search([b], request));
      }
    }
    const keys = BigInt64Array.from([5n, 900n, 3n, 123456n, 5n]);
    for (const given of [{}, { limit: 33 }, { keys }, { keys, limit: 1 }, { countOnly: true }]) {
      for (const plan of plans) {
        const filter = plan === undefined ? {} : { plan };
        const request = makeQuery({ ...given, ...filter, outputFieldIds });
        const [first, second] = [
          await native.query([a], request),
          await native.query([b], request),
        ];
        assert.equal(first.count, second.count);
        assert.ok(Buffer.compare(first.rows, second.rows) === 0);
      }
    }
  }

  function assertSameResult(a: SearchReply, b: SearchReply): void {
    assert.deepEqual(a.counts, b.counts);
    assert.deepEqual(a.scores, b.scores);
    assert.ok(Buffer.compare(a.rows, b.rows) === 0);
    assert.equal(a.visibleRows, b.visibleRows);
  }

  test(`answers as the growing segment it was written from (seed ${SEED})`, async () => {
    const growing = makeGrowing();
    const sealed = await seal([growing]);
    assert.equal(native.segmentStats(sealed).rows, ROWS.length);
    await assertSameAnswers(growing, sealed);
    const keys = BigInt64Array.from(ROWS.slice(0, 400), ({ key }) => key);
    assert.equal(native.deleteKeys([growing], packKeys(keys), 40n, 39n), 400);
    const batch = encodeDeletes([{ keys, timestamp: 40n, killsUpTo: 39n }]);
    await native.applyDeletes([{ segment: sealed, partitionId: 0n, deletesUpTo: 0n }], batch);
    assert.equal(native.segmentStats(sealed).deletedRows, 400);
    await assertSameAnswers(growing, sealed);
    const compacted = await seal([sealed], 40n);
    assert.equal(native.segmentStats(compacted).rows, ROWS.length - 400);
    await assertSameAnswers(growing, compacted);
    for (const segment of [growing, sealed, compacted]) native.closeSegment(segment);
  });

  test('several segments answer as one, with each key once', async () => {
    const whole = makeGrowing();
    const parts = [makeGrowing(ROWS.slice(0, 1200)), await seal([makeGrowing(ROWS.slice(1000))])];
    const request = makeSearch({ nq: 3, k: 40, outputFieldIds: [NAME] });
    const expected = await native.search([whole], request);
    const found = await native.search(parts, request);
    assert.deepEqual(found.scores, expected.scores);
    assert.ok(Buffer.compare(found.rows, expected.rows) === 0);
    const rows = await native.query(parts, makeQuery({ limit: 500 }));
    assert.ok(
      Buffer.compare(rows.rows, (await native.query([whole], makeQuery({ limit: 500 }))).rows) ===
        0,
    );
    const counted = await native.query(parts, makeQuery({ countOnly: true }));
    assert.equal(counted.count, ROWS.length + 200);
    for (const segment of [whole, ...parts]) native.closeSegment(segment);
  });

  for (const [what, rows] of [
    ['rows with vectors', ROWS.filter(({ vector }) => vector !== null)],
    ['rows some of which have a null vector', ROWS],
  ] as const) {
    test(`an index over ${what} finds what a scan finds`, () => compareIndexes(rows));
  }

  async function compareIndexes(rows: readonly Row[]): Promise<void> {
    const sealed = await seal([makeGrowing(rows)]);
    const hits = rows.filter(({ vector }) => vector !== null).length;
    const request = makeSearch({ nq: 50, k: 10, indexParams: { ef: 128, nprobe: 64 } });
    const exact = readKeys((await native.search([sealed], request)).rows);
    for (const kind of ['HNSW', 'IVF_FLAT']) {
      const params = { kind, metric: 'L2', params: { M: 16, efConstruction: 100, nlist: 64 } };
      const path = join(folder, kind);
      await native.buildIndex(sealed, VECTOR, params, path, 1);
      await native.attachIndex(sealed, VECTOR, path);
      const found = readKeys((await native.search([sealed], request)).rows);
      assert.equal(found.length, exact.length);
      let same = 0;
      for (let q = 0; q < 50; q++) {
        const wanted = new Set(exact.slice(q * 10, q * 10 + 10));
        same += found.slice(q * 10, q * 10 + 10).filter((key) => wanted.has(key)).length;
      }
      assert.ok(same >= 0.98 * exact.length, `${kind}: ${same} of ${exact.length}`);
      // Another metric than the index's is scanned, not answered wrongly.
      const cosine = { ...request, metric: 'COSINE' };
      const scanned = await native.search([sealed], cosine);
      native.detachIndex(sealed, VECTOR);
      assert.deepEqual(scanned.scores, (await native.search([sealed], cosine)).scores);
      await native.attachIndex(sealed, VECTOR, path);
    }
    const gone = BigInt64Array.from(exact.slice(0, 10));
    const batch = encodeDeletes([{ keys: gone, timestamp: 50n, killsUpTo: 49n }]);
    await native.applyDeletes([{ segment: sealed, partitionId: 0n, deletesUpTo: 0n }], batch);
    for (const k of [100, 4000]) {
      const left = readKeys((await native.search([sealed], { ...request, k })).rows);
      assert.equal(left.length, 50 * Math.min(k, hits - gone.length));
      assert.ok(left.every((key) => !gone.includes(key)));
    }
    native.closeSegment(sealed);
  }

  test('a scalar index changes no answer', async () => {
    const sealed = await seal([makeGrowing()]);
    const other = await seal([makeGrowing()]);
    const params = { kind: 'SCALAR', metric: '', params: {} };
    const path = join(folder, 'scalar');
    await native.buildIndex(sealed, AGE, params, path, 2);
    await native.attachIndex(sealed, AGE, path);
    await assertSameAnswers(sealed, other);
    await assert.rejects(native.attachIndex(sealed, NAME, path), hasCode(1009));
    await assert.rejects(native.attachIndex(sealed, AGE, join(folder, 'none')), hasCode(1001));
    native.closeSegment(sealed);
    native.closeSegment(other);
  });

  test('an index over a JSON path changes no answer, attached or detached', async () => {
    const sealed = await seal([makeGrowing()]);
    const params = { kind: 'SCALAR', metric: '', params: {} };
    const compare = (path: readonly PathStep[], op: 0 | 1 | 4, value: Literal): PlanNode => ({
      node: 'compare',
      operand: { kind: 'path', fieldId: JSON_FIELD, dataType: DataType.JSON, elementType: 0, path },
      op,
      value,
    });
    const plans = [
      compare(['a'], 0, { kind: 'int64', value: 3n }),
      { node: 'not', child: compare(['a'], 4, { kind: 'double', value: 6.5 }) } as const,
      compare(['a'], 1, { kind: 'string', value: '3' }),
      compare(['b'], 0, { kind: 'string', value: '77' }),
      compare(['b'], 1, { kind: 'string', value: '77' }),
      compare(['b', 0], 0, { kind: 'string', value: '7' }),
    ].map(encodePlan);
    const answer = async (plan: Uint8Array): Promise<bigint[]> =>
      readKeys((await native.query([sealed], makeQuery({ plan }))).rows);
    const answers = (): Promise<bigint[][]> => Promise.all(plans.map(answer));
    const scanned = await answers();
    assert.deepEqual(
      scanned.map((keys) => keys.length > 0),
      [true, true, false, true, true, false],
    );
    const targets = [
      { jsonPath: ['a'], jsonCastType: DataType.Double },
      { jsonPath: ['a'], jsonCastType: DataType.VarChar },
      { jsonPath: ['b'], jsonCastType: DataType.VarChar },
      { jsonPath: ['b', 0], jsonCastType: DataType.Bool },
    ];
    for (const [i, target] of targets.entries()) {
      const path = join(folder, `json-${i}`);
      const given = { ...params, ...target };
      await native.buildIndex(sealed, JSON_FIELD, given, path, 4);
      await native.attachIndex(sealed, JSON_FIELD, path);
      assert.deepEqual(await answers(), scanned);
      await assert.rejects(native.attachIndex(sealed, NAME, path), hasCode(1009));
    }
    native.detachIndex(sealed, JSON_FIELD);
    native.detachIndex(sealed, JSON_FIELD, ['a'], DataType.Double);
    assert.deepEqual(await answers(), scanned);
    for (const path of [['a'], ['b'], ['b', 0]]) native.detachIndex(sealed, JSON_FIELD, path);
    assert.deepEqual(await answers(), scanned);
    for (const wrong of [
      { jsonPath: ['a'] },
      { jsonPath: ['a'], jsonCastType: DataType.Int64 },
      { jsonPath: [-1], jsonCastType: DataType.Bool },
      { jsonPath: ['a'], jsonCastType: DataType.Bool, kind: 'HNSW', metric: 'L2' },
    ]) {
      const given = { ...params, ...wrong };
      const build = () => native.buildIndex(sealed, JSON_FIELD, given, join(folder, 'x'), 5);
      assert.throws(build, TypeError);
    }
    const ofAge = { ...params, jsonPath: ['a'], jsonCastType: DataType.Double };
    const building = native.buildIndex(sealed, AGE, ofAge, join(folder, 'x'), 6);
    await assert.rejects(building, hasCode(1100));
    native.closeSegment(sealed);
  });

  test('every byte of an index file is under a checksum that can be compared', async () => {
    const sealed = await seal([makeGrowing()]);
    const path = join(folder, 'checked');
    const params = { kind: 'HNSW', metric: 'COSINE', params: { M: 8, efConstruction: 40 } };
    const { bytes, crc32c } = await native.buildIndex(sealed, VECTOR, params, path, 7);
    const content = await readFile(path);
    assert.equal(content.length, bytes);
    assert.equal(native.crc32c(content, 0), crc32c);
    assert.equal(await native.crc32cOfFile(path, 0, bytes, 0), crc32c);
    const half = await native.crc32cOfFile(path, 0, 1000, 0);
    assert.equal(await native.crc32cOfFile(path, 1000, bytes - 1000, half), crc32c);
    await assert.rejects(native.crc32cOfFile(path, 1000, bytes, 0), hasCode(1009));

    // Another index of the same rows is not the one that was built.
    await native.attachIndex(sealed, VECTOR, path, crc32c);
    const other = (crc32c + 1) % 2 ** 32;
    await assert.rejects(native.attachIndex(sealed, VECTOR, path, other), hasCode(1009));

    // Header and table are compared when the list is made; the parts are all of the rest.
    const checks = await native.listIndexFileChecks(path);
    let end = checks[0]!.offset;
    for (const check of checks) {
      assert.equal(check.offset, end);
      end += check.bytes;
      const part = await native.crc32cOfFile(path, check.offset, check.bytes, 0);
      assert.equal(part, check.crc32c, check.name);
    }
    assert.equal(end, bytes);
    assert.deepEqual(
      new Set(checks.map(({ name }) => name)),
      new Set(['padding', 'LINK', 'UROW', 'UBEG', 'ULNK', 'NORM', 'TWIN']),
    );
    for (let at = 0; at < checks[0]!.offset; at++) {
      content[at]! ^= 8;
      await writeFile(path, content);
      await assert.rejects(native.listIndexFileChecks(path), hasCode(1009), `byte ${at}`);
      content[at]! ^= 8;
    }
    native.closeSegment(sealed);
  });

  test('the memory of a build can be asked for before it begins', () => {
    const base = { metric: 'L2', params: { M: 16, efConstruction: 200, nlist: 1024 } };
    const bytesOf = (kind: string): number =>
      native.indexBuildBytes({ ...base, kind }, 1_000_000, 768);
    // Links and their scores, 8·M bytes a row each; centroids and lists.
    assert.ok(bytesOf('HNSW') > 256e6 && bytesOf('HNSW') < 400e6);
    assert.ok(bytesOf('IVF_FLAT') > 24e6 && bytesOf('IVF_FLAT') < 60e6);
  });

  test('a canceled build rejects', async () => {
    const sealed = await seal([makeGrowing()]);
    const params = { kind: 'HNSW', metric: 'IP', params: { M: 64, efConstruction: 2000 } };
    const building = native.buildIndex(sealed, VECTOR, params, join(folder, 'canceled'), 3);
    native.cancelJob(3);
    await assert.rejects(building, hasCode(10000));
    native.closeSegment(sealed);
  });
});

describe('system functions', () => {
  test('crc32c is Castagnoli and goes on from a seed', () => {
    assert.equal(native.crc32c(Buffer.from('123456789'), 0), 0xe3069283);
    const seed = native.crc32c(Buffer.from('1234'), 0);
    assert.equal(native.crc32c(Buffer.from('56789'), seed), 0xe3069283);
  });

  test('findInvalidJson names the first bad row', () => {
    const rows = [makeRow(1n), makeRow(2n), { ...makeRow(3n), json: '{"a":' }];
    assert.equal(native.findInvalidJson(encodeRows(rows), JSON_FIELD), 2);
    assert.equal(native.findInvalidJson(encodeRows(rows.slice(0, 2)), JSON_FIELD), -1);
    assert.throws(() => native.findInvalidJson(encodeRows(rows), NAME), hasCode(1009));
  });

  test('R11 a locked file cannot be locked by another process until it is unlocked', () => {
    const path = join(folder, 'lock');
    const module = join(process.cwd(), 'native', 'build', 'elanus.node');
    const script = `
      try { require(${JSON.stringify(module)}).lockFile(${JSON.stringify(path)}); }
      catch { process.exit(7); }`;
    const lockInChild = (): number | null => spawnSync(process.execPath, ['-e', script]).status;
    const fd = native.lockFile(path);
    assert.equal(lockInChild(), 7);
    native.unlockFile(fd);
    assert.equal(lockInChild(), 0);
  });
});
