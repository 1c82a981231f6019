// A memory limit that the kernel enforces on a child process: a control group of its own, version 2
// or 1. Where none can be made there is no limit, and the caller bounds the server by its settings.

import { existsSync, mkdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

const ROOT = '/sys/fs/cgroup';

export interface MemoryLimit {
  /** Shell words that put the shell, and what it then executes, under the limit. */
  readonly enter: string;
  /** How often the kernel ended a process of the group because of the limit. */
  readonly countKills: () => number;
  /** After the processes have ended. */
  readonly remove: () => void;
}

/** Returns undefined where control groups cannot be made. */
export function makeMemoryLimit(bytes: number): MemoryLimit | undefined {
  const name = `elanus-${process.pid}-${Date.now()}`;
  return makeUnified(name, bytes) ?? makeLegacy(name, bytes);
}

function makeUnified(name: string, bytes: number): MemoryLimit | undefined {
  const parent = findGroup('0', ROOT);
  if (!existsSync(join(parent, 'cgroup.controllers'))) return undefined;
  return make(join(parent, name), 'memory.max', bytes, (folder) =>
    readCount(join(folder, 'memory.events'), 'oom_kill'),
  );
}

function makeLegacy(name: string, bytes: number): MemoryLimit | undefined {
  const parent = findGroup('memory', join(ROOT, 'memory'));
  if (!existsSync(join(parent, 'memory.limit_in_bytes'))) return undefined;
  return make(join(parent, name), 'memory.limit_in_bytes', bytes, (folder) =>
    readCount(join(folder, 'memory.oom_control'), 'oom_kill'),
  );
}

function make(
  folder: string,
  limitFile: string,
  bytes: number,
  count: (folder: string) => number,
): MemoryLimit | undefined {
  try {
    mkdirSync(folder);
    writeFileSync(join(folder, limitFile), String(bytes));
  } catch {
    if (existsSync(folder)) rmdirSync(folder);
    return undefined;
  }
  return {
    enter: `echo $$ > ${join(folder, 'cgroup.procs')}`,
    countKills: () => count(folder),
    remove: () => rmdirSync(folder),
  };
}

/** The group of this process in a hierarchy. */
function findGroup(hierarchy: string, mount: string): string {
  const lines = readFileSync('/proc/self/cgroup', 'utf8').split('\n');
  const fields = lines.map((line) => line.split(':'));
  const found = fields.find(([id, controllers]) =>
    hierarchy === '0' ? id === '0' : controllers?.split(',').includes(hierarchy),
  );
  const own = join(mount, found?.[2] ?? '/');
  return existsSync(own) ? own : mount;
}

function readCount(path: string, key: string): number {
  const line = readFileSync(path, 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${key} `));
  return Number(line?.split(' ')[1] ?? 0);
}
