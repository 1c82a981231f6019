// Updates of parts of rows beside other writes of the same rows, over several shards and through
// every way in which roles meet. The oracle is the order that replies state: replayed by timestamp,
// one write after another, the rows must come out as they are.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { createDeferred } from '../../src/base/deferred.ts';
import { DataType } from '../../src/model/data-type.ts';
import { MilvusError } from '../../src/model/error.ts';
import { hashKey } from '../../src/roles/proxy/write/sharding.ts';
import type { WriteRequest } from '../../src/rpc/contract.ts';
import { ClusterSandbox, type SandboxOptions } from '../support/cluster-sandbox.ts';
import {
  MilvusReplyError,
  toWrite,
  type MilvusClient,
  type Row,
} from '../support/milvus-client.ts';
import { openProxy } from '../support/sandbox-proxy.ts';
import { VirtualRuntime } from '../support/virtual-runtime.ts';

const COUNTERS = ['n0', 'n1', 'n2', 'n3'] as const;
const SPEC = {
  name: 'c',
  shards: 3,
  fields: [
    { name: 'id', type: DataType.Int64, isPrimaryKey: true },
    { name: 'vec', type: DataType.FloatVector, dim: 2 },
    ...COUNTERS.map((name) => ({ name, type: DataType.Int64, nullable: true })),
    {
      name: 'tags',
      type: DataType.Array,
      elementType: DataType.Int64,
      maxCapacity: 4096,
      nullable: true,
    },
  ],
} as const;
const ARRAY_APPEND = 1;

async function withProxy(
  options: SandboxOptions,
  task: (client: MilvusClient, sandbox: ClusterSandbox) => Promise<void>,
): Promise<void> {
  const sandbox = await ClusterSandbox.open(options);
  try {
    const client = openProxy(sandbox);
    await client.createCollection(SPEC);
    await client.createIndex('c', 'vec', { index_type: 'FLAT', metric_type: 'L2' });
    await client.load('c');
    await task(client, sandbox);
    assert.deepEqual(sandbox.errors, []);
  } finally {
    await sandbox.close();
  }
}

const makeRow = (id: number, value = 0): Row => ({
  id: BigInt(id),
  vec: [id, value],
  ...Object.fromEntries(COUNTERS.map((name) => [name, BigInt(value)])),
  tags: [],
});

/** Returns the write's timestamp. */
async function update(client: MilvusClient, row: Row, op?: number): Promise<bigint> {
  const reply = await client.call('Upsert', {
    ...toWrite(SPEC, [row], ''),
    partial_update: true,
    field_ops: op === undefined ? [] : [{ field_name: 'tags', op }],
  });
  return BigInt(reply['timestamp'] as string);
}

async function find(client: MilvusClient, id: number): Promise<Row> {
  const rows = await client.query('c', { filter: `id == ${id}` });
  assert.equal(rows.length, 1);
  return rows[0]!;
}

/** How roles meet, and how often each writer writes. */
const WAYS: readonly [string, SandboxOptions, number][] = [
  ['function calls', {}, 100],
  ['gRPC between roles', { isGrpc: true }, 25],
];

