// A random life of a write-ahead log with power cuts: appends from several writers, truncations,
// restarts, faults; after each cut it compares what the log has with what was acknowledged. One
// seed, one life.

import { MilvusError } from '../../src/model/error.ts';
import { LocalFileWal } from '../../src/wal/local-file.ts';
import { FaultyFileSystem } from './faulty-file-system.ts';
import { PowerCutFileSystem } from './power-cut-file-system.ts';
import type { PowerCutFileSystemOptions } from './power-cut-file-system.ts';

export interface WalLifeOptions {
  readonly seed: number;
  readonly lives: number;
  readonly disk?: PowerCutFileSystemOptions;
  /** Whether writes and syncs fail now and then as well. */
  readonly hasFaults?: boolean;
}

/** Mulberry32: small, and the same everywhere. */
export function makeRandom(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface Known {
  /** By position: the name of the record that was acknowledged there. */
  readonly acknowledged: Map<bigint, string>;
  truncatedBefore: bigint;
  nextName: number;
}

/** Returns the first breach of the log's promises, or undefined if the log keeps them all. */
export async function liveWithPowerCuts(options: WalLifeOptions): Promise<string | undefined> {
  const random = makeRandom(options.seed);
  const known: Known = { acknowledged: new Map(), truncatedBefore: 0n, nextName: 0 };
  let disk = new PowerCutFileSystem(options.disk);
  for (let life = 0; life < options.lives; life++) {
    disk.failPowerAfter(Math.floor(random() ** 2 * 120));
    const fileSystem = new FaultyFileSystem(disk);
    const wal = await openOrDie(fileSystem);
    if (wal instanceof LocalFileWal) {
      const breach = await check(wal, known, life);
      if (breach !== undefined) return breach;
      await work(wal, known, { random, fileSystem, hasFaults: options.hasFaults ?? false });
    } else if (wal !== undefined) {
      return `life ${life}: ${wal}`;
    }
    disk = random() < 0.2 ? disk.kill() : disk.powerCut(random() < 0.5 ? { random } : {});
  }
  const wal = await openOrDie(disk);
  return wal instanceof LocalFileWal ? check(wal, known, options.lives) : wal;
}

/** undefined = the power went off meanwhile; a text = the log took what it found for damage. */
async function openOrDie(
  fileSystem: PowerCutFileSystem | FaultyFileSystem,
): Promise<LocalFileWal | string | undefined> {
  try {
    return await LocalFileWal.open({
      directory: '/data/wal',
      fileSystem,
      fileBytes: 8192,
      firstFileBytes: 4096,
    });
  } catch (error) {
    const isDamage = error instanceof MilvusError && error.errorName === 'DataIntegrity';
    return isDamage ? error.message : undefined;
  }
}

async function check(wal: LocalFileWal, known: Known, life: number): Promise<string | undefined> {
  const found = new Map<bigint, string>();
  let previous: bigint | undefined;
  try {
    for await (const { position, record } of wal.read(0n)) {
      if (previous !== undefined && position !== previous + 1n) {
        return `life ${life}: ${position} after ${previous}`;
      }
      previous = position;
      found.set(position, Buffer.from(record).toString().trimEnd());
    }
  } catch (error) {
    const isDamage = error instanceof MilvusError && error.errorName === 'DataIntegrity';
    return isDamage ? `life ${life}: ${error.message}` : undefined;
  }
  for (const [position, name] of known.acknowledged) {
    if (position < known.truncatedBefore) continue;
    const has = found.get(position);
    if (has !== name) return `life ${life}: at ${position} ${has} instead of ${name}`;
  }
  // What is read counts from now on: a later life must find it again.
  for (const [position, name] of found) known.acknowledged.set(position, name);
  return undefined;
}

async function work(
  wal: LocalFileWal,
  known: Known,
  world: { random: () => number; fileSystem: FaultyFileSystem; hasFaults: boolean },
): Promise<void> {
  const { random, fileSystem, hasFaults } = world;
  for (let round = 0; round < 12; round++) {
    if (hasFaults && random() < 0.3) {
      const fault = random() < 0.5 ? 'fdatasync' : 'write';
      fileSystem.failNext(fault, 1 + Math.floor(random() * 2));
    }
    if (hasFaults) fileSystem.writeBytesMax = random() < 0.3 ? 100 : Infinity;
    const writers = Array.from({ length: 1 + Math.floor(random() * 4) }, async () => {
      const name = `record ${known.nextName++}`;
      const bytes = Math.floor(random() ** 3 * 6000);
      const position = await wal.append([Buffer.from(name.padEnd(bytes))]);
      known.acknowledged.set(position, name);
    });
    await Promise.allSettled(writers);
    if (random() < 0.2) {
      const before = wal.lastPosition() - BigInt(Math.floor(random() * 5));
      if (before > known.truncatedBefore) known.truncatedBefore = before;
      await wal.truncate(before).catch(() => undefined);
    }
  }
}
