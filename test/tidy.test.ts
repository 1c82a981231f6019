// Reads the sources and holds the rules of STYLE.md: who may import whom, where the outside world
// is touched, how long lines, functions and files are. The tables are the rules; there are no
// exceptions.

import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, posix, relative } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import ts from 'typescript';

const LINE_MAX = 100;
const FILE_LINES_MAX = 500;
const CORE_FILE_LINES_MAX = 700;
const FUNCTION_LINES_MAX = 70;

/** Folder of src → folders that it may import besides itself. Roles never import each other. */
const LAYERS: Readonly<Record<string, readonly string[]>> = {
  base: [],
  model: ['base'],
  codec: ['base', 'model'],
  expr: ['base', 'model'],
  index: ['base', 'model'],
  segment: ['base', 'model', 'codec', 'expr', 'index'],
  storage: ['base', 'model', 'codec'],
  meta: ['base', 'model', 'codec'],
  wal: ['base', 'model', 'codec'],
  rpc: ['base', 'model', 'codec'],
  http: ['base', 'model', 'rpc'],
  roles: [
    ...['base', 'model', 'codec', 'expr', 'index', 'segment', 'storage', 'meta', 'wal', 'rpc'],
  ],
};

/** Files that roles may not import: they are built in server.ts and passed in. */
const ADAPTERS = [
  /^base\/(node-file-system|pino-logger|system-runtime)\.ts$/,
  /^meta\/(lmdb|lmdb-file|local-kv|memory)\.ts$/,
  /^rpc\/(grpc-[a-z0-9]+|milvus-proto)\.ts$/,
  /^storage\/(local-dir|memory)\.ts$/,
  /^wal\/(?!wal\.ts)/,
];

/** Modules from outside → the only files of src that import them. */
const VENDORS: Readonly<Record<string, RegExp>> = {
  '@grpc/grpc-js': /^rpc\/grpc-[a-z0-9]+\.ts$/,
  'apache-arrow': /^segment\//,
  flatbuffers: /^segment\//,
  lmdb: /^meta\/lmdb\.ts$/,
  pino: /^base\/pino-logger\.ts$/,
  'prom-client': /^http\/prometheus\.ts$/,
  protobufjs: /^rpc\/(milvus-proto|proto-subset)\.ts$/,
  yaml: /^config\.ts$/,
  'node:fs': new RegExp(
    `^(${[
      ...['base/node-file-system', 'config', 'index/native', 'machine', 'meta/lmdb'],
      ...['meta/lmdb-file'],
      ...['rpc/milvus-proto', 'server'],
    ].join('|')})\\.ts$`,
  ),
  'node:http': /^http\//,
  'node:http2': /^rpc\/grpc-(http2|window)\.ts$/,
  'node:net': /^(http\/|rpc\/grpc-http2\.ts$)/,
  'node:os': /^machine\.ts$/,
  'node:v8': /^rpc\/payload\.ts$/,
};
const VENDORS_FREE = new Set([
  ...['node:assert', 'node:buffer', 'node:crypto', 'node:module', 'node:path', 'node:url'],
  ...['node:util', 'node:zlib'],
]);

/** What the machine gives → the only files of src that ask for it, and why. */
const MACHINE: readonly { readonly text: RegExp; readonly files: RegExp }[] = [
  { text: /\bDate\.now\b|\bMath\.random\b/, files: /^base\/system-runtime\.ts$/ },
  { text: /\bperformance\.now\b/, files: /^base\/system-runtime\.ts$/ },
  // Log lines carry the wall clock; server.ts shows a time that it got from the Runtime.
  { text: /\bnew Date\b/, files: /^(base\/pino-logger|server)\.ts$/ },
  // Besides the Runtime: the grace periods of servers that stop.
  {
    text: /\bset(Timeout|Interval)\b/,
    files: /^(base\/system-runtime|rpc\/grpc-[a-z0-9]+|http\/operations-server)\.ts$/,
  },
  { text: /\bsetImmediate\b/, files: /^base\/turns\.ts$/ },
  // A listener's bug is thrown where nobody catches it.
  { text: /\bqueueMicrotask\b/, files: /^meta\/local-kv\.ts$/ },
  { text: /\bprocess\.env\b/, files: /^config\.ts$/ },
  { text: /\bFinalizationRegistry\b/, files: /^$/ },
];

