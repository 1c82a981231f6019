// Writes a data directory with the code of this checkout, as a fixture for later ones: fill, kill,
// leave two drops by half, pack, and ask the questions.
// usage: node dist/test/support/old-data/make.js NAME   (NAME is the commit; see old-data.test.ts)

import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { systemRuntime } from '../../../src/base/system-runtime.ts';
import { Catalog, KEYS } from '../../../src/meta/catalog.ts';
import { openLmdbKv } from '../../../src/meta/lmdb.ts';
import { MilvusClient } from '../milvus-client.ts';
import { makeTempDirectory, ServerProcess } from '../server-process.ts';
import { fillOldData, HALF_DROPPED, readAnswers } from './world.ts';

/** Small files: the log's are mostly zeros, and a segment's neighbours need no merge. */
const SETTINGS = {
  ELANUS_WAL_FILEBYTES: '65536',
  DATACOORD_COMPACTION_ENABLEAUTOCOMPACTION: 'false',
};

/** What a kill between a drop's mark and its execution leaves behind. */
async function leaveDropsByHalf(dataPath: string): Promise<void> {
  const kv = await openLmdbKv({ folder: join(dataPath, 'meta'), runtime: systemRuntime });
  try {
    const catalog = new Catalog(kv);
    const collections = await catalog.list('collection');
    const half = collections.find(({ schema }) => schema.name === HALF_DROPPED.name)!;
    const parted = collections.find(({ schema }) => schema.name === 'parted')!;
    const { partitionId } = parted.partitions.find(({ name }) => name === 'going')!;
    for (const record of [
      { collectionId: half.collectionId, partitionId: 0n },
      { collectionId: parted.collectionId, partitionId },
    ]) {
      const key = KEYS.dropping(record.collectionId, record.partitionId);
      await catalog.write([{ key, record }]);
    }
  } finally {
    await kv.close();
  }
}

async function make(name: string): Promise<void> {
  const { path, remove } = await makeTempDirectory('old-data');
  const dataPath = join(path, 'data');
  try {
    const first = await ServerProcess.start({ dataPath, settings: SETTINGS });
    const writer = new MilvusClient(first.address.grpc);
    await fillOldData(writer);
    writer.close();
    await first.server.kill();
    await leaveDropsByHalf(dataPath);
    const folder = join('test', 'fixtures', 'old-data');
    mkdirSync(folder, { recursive: true });
    const archive = join(folder, `${name}.tar.gz`);
    execFileSync('tar', ['-C', path, '--numeric-owner', '-czf', archive, 'data']);

    const second = await ServerProcess.start({ dataPath, settings: SETTINGS });
    const reader = new MilvusClient(second.address.grpc);
    const answers = await readAnswers(reader);
    reader.close();
    await second.server.stop();
    writeFileSync(join(folder, `${name}.json`), `${JSON.stringify(answers)}\n`);
  } finally {
    await remove();
  }
}

const [name] = process.argv.slice(2);
if (name === undefined || !/^[0-9a-z.]+$/.test(name)) throw new Error('usage: make.js NAME');
await make(name);
