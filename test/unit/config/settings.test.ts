// Every setting has someone who obeys it: its value goes from the configuration into the limits or
// dependencies of a role, and from there into an expression. Read from the sources, as tidy.test.ts
// does, so that a key cannot be added without its effect.

import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import ts from 'typescript';
import { CONFIG_KEYS, type KeyRow } from '../../../src/config-keys.ts';
import { UNOBEYED_KEYS, UNOBEYED_SECTIONS } from '../../../src/config-unobeyed.ts';
import { loadConfig } from '../../../src/config.ts';

/** Passed on and used nowhere yet. May only shrink. */
const MEMBERS_LEFT = new Set<string>();

function parse(path: string): ts.SourceFile {
  return ts.createSourceFile(path, readFileSync(path, 'utf8'), ts.ScriptTarget.ES2023, true);
}

function listSources(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return listSources(path);
    return path.endsWith('.ts') ? [path] : [];
  });
}

/** Names that are read as a property (`x.name`) or taken out of an object (`{ name }`). */
function listReads(file: ts.SourceFile): Set<string> {
  const names = new Set<string>();
  const visit = (node: ts.Node): void => {
    if (ts.isPropertyAccessExpression(node)) names.add(node.name.text);
    if (ts.isBindingElement(node) && ts.isObjectBindingPattern(node.parent)) {
      names.add((node.propertyName ?? node.name).getText(file));
    }
    ts.forEachChild(node, visit);
  };
  visit(file);
  return names;
}

const BUILDERS = ['src/main.ts', 'src/make-roles.ts', 'src/server.ts'];

test('every setting is read by who builds the server', () => {
  const builders = BUILDERS.map((path) => readFileSync(path, 'utf8')).join('');
  const unread = Object.entries(CONFIG_KEYS as Record<string, KeyRow>)
    // What asks for something that is not there is refused: that is its effect.
    .filter(([key, row]) => row.refuse === undefined && !builders.includes(`config['${key}']`))
    .map(([key]) => key);
  assert.deepEqual(unread, []);
});

test('every limit that a role is given is used by it', () => {
  const files = listSources('src/roles').map(parse);
  const read = new Set(files.flatMap((file) => [...listReads(file)]));
  const unused: string[] = [];
  for (const file of files) {
    for (const statement of file.statements) {
      if (!ts.isInterfaceDeclaration(statement)) continue;
      if (!/(Limits|Deps)$/.test(statement.name.text)) continue;
      for (const member of statement.members) {
        const name = member.name?.getText(file);
        if (name !== undefined && !read.has(name)) unused.push(name);
      }
    }
  }
  assert.deepEqual(unused.sort(), [...MEMBERS_LEFT].sort());
});

test('a key that is obeyed is in no list of those that are not', () => {
  const keys = Object.keys(CONFIG_KEYS);
  assert.deepEqual(keys.filter((key) => key in UNOBEYED_KEYS), []);
  const sections = Object.keys(UNOBEYED_SECTIONS);
  const inside = keys.filter((key) => sections.some((name) => key.startsWith(`${name}.`)));
  assert.deepEqual(inside, []);
});

test('a setting of Milvus without effect is told with the reason, wherever it is set', () => {
  const env = {
    ETCD_ENDPOINTS: 'etcd:2379',
    COMMON_GRACEFULTIME: '1',
    PROXY_MAXUSERNUM: '',
    ELANUS_WALBYTEMAX: '5m',
    TRACE_ID: 'of another program',
  };
  const { warnings } = loadConfig({ env, cwd: '/nowhere' });
  assert.deepEqual(warnings, [
    'setting ETCD_ENDPOINTS in the environment has no effect: ' +
      'one process keeps its metadata under localStorage.path',
    'setting COMMON_GRACEFULTIME in the environment has no effect: ' +
      'every read sees everything that was acknowledged before it',
    'unknown setting ELANUS_WALBYTEMAX in the environment is ignored',
  ]);
});
