// Merging the answers of several holders of rows: order and repeated keys.

import assert from 'node:assert/strict';
import { test } from 'node:test';

import { encodeRowBatch } from '../../../src/codec/row-batch-ops.ts';
import { RowBatchReader } from '../../../src/codec/row-batch.ts';
import { DataType } from '../../../src/model/data-type.ts';
import { TIMESTAMP_FIELD_ID } from '../../../src/model/schema.ts';
import type { QueryReply } from '../../../src/model/read.ts';
import { mergeQueries, mergeSearches } from '../../../src/segment/reduce.ts';

const KEY = { fieldId: 100n, dataType: DataType.VarChar };
const ALL = { limit: 0, countOnly: false };

function makePart(rows: readonly (readonly [key: string, timestamp: bigint])[]): QueryReply {
  const texts = rows.map(([key]) => Buffer.from(key));
  const offsets = new Uint32Array(rows.length + 1);
  texts.forEach((text, i) => {
    offsets[i + 1] = offsets[i]! + text.length;
  });
  const timestamps = BigInt64Array.from(rows, ([, timestamp]) => timestamp);
  const columns = [
    { ...KEY, offsets, data: Buffer.concat(texts) },
    { fieldId: TIMESTAMP_FIELD_ID, dataType: DataType.Int64, data: timestamps },
  ].sort((a, b) => Number(a.fieldId - b.fieldId));
  return { count: rows.length, rows: encodeRowBatch(columns, rows.length) };
}

function readRows(part: QueryReply): (readonly [string, bigint])[] {
  const batch = new RowBatchReader(part.rows);
  const keys = batch.findColumn(KEY.fieldId)!;
  const timestamps = batch.findColumn(TIMESTAMP_FIELD_ID)!.asInt64();
  return Array.from(timestamps, (timestamp, row) => [keys.getString(row), timestamp] as const);
}

test('string keys are merged by their UTF-8 bytes, also beyond the basic plane', async () => {
  const keys = [
    '', 'a', 'ab', 'b', '\u00e9', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{1f600}',
  ];
  const ordered = keys.toSorted((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
  const parts = [0, 1, 2].map((turn) =>
    makePart(ordered.filter((_, i) => i % 3 === turn).map((key) => [key, 1n] as const)),
  );
  assert.deepEqual(readRows(await mergeQueries(parts, ALL, KEY)).map(([key]) => key), ordered);
});

test('of a repeated key the newest row is kept, and the limit counts keys', async () => {
  const parts = [
    makePart([['a', 5n], ['b', 1n]]),
    makePart([]),
    makePart([['a', 3n], ['b', 2n], ['c', 9n]]),
  ];
  const all = await mergeQueries(parts, ALL, KEY);
  assert.deepEqual(readRows(all), [['a', 5n], ['b', 2n], ['c', 9n]]);
  const two = await mergeQueries(parts, { limit: 2, countOnly: false }, KEY);
  assert.deepEqual(readRows(two), [['a', 5n], ['b', 2n]]);
});

test('a part that is the only one with rows is the answer', async () => {
  const part = makePart([['a', 1n], ['b', 1n]]);
  assert.equal(await mergeQueries([makePart([]), part], ALL, KEY), part);
  const none = await mergeQueries([makePart([]), makePart([])], ALL, KEY);
  assert.equal(none.count, 0);
});

test('R7 of a repeated key with equal scores the newest row is the hit', async () => {
  const old = makePart([['a', 1n], ['b', 7n]]);
  const young = makePart([['a', 5n], ['b', 3n]]);
  for (const parts of [[old, young], [young, old]]) {
    const merged = await mergeSearches(
      parts.map(({ rows }) => ({
        counts: Int32Array.of(2),
        scores: Float32Array.of(0.5, 0.5),
        rows,
        visibleRows: 2,
      })),
      { nq: 1, k: 2, metric: 'L2' },
      KEY,
    );
    assert.deepEqual(readRows({ count: 2, rows: merged.rows }), [['a', 5n], ['b', 7n]]);
    assert.deepEqual([...merged.scores], [0.5, 0.5]);
  }
});

test('R7 of a repeated key the better score counts, though its row is older', async () => {
  const near = { counts: Int32Array.of(1), scores: Float32Array.of(0.9), visibleRows: 1 };
  const far = { ...near, scores: Float32Array.of(0.8) };
  const merged = await mergeSearches(
    [{ ...far, rows: makePart([['a', 9n]]).rows }, { ...near, rows: makePart([['a', 1n]]).rows }],
    { nq: 1, k: 5, metric: 'COSINE' },
    KEY,
  );
  assert.deepEqual(readRows({ count: 1, rows: merged.rows }), [['a', 1n]]);
});
