// The pymilvus suite (test/clients/pymilvus) with each client line, each against a server of its
// own. The lines run side by side: the clients sleep more than they work.
// By hand, against a running server:
//   ELANUS_URI=http://127.0.0.1:19530 .venv/3.0/bin/python -m pytest -q test/clients/pymilvus

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';
import { pythonEnvNames, pythonOrSkip, type PythonEnvName } from './python-env.ts';

const SUITE = join('test', 'clients', 'pymilvus');
/** A suite that lost tests would pass; these are fewer than there are. */
const CASES_MIN = 500;
const OUTPUT_MAX = 64 * 1024;

describe('stock pymilvus works unchanged', { concurrency: pythonEnvNames.length }, () => {
  for (const name of pythonEnvNames) {
    test(`pymilvus ${name} passes its suite`, (t) => runSuite(t, name));
  }
});

async function runSuite(t: TestContext, name: PythonEnvName): Promise<void> {
  const python = pythonOrSkip(t, name);
  if (python === undefined) return;
  const directory = await makeTempDirectory(`pymilvus-${name}`);
  const { server, address } = await ServerProcess.start({ dataPath: directory.path });
  try {
    const { status, output } = await runPytest(python, {
      ELANUS_URI: `http://${address.grpc}`,
      ELANUS_METRICS: `http://${address.host}:${address.metricsPort}/metrics`,
    });
    const counts = readCounts(output);
    t.diagnostic(`pymilvus ${name}: ${JSON.stringify(counts)}`);
    assert.equal(status, 0, `pytest failed:\n${output}\nserver:\n${server.output}`);
    assert.ok(counts.passed >= CASES_MIN, `only ${counts.passed} cases passed`);
    assert.ok(server.isRunning, `the server ended:\n${server.output}`);
    const { code } = await server.stop();
    assert.equal(code, 0, `the server did not stop cleanly:\n${server.output}`);
  } finally {
    await server.kill();
    await directory.remove();
  }
}

function runPytest(
  python: string,
  server: Readonly<Record<string, string>>,
): Promise<{ status: number | null; output: string }> {
  const options = ['-q', '--tb=short', '--show-capture=no', '--disable-warnings'];
  const child = spawn(python, ['-m', 'pytest', ...options, '-p', 'no:cacheprovider', SUITE], {
    env: { ...process.env, ...server, PYTHONDONTWRITEBYTECODE: '1' },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  const take = (chunk: Buffer): void => {
    output = (output + chunk.toString()).slice(-OUTPUT_MAX);
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output }));
  });
}

/** From pytest's last line: `2 failed, 590 passed, 1 skipped in 60.01s`. */
function readCounts(output: string): { passed: number; failed: number; skipped: number } {
  const last = output.trimEnd().split('\n').at(-1) ?? '';
  const read = (word: string): number => Number(new RegExp(`(\\d+) ${word}`).exec(last)?.[1] ?? 0);
  return {
    passed: read('passed'),
    failed: read('failed') + read('error'),
    skipped: read('skipped'),
  };
}