/** Nothing of one machine and nothing unfinished gets in. Written so that this file passes. */
const BANNED: readonly RegExp[] = [
  new RegExp(`\\b(${['TO', 'DO'].join('')}|${['FIX', 'ME'].join('')})\\b`),
  /(^|["'`\s(=])\/(home|root|Users|mnt|work)\/\w/,
];

interface Import {
  readonly specifier: string;
  readonly isType: boolean;
}

interface Source {
  /** From the root, with `/`. */
  readonly path: string;
  readonly text: string;
  readonly lines: readonly string[];
}

const root = findRoot();
const sources = listFiles('src', ['.ts']).map(readSource);
const others = [
  ...['test', 'scripts', 'native'].flatMap((folder) =>
    listFiles(folder, ['.ts', '.mjs', '.py', '.cc', '.h']),
  ),
].map(readSource);
const documents = [
  ...['docs', 'deploy', '.ci'].flatMap((folder) => listFiles(folder, [''])),
  ...readdirSync(root).filter((name) => /\.(md|json)$/.test(name) && name !== 'package-lock.json'),
].map(readSource);
const parsed = new Map(
  sources.map(({ path, text }) => [
    path,
    ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true),
  ]),
);

function findRoot(): string {
  let folder = dirname(fileURLToPath(import.meta.url));
  while (!existsSync(join(folder, 'package-lock.json'))) folder = dirname(folder);
  return folder;
}

function listFiles(folder: string, suffixes: readonly string[]): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { withFileTypes: true })
    .flatMap((entry) => {
      const path = `${folder}/${entry.name}`;
      if (entry.isDirectory()) {
        return /^(build|node_modules|__pycache__|\..*)$/.test(entry.name)
          ? []
          : listFiles(path, suffixes);
      }
      return suffixes.some((suffix) => entry.name.endsWith(suffix)) ? [path] : [];
    })
    .sort();
}

function readSource(path: string): Source {
  const text = readFileSync(join(root, path), 'utf8');
  return { path, text, lines: text.split('\n') };
}

/** Of a file of src: its path below src. */
const shorten = (path: string): string => path.slice('src/'.length);

function getLayer(path: string): string {
  const parts = shorten(path).split('/');
  return parts.length === 1 ? '' : parts[0]!;
}

function listImports(path: string): Import[] {
  const imports: Import[] = [];
  for (const statement of parsed.get(path)!.statements) {
    if (!ts.isImportDeclaration(statement) && !ts.isExportDeclaration(statement)) continue;
    const { moduleSpecifier } = statement;
    if (moduleSpecifier === undefined || !ts.isStringLiteral(moduleSpecifier)) continue;
    imports.push({ specifier: moduleSpecifier.text, isType: isTypeOnly(statement) });
  }
  return imports;
}

function isTypeOnly(statement: ts.ImportDeclaration | ts.ExportDeclaration): boolean {
  if (ts.isExportDeclaration(statement)) return statement.isTypeOnly;
  const clause = statement.importClause;
  if (clause === undefined) return false;
  if (clause.isTypeOnly) return true;
  const { name, namedBindings } = clause;
  if (name !== undefined || namedBindings === undefined) return false;
  if (!ts.isNamedImports(namedBindings)) return false;
  return namedBindings.elements.every((element) => element.isTypeOnly);
}

function resolveImport(path: string, specifier: string): string {
  return posix.normalize(posix.join(posix.dirname(path), specifier));
}

/** Groups of files that reach each other (Tarjan's strongly connected components). */
function findCycles(edges: ReadonlyMap<string, readonly string[]>): string[] {
  const order = new Map<string, number>();
  const low = new Map<string, number>();
  const stack: string[] = [];
  const cycles: string[] = [];
  const visit = (node: string): void => {
    order.set(node, order.size);
    low.set(node, order.get(node)!);
    stack.push(node);
    for (const next of edges.get(node) ?? []) {
      if (!order.has(next)) visit(next);
      if (stack.includes(next)) low.set(node, Math.min(low.get(node)!, low.get(next)!));
    }
    if (low.get(node) !== order.get(node)) return;
    const group = stack.splice(stack.indexOf(node));
    if (group.length > 1) cycles.push(group.map(shorten).sort().join(' '));
  };
  for (const node of edges.keys()) if (!order.has(node)) visit(node);
  return cycles.sort();
}

function buildEdges(withTypes: boolean): Map<string, string[]> {
  return new Map(
    sources.map(({ path }) => [
      path,
      listImports(path)
        .filter(({ specifier, isType }) => specifier.startsWith('.') && (withTypes || !isType))
        .map(({ specifier }) => resolveImport(path, specifier)),
    ]),
  );
}

