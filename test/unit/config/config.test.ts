// Settings: where they come from, what is refused, and that the shipped file is the table.

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { parse } from 'yaml';
import { CONFIG_KEYS } from '../../../src/config-keys.ts';
import { ConfigError, loadConfig, renderConfigFile, type Config } from '../../../src/config.ts';
import type { LoadConfigOptions, LoadedConfig } from '../../../src/config.ts';

const machine = { memoryBytes: 8 * 2 ** 30, cpuCount: 4 };
const getThreads = (config: Config): [search: number, build: number] => [
  config['elanus.threads.search'],
  config['elanus.threads.build'],
];
const MIB = 2 ** 20;

describe('config', () => {
  let cwd = '';
  before(() => {
    cwd = mkdtempSync(join(tmpdir(), 'elanus-config-'));
  });
  after(() => rmSync(cwd, { recursive: true }));

  const load = (options: LoadConfigOptions = {}): LoadedConfig =>
    loadConfig({ env: {}, cwd, machine, ...options });

  const loadFile = (content: string, env = {}): LoadedConfig => {
    writeFileSync(join(cwd, 'test.yaml'), content);
    return load({ yamlPath: 'test.yaml', env });
  };

  const refused = (work: () => unknown, ...parts: string[]): void => {
    assert.throws(work, (error) => {
      assert.ok(error instanceof ConfigError);
      for (const part of parts) assert.ok(error.message.includes(part), error.message);
      return true;
    });
  };

  test('without file and environment every setting has its default, frozen', () => {
    const { config, warnings, files } = load();
    assert.deepEqual([warnings, files], [[], []]);
    const port: number = config['proxy.port'];
    const level: 'debug' | 'info' | 'warn' | 'error' = config['log.level'];
    assert.deepEqual(
      [port, level, config['proxy.ip'], config['quotaAndLimits.limits.topK']],
      [19530, 'info', '127.0.0.1', 16384],
    );
    assert.equal(config['elanus.walBytesMax'], 256 * MIB);
    assert.equal(config['localStorage.path'], join(cwd, 'data'));
    assert.ok(Object.isFrozen(config));
  });

  test('a zero that means the machine becomes what the machine has', () => {
    const { config } = load();
    assert.deepEqual(getThreads(config), [3, 4]);
    assert.equal(config['elanus.growingBytesMax'], 2 * 2 ** 30);
    const own = load({ env: { ELANUS_THREADS_SEARCH: '2', ELANUS_GROWINGBYTESMAX: '1g' } }).config;
    assert.deepEqual(getThreads(own), [2, 4]);
    assert.equal(own['elanus.growingBytesMax'], 2 ** 30);
  });

  test('R22 search threads are the processors by quota less one, and at least one', () => {
    const expected = { 0.5: 1, 1: 1, 1.5: 1, 2: 1, 2.9: 1, 3: 2, 16: 15 };
    for (const [cpuCount, search] of Object.entries(expected)) {
      const machine = { memoryBytes: 2 ** 30, cpuCount: Number(cpuCount) };
      const build = Math.max(1, Math.floor(Number(cpuCount)));
      assert.deepEqual(getThreads(load({ machine }).config), [search, build]);
    }
  });

  test('the file goes over the defaults and the environment over the file', () => {
    const file = 'proxy: {port: 1, maxFieldNum: 7}\nlog: {level: WARN}\nelanus: {walBytesMax: 5m}';
    const { config } = loadFile(file, { PROXY_PORT: '2', METRICS_PORT: '3' });
    assert.deepEqual([config['proxy.port'], config['proxy.maxFieldNum']], [2, 7]);
    assert.equal(config['log.level'], 'warn');
    assert.deepEqual([config['elanus.metrics.port'], config['elanus.walBytesMax']], [3, 5 * MIB]);
  });

  test('keys match without regard to case, dots, slashes and underscores', () => {
    const env = {
      LOCALSTORAGE_PATH: '/elsewhere',
      common_jsonMaxLength: '5',
      'quotaAndLimits/limits/nq': '6',
      QUOTAANDLIMITS_LIMITS_TOPK: ' 7 ',
      LOG_LEVEL: 'Debug',
      PROXY_IP: '',
      UNRELATED: 'x',
    };
    const { config, warnings } = load({ env });
    assert.deepEqual(warnings, []);
    assert.equal(config['localStorage.path'], '/elsewhere');
    assert.deepEqual(
      [config['common.JSONMaxLength'], config['quotaAndLimits.limits.nq'], config['log.level']],
      [5, 6, 'debug'],
    );
    assert.deepEqual([config['quotaAndLimits.limits.topK'], config['proxy.ip']], [7, '127.0.0.1']);
  });

  test('unknown keys of the file are reported by name and place', () => {
    const { warnings } = loadFile('proxy:\n  prot: 1\netcd:\n  endpoints: [a, b]\nempty:\n');
    const place = join(cwd, 'test.yaml');
    assert.deepEqual(warnings, [
      `unknown setting proxy.prot in ${place} is ignored`,
      `setting etcd.endpoints in ${place} has no effect: ` +
        'one process keeps its metadata under localStorage.path',
    ]);
  });

  test('a text that is empty in the file is not set, as in the environment', () => {
    const { config } = loadFile('proxy: {ip: ""}\nlocalStorage: {path: ""}\nlog: {level: ""}\n');
    assert.equal(config['proxy.ip'], '127.0.0.1', 'not every address');
    assert.equal(config['localStorage.path'], join(cwd, 'data'));
    assert.equal(config['log.level'], 'info');
  });

  test('a file of one line with a byte order mark is read', () => {
    assert.equal(loadFile('\ufeffproxy: {port: 5}').config['proxy.port'], 5);
  });

  test('a bad value is refused with key, value, place and what is expected', () => {
    refused(
      () => load({ env: { PROXY_PORT: '70000' } }),
      'proxy.port: got "70000" from environment variable PROXY_PORT',
      'expected a whole number from 0 to 65535',
    );
    refused(() => loadFile('proxy: {port: 1.5}'), 'proxy.port: got 1.5 from ', 'test.yaml');
    refused(() => loadFile('proxy: {port: [1]}'), 'proxy.port: got [1] from ');
    refused(() => load({ env: { LOG_LEVEL: 'loud' } }), 'one of debug, info, warn, error');
    refused(() => load({ env: { ELANUS_WALBYTESMAX: '1 elephant' } }), '256MiB, from 4194304 up');
    refused(() => load({ env: { PROXY_MUSTUSEPARTITIONKEY: '1' } }), 'expected true or false');
    refused(() => load({ env: { DATACOORD_SEGMENT_SEALPROPORTION: '2' } }), 'from 0.001 to 1');
  });

  test('P8 authorization cannot be switched on while it does not exist', () => {
    const env = { COMMON_SECURITY_AUTHORIZATIONENABLED: 'true' };
    refused(() => load({ env }), 'common.security.authorizationEnabled', 'not available yet');
    const { config } = load({ env: { COMMON_SECURITY_AUTHORIZATIONENABLED: 'False' } });
    assert.equal(config['common.security.authorizationEnabled'], false);
    refused(() => load({ env: { COMMON_SECURITY_TLSMODE: '1' } }), 'TLS is not available yet');
  });

  test('a file that is missing, broken or not a mapping is refused by name', () => {
    refused(() => load({ yamlPath: 'nowhere.yaml' }), 'nowhere.yaml: ENOENT');
    refused(() => loadFile('a: [1'), 'cannot parse', 'test.yaml');
    refused(() => loadFile('just text'), 'cannot parse', 'test.yaml');
    assert.deepEqual(loadFile('').warnings, []);
  });

  test('MILVUSCONF names a directory whose user.yaml goes over milvus.yaml', () => {
    mkdirSync(join(cwd, 'conf'), { recursive: true });
    writeFileSync(join(cwd, 'conf/milvus.yaml'), 'proxy: {port: 5, maxFieldNum: 6}');
    writeFileSync(join(cwd, 'conf/user.yaml'), 'proxy: {port: 7}');
    const { config, files } = load({ env: { MILVUSCONF: 'conf' } });
    assert.deepEqual([config['proxy.port'], config['proxy.maxFieldNum'], files.length], [7, 6, 2]);
    refused(() => load({ env: { MILVUSCONF: 'none' } }), 'MILVUSCONF', 'none');
  });

  test('deploy/elanus.yaml is the table: every key with its default', () => {
    const shipped = readFileSync('deploy/elanus.yaml', 'utf8');
    assert.equal(shipped, renderConfigFile(), 'render it anew, see src/config.ts');
    assert.match(shipped, /^(#.*\n|\n)*$/, 'all of it is a comment');
    const tree = parse(shipped.replace(/^#/gm, '')) as Record<string, unknown>;
    for (const [key, row] of Object.entries(CONFIG_KEYS)) {
      let node: unknown = tree;
      for (const name of key.split('.')) node = (node as Record<string, unknown>)[name];
      const isMiB = row.kind === 'bytes' && typeof node === 'string';
      assert.equal(isMiB ? Number(String(node).replace('MiB', '')) * MIB : node, row.default, key);
    }
  });

  test('the shipped file means no file, as it is and without its comment signs', () => {
    for (const text of [renderConfigFile(), renderConfigFile().replace(/^#/gm, '')]) {
      const { config, warnings } = loadFile(text);
      assert.deepEqual([config, warnings], [load().config, []]);
    }
  });
});
