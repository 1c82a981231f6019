// What every write-ahead log must do, whatever it is made of. Run over each adapter by wal.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MilvusError } from '../../src/model/error.ts';
import { hasName } from '../support/has-name.ts';
import { RECORD_BYTES_MAX } from '../../src/wal/wal.ts';
import type { LogStore, Wal, WalEntry } from '../../src/wal/wal.ts';

export interface WalFixture {
  /** The logs of the process that runs now. */
  store(): LogStore;
  /** Ends the process that has the log open, without a close; absent where nothing outlives it. */
  crash?(): Promise<void>;
  dispose(): Promise<void>;
}

export async function readAll(wal: Wal, from = 0n): Promise<WalEntry[]> {
  const entries: WalEntry[] = [];
  for await (const entry of wal.read(from)) entries.push(entry);
  return entries;
}

const PCHANNEL = 'first';

function open(fixture: WalFixture, term = 1): Promise<Wal> {
  return fixture.store().open(PCHANNEL, term);
}

async function fill(wal: Wal, count: number, bytes: number): Promise<bigint[]> {
  const positions: bigint[] = [];
  for (let i = 0; i < count; i++) positions.push(await wal.append([makeBytes(i, bytes)]));
  return positions;
}

function isRising(positions: readonly bigint[]): boolean {
  return positions.every((position, i) => position > (positions[i - 1] ?? 0n));
}

/** Bytes that tell which record they are of. */
export function makeBytes(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (i >> 8)) & 255);
}

function isRefused(error: unknown): boolean {
  return hasName('ServiceUnavailable')(error) && (error as MilvusError).isUnexecuted;
}

