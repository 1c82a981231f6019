// One thing broken stops one thing. A data directory with two collections is damaged in one file,
// each kind of file in turn, at its header, body and end, cut and removed; then the server is
// started on it. It starts, or refuses and says where and what would help; whoever is not concerned
// is served; the one that is concerned gives right rows or an error that says why, never wrong
// rows. A row of KINDS is a kind of file.

import assert from 'node:assert/strict';
import { chmod, cp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { after, before, describe, test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import {
  MilvusClient,
  MilvusReplyError,
  type CollectionSpec,
  type Row,
} from '../support/milvus-client.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';
import { waitFor } from '../support/wait-for.ts';

const FIELDS = [
  { name: 'key', type: DataType.Int64, isPrimaryKey: true },
  { name: 'text', type: DataType.VarChar, maxLength: 100 },
  { name: 'vector', type: DataType.FloatVector, dim: 4 },
];
const VICTIM: CollectionSpec = { name: 'victim', fields: FIELDS };
const SOUND: CollectionSpec = { name: 'sound', fields: FIELDS };
/** Enough for an index to be built. */
const SEALED_ROWS = 1100;
const CHANNEL_NOT_AVAILABLE = 503;
const SETTINGS = { DATACOORD_COMPACTION_ENABLEAUTOCOMPACTION: 'false', LOG_LEVEL: 'error' };

type Edit = 'header' | 'body' | 'end' | 'cut' | 'removed';
const EDITS: readonly Edit[] = ['header', 'body', 'end', 'cut', 'removed'];

/**
 * `served`: everything is as before. `stopped`: the victim is, and says why. `found`: it is, once
 * the file has been compared with its checksums. `either`: served or stopped. `refused`: the server
 * does not start.
 */
type Outcome = 'served' | 'stopped' | 'found' | 'either' | 'refused';

interface Kind {
  readonly name: string;
  /** Matches one path below the data directory; V stands for the victim's collection id. */
  readonly path: RegExp;
  readonly outcomes: Readonly<Record<Edit, Outcome>>;
  /** Where its header is, in bytes. Default 0. */
  readonly headerAt?: number;
  /** Where in it the victim's bytes are. Default 0.5. */
  readonly bodyAt?: number;
}

const all = (outcome: Outcome): Record<Edit, Outcome> => ({
  header: outcome,
  body: outcome,
  end: outcome,
  cut: outcome,
  removed: outcome,
});

const KINDS: readonly Kind[] = [
  {
    name: 'segment file',
    path: /^storage\/segments\/V\/[\d-]+$/,
    // To open it neither its first bytes are read nor its columns.
    outcomes: { ...all('stopped'), header: 'found', body: 'found' },
  },
  { name: 'delete file', path: /^storage\/deletes\/V\/\d+$/, outcomes: all('stopped') },
  // Whatever is wrong with it, its segment has all that is in it: it is made anew.
  { name: 'index file', path: /^storage\/indexes\/V\//, outcomes: all('served') },
  {
    name: 'log file',
    path: /^wal\/\d+-[0-9a-f]+\.wal$/,
    // Its records vouch for themselves, and the last one is the other's, which needs it no more.
    outcomes: { ...all('stopped'), header: 'served', end: 'served' },
    bodyAt: 0.985,
  },
  { name: 'note of the log', path: /^wal\/span$/, outcomes: all('served') },
  {
    name: 'metadata',
    path: /^meta\/data\.mdb$/,
    // Pages that are not in use do no harm.
    outcomes: { ...all('refused'), body: 'either', end: 'either' },
    headerAt: 24,
  },
  { name: 'lock of the metadata', path: /^meta\/lock\.mdb$/, outcomes: all('served') },
  { name: 'lock', path: /^LOCK$/, outcomes: all('served') },
];

function makeRow(key: number): Row {
  return { key: BigInt(key), text: `row ${key} `.repeat(5), vector: [key, key % 7, 1, 0] };
}

async function listPaths(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile())
    .map(({ parentPath, name }) => relative(folder, join(parentPath, name)))
    .sort();
}

async function damage(path: string, edit: Edit, kind: Kind): Promise<void> {
  if (edit === 'removed') return rm(path);
  const bytes = await readFile(path);
  if (edit === 'cut') return truncate(path, Math.floor(bytes.length * 0.6));
  // The end of what a file holds, not of what has been prepared behind it.
  const length = bytes.findLastIndex((byte) => byte !== 0) + 1;
  const { headerAt = 0, bodyAt = 0.5 } = kind;
  const body = Math.floor(length * bodyAt);
  const at = { header: headerAt, body, end: Math.max(0, length - 8) }[edit];
  for (let i = at; i < Math.min(at + 8, bytes.length); i += 1) bytes[i]! ^= 0xa5;
  return writeFile(path, bytes);
}

describe('damage', () => {
  let template = '';
  let root = '';
  let remove = async (): Promise<void> => undefined;
  const expected = new Map<string, Row[]>();
  let victimId = '';
  let cases = 0;

  const read = async (client: MilvusClient, name: string): Promise<Row[]> => {
    const rows = await client.query(name, { filter: 'key >= 0', outputFields: ['key', 'text'] });
    return rows.sort((a, b) => Number((a['key'] as bigint) - (b['key'] as bigint)));
  };

  before(async () => {
    ({ path: root, remove } = await makeTempDirectory('damage'));
    template = join(root, 'template');
    const { server, address } = await ServerProcess.start({
      dataPath: template,
      settings: SETTINGS,
    });
    const client = new MilvusClient(address.grpc);
    for (const spec of [SOUND, VICTIM]) {
      await client.createCollection(spec);
      const index = { index_type: 'HNSW', metric_type: 'L2', params: '{"M":8}' };
      await client.createIndex(spec.name, 'vector', index);
      await client.load(spec.name);
      const keys = Array.from({ length: SEALED_ROWS }, (_unused, i) => i);
      await client.insert(spec, keys.map(makeRow));
      await waitFor((await client.flush(spec.name)).isWritten);
      // Its deletes go to a file with the next segment.
      await client.delete(spec.name, 'key in [3, 5, 7]');
      await client.insert(spec, [makeRow(5000)]);
      await waitFor((await client.flush(spec.name)).isWritten);
      await waitFor(async () => (await describeIndex(client, spec.name))['state'] === 3);
    }
    // What the log alone has, in several records: the victim's, as the other's checkpoint is past.
    for (let key = 6000; key < 6020; key += 1) await client.insert(VICTIM, [makeRow(key)]);
    await client.insert(SOUND, [makeRow(7000)]);
    await waitFor((await client.flush(SOUND.name)).isWritten);
    for (const { name } of [SOUND, VICTIM]) expected.set(name, await read(client, name));
    const described = await client.call('DescribeCollection', { collection_name: VICTIM.name });
    victimId = String(described['collectionID']);
    client.close();
    assert.deepEqual(await server.stop(), { code: 0, signal: null });
    assert.equal(expected.get(SOUND.name)!.length, SEALED_ROWS - 1);
    assert.equal(expected.get(VICTIM.name)!.length, SEALED_ROWS + 18);
  });

  after(() => remove());

  const findPath = async (folder: string, kind: Kind): Promise<string> => {
    const pattern = new RegExp(kind.path.source.replace('V', victimId));
    const found = (await listPaths(folder)).find((path) => pattern.test(path));
    assert.ok(found !== undefined, `no ${kind.name} among ${await listPaths(folder)}`);
    return found;
  };

  const copyTemplate = async (): Promise<string> => {
    const folder = join(root, `case-${cases++}`);
    await cp(template, folder, { recursive: true });
    return folder;
  };

  for (const kind of KINDS) {
    for (const edit of EDITS) {
      const outcome = kind.outcomes[edit];
      test(`${kind.name}, ${edit}: ${outcome}`, async () => {
        const folder = await copyTemplate();
        const path = await findPath(folder, kind);
        await damage(join(folder, path), edit, kind);
        const server = new ServerProcess({ dataPath: folder, settings: SETTINGS });
        try {
          if (outcome === 'refused') await checkRefused(server, folder);
          else await checkServed(server, { outcome, file: path });
        } finally {
          await server.kill();
          await rm(folder, { recursive: true });
        }
      });
    }
  }

  async function checkRefused(server: ServerProcess, folder: string): Promise<void> {
    await assert.rejects(server.ready);
    assert.equal((await server.exited).code, 1);
    assert.match(server.output, /remedy=/);
    assert.ok(server.output.includes(`folder=${join(folder, 'meta')}`), server.output);
    // Nothing has been removed: what would help still helps.
    const rest = (await listPaths(folder)).filter((path) => path.startsWith('storage/'));
    const before = (await listPaths(template)).filter((path) => path.startsWith('storage/'));
    assert.deepEqual(rest, before);
  }

  async function checkServed(
    server: ServerProcess,
    { outcome, file }: { outcome: Outcome; file: string },
  ): Promise<void> {
    let address;
    try {
      address = await server.ready;
    } catch (error) {
      // Either: the page that was hit may be in use.
      if (outcome !== 'either') throw error;
      assert.match(server.output, /remedy=/);
      return;
    }
    const client = new MilvusClient(address.grpc);
    try {
      assert.deepEqual(await read(client, SOUND.name), expected.get(SOUND.name));
      await client.insert(SOUND, [makeRow(9000)]);
      await waitFor((await client.flush(SOUND.name)).isWritten);
      if (outcome === 'found') {
        await waitFor(async () => !(await client.call('CheckHealth', {}))['isHealthy']);
      }
      const health = await client.call('CheckHealth', {});
      const probe = await fetch(`http://${address.host}:${address.metricsPort}/healthz`);
      assert.equal(probe.status, 200);
      const [state, ...reasons] = (await probe.text()).split('\n');
      assert.equal(state, 'OK');
      assert.deepEqual(reasons, health['reasons']);
      const isStopped = await checkVictim(client, outcome, file);
      assert.equal(health['isHealthy'], !isStopped);
      assert.equal(reasons.some((line) => line.includes('default.victim is stopped')), isStopped);
      // Whoever gives the collection up has a healthy server.
      await client.dropCollection(VICTIM.name);
      assert.equal((await client.call('CheckHealth', {}))['isHealthy'], true);
      await client.createCollection(VICTIM);
    } finally {
      client.close();
    }
    await server.stop();
  }

  /** Returns whether it is stopped. */
  async function checkVictim(
    client: MilvusClient,
    outcome: Outcome,
    file: string,
  ): Promise<boolean> {
    let rows: Row[];
    try {
      rows = await read(client, VICTIM.name);
    } catch (error) {
      assert.ok(error instanceof MilvusReplyError, String(error));
      assert.notEqual(outcome, 'served', error.message);
      assert.equal(error.code, CHANNEL_NOT_AVAILABLE);
      assert.match(error.message, /collection=victim/);
      const isNamed = error.message.includes(file.replace(/^storage\//, ''));
      assert.ok(isNamed || /wal\/file number \d+/.test(error.message), error.message);
      await assert.rejects(client.insert(VICTIM, [makeRow(9000)]), { code: error.code });
      return true;
    }
    assert.ok(outcome === 'served' || outcome === 'either', outcome);
    assert.deepEqual(rows, expected.get(VICTIM.name));
    const search = { field: 'vector', vectors: [[6005, 6005 % 7, 1, 0]], k: 3 };
    const [hits] = await client.search(VICTIM.name, search);
    assert.equal(hits?.length, 3);
    return false;
  }

  test('metadata that may not be read: refused, by folder', async (t) => {
    if (process.getuid?.() === 0) return t.skip('root may read everything');
    const folder = await copyTemplate();
    await chmod(join(folder, 'meta/data.mdb'), 0);
    const server = new ServerProcess({ dataPath: folder, settings: SETTINGS });
    await checkRefused(server, folder);
  });
});

async function describeIndex(client: MilvusClient, name: string): Promise<Record<string, unknown>> {
  const reply = await client.call('DescribeIndex', { collection_name: name });
  return (reply['index_descriptions'] as Record<string, unknown>[])[0]!;
}
