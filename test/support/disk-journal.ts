// What a program did to its disk, call by call, and the disk that a power cut at any moment leaves
// (R11, R26). The program runs with disk-journal.cc preloaded, which sees the calls of libraries
// too; the disk is a PowerCutFileSystem. Linux with glibc only.

import assert from 'node:assert/strict';
import { spawn, spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  PowerCutFileSystem,
  type PowerCutFileSystemOptions,
} from './power-cut-file-system.ts';

/** A path is relative to the directory that is watched. */
export type JournalEntry =
  | { readonly kind: 'open' | 'makeDirectory' | 'sync' | 'mapped'; readonly path: string }
  | {
      readonly kind: 'write';
      readonly path: string;
      readonly offset: number;
      readonly bytes: Uint8Array;
      /** The file was opened with O_DSYNC. */
      readonly isDurable: boolean;
    }
  | { readonly kind: 'truncate'; readonly path: string; readonly bytes: number }
  /** What the program printed. */
  | { readonly kind: 'note'; readonly text: string };

const KINDS = ['', 'open', 'write', 'truncate', 'sync', 'note', 'mapped', 'makeDirectory'];
const HEAD_BYTES = 40;

/** False where the library cannot be built or preloaded. */
export const canRecordDisk = ((): boolean => {
  const report = process.report?.getReport() as { header?: Record<string, unknown> } | undefined;
  return process.platform === 'linux' && report?.header?.['glibcVersionRuntime'] !== undefined;
})();

/**
 * Runs a Node program until it has printed `lines` lines and kills it; the last may not be noted.
 * @param folder  for the library and the journal
 * @param root    the directory that is watched; it exists
 */
export async function recordDisk(
  args: readonly string[],
  where: { readonly folder: string; readonly root: string },
  lines: number,
): Promise<JournalEntry[]> {
  const { folder, root } = where;
  const library = buildLibrary(folder);
  const journal = join(folder, 'journal');
  const child = spawn(process.execPath, args, {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: {
      ...process.env,
      LD_PRELOAD: library,
      ELANUS_JOURNAL: journal,
      ELANUS_JOURNAL_ROOT: root,
    },
  });
  let output = '';
  child.stdout.setEncoding('utf8');
  for await (const chunk of child.stdout) {
    output += chunk;
    if (output.split('\n').length > lines) child.kill('SIGKILL');
  }
  return decodeJournal(await readFile(journal), root);
}

function buildLibrary(folder: string): string {
  const source = fileURLToPath(
    new URL('../../../test/support/disk-journal.cc', import.meta.url),
  );
  const library = join(folder, 'disk-journal.so');
  const flags = ['-std=c++20', '-O1', '-shared', '-fPIC', '-Wall', '-Wextra'];
  const compiler = process.env['CXX'] ?? 'c++';
  const built = spawnSync(compiler, [...flags, '-o', library, source, '-ldl'], {
    encoding: 'utf8',
  });
  assert.equal(built.status, 0, built.stderr);
  return library;
}

function decodeJournal(bytes: Buffer, root: string): JournalEntry[] {
  const entries: JournalEntry[] = [];
  const opened = new Map<bigint, string>();
  // The last record may be cut: the program was killed.
  for (let at = 0; at + HEAD_BYTES <= bytes.byteLength; ) {
    const [kind, number, flags, offset, length] = [0, 8, 16, 24, 32].map((word) =>
      bytes.readBigUInt64LE(at + word),
    ) as [bigint, bigint, bigint, bigint, bigint];
    const end = at + HEAD_BYTES + Number(length);
    if (end > bytes.byteLength) break;
    const payload = bytes.subarray(at + HEAD_BYTES, end);
    at = end;
    const path = opened.get(number) ?? '';
    switch (KINDS[Number(kind)]) {
      case 'open':
        opened.set(number, payload.toString().slice(root.length));
        entries.push({ kind: 'open', path: opened.get(number)! });
        break;
      case 'makeDirectory':
        entries.push({ kind: 'makeDirectory', path: payload.toString().slice(root.length) });
        break;
      case 'write': {
        const isDurable = flags !== 0n;
        entries.push({ kind: 'write', path, offset: Number(offset), bytes: payload, isDurable });
        break;
      }
      case 'truncate':
        entries.push({ kind: 'truncate', path, bytes: Number(offset) });
        break;
      case 'sync':
        entries.push({ kind: 'sync', path });
        break;
      case 'mapped':
        entries.push({ kind: 'mapped', path });
        break;
      case 'note':
        entries.push({ kind: 'note', text: payload.toString() });
        break;
      default:
        assert.fail(`journal: record of kind ${kind}`);
    }
  }
  return entries;
}

/** Returns the disk as it is after these calls, with its unsynced changes. */
export async function replayJournal(
  entries: readonly JournalEntry[],
  options: PowerCutFileSystemOptions = {},
): Promise<PowerCutFileSystem> {
  const disk = new PowerCutFileSystem(options);
  for (const entry of entries) {
    if (entry.kind === 'note' || entry.kind === 'mapped') continue;
    const { path } = entry;
    const stat = path === '' ? undefined : await disk.stat(path);
    if (entry.kind === 'makeDirectory') {
      if (stat === undefined) await disk.makeDirectory(path);
    } else if (entry.kind === 'sync' && (path === '' || stat?.isDirectory === true)) {
      await disk.syncDirectory(path);
    } else if (entry.kind === 'write' && entry.isDurable) {
      await disk.writeThrough(path, entry.bytes, entry.offset);
    } else if (path !== '' && stat?.isDirectory !== true) {
      const handle = await disk.open(path, stat === undefined ? 'create' : 'write');
      if (entry.kind === 'write') await handle.write([entry.bytes], entry.offset);
      else if (entry.kind === 'truncate') await handle.truncate(entry.bytes);
      else if (entry.kind === 'sync') await handle.fdatasync();
    }
  }
  return disk;
}

/** Writes all files of the disk below a folder. */
export async function exportDisk(
  disk: PowerCutFileSystem,
  folder: string,
  path = '',
): Promise<void> {
  await mkdir(join(folder, path), { recursive: true });
  for (const { name, isDirectory } of await disk.readDirectory(path)) {
    const inside = `${path}/${name}`;
    if (isDirectory) {
      await exportDisk(disk, folder, inside);
      continue;
    }
    const handle = await disk.open(inside, 'read');
    const bytes = new Uint8Array(await handle.bytes());
    await handle.read(bytes, 0);
    await mkdir(dirname(join(folder, inside)), { recursive: true });
    await writeFile(join(folder, inside), bytes);
  }
}
