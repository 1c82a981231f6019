// R9 and R26: what the local write-ahead log makes of torn tails, damage, failing disks and power
// cuts, and that the power-cut harness notices a log that does not sync.

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { MilvusError } from '../../src/model/error.ts';
import { LocalFileWal } from '../../src/wal/local-file.ts';
import type { LocalFileWalOptions } from '../../src/wal/local-file.ts';
import { getRecordBytes, HEADER_BYTES } from '../../src/wal/record-format.ts';
import type { WalDamage } from '../../src/wal/wal.ts';
import { FaultyFileSystem } from '../support/faulty-file-system.ts';
import { liveWithPowerCuts, makeRandom } from '../support/power-cut-wal.ts';
import { PowerCutFileSystem } from '../support/power-cut-file-system.ts';
import { makeBytes, readAll } from './wal.suite.ts';

const DIRECTORY = '/data/wal';

function open(
  fileSystem: PowerCutFileSystem | FaultyFileSystem,
  options: Partial<LocalFileWalOptions> = {},
): Promise<LocalFileWal> {
  const sizes = { fileBytes: 8192, firstFileBytes: 4096 };
  return LocalFileWal.open({ directory: DIRECTORY, fileSystem, ...sizes, ...options });
}

const isError = (name: string, ...parts: string[]) => (error: unknown): boolean =>
  error instanceof MilvusError &&
  error.errorName === name &&
  parts.every((part) => error.message.includes(part));

async function listLogFiles(fileSystem: PowerCutFileSystem): Promise<string[]> {
  const names = (await fileSystem.readDirectory(DIRECTORY)).map((entry) => entry.name);
  return names.filter((name) => name.endsWith('.wal')).sort();
}

async function change(
  fileSystem: PowerCutFileSystem,
  name: string,
  edit: (bytes: Uint8Array) => Uint8Array,
): Promise<void> {
  const file = await fileSystem.open(`${DIRECTORY}/${name}`, 'write');
  const bytes = new Uint8Array(await file.bytes());
  await file.read(bytes, 0);
  const changed = edit(bytes.slice());
  await file.truncate(changed.byteLength);
  await file.write([changed], 0);
  await file.fdatasync();
}

/** Three records of 20 bytes, each with an fsync of its own. */
const RECORD = getRecordBytes(20, 20);
const OFFSETS = [0, 1, 2, 3].map((i) => HEADER_BYTES + i * RECORD);

async function makeThree(): Promise<PowerCutFileSystem> {
  const fileSystem = new PowerCutFileSystem();
  const wal = await open(fileSystem);
  for (let i = 1; i <= 3; i++) await wal.append([makeBytes(i, 20)]);
  return fileSystem.powerCut();
}

async function getPositions(wal: LocalFileWal): Promise<bigint[]> {
  return (await readAll(wal)).map((entry) => entry.position);
}

/** Reads on behind damage. */
async function readPast(
  wal: LocalFileWal,
  from = 0n,
): Promise<{ positions: bigint[]; damage: WalDamage[] }> {
  const positions: bigint[] = [];
  const damage: WalDamage[] = [];
  for await (const entry of wal.read(from, (found) => damage.push(found))) {
    positions.push(entry.position);
  }
  return { positions, damage };
}

test('R9 torn tail: the last record cut at any byte is dropped, the others stay', async () => {
  for (let cut = OFFSETS[2]!; cut < OFFSETS[3]! - 4; cut++) {
    for (const how of ['zeros', 'short', 'noise'] as const) {
      const fileSystem = await makeThree();
      const [name] = await listLogFiles(fileSystem);
      await change(fileSystem, name!, (bytes) => {
        if (how === 'short') return bytes.slice(0, cut);
        if (how === 'zeros') return bytes.fill(0, cut, OFFSETS[3]);
        return bytes.map((byte, i) => (i >= cut && i < OFFSETS[3]! ? byte ^ 0xa5 : byte));
      });
      let wal = await open(fileSystem);
      assert.deepEqual(await getPositions(wal), [1n, 2n], `${how} at ${cut}`);
      assert.equal(wal.lastPosition(), 2n);
      assert.equal(await wal.append([makeBytes(9, 20)]), 3n);
      wal = await open(fileSystem.powerCut());
      const entries = await readAll(wal);
      assert.deepEqual(entries.map((entry) => entry.position), [1n, 2n, 3n]);
      assert.deepEqual(Buffer.from(entries[2]!.record), Buffer.from(makeBytes(9, 20)));
    }
  }
});

