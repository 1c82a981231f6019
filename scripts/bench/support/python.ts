// Peers that live in Python: their packages go into an environment of their own under .bench/,
// never into ours.

import { spawnSync, execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { CACHE, cacheFolder, ROOT } from './paths.ts';

const PACKAGES = ['numpy', 'hnswlib==0.8.0', 'faiss-cpu', 'pymilvus', 'milvus-lite==3.2.*'];

/** Path of the interpreter, or why there is none. */
export function preparePeers(): { python: string } | { problem: string } {
  const folder = join(CACHE, 'peers');
  const python = join(folder, 'bin/python');
  if (!existsSync(python)) {
    console.log('installing the peers (once): ' + PACKAGES.join(', '));
    cacheFolder();
    const made = spawnSync('python3', ['-m', 'venv', folder], { encoding: 'utf8' });
    if (made.status !== 0) return { problem: `no Python environment: ${firstLine(made.stderr)}` };
  }
  const probe = spawnSync(python, ['-c', 'import numpy, hnswlib, faiss, pymilvus'], {
    encoding: 'utf8',
  });
  if (probe.status === 0) return { python };
  const installed = spawnSync(python, ['-m', 'pip', 'install', '-q', ...PACKAGES], {
    encoding: 'utf8',
  });
  if (installed.status === 0) return { python };
  return { problem: `pip cannot install the peers: ${firstLine(installed.stderr)}` };
}

/** Runs scripts/bench/NAME; its last line of output is JSON. */
export async function runPython(
  python: string,
  name: string,
  args: readonly (string | number)[],
): Promise<unknown> {
  const script = join(ROOT, 'scripts/bench', name);
  const { stdout } = await promisify(execFile)(python, [script, ...args.map(String)], {
    maxBuffer: 1 << 26,
  });
  return JSON.parse(stdout.trim().split('\n').at(-1)!);
}

function firstLine(text: string | null): string {
  return (text ?? 'not found').trim().split('\n').at(-1) ?? '';
}
