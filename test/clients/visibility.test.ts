// "0 stale": what one connection has been told is written, another connection reads at once, by
// search, query and count, at every consistency level, through inserts, upserts and deletes.
// Longer: npm run build && VISIBILITY_WRITES=100000 node --test
// dist/test/clients/visibility.test.js

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { DataType } from '../../src/model/data-type.ts';
import { getMessageType } from '../support/codec/milvus-proto.ts';
import { MilvusClient, type CollectionSpec } from '../support/milvus-client.ts';
import { makeTempDirectory, ServerProcess } from '../support/server-process.ts';

const WRITES = Number(process.env['VISIBILITY_WRITES'] ?? 2000);
/** Keys are used again, so that inserts, upserts and deletes all meet older rows. */
const KEYS = 500;
const DIM = 8;
const LEVELS = { Strong: 0, Session: 1, Bounded: 2, Eventually: 3, Customized: 4 } as const;
/** What pymilvus sends as the guarantee of each level; 1 asks for nothing at all. */
const GUARANTEES = [0n, 1n, 2n];

const spec: CollectionSpec = {
  name: 'visibility',
  shards: 2,
  fields: [
    { name: 'id', type: DataType.Int64, isPrimaryKey: true },
    { name: 'version', type: DataType.Int64 },
    { name: 'vector', type: DataType.FloatVector, dim: DIM },
  ],
};

type Plain = Record<string, unknown>;

test(`none of ${WRITES} writes is stale on another connection`, async (t) => {
  const directory = await makeTempDirectory('visibility');
  // Small segments: rows are read while growing, while being written out, and from files.
  const settings = { DATACOORD_SEGMENT_MAXSIZE: '1', DATACOORD_SEGMENT_SEALPROPORTION: '0.1' };
  const { server, address } = await ServerProcess.start({ dataPath: directory.path, settings });
  const writer = new MilvusClient(address.grpc);
  const reader = new MilvusClient(address.grpc);
  try {
    await writer.createCollection(spec);
    await writer.createIndex(spec.name, 'vector', { index_type: 'HNSW', metric_type: 'L2' });
    await writer.load(spec.name);
    const stale = await writeAndRead(writer, reader);
    t.diagnostic(`${WRITES} writes, ${4 * WRITES} reads, ${stale.length} stale`);
    assert.deepEqual(stale.slice(0, 10), []);
  } finally {
    writer.close();
    reader.close();
    await server.kill();
    await directory.remove();
  }
});

/** Returns a line for each read that did not show the write before it. */
async function writeAndRead(writer: MilvusClient, reader: MilvusClient): Promise<string[]> {
  const levels = Object.entries(LEVELS);
  const stale: string[] = [];
  const versions = new Map<bigint, bigint>();
  for (let i = 0; i < WRITES; i++) {
    const [levelName, level] = levels[i % levels.length]!;
    const consistency = {
      consistency_level: level,
      guarantee_timestamp: String(GUARANTEES[i % GUARANTEES.length]),
    };
    const key = BigInt((i * 7919) % KEYS);
    const version = BigInt(i);
    const vector = Array.from({ length: DIM }, (_unused, j) => Math.fround(Math.sin(i * DIM + j)));
    const what = pickWrite(i, versions.has(key));
    if (what === 'delete') {
      await writer.delete(spec.name, `id == ${key}`);
      versions.delete(key);
    } else {
      await writer[what](spec, [{ id: key, version, vector }]);
      versions.set(key, version);
    }
    const isDead = what === 'delete';
    const check = (read: string, got: unknown, wanted: unknown): void => {
      if (String(got) === String(wanted)) return;
      stale.push(`write ${i} (${what} of ${key}), ${read} at ${levelName}: ${got} for ${wanted}`);
    };
    const wanted = isDead ? [] : [version];
    const filter = `id == ${key}`;
    const [queried, counted, total, searched] = await Promise.all([
      query(reader, { filter, output: 'version', ...consistency }),
      query(reader, { filter, output: 'count(*)', ...consistency }),
      query(reader, { filter: '', output: 'count(*)', ...consistency }),
      search(reader, { vector, filter: isDead ? filter : '', ...consistency }),
    ]);
    check('query', queried, wanted);
    check('count of the key', counted, isDead ? 0 : 1);
    check('count', total, versions.size);
    check('search', searched, isDead ? [] : [key]);
    if (i % 400 === 399) await writer.flush(spec.name);
  }
  return stale;
}

function pickWrite(i: number, isThere: boolean): 'insert' | 'upsert' | 'delete' {
  if (!isThere) return i % 2 === 0 ? 'insert' : 'upsert';
  return i % 3 === 0 ? 'delete' : 'upsert';
}

/** The one output column, as numbers. */
async function query(
  client: MilvusClient,
  { filter, output, ...consistency }: Plain & { filter: string; output: string },
): Promise<bigint[]> {
  const reply = await client.call('Query', {
    collection_name: spec.name,
    expr: filter,
    output_fields: [output],
    ...consistency,
  });
  const fields = reply['fields_data'] as { field_name: string; scalars: Plain }[];
  const column = fields.find((field) => field.field_name === output);
  const { data } = (column?.scalars['long_data'] ?? { data: [] }) as { data: string[] };
  return data.map(BigInt);
}

/** Keys of the nearest row. */
async function search(
  client: MilvusClient,
  { vector, filter, ...consistency }: Plain & { vector: number[]; filter: string },
): Promise<bigint[]> {
  const group = getMessageType('milvus.proto.common.PlaceholderGroup');
  const values = [Buffer.from(Float32Array.from(vector).buffer)];
  const placeholders = [{ tag: '$0', type: DataType.FloatVector, values }];
  const reply = await client.call('Search', {
    collection_name: spec.name,
    dsl: filter,
    dsl_type: 1,
    placeholder_group: Buffer.from(group.encode(group.fromObject({ placeholders })).finish()),
    nq: 1,
    search_params: [
      { key: 'anns_field', value: 'vector' },
      { key: 'topk', value: '1' },
      { key: 'params', value: '{}' },
    ],
    ...consistency,
  });
  const ids = (reply['results'] as { ids: { int_id?: { data: string[] } } | null }).ids;
  return (ids?.int_id?.data ?? []).map(BigInt);
}
