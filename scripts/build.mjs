// Builds everything that the server needs: the native core, the TypeScript, one bundle of it.
// `--if-stale` skips both when nothing has changed since the last build. Nothing is downloaded.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, dirname } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const { dependencies } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
const BUNDLED = ['apache-arrow', 'flatbuffers'];
const VENDORS = Object.keys(dependencies).filter((name) => !BUNDLED.includes(name));
const ifStale = process.argv.includes('--if-stale');

function listFiles(folder, extensions) {
  const found = [];
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) for (const inner of listFiles(path, extensions)) found.push(inner);
    else if (extensions.some((extension) => entry.name.endsWith(extension))) found.push(path);
  }
  return found.sort();
}

function hashOf(files) {
  const hash = createHash('sha256');
  for (const file of files) hash.update(file).update(readFileSync(file));
  return hash.digest('hex');
}

function run(command, args) {
  const result = spawnSync(command, args, { cwd: root, stdio: 'inherit' });
  if (result.status !== 0) process.exit(result.status ?? 1);
}

run(process.execPath, [join(root, 'native/scripts/build.mjs')]);

/** The protocol's definitions as JSON: the server starts faster than by parsing the text. */
function buildProtocol() {
  const require = createRequire(import.meta.url);
  const protobuf = require('protobufjs');
  const protos = new protobuf.Root();
  protos.resolvePath = (_origin, target) => join(root, 'proto/milvus', target.split('/').at(-1));
  protos.loadSync('milvus.proto', { keepCase: true });
  mkdirSync(join(root, 'dist/proto'), { recursive: true });
  writeFileSync(join(root, 'dist/proto/milvus.json'), JSON.stringify(protos.toJSON()));
}

/** The server as one file: loading 160 modules one by one would be a third of its start. */
function buildBundle() {
  const esbuild = createRequire(import.meta.url)('esbuild');
  esbuild.buildSync({
    entryPoints: [join(root, 'dist/src/main.js')],
    outfile: join(root, 'dist/elanus.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    target: 'node20',
    // Vendors stay in node_modules, but for the few files that we take of Arrow.
    external: VENDORS,
    banner: { js: "const bundleUrl = require('node:url').pathToFileURL(__filename).href;" },
    define: { 'import.meta.url': 'bundleUrl' },
    logLevel: 'warning',
  });
}

const stampPath = join(root, 'dist/.stamp');
const sources = ['src', 'test', 'scripts'].flatMap((folder) =>
  listFiles(join(root, folder), ['.ts']),
);
const protos = listFiles(join(root, 'proto'), ['.proto']);
const settings = ['tsconfig.json', 'package.json', 'scripts/build.mjs'].map((name) =>
  join(root, name),
);
const stamp = hashOf([...sources, ...protos, ...settings]);
const isFresh = existsSync(stampPath) && readFileSync(stampPath, 'utf8') === stamp;
if (!(ifStale && isFresh)) {
  const compiler = join(root, 'node_modules/typescript/bin/tsc');
  if (!existsSync(compiler)) {
    console.error('elanus: the TypeScript compiler is missing; run `npm ci` without --omit=dev');
    process.exit(1);
  }
  run(process.execPath, [compiler, '-p', join(root, 'tsconfig.json')]);
  buildProtocol();
  buildBundle();
  writeFileSync(stampPath, stamp);
}
