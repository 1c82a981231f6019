// One collection behind the role contracts against a small model: random operations, each followed
// by every kind of read, and the scenarios that the rules of the architecture name. Replay:
// COLLECTION_MODEL_SEED=<seed>; more work: COLLECTION_MODEL_STEPS=<count>.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../src/model/error.ts';
import { composeTimestamp } from '../../src/model/timestamp.ts';
import type { ClusterSandbox, SandboxOptions } from '../support/cluster-sandbox.ts';
import { Random } from '../support/codec/random.ts';
import { checkReads, makeRow, makeRows, range } from '../support/random-rows.ts';
import type { SandboxCollection } from '../support/sandbox-collection.ts';
import { withCollection } from '../support/with-collection.ts';

const SEED = Number(process.env['COLLECTION_MODEL_SEED'] ?? 20261);
const STEPS = Number(process.env['COLLECTION_MODEL_STEPS'] ?? 100);

/** Random operations, some at the same time, some while segments are written or merged. */
class RandomRun {
  readonly #collection: SandboxCollection;
  readonly #sandbox: ClusterSandbox;
  readonly #random: Random;
  readonly #keepsAll: boolean;
  readonly #pins: bigint[] = [];
  /** Work that goes on beside the steps. */
  readonly #background = new Set<Promise<unknown>>();
  readonly steps: string[] = [];
  #partitions = 0;
  olderPins = 0;

  constructor(
    collection: SandboxCollection,
    sandbox: ClusterSandbox,
    random: Random,
    keepsAll: boolean,
  ) {
    this.#collection = collection;
    this.#sandbox = sandbox;
    this.#random = random;
    this.#keepsAll = keepsAll;
  }