test('R9 damage: any changed byte of a record with a later one is named', async () => {
  const fileSystem = await makeThree();
  const [name] = await listLogFiles(fileSystem);
  for (let at = OFFSETS[1]!; at < OFFSETS[2]!; at++) {
    const flip = (): Promise<void> =>
      change(fileSystem, name!, (bytes) => bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)));
    await flip();
    const expected = isError('DataIntegrity', `file=${DIRECTORY}/${name}`, `offset=${OFFSETS[1]}`);
    await assert.rejects(getPositions(await open(fileSystem)), expected);
    await flip();
  }
  // Opening it with the damage has changed nothing.
  assert.deepEqual(await getPositions(await open(fileSystem)), [1n, 2n, 3n]);
});

test('R9 damage: read past, only the damaged records are missing, and reported', async () => {
  const fileSystem = await makeThree();
  const [name] = await listLogFiles(fileSystem);
  await change(fileSystem, name!, (bytes) => bytes.fill(0, OFFSETS[1], OFFSETS[1]! + 8));
  const wal = await open(fileSystem);
  const damage = { file: `${DIRECTORY}/${name}`, offset: OFFSETS[1], from: 2n, to: 2n };
  assert.deepEqual(await readPast(wal), { positions: [1n, 3n], damage: [damage] });
  // Whoever needs nothing of it is not told.
  assert.deepEqual(await readPast(wal, 3n), { positions: [3n], damage: [] });
  assert.equal(await wal.append([makeBytes(4, 20)]), 4n);
  await wal.close();
  const again = await open(fileSystem);
  assert.deepEqual(await readPast(again), { positions: [1n, 3n, 4n], damage: [damage] });
  await assert.rejects(getPositions(again), isError('DataIntegrity', `offset=${OFFSETS[1]}`));
});

test('R9 damage: a record whose payload alone is damaged is told with its beginning', async () => {
  const fileSystem = new PowerCutFileSystem();
  const wal = await open(fileSystem);
  const records = [0, 1, 2, 3].map((i) => makeBytes(i, 20));
  for (const record of records) await wal.append([record]);
  await wal.close();
  const disk = fileSystem.powerCut();
  const [name] = await listLogFiles(disk);
  const payloads = [0, 1, 2, 3].map((i) => HEADER_BYTES + i * RECORD + RECORD - 10);
  const flipAt = (...at: number[]) => (bytes: Uint8Array): Uint8Array =>
    bytes.map((byte, i) => (at.includes(i) ? byte ^ 1 : byte));
  const [a, b, c, d] = records as [Uint8Array, Uint8Array, Uint8Array, Uint8Array];
  const cases: [number[], (readonly Uint8Array[] | undefined)[]][] = [
    [[payloads[0]!], [[a]]],
    [[payloads[1]!, payloads[2]!], [[b, c]]],
    [[payloads[1]!, payloads[3]!], [[b], [d]]],
    // A head says nothing once it is wrong itself; then they may be anybody's.
    [[payloads[1]!, HEADER_BYTES + 2 * RECORD + 17], [undefined]],
  ];
  for (const [at, expected] of cases) {
    await change(disk, name!, flipAt(...at));
    const { damage } = await readPast(await open(disk));
    assert.deepEqual(damage.map(({ prefixes: told }) => told), expected);
    await change(disk, name!, flipAt(...at));
  }
});

async function makeManyFiles(): Promise<PowerCutFileSystem> {
  const fileSystem = new PowerCutFileSystem();
  const wal = await open(fileSystem);
  for (let i = 1; i <= 40; i++) await wal.append([makeBytes(i, 900)]);
  await wal.close();
  assert.ok((await listLogFiles(fileSystem)).length >= 4);
  return fileSystem.powerCut();
}

