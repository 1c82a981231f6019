// What a shard's delete buffer takes, refuses and merges, over files in memory.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { native } from '../../../src/index/native.ts';
import { MilvusError } from '../../../src/model/error.ts';
import {
  DeleteBuffer,
  type DeleteFileWriter,
} from '../../../src/roles/streamingnode/delete-buffer.ts';
import { MemoryStorage } from '../../../src/storage/memory.ts';
import { packKeys } from '../../support/deletes.ts';

const MIB = 1024 * 1024;
const crc32c = (bytes: Uint8Array, seed: number): number => native.crc32c(bytes, seed);

function makeWriter(storage: MemoryStorage): DeleteFileWriter {
  let next = 1;
  const silent = (): void => undefined;
  const logger = { debug: silent, info: silent, warn: silent, error: silent, child: () => logger };
  const beginFile = async (): Promise<string> => `deletes/1/${next++}`;
  return { storage, logger, commits: { beginFile, giveUp: async () => undefined } };
}

const push = (buffer: DeleteBuffer, timestamp: bigint, keys = 1): void =>
  buffer.push(
    {
      keys: packKeys(new BigInt64Array(keys)),
      timestamp,
      killsUpTo: timestamp - 1n,
      partitionId: 0n,
    },
    timestamp,
  );

test('P6 deletes past the limit are refused by need and have, until some are written out', () => {
  const buffer = new DeleteBuffer([]);
  push(buffer, 1n);
  buffer.reserve(200 * MIB);
  assert.throws(
    () => buffer.reserve(100 * MIB),
    (error: unknown) =>
      error instanceof MilvusError &&
      error.errorName === 'MemoryLimitExceeded' &&
      /need=104857600.*have=\d+.*limit=268435456/.test(error.message),
  );
  buffer.release(200 * MIB);
  buffer.reserve(100 * MIB);
});

test('R1 the first position is that of the first delete that is in no file', async () => {
  const buffer = new DeleteBuffer([]);
  const writer = makeWriter(new MemoryStorage({ crc32c }));
  push(buffer, 10n);
  push(buffer, 11n);
  assert.equal(buffer.firstPosition(), 10n);
  buffer.setFiles(await buffer.writeFiles(writer, 0n));
  assert.ok(buffer.firstPosition() > 2n ** 61n);
  // Replay meets it again.
  push(buffer, 11n);
  assert.ok(buffer.isEmpty);
  push(buffer, 12n);
  assert.equal(buffer.firstPosition(), 12n);
});

test('small files are merged, large ones stay, and the list stays short', async () => {
  const storage = new MemoryStorage({ crc32c });
  const writer = makeWriter(storage);
  const buffer = new DeleteBuffer([]);
  let timestamp = 1n;
  const write = async (keys: number): Promise<void> => {
    push(buffer, timestamp++, keys);
    buffer.setFiles(await buffer.writeFiles(writer, 0n));
  };
  const large = (9 * MIB) / 8;
  for (let i = 0; i < 9; i += 1) await write(large);
  assert.equal(buffer.files.length, 9);
  for (let i = 0; i < 40; i += 1) await write(1);
  assert.ok(buffer.files.length <= 9 + 8, `${buffer.files.length} files`);
  assert.equal(buffer.files.reduce((sum, { entries }) => sum + entries, 0), 49);
  for (const [i, { fromTimestamp }] of buffer.files.entries()) {
    if (i > 0) assert.ok(fromTimestamp > buffer.files[i - 1]!.toTimestamp);
  }
  // Nobody lacks what is older.
  const left = await buffer.writeFiles(writer, timestamp - 2n);
  assert.equal(left.length, 1);
});