  async step(): Promise<void> {
    const random = this.#random;
    const choice = random.below(100);
    if (choice < 30) await this.#named('insert', () => this.#write(false));
    else if (choice < 45) await this.#named('upsert', () => this.#write(true));
    else if (choice < 57) await this.#named('delete', () => this.#delete());
    else if (choice < 62) await this.#named('delete by filter', () => this.#deleteByFilter());
    else if (choice < 70) await this.#named('writes at once', () => this.#writesAtOnce());
    else if (choice < 80) await this.#named('flush', () => this.#maintain('flush'));
    else if (choice < 88) await this.#named('compact', () => this.#maintain('compact'));
    else if (choice < 91) await this.#named('create partition', () => this.#createPartition());
    else if (choice < 93) await this.#named('drop partition', () => this.#dropPartition());
    else if (choice < 96) await this.#named('pin', () => this.#pin());
    else await this.#named('restart', () => this.#restart());
    await checkReads(this.#collection, random);
    if (random.chance(0.3)) await this.#checkPartition();
    for (const pinned of this.#pins) if (random.chance(0.3)) await this.#checkPin(pinned);
  }

  async finish(): Promise<void> {
    await this.#settle();
    await checkReads(this.#collection, this.#random);
  }

  async #named(name: string, work: () => Promise<void>): Promise<void> {
    this.steps.push(name);
    await work();
  }

  #ids(count: number): bigint[] {
    return [...new Set(Array.from({ length: count }, () => BigInt(this.#random.below(80))))];
  }

  #partition(): bigint {
    return this.#random.pick(this.#collection.info.partitions).partitionId;
  }

  async #write(isUpsert: boolean): Promise<void> {
    const rows = this.#ids(1 + this.#random.below(25)).map((id) => makeRow(this.#random, id));
    if (isUpsert) await this.#collection.upsert(rows, this.#partition());
    else await this.#collection.insert(rows, this.#partition());
  }

  async #delete(): Promise<void> {
    const partitionId = this.#random.chance(0.3) ? this.#partition() : 0n;
    await this.#collection.delete(this.#ids(1 + this.#random.below(15)), 0n, partitionId);
  }

  async #deleteByFilter(): Promise<void> {
    const from = this.#random.below(20);
    await this.#collection.deleteByFilter(`n >= ${from} and n < ${from + 3}`);
  }

  async #writesAtOnce(): Promise<void> {
    const works = [() => this.#write(false), () => this.#write(true), () => this.#delete()];
    const count = 2 + this.#random.below(6);
    await Promise.all(Array.from({ length: count }, () => this.#random.pick(works)()));
  }

  async #maintain(what: 'flush' | 'compact'): Promise<void> {
    const work = what === 'flush' ? this.#collection.flush() : this.#compact();
    if (this.#random.chance(0.5)) {
      await work;
      return;
    }
    this.#background.add(work);
    void work.finally(() => this.#background.delete(work));
  }

  async #compact(): Promise<void> {
    assert.equal(await this.#collection.compact(), 0, 'failed compactions');
  }

  async #createPartition(): Promise<void> {
    await this.#collection.createPartition(`p${this.#partitions++}`);
  }

  async #dropPartition(): Promise<void> {
    const { partitions } = this.#collection.info;
    const { name } = this.#random.pick(partitions);
    if (name !== '_default') await this.#collection.dropPartition(name);
  }

  async #pin(): Promise<void> {
    this.#pins.push(await this.#collection.readTimestamp());
    if (this.#pins.length > 6) this.#pins.shift();
  }

  async #checkPin(pinned: bigint): Promise<void> {
    try {
      await checkReads(this.#collection, this.#random, { pinned });
    } catch (error) {
      const isOlder = error instanceof MilvusError && /older than/.test(error.message);
      if (this.#keepsAll || !isOlder) throw error;
      this.olderPins += 1;
    }
  }

  async #checkPartition(): Promise<void> {
    await checkReads(this.#collection, this.#random, { partitionIds: [this.#partition()] });
  }

  async #restart(): Promise<void> {
    await this.#settle();
    await this.#sandbox.restart();
  }

  /** Rejects when work beside the steps has failed. */
  async #settle(): Promise<void> {
    await Promise.all(this.#background);
  }
}

const RUNS: readonly { name: string; shards: number; options: SandboxOptions }[] = [
  { name: 'one shard, WAL cut by file', shards: 1, options: {} },
  { name: 'two shards, WAL cut exactly', shards: 2, options: { wal: 'memory' } },
  { name: 'old versions not kept', shards: 1, options: { mvccRetentionMs: 0 } },
  {
    name: 'small segments, merged and written out all the time',
    shards: 2,
    options: { segmentBytesMax: 6_000, isAutoCompactionOn: true, walBytesMax: 20_000 },
  },
  { name: 'gRPC between roles', shards: 2, options: { isGrpc: true, isAutoCompactionOn: true } },
  {
    name: 'two streaming nodes and two query nodes',
    shards: 3,
    options: { streamingNodes: 2, queryNodes: 2, isAutoCompactionOn: true },
  },
  {
    name: 'two and two nodes over gRPC, small segments, merged and written out all the time',
    shards: 2,
    options: {
      ...{ streamingNodes: 2, queryNodes: 2, isGrpc: true, isAutoCompactionOn: true },
      ...{ segmentBytesMax: 6_000, walBytesMax: 20_000 },
    },
  },
  {
    name: 'direct calls, old versions not kept, WAL cut exactly, merged all the time',
    shards: 2,
    options: { copy: false, mvccRetentionMs: 0, wal: 'memory', isAutoCompactionOn: true },
  },
];

for (const [run, { name, shards, options }] of RUNS.entries()) {
  test(`random operations keep to the model: ${name}`, async () => {
    const seed = SEED + run;
    await withCollection(options, shards, async (collection, sandbox) => {
      const random = new Random(seed);
      const work = new RandomRun(collection, sandbox, random, options.mvccRetentionMs !== 0);
      try {
        for (let step = 0; step < STEPS; step += 1) await work.step();
        await work.finish();
      } catch (error) {
        const told = [
          `COLLECTION_MODEL_SEED=${SEED}, run ${run} (${name}), step ${work.steps.length}`,
          work.steps.join(', '),
          ...sandbox.errors,
          error instanceof Error ? error.stack : String(error),
        ];
        throw new Error(told.join('\n'), { cause: error });
      }
    });
    console.log(`seed ${seed}: ${STEPS} steps`);
  });
}

test('R2 records of merged segments stay away when the log still has them', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const random = new Random(SEED);
    for (let i = 0; i < 3; i += 1) {
      await collection.insert(makeRows(random, 10 * i, 10 * i + 10));
      await collection.flush();
    }
    await collection.delete(range(0, 5));
    assert.equal(await collection.compact(), 0);
    assert.equal(await collection.segmentCount(), 1);
    // Moves the checkpoint past the inputs' records, whose tombstones may then go.
    await collection.insert(makeRows(random, 100, 110));
    await collection.flush();
    for (let i = 0; i < 2; i += 1) {
      await sandbox.restart();
      await checkReads(collection, random);
    }
  });
});