test('R9 damage: in an older file it is found by reading, with file and offset', async () => {
  const fileSystem = await makeManyFiles();
  const name = (await listLogFiles(fileSystem))[1]!;
  await change(fileSystem, name, (bytes) => bytes.slice(0, bytes.byteLength - 100));
  const wal = await open(fileSystem);
  await assert.rejects(getPositions(wal), isError('DataIntegrity', name, 'offset='));
  const { positions, damage } = await readPast(await open(fileSystem.kill()));
  assert.equal(damage.length, 1);
  assert.equal(damage[0]!.from, damage[0]!.to);
  assert.equal(positions.length, 39);
  assert.ok(!positions.includes(damage[0]!.from));
});

test('R9 damage: a file without its header gives its records, if they are whole', async () => {
  for (const index of [0, 1, -1]) {
    const fileSystem = await makeManyFiles();
    const name = (await listLogFiles(fileSystem)).at(index)!;
    await change(fileSystem, name, (bytes) => bytes.fill(0, 0, HEADER_BYTES));
    const wal = await open(fileSystem);
    const { positions, damage } = await readPast(wal);
    assert.deepEqual([positions.length, damage], [40, []], name);
    assert.equal(await wal.append([]), 41n);
  }
});

test('R9 damage: a file without header and records, or none, is named with its loss', async () => {
  for (const how of ['emptied', 'removed'] as const) {
    for (const index of [0, 1, 2]) {
      const fileSystem = await makeManyFiles();
      const before = await getPositions(await open(fileSystem));
      const name = (await listLogFiles(fileSystem))[index]!;
      if (how === 'removed') await fileSystem.unlink(`${DIRECTORY}/${name}`);
      else await change(fileSystem, name, (bytes) => bytes.fill(0));
      const wal = await open(fileSystem);
      const { positions, damage } = await readPast(wal);
      assert.ok(positions.length > 20 && positions.length < 40);
      const lost = before.filter((position) => !positions.includes(position));
      const named = damage.map(({ from, to, file }) => ({ from, to, file }));
      const file = how === 'removed' ? `file number ${index + 1}` : name;
      const expected = { from: lost[0]!, to: lost.at(-1)!, file: `${DIRECTORY}/${file}` };
      assert.deepEqual(named, [expected], `${how} ${index}`);
      await assert.rejects(getPositions(wal), isError('DataIntegrity', file));
      assert.equal(wal.lastPosition(), 40n);
      assert.equal(await wal.append([]), 41n);
      // Nobody needs the lost ones any more: the damage goes with them.
      await wal.truncate(lost.at(-1)! + 1n);
      assert.deepEqual((await readPast(wal)).damage, []);
    }
  }
});

test('R9 damage: the newest files that are lost whole are missed at every start', async () => {
  for (const lostCount of [1, 2, Infinity]) {
    let disk = await makeManyFiles();
    const names = await listLogFiles(disk);
    const lost = names.slice(-lostCount);
    for (const name of lost) await disk.unlink(`${DIRECTORY}/${name}`);
    const left = await readPast(await open(disk));
    const last = left.positions.at(-1) ?? 0n;
    assert.ok(last < 40n);
    let wal = await open(disk);
    for (const starts of [0, 1, 2]) {
      const { positions, damage } = await readPast(wal);
      assert.equal(positions.length, left.positions.length + starts);
      const [told] = damage;
      assert.equal(damage.length, 1);
      assert.match(told!.file, new RegExp(`file number ${names.length}$`));
      // Positions that the lost records may have had are not given out again.
      assert.ok(told!.from === last + 1n && told!.to >= 40n);
      const position = await wal.append([makeBytes(1, 20)]);
      assert.ok(position > told!.to);
      await wal.close();
      disk = disk.powerCut();
      wal = await open(disk);
    }
    // Whoever needed them has given them up.
    await wal.truncate(wal.lastPosition());
    await wal.close();
    wal = await open(disk.powerCut());
    const rest = await readPast(wal);
    if (lostCount !== Infinity) assert.deepEqual(rest.damage, []);
    assert.ok(rest.positions.length > 0);
  }
});

