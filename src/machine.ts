// What this process may use of its machine: memory and processors, as the cgroup allows them.
// Node 20 knows the memory limit of a cgroup but not its processor quota, so that is read here.

import { readFileSync } from 'node:fs';
import { availableParallelism, totalmem } from 'node:os';
import { dirname, join } from 'node:path';

export interface Machine {
  /** The smaller of the machine's memory and the cgroup's limit. */
  readonly memoryBytes: number;
  /** Processors by affinity and cgroup quota; a fraction when the quota is one. At least 0.01. */
  readonly cpuCount: number;
}

const CGROUP_ROOT = '/sys/fs/cgroup';

type ReadText = (path: string) => string | undefined;

export function readMachine(): Machine {
  const limitBytes = process.constrainedMemory() ?? 0;
  const totalBytes = totalmem();
  const quota = readCpuQuota(readText);
  return {
    memoryBytes: limitBytes > 0 ? Math.min(limitBytes, totalBytes) : totalBytes,
    cpuCount: Math.min(availableParallelism(), Math.max(0.01, quota)),
  };
}

/** Returns the smallest quota of this process' cgroup and those above it; Infinity without one. */
export function readCpuQuota(read: ReadText): number {
  const groups = (read('/proc/self/cgroup') ?? '').split('\n').map((line) => line.split(':'));
  const unified = groups.find(([id]) => id === '0')?.[2] ?? '/';
  const legacy = groups.find(([, controllers]) => controllers?.split(',').includes('cpu'))?.[2];
  const quotas = [
    ...listUp(unified).map((group) => parseMax(read(join(CGROUP_ROOT, group, 'cpu.max')))),
    ...listUp(legacy ?? '/').map((group) => readLegacyQuota(read, join(CGROUP_ROOT, 'cpu', group))),
  ];
  return quotas.reduce((least, quota) => Math.min(least, quota), Infinity);
}

/** The group and all groups above it; a group from outside the namespace ('/..') is the root. */
function listUp(group: string): string[] {
  const groups = ['/'];
  const start = group.startsWith('/') && !group.startsWith('/..') ? group : '/';
  for (let at = start; at !== '/'; at = dirname(at)) groups.push(at);
  return groups;
}

/** Reads "<quota> <period>" or "max <period>". */
function parseMax(content: string | undefined): number {
  const [quota, period] = (content ?? 'max').trim().split(/\s+/).map(Number);
  return divide(quota, period);
}

function readLegacyQuota(read: ReadText, folder: string): number {
  const quota = Number(read(join(folder, 'cpu.cfs_quota_us')) ?? -1);
  const period = Number(read(join(folder, 'cpu.cfs_period_us')) ?? 0);
  return divide(quota, period);
}

function divide(quota: number | undefined, period: number | undefined): number {
  if (quota === undefined || period === undefined) return Infinity;
  return quota > 0 && period > 0 ? quota / period : Infinity;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined;
  }
}