test('R3 readers never meet a segment and its successor while both are there', async () => {
  await withCollection({}, 1, async (collection) => {
    const random = new Random(SEED);
    await collection.insert(makeRows(random, 0, 50));
    let isDone = false;
    const counts: number[] = [];
    const reader = (async () => {
      while (!isDone) {
        const before = collection.model.list().length;
        const [count, rows] = [await collection.count(), await collection.query()];
        counts.push(count);
        assert.equal(new Set(rows.map(({ id }) => id)).size, rows.length);
        const after = collection.model.list().length;
        assert.ok(count <= before && count >= after - 1, `${after} <= ${count} <= ${before}`);
        // A short read may never leave the turn.
        await new Promise((resolve) => setImmediate(resolve));
      }
    })();
    // Rows are deleted one after another while segments are written and merged.
    const writer = (async () => {
      for (const id of range(0, 45)) {
        await collection.delete([id]);
        const left = collection.model.list().length;
        assert.equal(await collection.count(), left, 'count after an acknowledged delete');
      }
    })();
    const maintenance = (async () => {
      await collection.flush();
      assert.equal(await collection.compact(), 0);
      await writer;
      assert.equal(await collection.compact(), 0);
    })().finally(() => (isDone = true));
    await Promise.all([reader, writer, maintenance]);
    assert.ok(counts.length > 0);
    await checkReads(collection, random);
  });
});

for (const mvccRetentionMs of [0, 600_000]) {
  const kept = mvccRetentionMs === 0 ? 'not kept' : 'kept';
  test(`R3 deletes under way while segments are written count, old versions ${kept}`, async () => {
    await withCollection({ mvccRetentionMs }, 1, async (collection, sandbox) => {
      const random = new Random(SEED);
      const partition = await collection.createPartition('p');
      for (let round = 0; round < 6; round += 1) {
        await collection.insert(makeRows(random, 0, 30));
        await collection.insert(makeRows(random, 30, 60), partition);
        const ids = range(0, 60).filter(() => random.chance(0.5));
        const all = [
          ...ids.map((id) => collection.delete([id])),
          collection.flush(),
          collection.upsert(makeRows(random, 20, 25)),
          collection.delete(ids),
        ];
        await Promise.all(all);
        await checkReads(collection, random);
        if (round % 2 === 1) assert.equal(await collection.compact(), 0);
        if (round === 3) await sandbox.restart();
        await checkReads(collection, random);
      }
    });
  });
}

test('R3 a delete outlives a segment of which nothing is left', async () => {
  await withCollection({ mvccRetentionMs: 0 }, 1, async (collection, sandbox) => {
    const random = new Random(SEED);
    const other = await collection.createPartition('p');
    await collection.insert(makeRows(random, 0, 10));
    await collection.insert(makeRows(random, 10, 20), other);
    await collection.delete(range(0, 15));
    // The first partition's segment is written out as nothing, the other's with five rows.
    await collection.flush();
    await checkReads(collection, random);
    await sandbox.restart();
    await checkReads(collection, random);
  });
});

for (const isGrpc of [false, true]) {
  const how = isGrpc ? 'over gRPC' : 'in one process';
  test(`R4 no reader sees a gap in an upsert, ${how}`, async () => {
    await withCollection({ isGrpc }, 1, async (collection) => {
      const random = new Random(SEED);
      await collection.insert(makeRows(random, 0, 20));
      let isDone = false;
      const read = async (): Promise<void> => {
        while (!isDone) {
          assert.equal(await collection.count(), 20);
          assert.equal((await collection.search([0, 0, 0, 0], 100)).length, 20);
          await new Promise((resolve) => setImmediate(resolve));
        }
      };
      const write = async (): Promise<void> => {
        for (let i = 0; i < 40; i += 1) await collection.upsert(makeRows(random, i % 10, 20));
      };
      const maintain = async (): Promise<void> => {
        for (let i = 0; i < 3; i += 1) await collection.flush();
        assert.equal(await collection.compact(), 0);
      };
      const work = Promise.all([write(), maintain()]).finally(() => (isDone = true));
      await Promise.all([work, read(), read()]);
      await checkReads(collection, random);
    });
  });
}

test('R5 nothing is stamped at or before a timestamp that was read at', async () => {
  await withCollection({}, 1, async (collection) => {
    const random = new Random(SEED);
    await collection.insert(makeRows(random, 0, 10));
    // From a clock that is ahead of ours.
    const pinned = composeTimestamp(Date.now() + 20_000);
    const first = await collection.query({ pinned });
    assert.equal(first.length, 10);
    await collection.upsert(makeRows(random, 5, 15));
    await collection.delete([0n]);
    assert.deepEqual(await collection.query({ pinned }), first);
    await checkReads(collection, random);
    await collection.flush();
    assert.deepEqual(await collection.query({ pinned }), first);
  });
});

