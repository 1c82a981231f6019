// What every write-ahead log must do, whatever it is made of. Run over each adapter by wal.test.ts.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { hasName } from '../support/has-name.ts';
import { RECORD_BYTES_MAX } from '../../src/wal/wal.ts';
import type { Wal, WalEntry } from '../../src/wal/wal.ts';

export interface WalFixture {
  open(): Promise<Wal>;
  /** Ends the process that has the log open, without a close; absent where nothing outlives it. */
  crash?(): Promise<void>;
  dispose(): Promise<void>;
}

export async function readAll(wal: Wal, from = 0n): Promise<WalEntry[]> {
  const entries: WalEntry[] = [];
  for await (const entry of wal.read(from)) entries.push(entry);
  return entries;
}

/** Bytes that tell which record they are of. */
export function makeBytes(seed: number, length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, i) => (seed * 31 + i * 7 + (i >> 8)) & 255);
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

  walTest('an empty log has no records and begins at position 1', async (fixture) => {
    const wal = await fixture.open();
    assert.deepEqual(await readAll(wal), []);
    assert.equal(wal.lastPosition(), 0n);
    assert.equal(wal.firstPosition(), 1n);
    await wal.truncate(100n);
    assert.equal(await wal.append('a', [makeBytes(1, 3)]), 1n);
    await wal.close();
  });

  walTest('records come back whole, in order, with channel and position', async (fixture) => {
    const wal = await fixture.open();
    const long = 'канал/'.repeat(40);
    await wal.append('a', [makeBytes(1, 5), makeBytes(2, 0), makeBytes(3, 9000)]);
    await wal.append(long, []);
    await wal.append('', [makeBytes(4, 8)]);
    const joined = Buffer.concat([makeBytes(1, 5), makeBytes(3, 9000)]);
    const entries = await readAll(wal);
    assert.deepEqual(
      entries.map((entry) => [entry.position, entry.channel, Buffer.from(entry.record)]),
      [
        [1n, 'a', joined],
        [2n, long, Buffer.alloc(0)],
        [3n, '', Buffer.from(makeBytes(4, 8))],
      ],
    );
    for (const entry of entries) assert.equal(entry.record.byteOffset % 8, 0);
    assert.deepEqual((await readAll(wal, 3n)).map((entry) => entry.position), [3n]);
    assert.deepEqual(await readAll(wal, 4n), []);
    assert.ok(wal.bytes() >= 9013);
    await wal.close();
  });

  walTest('appends made together resolve in the order of the calls', async (fixture) => {
    const wal = await fixture.open();
    const resolved: bigint[] = [];
    const appends = Array.from({ length: 500 }, (_, i) =>
      wal.append(`c${i % 7}`, [makeBytes(i, 1 + (i % 50))]).then((at) => resolved.push(at)),
    );
    await Promise.all(appends);
    assert.deepEqual(resolved, Array.from({ length: 500 }, (_, i) => BigInt(i + 1)));
    const entries = await readAll(wal);
    for (const [i, entry] of entries.entries()) {
      assert.equal(entry.channel, `c${i % 7}`);
      assert.deepEqual(Buffer.from(entry.record), Buffer.from(makeBytes(i, 1 + (i % 50))));
    }
    assert.equal(entries.length, 500);
    await wal.close();
  });

  walTest('a read ends at the last position it began with', async (fixture) => {
    const wal = await fixture.open();
    await wal.append('a', [makeBytes(1, 10)]);
    await wal.append('a', [makeBytes(2, 10)]);
    const seen: bigint[] = [];
    for await (const entry of wal.read(0n)) {
      seen.push(entry.position);
      await wal.append('a', [makeBytes(3, 10)]);
    }
    assert.deepEqual(seen, [1n, 2n]);
    await wal.close();
  });

  walTest('truncate keeps every record at or above its position', async (fixture) => {
    const wal = await fixture.open();
    for (let i = 1; i <= 60; i++) await wal.append('a', [makeBytes(i, 3000)]);
    const before = wal.bytes();
    await wal.truncate(50n);
    assert.ok(wal.bytes() < before, 'something was dropped');
    const kept = (await readAll(wal)).map((entry) => entry.position);
    assert.equal(kept[0], wal.firstPosition());
    assert.ok(wal.firstPosition() <= 50n && wal.firstPosition() > 1n);
    assert.equal(kept.at(-1), 60n);
    assert.equal(kept.length, Number(60n - wal.firstPosition() + 1n));
    await wal.truncate(1000n);
    assert.equal(wal.lastPosition(), 60n);
    assert.equal(await wal.append('a', [makeBytes(61, 10)]), 61n);
    assert.equal((await readAll(wal, 61n)).length, 1);
    await wal.close();
  });

  walTest('records larger than a file are kept like others', async (fixture) => {
    const wal = await fixture.open();
    const sizes = [10, 300_000, 20, 70_000, 300_000, 5];
    await Promise.all(sizes.map((size, i) => wal.append('big', [makeBytes(i, size)])));
    const entries = await readAll(wal);
    assert.deepEqual(entries.map((entry) => entry.record.byteLength), sizes);
    for (const [i, entry] of entries.entries()) {
      assert.ok(Buffer.from(entry.record).equals(makeBytes(i, sizes[i]!)));
    }
    await wal.close();
  });

  walTest('a record above the limit is refused and changes nothing', async (fixture) => {
    const wal = await fixture.open();
    const half = new Uint8Array(RECORD_BYTES_MAX / 2);
    const tooLarge = wal.append('a', [half, half, new Uint8Array(1)]);
    await assert.rejects(tooLarge, hasName('ParameterTooLarge'));
    await assert.rejects(wal.append('x'.repeat(2000), []), hasName('ParameterTooLarge'));
    assert.equal(wal.lastPosition(), 0n);
    await wal.close();
  });

  walTest('a closed log refuses appends', async (fixture) => {
    const wal = await fixture.open();
    const waiting = wal.append('a', [makeBytes(1, 10)]);
    await wal.close();
    assert.equal(await waiting, 1n);
    await assert.rejects(wal.append('a', []), hasName('ServiceUnavailable'));
  });

  if (!supports.restart) return;

  for (const end of ['close', 'crash'] as const) {
    walTest(`after a ${end} the log goes on where it was`, async (fixture) => {
      let count = 0;
      for (let round = 0; round < 6; round++) {
        const wal = await fixture.open();
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
          await wal.append('a', [makeBytes(count, count * 40)]);
        }
        if (end === 'close') await wal.close();
        else await fixture.crash?.();
      }
    });
  }

  walTest('a log that was truncated whole keeps its positions over a restart', async (fixture) => {
    let wal = await fixture.open();
    for (let i = 1; i <= 30; i++) await wal.append('a', [makeBytes(i, 3000)]);
    await wal.truncate(31n);
    await fixture.crash?.();
    wal = await fixture.open();
    await wal.truncate(31n);
    await fixture.crash?.();
    wal = await fixture.open();
    assert.equal(wal.lastPosition(), 30n);
    assert.equal(await wal.append('a', [makeBytes(31, 10)]), 31n);
    await wal.close();
  });

  walTest('restarts without appends leave nothing behind', async (fixture) => {
    let wal = await fixture.open();
    await wal.append('a', [makeBytes(1, 100)]);
    await wal.close();
    wal = await fixture.open();
    const bytes = wal.bytes();
    await wal.close();
    for (let i = 0; i < 5; i++) {
      wal = await fixture.open();
      assert.equal(wal.bytes(), bytes);
      await fixture.crash?.();
    }
    wal = await fixture.open();
    assert.equal((await readAll(wal)).length, 1);
    await wal.close();
  });
}
