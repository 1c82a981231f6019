// Settings: defaults from config-keys.ts, the yaml file over them, the environment over both, as
// one frozen value. The only reader of process.env.
// Keys match by Milvus' rule, in the file and in the environment alike: compared after dropping
// `/ . _` and lower-casing, so PROXY_PORT, proxy_port and proxy.port are one.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, resolve } from 'node:path';
import { CONFIG_KEYS } from './config-keys.ts';
import type { ConfigKey, KeyRow } from './config-keys.ts';
import { UNOBEYED_KEYS, UNOBEYED_SECTIONS } from './config-unobeyed.ts';
import { readMachine } from './machine.ts';
import type { Machine } from './machine.ts';

type Value = boolean | number | string;

/**
 * All settings by their keys: `config['proxy.port']`. Settings whose 0 means "by the machine" hold
 * the number found; `localStorage.path` is absolute.
 */
export type Config = {
  readonly [Key in ConfigKey]: (typeof CONFIG_KEYS)[Key]['default'];
};

export interface LoadConfigOptions {
  /** Default: `process.env`. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  /**
   * The settings file; it must exist. Without it: `elanus.yaml` or else `milvus.yaml`, then
   * `user.yaml`, of the directory that MILVUSCONF names, else `deploy/elanus.yaml` under `cwd`.
   */
  readonly yamlPath?: string;
  /** Relative paths start here. Default: `process.cwd()`. */
  readonly cwd?: string;
  /** Default: this machine. */
  readonly machine?: Machine;
}

export interface LoadedConfig {
  readonly config: Config;
  /** What the user should know and the server can live with: a line for each key without effect. */
  readonly warnings: readonly string[];
  /** The files that were read. */
  readonly files: readonly string[];
}

/** A setting or file that cannot be used. The message names key, value, place and what would do. */
export class ConfigError extends Error {
  constructor(message: string) {
    super(message);
    this.name = 'ConfigError';
  }
}

const KEYS = Object.keys(CONFIG_KEYS) as ConfigKey[];
const KEY_BY_FOLDED = new Map<string, ConfigKey>(KEYS.map((key) => [foldKey(key), key]));
/** Milvus has this one in the environment only. */
KEY_BY_FOLDED.set(foldKey('METRICS_PORT'), 'elanus.metrics.port');

const UNOBEYED_BY_FOLDED = new Map(
  Object.entries(UNOBEYED_KEYS).map(([key, reason]) => [foldKey(key), reason]),
);

const BYTE_UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/**
 * Reads the settings.
 *
 * @throws ConfigError for a value that is refused, or a file that cannot be read or parsed
 */
export function loadConfig(options: LoadConfigOptions = {}): LoadedConfig {
  const { env = process.env, cwd = process.cwd(), machine = readMachine() } = options;
  const values = new Map<ConfigKey, Value>(KEYS.map((key) => [key, CONFIG_KEYS[key].default]));
  const warnings: string[] = [];
  const files: string[] = [];
  for (const { path, isRequired } of listFiles(options.yamlPath, env, cwd)) {
    const content = readFile(path, isRequired);
    if (content === undefined) continue;
    files.push(path);
    for (const [name, raw] of parseSettings(content, path)) {
      const key = KEY_BY_FOLDED.get(foldKey(name));
      if (key === undefined) warnings.push(describeUnused(name, `in ${path}`));
      else values.set(key, parseValue(key, raw, path));
    }
  }
  for (const [name, raw] of Object.entries(env)) {
    const key = KEY_BY_FOLDED.get(foldKey(name));
    // An empty variable counts as unset: compose files write NAME=${NAME:-}.
    if (raw === undefined || raw === '') continue;
    if (key === undefined) {
      // Of the others nobody knows whose they are.
      const isOurs = UNOBEYED_BY_FOLDED.has(foldKey(name)) || /^elanus_/i.test(name);
      if (isOurs) warnings.push(describeUnused(name, 'in the environment'));
      continue;
    }
    values.set(key, parseValue(key, raw, `environment variable ${name}`));
  }
  resolveByMachine(values, machine);
  values.set('localStorage.path', resolve(cwd, String(values.get('localStorage.path'))));
  return { config: Object.freeze(Object.fromEntries(values)) as Config, warnings, files };
}

