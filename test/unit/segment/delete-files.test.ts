// Delete files of both versions, sound and damaged, through the code that opens and merges them.

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { crc32 } from 'node:zlib';
import { DeleteBatchBuilder, encodeDeleteRuns } from '../../../src/codec/delete-batch.ts';
import { encodeKeys } from '../../../src/codec/wal-message.ts';
import {
  native,
  type NativeDeleteTarget,
  type NativeKeys,
  type NativeSegment,
} from '../../../src/index/native.ts';
import { MilvusError } from '../../../src/model/error.ts';
import type { DeleteFile } from '../../../src/model/segment-info.ts';
import { applyDeleteFiles, mergeDeleteFiles } from '../../../src/segment/delete-files.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { Random } from '../../support/codec/random.ts';
import { encodeDeletes, packKeys, type PlainDelete } from '../../support/deletes.ts';
import { makeGrowing } from '../../support/native-segment.ts';

const SEED = 20;
const crc32c = (bytes: Uint8Array, seed: number): number => native.crc32c(bytes, seed);

const del = (timestamp: bigint, ...keys: bigint[]): PlainDelete => ({
  keys: BigInt64Array.from(keys),
  timestamp,
  killsUpTo: timestamp - 1n,
});

/** As the first version of the format had it. */
function encodeFirstVersion(deletes: readonly PlainDelete[]): Uint8Array {
  const entries = deletes.map(({ keys, timestamp, killsUpTo, partitionId = 0n }) => {
    const body = packKeys(keys);
    const head = new BigInt64Array([timestamp, killsUpTo, partitionId, BigInt(body.byteLength)]);
    return Buffer.concat([new Uint8Array(head.buffer), body]);
  });
  const body = Buffer.concat(entries);
  const head = new Uint32Array([0x31444c45, deletes.length, crc32(body), 0]);
  return new Uint8Array(Buffer.concat([new Uint8Array(head.buffer), body]));
}

async function store(
  files: readonly (readonly [PlainDelete[], Uint8Array])[],
): Promise<{ storage: MemoryStorage; list: DeleteFile[] }> {
  const storage = new MemoryStorage({ crc32c });
  const list: DeleteFile[] = [];
  for (const [i, [deletes, bytes]] of files.entries()) {
    const file = `deletes/1/${i}`;
    await storage.put(file, bytes);
    const times = { fromTimestamp: deletes[0]!.timestamp, toTimestamp: deletes.at(-1)!.timestamp };
    list.push({ file, fileBytes: bytes.byteLength, entries: deletes.length, ...times });
  }
  return { storage, list };
}

const loadFrom =
  (storage: MemoryStorage) =>
  ({ file }: DeleteFile): Promise<Uint8Array> =>
    storage.get(file);
const countDeleted = (segment: NativeSegment): number => native.segmentStats(segment).deletedRows;
const target = (segment: NativeSegment, deletesUpTo = 0n): NativeDeleteTarget => ({
  segment,
  partitionId: 0n,
  deletesUpTo,
});

test('a file of the first version is applied like one of the second', async () => {
  const first = [del(50n, 1n, 2n), del(60n, 2n, 3n)];
  const second = [del(70n, 3n, 4n, 5n)];
  for (const deletesUpTo of [0n, 50n, 60n, 70n]) {
    const segment = makeGrowing(10, new Random(SEED));
    const { storage, list } = await store([
      [first, encodeFirstVersion(first)],
      [second, encodeDeletes(second)],
    ]);
    await applyDeleteFiles(loadFrom(storage), [target(segment, deletesUpTo)], list);
    const keys = [...first, ...second]
      .filter(({ timestamp }) => timestamp > deletesUpTo)
      .flatMap((each) => [...(each.keys as BigInt64Array)]);
    assert.equal(countDeleted(segment), new Set(keys).size);
    native.closeSegment(segment);
  }
});

test('files of both versions merge to one batch without what no segment lacks', async () => {
  const first = [del(50n, 1n), del(60n, 2n, 3n)];
  const second = [del(70n, 4n)];
  const { storage, list } = await store([
    [first, encodeFirstVersion(first)],
    [second, encodeDeletes(second)],
  ]);
  const newest = [del(80n, 5n, 6n)];
  const merged = await mergeDeleteFiles(loadFrom(storage), list, 50n, encodeDeletes(newest));
  assert.deepEqual(merged, encodeDeletes([first[1]!, ...second, ...newest]));
});

for (const [version, encode] of [
  ['first', encodeFirstVersion],
  ['second', encodeDeletes],
] as const) {
  test(`R16 damage anywhere in a file of the ${version} version is named`, async () => {
    const segment = makeGrowing(10, new Random(SEED));
    const deletes = [del(50n, 1n, 2n), del(60n, 3n)];
    const sound = encode(deletes);
    const cases: Uint8Array[] = Array.from(sound, (_byte, at) =>
      sound.map((byte, i) => (i === at ? byte ^ 4 : byte)),
    );
    cases.push(sound.subarray(0, -1), sound.subarray(0, 20), sound.subarray(0, 0));
    for (const bytes of cases) {
      const { storage, list } = await store([[deletes, bytes]]);
      const isNamed = (error: unknown): boolean =>
        error instanceof MilvusError &&
        error.errorName === 'DataIntegrity' &&
        error.message.includes('[file=deletes/1/0]');
      await assert.rejects(applyDeleteFiles(loadFrom(storage), [target(segment)], list), isNamed);
      const newest = encodeDeletes([del(90n, 1n)]);
      await assert.rejects(mergeDeleteFiles(loadFrom(storage), list, 0n, newest), isNamed);
    }
    assert.equal(countDeleted(segment), 0);
    native.closeSegment(segment);
  });
}

test(`runs pushed one by one are the batch of all of them (seed ${SEED})`, () => {
  const random = new Random(SEED);
  for (let round = 0; round < 200; round += 1) {
    const isString = random.chance(0.5);
    let timestamp = 1n;
    const runs = Array.from({ length: random.below(7) }, () => {
      timestamp += BigInt(random.below(3));
      const numbers = Array.from({ length: random.below(6) }, () => random.below(19) - 9);
      const keys: NativeKeys = isString
        ? numbers.map((n) => 'é'.repeat(Math.max(0, n)))
        : BigInt64Array.from(numbers, BigInt);
      const partitionId = BigInt(random.below(4));
      return { keys: packKeys(keys), timestamp, killsUpTo: timestamp - 1n, partitionId };
    });
    const builder = new DeleteBatchBuilder();
    for (const run of runs) builder.push(run);
    assert.deepEqual(builder.encode(crc32c), encodeDeleteRuns(runs, crc32c));
    assert.equal(builder.runs, runs.length);
    assert.ok(Math.abs(builder.bytes - builder.encode(crc32c).byteLength) < 20);
  }
});

test('the example of the format is what is written', () => {
  const page = readFileSync('docs/formats/delete-file.md', 'utf8');
  const examples = [...page.matchAll(/```hex\n([^`]+)```/g)].map(([, dump]) =>
    Buffer.from(dump!.replace(/^\w+ {2}|\s/gm, ''), 'hex'),
  );
  const keys = encodeKeys({ kind: 'int64', values: BigInt64Array.of(1n) });
  const timestamp = 470_000_000_000_000_000n;
  const run = { keys, timestamp, killsUpTo: timestamp - 1n, partitionId: 0n };
  assert.deepEqual(new Uint8Array(examples[0]!), encodeDeleteRuns([run], crc32c));
});