test('R9 a log without its note, as older versions wrote it, opens and gets one', async () => {
  const disk = await makeManyFiles();
  for (const spoil of [() => disk.unlink(`${DIRECTORY}/span`), () => change(disk, 'span', flip)]) {
    await spoil();
    const wal = await open(disk);
    assert.equal((await getPositions(wal)).length, 40);
    await wal.close();
  }
  await disk.unlink(`${DIRECTORY}/${(await listLogFiles(disk)).at(-1)}`);
  assert.equal((await readPast(await open(disk))).damage.length, 1);
});

const flip = (bytes: Uint8Array): Uint8Array =>
  bytes.map((byte, i) => (i === 9 ? byte ^ 1 : byte));

test('R9 damage: whatever is damaged, the log opens and reads no wrong record', async () => {
  const whole = await makeManyFiles();
  const names = await listLogFiles(whole);
  const records = new Map(
    (await readAll(await open(whole))).map(({ position, record }) => [
      position,
      Buffer.from(record).toString('hex'),
    ]),
  );
  const random = makeRandom(7);
  const draw = (below: number): number => Math.floor(random() * below);
  for (let round = 0; round < 200; round += 1) {
    const disk = await makeManyFiles();
    const name = (await listLogFiles(disk))[draw(names.length)]!;
    const edits = [
      (bytes: Uint8Array) => bytes.slice(0, draw(bytes.length)),
      (bytes: Uint8Array) => bytes.fill(draw(256), draw(bytes.length)),
      (bytes: Uint8Array) => {
        for (let i = 0; i < 3; i += 1) bytes[draw(bytes.length)]! ^= 1 << draw(8);
        return bytes;
      },
    ];
    await change(disk, name, edits[round % edits.length]!);
    const wal = await open(disk);
    const damage: WalDamage[] = [];
    const seen: bigint[] = [];
    for await (const { position, record } of wal.read(0n, (found) => damage.push(found))) {
      assert.equal(Buffer.from(record).toString('hex'), records.get(position));
      seen.push(position);
    }
    // What is missing is told, but for the end, which looks like a torn tail.
    for (let position = 1n; position <= wal.lastPosition(); position += 1n) {
      const isTold = damage.some(({ from, to }) => from <= position && position <= to);
      assert.equal(isTold, !seen.includes(position), `round ${round}, record ${position}`);
    }
  }
});

test('R9 damage: the last file without its first records cannot pass for a torn one', async () => {
  const fileSystem = new PowerCutFileSystem();
  const wal = await open(fileSystem);
  for (let i = 1; i <= 8; i++) await wal.append([makeBytes(i, 100)]);
  const disk = fileSystem.powerCut();
  const [name] = await listLogFiles(disk);
  await change(disk, name!, (bytes) => bytes.fill(0, 0, 512));
  await assert.rejects(getPositions(await open(disk)), isError('DataIntegrity', name!));
});

test('R9 a format of a later version is refused, not cut', async () => {
  const fileSystem = await makeThree();
  const [name] = await listLogFiles(fileSystem);
  const { decodeHeader, encodeHeader } = await import('../../src/wal/record-format.ts');
  const { crc32c } = await import('../../src/base/crc32c.ts');
  await change(fileSystem, name!, (bytes) => {
    const header = decodeHeader(bytes, crc32c);
    bytes.set(encodeHeader({ ...header!, version: 2 }, crc32c));
    return bytes;
  });
  await assert.rejects(open(fileSystem), isError('DataIntegrity', 'version=2'));
});