function foldKey(key: string): string {
  return key.replace(/[/._]/g, '').toLowerCase();
}

/** Says that a setting does nothing here, and why if it is known. */
function describeUnused(name: string, place: string): string {
  const sections = name.split('.').map((_part, i, parts) => parts.slice(0, i + 1).join('.'));
  const section = sections.find((candidate) => candidate in UNOBEYED_SECTIONS);
  const reason =
    UNOBEYED_BY_FOLDED.get(foldKey(name)) ??
    (section === undefined ? undefined : UNOBEYED_SECTIONS[section]);
  return reason === undefined
    ? `unknown setting ${name} ${place} is ignored`
    : `setting ${name} ${place} has no effect: ${reason}`;
}

interface File {
  readonly path: string;
  readonly isRequired: boolean;
}

function listFiles(
  yamlPath: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): File[] {
  if (yamlPath !== undefined) return [{ path: resolve(cwd, yamlPath), isRequired: true }];
  const folder = env.MILVUSCONF;
  if (folder === undefined || folder === '') {
    return [{ path: join(cwd, 'deploy/elanus.yaml'), isRequired: false }];
  }
  const first = ['elanus.yaml', 'milvus.yaml'].map((name) => resolve(cwd, folder, name));
  const found = first.find((path) => readFile(path, false) !== undefined);
  if (found === undefined) {
    throw new ConfigError(`MILVUSCONF is ${folder}, which has no elanus.yaml or milvus.yaml`);
  }
  const user = { path: resolve(cwd, folder, 'user.yaml'), isRequired: false };
  return [{ path: found, isRequired: true }, user];
}

function readFile(path: string, isRequired: boolean): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? String(error);
    if (code === 'ENOENT' && !isRequired) return undefined;
    throw new ConfigError(`cannot read the settings file ${path}: ${code}`);
  }
}

