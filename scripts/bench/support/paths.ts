// Where things are. Everything that benchmarks download, build or cache lies under .bench/, which
// git ignores.

import { existsSync, mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = findRoot();
export const CACHE = process.env['ELANUS_BENCH_CACHE'] ?? join(ROOT, '.bench');

/** A folder under the cache, created if absent. */
export function cacheFolder(...names: readonly string[]): string {
  const folder = [CACHE, ...names].reduce((path, name) => join(path, name));
  mkdirSync(folder, { recursive: true });
  return folder;
}

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) {
    const parent = dirname(folder);
    if (parent === folder) throw new Error('cannot find the repository that this was built in');
    folder = parent;
  }
  return folder;
}