function listFunctions(path: string): { name: string; lines: number }[] {
  const file = parsed.get(path)!;
  const found: { name: string; lines: number }[] = [];
  const lineOf = (position: number): number => file.getLineAndCharacterOfPosition(position).line;
  const visit = (node: ts.Node): void => {
    if (ts.isFunctionLike(node) && 'body' in node && node.body !== undefined) {
      const own =
        node.name ?? (ts.isVariableDeclaration(node.parent) ? node.parent.name : undefined);
      const lines = lineOf(node.getEnd()) - lineOf(node.getStart(file)) + 1;
      found.push({ name: own?.getText(file) ?? 'anonymous', lines });
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return found;
}

test('a folder imports only the folders that the table allows', () => {
  const wrong: string[] = [];
  for (const { path } of sources) {
    const layer = getLayer(path);
    if (layer === '') continue;
    const allowed = LAYERS[layer];
    assert(allowed !== undefined, `src/${layer} is not in the table of layers`);
    for (const { specifier } of listImports(path)) {
      if (!specifier.startsWith('.')) continue;
      const target = getLayer(resolveImport(path, specifier));
      if (target !== layer && !allowed.includes(target)) wrong.push(`${path} imports ${specifier}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('roles import neither each other nor an adapter', () => {
  const wrong: string[] = [];
  for (const { path } of sources.filter((source) => getLayer(source.path) === 'roles')) {
    const role = path.split('/')[2];
    for (const { specifier } of listImports(path)) {
      if (!specifier.startsWith('.')) continue;
      const target = resolveImport(path, specifier);
      const isOtherRole = getLayer(target) === 'roles' && target.split('/')[2] !== role;
      const isAdapter = ADAPTERS.some((pattern) => pattern.test(shorten(target)));
      if (isOtherRole || isAdapter) wrong.push(`${path} imports ${specifier}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('a package is imported in its one place', () => {
  const wrong: string[] = [];
  for (const { path } of sources) {
    for (const { specifier } of listImports(path)) {
      if (specifier.startsWith('.')) continue;
      const name = specifier
        .split('/')
        .slice(0, specifier.startsWith('@') ? 2 : 1)
        .join('/');
      if (VENDORS_FREE.has(name)) continue;
      if (VENDORS[name]?.test(shorten(path)) !== true) wrong.push(`${path} imports ${specifier}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('only src/index/native.ts loads the addon', () => {
  const loaders = sources.filter(({ text }) => text.includes('elanus.node'));
  assert.deepEqual(
    loaders.map(({ path }) => path),
    ['src/index/native.ts'],
  );
});

test('no file imports itself in a circle', () => {
  assert.deepEqual(findCycles(buildEdges(false)), [], 'cycle of values');
  assert.deepEqual(findCycles(buildEdges(true)), [], 'cycle with types');
});

test('clocks, timers, chance and the environment are asked where the table says', () => {
  const wrong: string[] = [];
  for (const { path, lines } of sources) {
    lines.forEach((line, i) => {
      if (/^\s*(\/\/|\*|\/\*\*)/.test(line)) return;
      for (const { text, files } of MACHINE) {
        if (text.test(line) && !files.test(shorten(path))) wrong.push(`${path}:${i + 1}: ${line}`);
      }
    });
  }
  assert.deepEqual(wrong, []);
});

test('the native core knows nothing of Node', () => {
  const wrong = others
    .filter(({ path }) => path.startsWith('native/core/'))
    .filter(({ text }) => /#\s*include\s*[<"](napi|node_api|js_native_api)/.test(text));
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});

test('every source file begins with a comment that says what it is', () => {
  const wrong = [...sources, ...others].filter(({ path, lines }) => {
    const first = lines[0]!.startsWith('#!') ? lines[1]! : lines[0]!;
    if (path.endsWith('.py')) return !/^("""|#)/.test(first);
    // A .cc beside its .h is told about there.
    if (path.endsWith('.cc') && existsSync(join(root, path.replace(/\.cc$/, '.h')))) return false;
    return !/^\/[/*]/.test(first);
  });
  assert.deepEqual(
    wrong.map(({ path }) => path),
    [],
  );
});

test('nothing unfinished and no path of one machine is in a file', () => {
  const wrong: string[] = [];
  for (const { path, lines } of [...sources, ...others, ...documents]) {
    lines.forEach((line, i) => {
      if (BANNED.some((pattern) => pattern.test(line))) wrong.push(`${path}:${i + 1}: ${line}`);
    });
  }
  assert.deepEqual(wrong, []);
});

test('lines are short', () => {
  const long = [...sources, ...others].flatMap(({ path, lines }) =>
    lines.flatMap((line, i) => ([...line].length > LINE_MAX ? [`${path}:${i + 1}`] : [])),
  );
  assert.deepEqual(long, []);
});

const getFileLinesMax = (path: string): number =>
  /\.(cc|h)$/.test(path) ? CORE_FILE_LINES_MAX : FILE_LINES_MAX;

test('files and functions are short', () => {
  const wrong: string[] = [];
  for (const { path, lines } of [...sources, ...others]) {
    const count = lines.length - 1;
    if (count > getFileLinesMax(path)) wrong.push(`${path} has ${count} lines`);
  }
  for (const { path } of sources) {
    for (const { name, lines: count } of listFunctions(path)) {
      if (count > FUNCTION_LINES_MAX) wrong.push(`${path} ${name}: ${count}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('what a file exports is asked for by another', () => {
  const words = new Map(
    [...sources, ...others].map(({ path, text }) => [path, new Set(text.match(/[\w$]+/g))]),
  );
  const needless: string[] = [];
  for (const { path } of sources) {
    for (const name of listExportedValues(path)) {
      const isUsed = [...words].some(([other, found]) => other !== path && found.has(name));
      if (!isUsed) needless.push(`${path} ${name}`);
    }
  }
  assert.deepEqual(needless, []);
});

/** Functions, classes and constants; a type may be there for whoever calls a function. */
function listExportedValues(path: string): string[] {
  const names: string[] = [];
  for (const statement of parsed.get(path)!.statements) {
    const isExported =
      ts.canHaveModifiers(statement) &&
      ts.getModifiers(statement)?.some(({ kind }) => kind === ts.SyntaxKind.ExportKeyword);
    if (isExported !== true) continue;
    if (ts.isFunctionDeclaration(statement) || ts.isClassDeclaration(statement)) {
      if (statement.name !== undefined) names.push(statement.name.text);
    } else if (ts.isVariableStatement(statement)) {
      for (const { name } of statement.declarationList.declarations) names.push(name.getText());
    }
  }
  return names;
}

test('no list of unknown length becomes the arguments of a call', () => {
  // V8 throws a RangeError at about 120,000 of them; the text of an argument list has an end.
  const wrong: string[] = [];
  // Tests make their lists; what they share is run on whatever a server has.
  const scripts = others.filter(
    ({ path }) => /\.(ts|mjs)$/.test(path) && !/^test\/(?!support\/)/.test(path),
  );
  for (const { path, text } of [...sources, ...scripts]) {
    const file = parsed.get(path) ?? ts.createSourceFile(path, text, ts.ScriptTarget.ES2023, true);
    const visit = (node: ts.Node): void => {
      if (isUnboundedCall(node)) {
        const { line } = file.getLineAndCharacterOfPosition(node.getStart(file));
        wrong.push(`${path}:${line + 1}: ${node.getText(file)}`);
      }
      ts.forEachChild(node, visit);
    };
    visit(file);
  }
  assert.deepEqual(wrong, []);
});

/** `f(...list)`, `new F(...list)`, `a.push.apply(a, list)`. */
function isUnboundedCall(node: ts.Node): boolean {
  if (!ts.isCallExpression(node) && !ts.isNewExpression(node)) return false;
  const { expression } = node;
  const isApply =
    ts.isPropertyAccessExpression(expression) &&
    expression.name.text === 'apply' &&
    node.arguments?.length === 2 &&
    ts.isPropertyAccessExpression(expression.expression);
  const isSpread = (each: ts.Expression): boolean =>
    ts.isSpreadElement(each) && !ts.isArrayLiteralExpression(each.expression);
  return isApply || (node.arguments ?? []).some(isSpread);
}

test('every local link of the documents leads somewhere', () => {
  const wrong: string[] = [];
  for (const { path, text } of documents.filter((each) => each.path.endsWith('.md'))) {
    for (const [, link] of text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)) {
      if (/^[a-z]+:/.test(link!)) continue;
      const target = join(root, dirname(path), link!);
      if (!existsSync(target)) wrong.push(`${path}: ${relative(root, target)}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('a name that a document links to a file is in that file', () => {
  const wrong: string[] = [];
  for (const { path, text } of documents.filter((each) => each.path.endsWith('.md'))) {
    for (const [, name, link] of text.matchAll(/\[`([\w.:#]+)`\]\(([^)#\s]+)\)/g)) {
      const target = [...sources, ...others].find(
        (each) => each.path === posix.join(posix.dirname(path), link!),
      );
      const parts = name!.split(/[.:#]+/);
      const isThere = target === undefined || parts.every((part) => target.text.includes(part));
      if (!isThere) wrong.push(`${path}: ${name} is not in ${link}`);
    }
  }
  assert.deepEqual(wrong, []);
});
