// The processor quota of a cgroup, from the files that the kernel shows.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { readCpuQuota, readMachine } from '../../../src/machine.ts';

const over = (files: Record<string, string>) => (path: string) => files[path];

test('R22 machine: no cgroup files mean no quota', () => {
  assert.equal(readCpuQuota(over({})), Infinity);
});

test('R22 machine: a container sees its own quota at the root of the cgroup mount', () => {
  const files = { '/proc/self/cgroup': '0::/\n', '/sys/fs/cgroup/cpu.max': '150000 100000\n' };
  assert.equal(readCpuQuota(over(files)), 1.5);
});

test('R22 machine: the smallest quota on the way up counts, and max is none', () => {
  const files = {
    '/proc/self/cgroup': '0::/a/b\n',
    '/sys/fs/cgroup/a/b/cpu.max': 'max 100000\n',
    '/sys/fs/cgroup/a/cpu.max': '200000 100000\n',
  };
  assert.equal(readCpuQuota(over(files)), 2);
});

test('R22 machine: cgroup v1 keeps quota and period apart', () => {
  const files = {
    '/proc/self/cgroup': '4:cpu,cpuacct:/docker/x\n1:name=systemd:/\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
    '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    '/sys/fs/cgroup/cpu/docker/x/cpu.cfs_quota_us': '-1\n',
  };
  assert.equal(readCpuQuota(over(files)), 0.5);
});

test('R22 machine: this machine has memory and processors', () => {
  const { memoryBytes, cpuCount } = readMachine();
  assert.ok(memoryBytes > 2 ** 20 && cpuCount > 0);
});
