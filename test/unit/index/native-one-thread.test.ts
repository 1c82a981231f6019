// R22 where there is one core: what shares the build thread takes turns.

import assert from 'node:assert/strict';
import { after, before, test } from 'node:test';
import { native, takeJobId } from '../../../src/index/native.ts';
import { Random } from '../../support/codec/random.ts';
import { makeGrowing, SegmentFolder, VECTOR } from '../../support/native-segment.ts';

const SEED = 22;

let folder: SegmentFolder;
before(async () => {
  native.configureThreads(1, 1);
  folder = await SegmentFolder.create();
});
after(() => folder.remove());

test('R22 a segment is laid out and read while an index build has the only thread', async () => {
  const { segment, path } = await folder.seal(makeGrowing(30_000, new Random(SEED)));
  const jobId = takeJobId();
  const params = { kind: 'HNSW', metric: 'L2', params: { M: 32, efConstruction: 800 } };
  let isBuilt = false;
  const build = native.buildIndex(segment, VECTOR, params, `${path}.index`, jobId).finally(() => {
    isBuilt = true;
  });
  const writer = await native.createWriter([makeGrowing(100, new Random(SEED))], 0n);
  assert.equal(native.writerRows(writer), 100);
  const bytes = await native.readBuffer(writer, VECTOR, 'data', 0, 64);
  assert.equal(bytes.length, 64);
  await native.crc32cOfFile(path, 0, 1000, 0);
  assert.equal(isBuilt, false);
  native.cancelJob(jobId);
  await assert.rejects(build, /canceled/);
  native.closeWriter(writer);
  native.closeSegment(segment);
});
