// Builds native/build/elanus.node with the machine's C++ compiler; nothing is downloaded.
// Objects are named by a hash of the compiler, the flags, the source and every header of ours that
// it includes, so an object that exists is right and builds may run side by side.
// usage: build.mjs                  the addon
//        build.mjs --test [--sanitize=address|thread|undefined] [NAME...]
//                                   test programs (those named), then runs them
//        options: --werror  warnings are errors · -jN  compilers at a time · --verbose
import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { dirname, join, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

const native = dirname(dirname(fileURLToPath(import.meta.url)));
const build = join(native, 'build');
const objects = join(build, 'obj');
const addonPath = join(build, 'elanus.node');
const stampPath = join(build, 'elanus.stamp');
const DAY_MS = 86_400_000;

const args = process.argv.slice(2);
const has = (name) => args.includes(name);
const sanitizer = args.find((arg) => arg.startsWith('--sanitize='))?.slice('--sanitize='.length);
const jobs = Number(args.find((arg) => /^-j\d+$/.test(arg))?.slice(2) ?? availableParallelism());
const names = args.filter((arg) => !arg.startsWith('-'));
const isMac = process.platform === 'darwin';

function fail(message) {
  console.error(`elanus: ${message}`);
  process.exit(1);
}

function listFiles(folder, suffix) {
  const found = [];
  if (!existsSync(folder)) return found;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) for (const inner of listFiles(path, suffix)) found.push(inner);
    else if (entry.name.endsWith(suffix)) found.push(path);
  }
  return found.sort();
}

function findCompiler() {
  const wanted = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  for (const command of wanted) {
    const found = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (found.status === 0) return { command, version: found.stdout };
  }
  const cures = {
    darwin: 'run `xcode-select --install`',
    linux:
      'install one (Debian, Ubuntu: `apt-get install g++`; ' +
      'Fedora: `dnf install gcc-c++`; Alpine: `apk add g++`)',
  };
  const tried = wanted.join(', ');
  return fail(
    `no C++20 compiler found (tried ${tried}): ${cures[process.platform] ?? 'install one'}`,
  );
}

function findIncludes() {
  const require = createRequire(join(native, 'package.json'));
  try {
    return [require('node-api-headers').include_dir];
  } catch {
    return fail('the package node-api-headers is missing; run `npm ci`');
  }
}

/** Hash of a source and all headers of ours that it reaches. */
class SourceHasher {
  #texts = new Map();
  #folders = ['core', 'addon', 'test'].map((name) => join(native, name));

  hash(path) {
    const seen = new Set();
    this.#collect(path, seen);
    const hash = createHash('sha256');
    for (const file of [...seen].sort()) {
      hash.update(relative(native, file)).update('\0').update(this.#read(file).text).update('\0');
    }
    return hash.digest('hex');
  }

  #collect(path, seen) {
    if (seen.has(path)) return;
    seen.add(path);
    for (const include of this.#read(path).includes) {
      const folder = [dirname(path), ...this.#folders].find((each) =>
        existsSync(join(each, include)),
      );
      if (folder !== undefined) this.#collect(join(folder, include), seen);
    }
  }

  #read(path) {
    let known = this.#texts.get(path);
    if (known === undefined) {
      const text = readFileSync(path, 'utf8');
      const includes = [...text.matchAll(/^[ \t]*#[ \t]*include[ \t]+"([^"]+)"/gm)].map(
        (match) => match[1],
      );
      known = { text, includes };
      this.#texts.set(path, known);
    }
    return known;
  }
}

function commonFlags() {
  const flags = [
    '-std=c++20',
    '-fPIC',
    '-fvisibility=hidden',
    '-fvisibility-inlines-hidden',
    '-pthread',
  ];
  flags.push('-Wall', '-Wextra');
  if (has('--werror')) flags.push('-Werror');
  if (sanitizer === undefined) return [...flags, '-O3', '-ffunction-sections', '-fdata-sections'];
  return [
    ...flags,
    '-O1',
    '-g',
    '-fno-omit-frame-pointer',
    `-fsanitize=${sanitizer}`,
    '-fno-sanitize-recover=all',
  ];
}

/** gcc 12 sees overflows inside its own std::vector at -O3 (bugs 105329, 105651). */
function compilerFlags({ version }) {
  if (version.includes('clang')) return [];
  return ['-Wno-array-bounds', '-Wno-stringop-overflow', '-Wno-stringop-overread'];
}

/** Only the kernels that are chosen at load may use wide instructions; their names tell. */
function fileFlags(path) {
  if (process.arch !== 'x64') return [];
  if (path.endsWith('_avx2.cc')) return ['-mavx2', '-mfma', '-mf16c'];
  if (!path.endsWith('_avx512.cc')) return [];
  return ['-mavx512f', '-mavx512bw', '-mavx512vl', '-mavx512dq', '-mfma', '-mf16c'];
}

function run(command, commandArgs) {
  if (has('--verbose')) console.log([command, ...commandArgs].join(' '));
  return new Promise((resolve) => {
    const child = spawn(command, commandArgs, { stdio: ['ignore', 'pipe', 'pipe'] });
    let output = '';
    child.stdout.on('data', (chunk) => (output += chunk));
    child.stderr.on('data', (chunk) => (output += chunk));
    child.on('error', (error) => resolve({ status: 1, output: String(error) }));
    child.on('close', (status, signal) => resolve({ status: status ?? 1, output, signal }));
  });
}

const hasher = new SourceHasher();
const coreSources = listFiles(join(native, 'core'), '.cc');
const addonSources = listFiles(join(native, 'addon'), '.cc');
const flags = commonFlags();