test('R5 pinned reads stay what they were through deletes, merges and restarts', async () => {
  await withCollection({}, 2, async (collection, sandbox) => {
    const random = new Random(SEED);
    const pins: bigint[] = [];
    for (let round = 0; round < 4; round += 1) {
      await collection.upsert(makeRows(random, 10 * round, 10 * round + 30));
      pins.push(await collection.readTimestamp());
      await collection.delete(range(10 * round, 10 * round + 10));
      await collection.flush();
      if (round % 2 === 1) assert.equal(await collection.compact(), 0);
      if (round === 2) await sandbox.restart();
      for (const pinned of pins) await checkReads(collection, random, { pinned });
    }
  });
});

test('R5 a pin older than the versions kept gets an error, never other rows', async () => {
  await withCollection({ mvccRetentionMs: 0 }, 1, async (collection) => {
    const random = new Random(SEED);
    await collection.insert(makeRows(random, 0, 20));
    const pinned = await collection.readTimestamp();
    await collection.flush();
    await collection.delete(range(0, 20));
    const isOlder = (error: unknown): boolean =>
      error instanceof MilvusError && error.errorName === 'ParameterInvalid';
    // A rewrite that leaves nothing behind leaves no segment that could tell.
    await collection.insert(makeRows(random, 20, 30));
    await collection.delete(range(20, 30));
    assert.equal(await collection.compact(), 0);
    assert.equal(await collection.segmentCount(), 0);
    await assert.rejects(collection.query({ pinned }), isOlder);
    assert.deepEqual(await collection.query(), []);
  });
});

test('R6 a delete by filter removes only the versions that it has read', async () => {
  for (const isFlushed of [false, true]) {
    await withCollection({}, 2, async (collection, sandbox) => {
      const random = new Random(SEED);
      const matching = makeRows(random, 0, 20).map((row) => ({ ...row, n: 5n }));
      await collection.insert(matching);
      if (isFlushed) await collection.flush();
      const deleted = await collection.deleteByFilter('n == 5', async () => {
        // One row is changed and still matches, one no longer does, one is new.
        await collection.upsert([{ ...matching[0]!, s: 'changed' }]);
        await collection.upsert([{ ...matching[1]!, n: 6n }]);
        await collection.insert([{ ...makeRow(random, 100n), n: 5n }]);
        if (isFlushed) await collection.flush();
      });
      assert.equal(deleted, 20);
      const left = (await collection.query()).map(({ id }) => id);
      assert.deepEqual(left, [0n, 1n, 100n]);
      await checkReads(collection, random);
      await collection.flush();
      assert.equal(await collection.compact(), 0);
      await checkReads(collection, random);
      await sandbox.restart();
      await checkReads(collection, random);
    });
  }
});

test('R6 deletes by filter and upserts at the same time lose no upsert', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const random = new Random(SEED);
    await collection.insert(makeRows(random, 0, 40));
    for (let round = 0; round < 5; round += 1) {
      await Promise.all([
        collection.deleteByFilter('n >= 0'),
        ...range(0, 10).map((id) => collection.upsert([makeRow(random, id)])),
        collection.deleteByFilter('n < 10'),
        ...range(10, 20).map((id) => collection.upsert([makeRow(random, id)])),
        ...(round % 2 === 0 ? [collection.flush()] : []),
      ]);
      await checkReads(collection, random);
    }
    await sandbox.restart();
    await checkReads(collection, random);
  });
});

test('R7 a key inserted again is one hit of a search and counts twice', async () => {
  await withCollection({}, 1, async (collection, sandbox) => {
    const random = new Random(SEED);
    const partition = await collection.createPartition('p');
    const checkAll = async (): Promise<void> => {
      for (const k of [1, 4, 5, 9, 10, 100]) {
        const found = await collection.search([0, 0, 0, 0], k);
        assert.equal(found.length, Math.min(k, 10), `min(k, distinct keys), k ${k}`);
      }
      assert.equal(await collection.count(), 90);
      await checkReads(collection, random);
    };
    for (let round = 0; round < 9; round += 1) {
      await collection.insert(makeRows(random, 0, 10), round % 2 === 0 ? undefined : partition);
      if (round % 3 === 2) await collection.flush();
    }
    await checkAll();
    assert.equal(await collection.compact(), 0);
    assert.equal(await collection.segmentCount(), 2);
    await checkAll();
    await sandbox.restart();
    await checkAll();
    await collection.delete([3n]);
    assert.equal((await collection.search([0, 0, 0, 0], 100)).length, 9);
    assert.equal(await collection.count(), 81);
  });
});