for (const [way, options, rounds] of WAYS) {
  test(`R6 updates of one row by two clients all succeed and all stay: ${way}`, async () => {
    await withProxy(options, async (client, sandbox) => {
      await client.insert(SPEC, [makeRow(1), makeRow(2)]);
      const count = async (me: MilvusClient, field: string): Promise<void> => {
        for (let value = 1; value <= rounds; value += 1) {
          await update(me, { id: 1n, [field]: BigInt(value) });
        }
      };
      await Promise.all([count(client, 'n0'), count(openProxy(sandbox), 'n1')]);
      const burst = Array.from({ length: 20 }, (_unused, i) =>
        update(client, { id: 2n, tags: [BigInt(i)] }, ARRAY_APPEND),
      );
      await Promise.all(burst);
      const [one, two] = [await find(client, 1), await find(client, 2)];
      assert.deepEqual([one['n0'], one['n1'], one['n2']], [BigInt(rounds), BigInt(rounds), 0n]);
      const tags = [...(two['tags'] as bigint[])].sort((a, b) => Number(a - b));
      assert.deepEqual(tags, Array.from({ length: 20 }, (_unused, i) => BigInt(i)));
    });
  });

  test(`R6 updates, upserts and deletes of one row come out in their order: ${way}`, async () => {
    await withProxy(options, async (client, sandbox) => {
      const runtime = new VirtualRuntime({ seed: Math.floor(Math.random() * 2 ** 31) });
      const pick = (below: number): number => Math.floor(runtime.random() * below);
      const log: { timestamp: bigint; apply: (rows: Map<bigint, Row>) => void }[] = [];
      const writeOne = async (me: MilvusClient, value: number): Promise<void> => {
        const id = BigInt(pick(4));
        const kind = pick(10);
        if (kind === 0) {
          const request = { collection_name: 'c', expr: `id in [${id}]` };
          const reply = await me.call('Delete', request);
          const timestamp = BigInt(reply['timestamp'] as string);
          log.push({ timestamp, apply: (rows) => rows.delete(id) });
        } else if (kind <= 2) {
          const row = makeRow(Number(id), value);
          const reply = await me.call('Upsert', toWrite(SPEC, [row], ''));
          const timestamp = BigInt(reply['timestamp'] as string);
          log.push({ timestamp, apply: (rows) => rows.set(id, row) });
        } else {
          const field = COUNTERS[pick(COUNTERS.length)]!;
          const part = { id, vec: [Number(id), value], [field]: BigInt(value) };
          const timestamp = await update(me, part);
          const base = { ...makeRow(Number(id)), ...NULLS };
          const apply = (rows: Map<bigint, Row>): void => {
            rows.set(id, { ...base, ...rows.get(id), ...part });
          };
          log.push({ timestamp, apply });
        }
      };
      const work = async (me: MilvusClient, first: number): Promise<void> => {
        for (let i = 0; i < rounds / 2; i += 1) await writeOne(me, first + i);
      };
      await Promise.all(
        [1, 2, 3, 4, 5, 6].map((who) => work(openProxy(sandbox), who * 1000)),
      );
      await (await client.flush('c')).isWritten();
      const rows = new Map<bigint, Row>();
      log.sort((a, b) => (a.timestamp < b.timestamp ? -1 : 1));
      for (const { apply } of log) apply(rows);
      const expected = [...rows.values()].sort((a, b) => Number(a['id']) - Number(b['id']));
      const found = await client.query('c', { filter: 'id >= 0' });
      assert.deepEqual(found.map(sortKeys), expected.map(sortKeys));
    });
  });
}

const NULLS = Object.fromEntries([...COUNTERS, 'tags'].map((name) => [name, null]));

const sortKeys = (row: Row): [string, unknown][] =>
  Object.entries(row).sort(([a], [b]) => (a < b ? -1 : 1));

test('R6 updates of many rows over several shards do not wait in a circle', async () => {
  await withProxy({}, async (client, sandbox) => {
    const ids = Array.from({ length: 40 }, (_unused, i) => i);
    await client.insert(SPEC, ids.map((id) => makeRow(id)));
    const all = async (field: string, order: readonly number[]): Promise<void> => {
      for (let value = 1; value <= 10; value += 1) {
        const rows = order.map((id) => ({ id: BigInt(id), [field]: BigInt(value) }));
        await openProxy(sandbox).call('Upsert', {
          ...toWrite(SPEC, rows, ''),
          partial_update: true,
        });
      }
    };
    const odd = ids.filter((id) => id % 2 === 1);
    await Promise.all([
      all('n0', ids),
      all('n1', ids.toReversed()),
      all('n2', odd),
      all('n3', odd.toReversed()),
    ]);
    for (const row of await client.query('c', { filter: 'id >= 0' })) {
      const isOdd = (row['id'] as bigint) % 2n === 1n;
      const values = COUNTERS.map((name) => row[name]);
      assert.deepEqual(values, isOdd ? [10n, 10n, 10n, 10n] : [10n, 10n, 0n, 0n]);
    }
  });
});