export function testWal(
  name: string,
  makeFixture: () => Promise<WalFixture>,
  supports: { readonly restart: boolean },
): void {
  const walTest = (title: string, body: (fixture: WalFixture) => Promise<void>): void => {
    test(`${name}: ${title}`, async () => {
      const fixture = await makeFixture();
      try {
        await body(fixture);
      } finally {
        await fixture.dispose();
      }
    });
  };

  walTest('an empty log has no records', async (fixture) => {
    const wal = await open(fixture);
    assert.deepEqual(await readAll(wal), []);
    assert.equal(wal.lastPosition(), 0n);
    assert.equal(wal.firstPosition(), 1n);
    await wal.truncate(100n);
    assert.ok((await wal.append([makeBytes(1, 3)])) > 0n);
    assert.equal((await readAll(wal)).length, 1);
    await wal.close();
  });

  walTest('records come back whole, in order, with their positions', async (fixture) => {
    const wal = await open(fixture);
    const first = await wal.append([makeBytes(1, 5), makeBytes(2, 0), makeBytes(3, 9000)]);
    const second = await wal.append([]);
    const third = await wal.append([makeBytes(4, 8)]);
    const joined = Buffer.concat([makeBytes(1, 5), makeBytes(3, 9000)]);
    const entries = await readAll(wal);
    assert.deepEqual(
      entries.map((entry) => [entry.position, Buffer.from(entry.record)]),
      [
        [first, joined],
        [second, Buffer.alloc(0)],
        [third, Buffer.from(makeBytes(4, 8))],
      ],
    );
    assert.ok(isRising([first, second, third]));
    for (const entry of entries) assert.equal(entry.record.byteOffset % 8, 0);
    assert.deepEqual((await readAll(wal, third)).map((entry) => entry.position), [third]);
    assert.deepEqual(await readAll(wal, third + 1n), []);
    assert.ok(wal.bytes() >= 9013);
    await wal.close();
  });

  walTest('appends made together resolve in the order of the calls', async (fixture) => {
    const wal = await open(fixture);
    const positions: bigint[] = [];
    const appends = Array.from({ length: 500 }, (_, i) =>
      wal.append([makeBytes(i, 1 + (i % 50))]).then((at) => positions.push(at)),
    );
    await Promise.all(appends);
    assert.ok(isRising(positions));
    const entries = await readAll(wal);
    assert.deepEqual(entries.map(({ position }) => position), positions);
    for (const [i, entry] of entries.entries()) {
      assert.deepEqual(Buffer.from(entry.record), Buffer.from(makeBytes(i, 1 + (i % 50))));
    }
    assert.equal(entries.length, 500);
    await wal.close();
  });

  walTest('a read ends at the last position it began with', async (fixture) => {
    const wal = await open(fixture);
    const positions = await fill(wal, 2, 10);
    const seen: bigint[] = [];
    for await (const entry of wal.read(0n)) {
      seen.push(entry.position);
      await wal.append([makeBytes(3, 10)]);
    }
    assert.deepEqual(seen, positions);
    await wal.close();
  });

  walTest('truncate keeps every record at or above its position', async (fixture) => {
    const wal = await open(fixture);
    const positions = await fill(wal, 60, 3000);
    const before = wal.bytes();
    await wal.truncate(positions[49]!);
    assert.ok(wal.bytes() < before, 'something was dropped');
    const kept = (await readAll(wal)).map((entry) => entry.position);
    assert.equal(kept[0], wal.firstPosition());
    assert.ok(kept[0]! <= positions[49]! && kept[0]! > positions[0]!);
    assert.deepEqual(kept, positions.slice(positions.indexOf(kept[0]!)));
    await wal.truncate(10_000n);
    assert.equal(wal.lastPosition(), positions.at(-1));
    const next = await wal.append([makeBytes(61, 10)]);
    assert.ok(next > positions.at(-1)!);
    assert.equal((await readAll(wal, next)).length, 1);
    await wal.close();
  });

  walTest('records larger than a file are kept like others', async (fixture) => {
    const wal = await open(fixture);
    const sizes = [10, 300_000, 20, 70_000, 300_000, 5];
    await Promise.all(sizes.map((size, i) => wal.append([makeBytes(i, size)])));
    const entries = await readAll(wal);
    assert.deepEqual(entries.map((entry) => entry.record.byteLength), sizes);
    for (const [i, entry] of entries.entries()) {
      assert.ok(Buffer.from(entry.record).equals(makeBytes(i, sizes[i]!)));
    }
    await wal.close();
  });

  walTest('a record above the limit is refused and changes nothing', async (fixture) => {
    const wal = await open(fixture);
    const half = new Uint8Array(RECORD_BYTES_MAX / 2);
    const tooLarge = wal.append([half, half, new Uint8Array(1)]);
    await assert.rejects(tooLarge, hasName('ParameterTooLarge'));
    assert.equal(wal.lastPosition(), 0n);
    await wal.close();
  });

  walTest('a closed log refuses appends', async (fixture) => {
    const wal = await open(fixture);
    const waiting = wal.append([makeBytes(1, 10)]);
    await wal.close();
    assert.equal(await waiting, wal.lastPosition());
    await assert.rejects(wal.append([]), isRefused);
    await assert.rejects(wal.confirm(), isRefused);
  });

  walTest('R14 who opens a log takes it from an owner with a lower term', async (fixture) => {
    const older = await open(fixture, 1);
    const position = await older.append([makeBytes(1, 100)]);
    const underWay = older.append([makeBytes(2, 100)]);
    const newer = await open(fixture, 2);
    // What the older one was told to be there is there.
    const acknowledged = [position, ...(await underWay.then((at) => [at], () => []))];
    for (let i = 0; i < 3; i++) {
      await assert.rejects(older.append([makeBytes(3, 100)]), isRefused);
      await assert.rejects(older.confirm(), isRefused);
      await assert.rejects(older.truncate(1000n), isRefused);
      acknowledged.push(await newer.append([makeBytes(4, 100)]));
    }
    assert.deepEqual((await readAll(newer)).map((entry) => entry.position), acknowledged);
    assert.equal(older.confirmedUntilMs(), 0);
    // An owner that is fenced off says good-bye late, and changes nothing.
    await older.close();
    await newer.confirm();
    assert.equal(newer.confirmedUntilMs(), Infinity);
    await assert.rejects(open(fixture, 1), hasName('ChannelNotAvailable'));
    await newer.append([makeBytes(5, 100)]);
    await newer.close();
    const again = await open(fixture, 2);
    assert.equal((await readAll(again)).length, acknowledged.length + 1);
    await again.close();
  });

  walTest('pchannels have logs of their own', async (fixture) => {
    const [first, second] = [await open(fixture), await fixture.store().open('second', 7)];
    await first.append([makeBytes(1, 3000)]);
    await second.append([makeBytes(2, 10)]);
    await second.append([makeBytes(3, 10)]);
    await second.truncate(1000n);
    assert.deepEqual((await readAll(first)).map(({ record }) => record.byteLength), [3000]);
    await first.close();
    await second.append([makeBytes(4, 10)]);
    assert.ok((await readAll(second)).length >= 1);
    await second.close();
  });

  if (!supports.restart) return;

  walTest('each of several logs goes on where it was', async (fixture) => {
    const names = [PCHANNEL, 'second', 'third'];
    const written = new Map<string, bigint[]>();
    for (const [i, name] of names.entries()) {
      written.set(name, await fill(await fixture.store().open(name, 1), 3 + i, 100 + i));
    }
    await fixture.crash?.();
    for (const [i, name] of names.entries()) {
      const entries = await readAll(await fixture.store().open(name, 2));
      assert.deepEqual(entries.map(({ position }) => position), written.get(name));
      for (const { record } of entries) assert.equal(record.byteLength, 100 + i);
    }
  });

  for (const end of ['close', 'crash'] as const) {
    walTest(`after a ${end} the log goes on where it was`, async (fixture) => {
      let count = 0;
      for (let round = 0; round < 6; round++) {
        const wal = await open(fixture);
        assert.equal(wal.lastPosition(), BigInt(count));
        const entries = await readAll(wal);
        assert.deepEqual(
          entries.map((entry) => [entry.position, Buffer.from(entry.record)]),
          Array.from({ length: count }, (_, i) => [
            BigInt(i + 1),
            Buffer.from(makeBytes(i + 1, (i + 1) * 40)),
          ]),
        );
        for (let i = 0; i < round * 3; i++) {
          count++;
          await wal.append([makeBytes(count, count * 40)]);
        }
        if (end === 'close') await wal.close();
        else await fixture.crash?.();
      }
    });
  }

  walTest('a log that was truncated whole keeps its positions over a restart', async (fixture) => {
    let wal = await open(fixture);
    for (let i = 1; i <= 30; i++) await wal.append([makeBytes(i, 3000)]);
    await wal.truncate(31n);
    await fixture.crash?.();
    wal = await open(fixture);
    await wal.truncate(31n);
    await fixture.crash?.();
    wal = await open(fixture);
    assert.equal(wal.lastPosition(), 30n);
    assert.equal(await wal.append([makeBytes(31, 10)]), 31n);
    await wal.close();
  });

  walTest('restarts without appends leave nothing behind', async (fixture) => {
    let wal = await open(fixture);
    await wal.append([makeBytes(1, 100)]);
    await wal.close();
    wal = await open(fixture);
    const bytes = wal.bytes();
    await wal.close();
    for (let i = 0; i < 5; i++) {
      wal = await open(fixture);
      assert.equal(wal.bytes(), bytes);
      await fixture.crash?.();
    }
    wal = await open(fixture);
    assert.equal((await readAll(wal)).length, 1);
    await wal.close();
  });
}
