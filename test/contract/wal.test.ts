// Runs the write-ahead log's contract over its adapters.

import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FileSystem } from '../../src/base/file-system.ts';
import { NodeFileSystem } from '../../src/base/node-file-system.ts';
import { LocalLogStore } from '../../src/wal/local-store.ts';
import { MemoryLogStore } from '../../src/wal/memory-store.ts';
import type { LogStore, Wal } from '../../src/wal/wal.ts';
import { PowerCutFileSystem } from '../support/power-cut-file-system.ts';
import { testWal } from './wal.suite.ts';

function makeStore(directory: string, fileSystem: FileSystem): LocalLogStore {
  const sizes = { fileBytes: 64 * 1024, firstFileBytes: 16 * 1024 };
  return new LocalLogStore({ directory, fileSystem, firstPchannel: 'first', ...sizes });
}

for (const step of [1n, 5n]) {
  testWal(
    `memory, positions rise by ${step}`,
    async () => {
      const store = new MemoryLogStore(step);
      return { store: () => store, dispose: async () => undefined };
    },
    { restart: false },
  );
}

testWal(
  'local file',
  async () => {
    const directory = await mkdtemp(join(tmpdir(), 'elanus-wal-'));
    let store = makeStore(directory, new NodeFileSystem());
    const opened: Wal[] = [];
    const open: LogStore['open'] = async (pchannel, term) => {
      const wal = await store.open(pchannel, term);
      opened.push(wal);
      return wal;
    };
    return {
      store: () => ({ open }),
      // As a killed process does: stops using the files, closing nothing that the next start sees.
      crash: async () => {
        store = makeStore(directory, new NodeFileSystem());
      },
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
      let store = makeStore('/data/wal', fileSystem);
      return {
        store: () => store,
        crash: async () => {
          fileSystem = fileSystem[how]();
          store = makeStore('/data/wal', fileSystem);
        },
        dispose: async () => undefined,
      };
    },
    { restart: true },
  );
}
