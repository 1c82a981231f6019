// Virtual environments for the tests that drive real pymilvus clients.
//
// One environment per client line, under <repo>/.venv/<name>, made once and reused until its
// requirements file (or the Python that made it) changes. Invariant: on CI a missing Python is a
// failure, elsewhere a skip that nobody can overlook.

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import type { TestContext } from 'node:test';

export type PythonEnvName = '2.5' | '2.6' | '3.0';

export const pythonEnvNames: readonly PythonEnvName[] = ['2.5', '2.6', '3.0'];

/** True on continuous integration, where a test may not skip for want of Python. */
const isCi = process.env['CI'] === 'true';

const installTimeoutMs = 9 * 60 * 1000;
const prepared = new Map<PythonEnvName, { python: string } | { skipped: string }>();

/**
 * Makes, or finds ready, the environment of one pymilvus line. Blocks while it installs, and while
 * another process makes the same one. Returns the path of the interpreter, or why there is none; it
 * never throws. The answer is remembered for the life of the process.
 */
function preparePython(
  name: PythonEnvName,
  repoRoot: string = process.cwd(),
): { python: string } | { skipped: string } {
  const known = prepared.get(name);
  if (known !== undefined) return known;
  const answer = prepare(name, repoRoot);
  prepared.set(name, answer);
  return answer;
}

function prepare(
  name: PythonEnvName,
  repoRoot: string,
): { python: string } | { skipped: string } {
  const envDir = join(repoRoot, '.venv', name);
  const clients = join(repoRoot, 'test', 'clients');
  const run = spawnSync(
    'python3',
    [join(clients, 'prepare_env.py'), envDir, join(clients, `requirements-${name}.txt`)],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'], timeout: installTimeoutMs },
  );
  if (run.error !== undefined) {
    const missing = (run.error as NodeJS.ErrnoException).code === 'ENOENT';
    return { skipped: missing ? 'there is no python3' : `python3: ${run.error.message}` };
  }
  if (run.status !== 0) {
    const tail = run.stderr.trim().split('\n').slice(-5).join('\n');
    return { skipped: `the environment for pymilvus ${name} could not be made:\n${tail}` };
  }
  return { python: join(envDir, 'bin', 'python') };
}

/**
 * The interpreter for a test, or undefined after marking the test skipped: the caller returns then.
 * Fails the test instead of skipping it on CI.
 */
export function pythonOrSkip(t: TestContext, name: PythonEnvName): string | undefined {
  const env = preparePython(name);
  if ('python' in env) return env.python;
  if (isCi) assert.fail(`Python is required on CI, but ${env.skipped}`);
  console.error(`SKIPPED (no Python): ${t.name}: ${env.skipped}`);
  t.skip(env.skipped);
  return undefined;
}
