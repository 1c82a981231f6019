// Runs the write-ahead log's contract over its adapters.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { NodeFileSystem } from '../../src/base/node-file-system.ts';
import { LocalFileWal } from '../../src/wal/local-file.ts';
import { MemoryWal } from '../../src/wal/memory.ts';
import { PowerCutFileSystem } from '../support/power-cut-file-system.ts';
import { testWal } from './wal.suite.ts';

const SMALL = { fileBytes: 64 * 1024, firstFileBytes: 16 * 1024 };

testWal(
  'memory',
  async () => ({ open: async () => new MemoryWal(), dispose: async () => undefined }),
  { restart: false },
);

testWal(
  'local file',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'elanus-wal-'));
    const fileSystem = new NodeFileSystem();
    const opened: LocalFileWal[] = [];
    return {
      open: async () => {
        const wal = await LocalFileWal.open({ directory, fileSystem, ...SMALL });
        opened.push(wal);
        return wal;
      },
      // As a killed process does: stops using the files, closing nothing that the next start sees.
      crash: async () => undefined,
      dispose: async () => {
        for (const wal of opened) await wal.close().catch(() => undefined);
        await rm(directory, { recursive: true });
      },
    };
  },
  { restart: true },
);

for (const how of ['kill', 'powerCut'] as const) {
  testWal(
    `local file with ${how}`,
    async () => {
      let fileSystem = new PowerCutFileSystem();
      return {
        open: () => LocalFileWal.open({ directory: '/data/wal', fileSystem, ...SMALL }),
        crash: async () => {
          fileSystem = fileSystem[how]();
        },
        dispose: async () => undefined,
      };
    },
    { restart: true },
  );
}