async function findChannel(
  sandbox: ClusterSandbox,
): Promise<{ collectionId: bigint; vchannels: readonly string[] }> {
  return sandbox.peers.rootcoord.describeCollection({ dbName: 'default', name: 'c' }, {});
}

test('R6 rows of a proxy that has died are free again when its lease is over', async () => {
  const runtime = new VirtualRuntime();
  await withProxy({ runtime, isGrpc: true }, async (client, sandbox) => {
    await client.insert(SPEC, [makeRow(1)]);
    const { vchannels } = await findChannel(sandbox);
    const keys = { kind: 'int64', values: BigInt64Array.of(1n) } as const;
    const vchannel = vchannels[hashKey(1n) % vchannels.length]!;
    const shard = sandbox.peers.shard(vchannel);
    const { token } = await shard.lockKeys({ vchannel, keys }, {});
    let isDone = false;
    const waiting = update(client, { id: 1n, n0: 7n }).then(() => (isDone = true));
    while (runtime.sleeperCount === 0) await new Promise((resolve) => setImmediate(resolve));
    await runtime.advance(29_999);
    assert.equal(isDone, false);
    await runtime.advance(2);
    await waiting;
    assert.equal((await find(client, 1))['n0'], 7n);
    // Only slow, not dead: what it writes late would undo the update.
    const late = { vchannel, schemaVersion: 0, token, parts: [] };
    await assert.rejects(
      shard.write(late, {}),
      (error) => error instanceof MilvusError && error.code === 2200 && error.isUnexecuted,
    );
  });
});

test('R6 an update that has lost its rows reads them again, some times at most', async () => {
  await withProxy({}, async (client, sandbox) => {
    await client.insert(SPEC, [makeRow(1)]);
    let losses = 3;
    let writes = 0;
    sandbox.hooks.set('streamingnode.write', async (request) => {
      const { vchannel, token } = request as WriteRequest;
      if (token === undefined) return;
      writes += 1;
      if (losses === 0) return;
      losses -= 1;
      await sandbox.peers.shard(vchannel).unlockKeys({ vchannel, token }, {});
      // In the row that was read before there is none of this.
      await client.upsert(SPEC, [makeRow(1, 100 + (losses % 100))]);
    });
    await update(client, { id: 1n, n0: 5n });
    assert.equal(writes, 4);
    const row = await find(client, 1);
    assert.deepEqual([row['n0'], row['n1']], [5n, 100n]);
    losses = 1000;
    writes = 0;
    await assert.rejects(
      update(client, { id: 1n, n0: 6n }),
      (error) => error instanceof MilvusReplyError && error.code === 2200,
    );
    assert.equal(writes, 8);
  });
});

test('R6 a client that goes away while it waits for rows holds nobody up', async () => {
  await withProxy({}, async (client, sandbox) => {
    await client.insert(SPEC, [makeRow(1)]);
    const gate = createDeferred<void>();
    const isReading = createDeferred<void>();
    sandbox.hooks.set('streamingnode.query', () => {
      isReading.resolve();
      return gate.promise;
    });
    const first = update(client, { id: 1n, n0: 1n });
    await isReading.promise;
    sandbox.hooks.delete('streamingnode.query');
    const gone = new AbortController();
    const waiting = update(openProxy(sandbox, { signal: gone.signal }), { id: 1n, n1: 2n });
    const behind = update(client, { id: 1n, n2: 3n });
    const upsert = client.upsert(SPEC, [makeRow(1, 9)]);
    const last = upsert.then(() => update(client, { id: 1n, n3: 4n }));
    gone.abort();
    await assert.rejects(
      waiting,
      (error) => error instanceof MilvusReplyError && error.code === 10000,
    );
    gate.resolve();
    await Promise.all([first, behind, last]);
    const row = await find(client, 1);
    assert.deepEqual(COUNTERS.map((name) => row[name]), [9n, 9n, 9n, 4n]);
  });
});