/** Returns the leaves of a settings file as [dotted name, value]. */
function parseSettings(content: string, path: string): [string, unknown][] {
  // The shipped file is all comment; not loading the parser saves 40 ms at every start.
  if (!/^[^\S\n]*[^#\s]/m.test(content)) return [];
  const yaml = createRequire(import.meta.url)('yaml') as typeof import('yaml');
  try {
    return flatten(yaml.parse(content), '');
  } catch (error) {
    throw new ConfigError(`cannot parse the settings file ${path}: ${(error as Error).message}`);
  }
}

function flatten(node: unknown, name: string): [string, unknown][] {
  if (node === null || node === undefined) return [];
  if (typeof node !== 'object' || Array.isArray(node)) {
    if (name === '') throw new Error('expected settings by name at the top');
    return [[name, node]];
  }
  return Object.entries(node).flatMap(([key, child]) =>
    flatten(child, name === '' ? key : `${name}.${key}`),
  );
}

function parseValue(key: ConfigKey, raw: unknown, place: string): Value {
  const row: KeyRow = CONFIG_KEYS[key] as KeyRow;
  // No text is none, as in the environment: an empty address would mean every address.
  if (raw === '' && row.kind === 'string') return row.default;
  const value = convert(row, raw);
  if (value === undefined || !isInBounds(row, value)) {
    const got = JSON.stringify(raw);
    throw new ConfigError(`${key}: got ${got} from ${place}, expected ${describeExpected(row)}`);
  }
  const refusal = row.refuse?.(value);
  if (refusal !== undefined) throw new ConfigError(`${key}: ${refusal} (from ${place})`);
  return value;
}

/** Returns the value in the row's kind, or undefined when it is not one. */
function convert({ kind, choices }: KeyRow, raw: unknown): Value | undefined {
  const content = String(raw).trim();
  if (typeof raw === 'object') return undefined;
  if (kind === 'string') return choices === undefined ? content : content.toLowerCase();
  if (kind === 'bool') {
    const lower = content.toLowerCase();
    return lower === 'true' ? true : lower === 'false' ? false : undefined;
  }
  if (kind === 'bytes') return convertBytes(content);
  const isNumber = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(content);
  if (!isNumber || (kind === 'int' && !Number.isSafeInteger(Number(content)))) return undefined;
  return Number(content);
}

function convertBytes(content: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)\s*([kmg]?)i?b?$/i.exec(content);
  if (match === null) return undefined;
  const count = Number(match[1]) * (BYTE_UNITS[(match[2] ?? '').toLowerCase()] ?? NaN);
  return Number.isSafeInteger(Math.round(count)) ? Math.round(count) : undefined;
}

function isInBounds({ min = -Infinity, max = Infinity, choices }: KeyRow, value: Value): boolean {
  if (choices !== undefined) return choices.includes(String(value));
  return typeof value !== 'number' || (value >= min && value <= max);
}

function describeExpected({ kind, min, max, choices }: KeyRow): string {
  if (choices !== undefined) return `one of ${choices.join(', ')}`;
  if (kind === 'bool') return 'true or false';
  if (kind === 'string') return 'text';
  const noun = {
    int: 'a whole number',
    float: 'a number',
    bytes: 'bytes such as 268435456 or 256MiB',
  }[kind];
  const from = min === undefined ? '' : ` from ${min}`;
  const to = max === undefined || max === Number.MAX_SAFE_INTEGER ? '' : ` to ${max}`;
  return noun + (to === '' && from !== '' ? `,${from} up` : from + to);
}

/** Replaces every 0 that means "by the machine". */
function resolveByMachine(values: Map<ConfigKey, Value>, machine: Machine): void {
  const wholeCpus = Math.max(1, Math.floor(machine.cpuCount));
  const found: Partial<Record<ConfigKey, number>> = {
    'elanus.threads.search': Math.max(1, wholeCpus - 1),
    'elanus.threads.build': wholeCpus,
    'elanus.growingBytesMax': Math.floor(machine.memoryBytes / 4),
    'elanus.requestBytesMax': Math.floor(machine.memoryBytes / 5),
    'elanus.build.memoryBytesMax': Math.floor(machine.memoryBytes / 4),
  };
  for (const [key, value] of Object.entries(found) as [ConfigKey, number][]) {
    if (values.get(key) === 0) values.set(key, value);
  }
}

/** Returns the text of deploy/elanus.yaml: every key with its default, all of it a comment. */
export function renderConfigFile(): string {
  const lines = [
    'Settings of Elanus, each with its default. Rendered from src/config-keys.ts.',
    'To change one, remove the # at the beginning of its line and of the section that it is in, or',
    'set it in the environment: proxy.port is PROXY_PORT. Names are those of Milvus, except under',
    '`elanus`. An unknown key is reported at start and ignored.',
  ].map((line) => `# ${line}`);
  let open: string[] = [];
  for (const key of KEYS) {
    const row: KeyRow = CONFIG_KEYS[key] as KeyRow;
    const names = key.split('.');
    const leaf = names.pop() ?? '';
    let depth = 0;
    while (depth < names.length && names[depth] === open[depth]) depth += 1;
    if (depth === 0) lines.push('');
    for (; depth < names.length; depth += 1) lines.push(`${indent(depth)}${names[depth]}:`);
    open = names;
    lines.push(`${indent(names.length)}# ${row.description}${describeChoices(row)}`);
    lines.push(`${indent(names.length)}${leaf}: ${renderValue(row)}`);
  }
  return lines.map((line) => (line === '' ? '\n' : `#${line}\n`)).join('');
}

function indent(depth: number): string {
  return '  '.repeat(depth);
}

function describeChoices({ choices }: KeyRow): string {
  return choices === undefined ? '' : ` (${choices.join(', ')})`;
}

function renderValue({ kind, default: value }: KeyRow): string {
  if (kind === 'string') return JSON.stringify(value);
  const isMiB = kind === 'bytes' && typeof value === 'number' && value > 0 && value % 2 ** 20 === 0;
  return isMiB ? `${value / 2 ** 20}MiB` : String(value);
}