test('R9 a payload that is itself a piece of a log is never taken for records', async () => {
  const inner = await makeThree();
  const file = await inner.open(`${DIRECTORY}/${(await listLogFiles(inner))[0]}`, 'read');
  const image = new Uint8Array(OFFSETS[3]!);
  await file.read(image, 0);
  const fileSystem = new PowerCutFileSystem();
  const wal = await open(fileSystem);
  await wal.append([makeBytes(1, 20)]);
  await wal.append([image]);
  const disk = fileSystem.powerCut();
  const [name] = await listLogFiles(disk);
  // Tears the record that carries the image: its inner records must not prove damage.
  await change(disk, name!, (bytes) => bytes.fill(0, OFFSETS[1]!, OFFSETS[1]! + 16));
  assert.deepEqual(await getPositions(await open(disk)), [1n]);
});

test('R9 group commit: appends that wait together share few fsyncs', async () => {
  const fileSystem = new FaultyFileSystem(new PowerCutFileSystem());
  const wal = await open(fileSystem, { fileBytes: 1 << 20, firstFileBytes: 1 << 20 });
  await wal.append([makeBytes(0, 10)]);
  const before = fileSystem.counts.syncs;
  const appends = Array.from({ length: 1000 }, (_, i) =>
    wal.append([makeBytes(i, 100)]),
  );
  await Promise.all(appends);
  assert.ok(fileSystem.counts.syncs - before <= 3, `${fileSystem.counts.syncs - before} fsyncs`);

  const start = fileSystem.counts.syncs;
  const writers = Array.from({ length: 32 }, async (_, i) => {
    for (let k = 0; k < 50; k++) await wal.append([makeBytes(i, 30)]);
  });
  await Promise.all(writers);
  const spent = fileSystem.counts.syncs - start;
  assert.ok(spent <= 150, `${spent} fsyncs for 1600 appends by 32 writers`);
  await wal.close();
});

test('R9 short writes are continued', async () => {
  const fileSystem = new FaultyFileSystem(new PowerCutFileSystem());
  fileSystem.writeBytesMax = 7;
  const wal = await open(fileSystem, { fileBytes: 2048, firstFileBytes: 1024 });
  await Promise.all([1, 2, 3].map((i) => wal.append([makeBytes(i, 90), makeBytes(i, 5)])));
  const expected = [1, 2, 3].map((i) => Buffer.concat([makeBytes(i, 90), makeBytes(i, 5)]));
  assert.deepEqual((await readAll(wal)).map((entry) => Buffer.from(entry.record)), expected);
});

for (const fault of ['write', 'fdatasync'] as const) {
  test(`R9 a failed ${fault} rejects what it covered and its file is left for good`, async () => {
    const disk = new PowerCutFileSystem();
    const fileSystem = new FaultyFileSystem(disk);
    const wal = await open(fileSystem);
    assert.equal(await wal.append([makeBytes(1, 20)]), 1n);
    const [first] = await listLogFiles(disk);
    fileSystem.failNext(fault);
    const lost = [2, 3].map((i) => wal.append([makeBytes(i, 20)]));
    for (const append of lost) await assert.rejects(append, isError('IoFailed', first!, 'EIO'));
    assert.equal(wal.lastPosition(), 1n);
    const size = (await disk.stat(`${DIRECTORY}/${first}`))!.bytes;
    assert.equal(await wal.append([makeBytes(4, 20)]), 2n);
    assert.equal((await listLogFiles(disk)).length, 2);
    assert.equal((await disk.stat(`${DIRECTORY}/${first}`))!.bytes, size);
    for (const next of [disk.kill(), disk.powerCut()]) {
      const entries = await readAll(await open(next));
      assert.deepEqual(
        entries.map((entry) => [entry.position, Buffer.from(entry.record)]),
        [[1n, Buffer.from(makeBytes(1, 20))], [2n, Buffer.from(makeBytes(4, 20))]],
      );
    }
  });
}

test('R9 a rejected record does not come back from the page cache after a kill', async () => {
  const disk = new PowerCutFileSystem();
  const fileSystem = new FaultyFileSystem(disk);
  const wal = await open(fileSystem);
  await wal.append([makeBytes(1, 20)]);
  fileSystem.failNext('fdatasync');
  await assert.rejects(wal.append([makeBytes(2, 20)]), isError('IoFailed'));
  await wal.close();
  const again = await open(disk.kill());
  assert.deepEqual(await getPositions(again), [1n]);
  assert.equal(await again.append([makeBytes(3, 20)]), 2n);
});

