// Runs the tests of a built checkout, part by part: the native core's own programs, then the
// compiled files of test/ under Node's test runner. All parts run even when one fails.
// usage: test.mjs [--only native|unit|contract|model|e2e|clients|crash]
import { spawnSync } from 'node:child_process';
import { existsSync, readdirSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** Test files at a time; those that kill servers or look at how they start run one at a time. */
const CONCURRENCY = { unit: 2, contract: 2, model: 2, e2e: 1, clients: 2, crash: 1 };
const PARTS = ['native', ...Object.keys(CONCURRENCY)];
const TIMEOUT_MS = 600_000;

function fail(message) {
  console.error(`elanus: ${message}`);
  process.exit(2);
}

function readOnly(args) {
  if (args.length === 0) return PARTS;
  const [flag, value] = args.length === 1 ? args[0].split('=') : args;
  if (flag !== '--only' || args.length > 2 || !PARTS.includes(value)) {
    fail(`usage: node scripts/test.mjs [--only ${PARTS.join('|')}]`);
  }
  return [value];
}

/** Compiled test files whose sources are there: dist keeps what a removed source once became. */
function listTests(folder) {
  if (!existsSync(folder)) return [];
  const found = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) for (const inner of listTests(path)) found.push(inner);
    else if (entry.name.endsWith('.test.ts')) {
      found.push(join(root, 'dist', relative(root, path)).replace(/\.ts$/, '.js'));
    }
  }
  return found.sort();
}

function run(args) {
  return spawnSync(process.execPath, args, { cwd: root, stdio: 'inherit' }).status === 0;
}

function runNative() {
  return run([join(root, 'native/scripts/build.mjs'), '--test']);
}

function runFiles(part) {
  const files = listTests(join(root, 'test', part));
  if (part === 'unit') files.unshift(join(root, 'dist/test/tidy.test.js'));
  const missing = files.find((file) => !existsSync(file));
  if (missing !== undefined) {
    console.error(`${relative(root, missing)} is missing; run \`npm run build\``);
    return false;
  }
  if (files.length === 0) return undefined;
  return run([
    '--test',
    `--test-concurrency=${CONCURRENCY[part]}`,
    `--test-timeout=${TIMEOUT_MS}`,
    `--test-reporter=${join(root, 'scripts/test-reporter.mjs')}`,
    '--test-reporter-destination=stdout',
    ...files,
  ]);
}

const started = performance.now();
const results = [];
for (const part of readOnly(process.argv.slice(2))) {
  console.log(`\n== ${part}`);
  const before = performance.now();
  const isGood = part === 'native' ? runNative() : runFiles(part);
  const seconds = ((performance.now() - before) / 1000).toFixed(0);
  const outcome = isGood === undefined ? 'no tests' : isGood ? 'ok' : 'FAILED';
  results.push({ isGood, text: `${part} ${outcome} (${seconds} s)` });
}
const isGood = results.every((result) => result.isGood !== false);
const seconds = ((performance.now() - started) / 1000).toFixed(0);
console.log(`\n${results.map(({ text }) => text).join(' · ')}`);
console.log(`elanus: tests ${isGood ? 'passed' : 'FAILED'} in ${seconds} s`);
process.exit(isGood ? 0 : 1);
