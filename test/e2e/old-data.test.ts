// Data directories that older commits have written open with equal answers. Each is in
// test/fixtures/old-data: what was on the disk after a kill, and what the commit itself answered
// after its next start. support/old-data/world.ts says what is in them.

import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { MilvusClient } from '../support/milvus-client.ts';
import { readAnswers } from '../support/old-data/world.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';

const FOLDER = join('test', 'fixtures', 'old-data');
const NAMES = readdirSync(FOLDER)
  .filter((file) => file.endsWith('.tar.gz'))
  .map((file) => file.slice(0, -'.tar.gz'.length));

async function ask(dataPath: string): Promise<unknown> {
  const { server, address } = await ServerProcess.start({ dataPath });
  const client = new MilvusClient(address.grpc);
  try {
    return await readAnswers(client);
  } finally {
    client.close();
    await server.kill();
  }
}

for (const name of NAMES) {
  test(`P3 P5 the data directory of ${name} opens with equal answers, twice`, async () => {
    const { path, remove } = await makeTempDirectory('old-data');
    try {
      execFileSync('tar', ['-C', path, '-xzf', join(FOLDER, `${name}.tar.gz`)]);
      const expected = JSON.parse(readFileSync(join(FOLDER, `${name}.json`), 'utf8')) as unknown;
      const dataPath = join(path, 'data');
      assert.deepEqual(await ask(dataPath), expected);
      // What the first start has finished and rewritten is read again.
      assert.deepEqual(await ask(dataPath), expected);
    } finally {
      await remove();
    }
  });
}