test('R9 the disk fails for long: every append is refused, then the log goes on', async () => {
  for (const fault of ['write', 'fdatasync', 'syncDirectory', 'rename', 'create'] as const) {
    const disk = new PowerCutFileSystem();
    const fileSystem = new FaultyFileSystem(disk);
    const wal = await open(fileSystem);
    for (let i = 1; i <= 3; i++) await wal.append([makeBytes(i, 900)]);
    fileSystem.failNext(fault, 1000);
    let refused = 0;
    for (let i = 0; i < 20; i++) {
      await wal.append([makeBytes(50 + i, 900)]).catch((error: unknown) => {
        assert.ok(isError('IoFailed')(error));
        refused++;
      });
    }
    assert.ok(refused > 0, fault);
    fileSystem.failNext(fault, 0);
    const last = await wal.append([makeBytes(4, 900)]);
    const found = await readAll(await open(disk.powerCut()));
    assert.equal(found.at(-1)!.position, last, fault);
    assert.equal(found.length, 3 + 20 - refused + 1, fault);
  }
});

test('R9 a full disk is a typed error, and appends succeed when space is back', async () => {
  const disk = new PowerCutFileSystem();
  const fileSystem = new FaultyFileSystem(disk);
  fileSystem.spaceBytes = 20_000;
  const wal = await open(fileSystem);
  let acknowledged = 0n;
  let failure: unknown;
  while (failure === undefined) {
    try {
      acknowledged = await wal.append([makeBytes(1, 900)]);
    } catch (error) {
      failure = error;
    }
  }
  assert.ok(isError('DiskLimitExceeded', 'need=', 'have=')(failure), String(failure));
  assert.ok(acknowledged >= 10n);
  await assert.rejects(wal.append([makeBytes(1, 900)]), isError('DiskLimitExceeded'));
  await wal.truncate(acknowledged);
  assert.equal(await wal.append([makeBytes(2, 900)]), acknowledged + 1n);
  fileSystem.spaceBytes = Infinity;
  for (let i = 0; i < 10; i++) await wal.append([makeBytes(3, 900)]);
  const positions = await getPositions(await open(disk.powerCut()));
  assert.equal(positions.at(-1), acknowledged + 11n);
  assert.ok(positions.includes(acknowledged));
});

test('R24 past the bound of waiting bytes appends are refused with RateLimit', async () => {
  const wal = await open(new PowerCutFileSystem(), { queueBytesMax: 10_000 });
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, () => wal.append([makeBytes(1, 1000)])),
  );
  const refused = results.filter((result) => result.status === 'rejected');
  assert.ok(refused.length >= 10 && refused.length < 20);
  for (const { reason } of refused) assert.ok(isError('RateLimit')(reason));
  assert.equal(await wal.append([makeBytes(1, 1000)]), BigInt(20 - refused.length + 1));
});

test('R9 power cuts at random moments: nothing acknowledged is lost', async () => {
  for (let seed = 1; seed <= 150; seed++) {
    const breach = await liveWithPowerCuts({ seed, lives: 8, hasFaults: seed % 2 === 0 });
    assert.equal(breach, undefined, `seed ${seed}`);
  }
});

test('canary: the power-cut harness notices a disk whose fdatasync does nothing', async () => {
  let breaches = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const disk = { isFdatasyncIgnored: true };
    if ((await liveWithPowerCuts({ seed, lives: 6, disk })) !== undefined) breaches++;
  }
  assert.ok(breaches >= 10, `${breaches} of 20 lives without fdatasync were noticed`);
});

test('canary: the power-cut harness notices names that are not synced', async () => {
  let breaches = 0;
  for (let seed = 1; seed <= 20; seed++) {
    const disk = { isSyncDirectoryIgnored: true };
    if ((await liveWithPowerCuts({ seed, lives: 6, disk })) !== undefined) breaches++;
  }
  assert.ok(breaches >= 10, `${breaches} of 20 lives without directory sync were noticed`);
});