/** Compiles what has no object yet; returns the objects' paths by source. */
async function compile(compiler, includes, sources) {
  mkdirSync(objects, { recursive: true });
  const include = [join(native, 'core'), join(native, 'addon'), join(native, 'test'), ...includes];
  const made = new Map();
  const missing = [];
  for (const source of sources) {
    const own = [...flags, ...compilerFlags(compiler), ...fileFlags(source)];
    const key = createHash('sha256')
      .update(JSON.stringify([compiler.command, compiler.version, own]))
      .update(hasher.hash(source));
    const name = relative(native, source).replaceAll(/[\\/]/g, '-').replace(/\.cc$/, '');
    const object = join(objects, `${name}-${key.digest('hex').slice(0, 20)}.o`);
    made.set(source, object);
    if (existsSync(object)) utimesSync(object, new Date(), new Date());
    else missing.push({ source, object, own });
  }
  if (missing.length > 0)
    console.log(`elanus: compiling ${missing.length} of ${sources.length} files`);
  // The longest first, so that none is left alone at the end.
  missing.sort((a, b) => statSync(b.source).size - statSync(a.source).size);
  let failed = false;
  const worker = async () => {
    for (let next = missing.shift(); next !== undefined && !failed; next = missing.shift()) {
      const partial = `${next.object}.${process.pid}`;
      const includeFlags = include.map((folder) => `-I${folder}`);
      const result = await run(compiler.command, [
        ...next.own,
        ...includeFlags,
        '-c',
        next.source,
        '-o',
        partial,
      ]);
      // Warnings are for those who work on the code.
      if (result.status !== 0 || has('--werror') || has('--verbose'))
        process.stderr.write(result.output);
      if (result.status === 0) {
        renameSync(partial, next.object);
        continue;
      }
      failed = true;
      console.error(`elanus: ${relative(native, next.source)} does not compile`);
    }
  };
  await Promise.all(Array.from({ length: Math.max(1, Math.min(jobs, missing.length)) }, worker));
  if (failed) process.exit(1);
  return made;
}

/** Links under another name first: a process that runs has the old file mapped. */
async function linkAddon(compiler, inputs) {
  const partial = `${addonPath}.${process.pid}`;
  const own = isMac
    ? ['-bundle', '-undefined', 'dynamic_lookup', '-Wl,-dead_strip']
    : ['-shared', '-Wl,--gc-sections', '-Wl,--exclude-libs,ALL'];
  const base = [...own, '-pthread', ...inputs, '-o', partial];
  // Node brings its own C++ library: ours goes in, where a static one is installed.
  let result = await run(compiler.command, [
    ...base,
    ...(isMac ? [] : ['-static-libstdc++', '-static-libgcc']),
  ]);
  if (result.status !== 0 && !isMac) result = await run(compiler.command, base);
  if (result.status !== 0) fail(`linking failed\n${result.output}`);
  renameSync(partial, addonPath);
}

/** Objects of earlier sources, unless they were in use lately: another state, a sanitizer run. */
function removeOldObjects() {
  for (const name of readdirSync(objects)) {
    const path = join(objects, name);
    try {
      if (Date.now() - statSync(path).mtimeMs > DAY_MS) rmSync(path);
    } catch {
      // Another build removed it.
    }
  }
}

async function buildAddon() {
  const stamp = createHash('sha256')
    .update(JSON.stringify([process.platform, process.arch, process.env.CXX ?? '', flags]))
    .update(readFileSync(fileURLToPath(import.meta.url)));
  for (const folder of ['core', 'addon']) {
    for (const suffix of ['.h', '.cc']) {
      for (const file of listFiles(join(native, folder), suffix)) {
        stamp.update(relative(native, file)).update('\0').update(readFileSync(file)).update('\0');
      }
    }
  }
  const wanted = stamp.digest('hex');
  const isFresh =
    existsSync(addonPath) && existsSync(stampPath) && readFileSync(stampPath, 'utf8') === wanted;
  if (isFresh) return;
  const compiler = findCompiler();
  const made = await compile(compiler, findIncludes(), [...coreSources, ...addonSources]);
  await linkAddon(compiler, [...made.values()]);
  writeFileSync(stampPath, wanted);
  removeOldObjects();
  console.log(`elanus: built ${relative(dirname(native), addonPath)}`);
}

async function runTests() {
  const compiler = findCompiler();
  const tests = listFiles(join(native, 'test'), '_test.cc').filter(
    (path) => names.length === 0 || names.some((name) => path.includes(name)),
  );
  const made = await compile(compiler, [], [...coreSources, ...tests]);
  const core = coreSources.map((source) => made.get(source));
  const programs = join(build, sanitizer === undefined ? 'test' : `test-${sanitizer}`);
  mkdirSync(programs, { recursive: true });
  let failed = 0;
  for (const test of tests) {
    const name = relative(join(native, 'test'), test).replace(/\.cc$/, '');
    const program = join(programs, name);
    const linked = await run(compiler.command, [...flags, made.get(test), ...core, '-o', program]);
    if (linked.status !== 0) {
      process.stderr.write(linked.output);
      console.log(`${name}: does not link`);
      failed += 1;
      continue;
    }
    const result = await run(program, []);
    const lines = result.output.trimEnd().split('\n');
    if (result.status !== 0) {
      failed += 1;
      process.stderr.write(
        `${lines
          .filter((line) => !line.startsWith('ok '))
          .slice(0, 200)
          .join('\n')}\n`,
      );
    }
    const ending =
      result.status === 0 ? '' : ` (${result.signal ?? `exit status ${result.status}`})`;
    console.log(`${name}: ${lines.at(-1)}${ending}`);
  }
  if (failed > 0) fail(`${failed} of ${tests.length} native test programs failed`);
}

await (has('--test') ? runTests() : buildAddon());
