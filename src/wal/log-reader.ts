// Reads the records of one file of the log, as replay wants them: those in a range of positions, in
// order, with what is missing told on the way.

import type { Crc32c } from '../base/crc32c.ts';
import type { FileSystem } from '../base/file-system.ts';
import { toIoError } from '../model/io-error.ts';
import { closeQuietly } from './log-file.ts';
import { HEADER_BYTES } from './record-format.ts';
import { scanRecords } from './record-scanner.ts';
import type { WalFile } from './recovery.ts';
import type { WalDamage, WalEntry } from './wal.ts';

export interface LogPlace {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly crc32c: Crc32c;
}

/** One reading of the log, as its files see it. */
export interface Reading {
  readonly from: bigint;
  readonly last: bigint;
  /** Goes on behind damage. */
  readonly isPatient: boolean;
  /** False when the file has been truncated away. */
  readonly isKept: () => boolean;
  /** Gets records that are missing; an empty range means none. May throw. */
  readonly report: (damage: WalDamage) => void;
}

/** @throws MilvusError IoFailed; what `report` throws */
export async function* readLogFile(
  place: LogPlace,
  file: WalFile,
  reading: Reading,
): AsyncGenerator<WalEntry> {
  const { fileSystem, directory, crc32c } = place;
  const { from, last, isPatient, report } = reading;
  let handle;
  try {
    handle = await fileSystem.open(file.path, 'read');
  } catch (error) {
    if (!reading.isKept()) return;
    throw await toIoError(error, { fileSystem, directory, place: { file: file.path } });
  }
  const options = { epoch: file.epoch, crc32c, stopAtBad: !isPatient };
  let expected = file.first;
  let offset = HEADER_BYTES;
  /** Records met whose payload alone is damaged. */
  let damaged: { readonly sequence: bigint; readonly prefix: Uint8Array }[] = [];
  const reportUpTo = (to: bigint): void => {
    const known = damaged.filter(({ sequence }) => sequence >= expected && sequence <= to);
    damaged = [];
    const damage = { file: file.path, offset, from: expected, to };
    const isKnown = BigInt(known.length) === to - expected + 1n;
    report(isKnown ? { ...damage, prefixes: known.map(({ prefix }) => prefix) } : damage);
  };
  try {
    for await (const item of scanRecords(handle, options)) {
      if (item.kind === 'bad') {
        if (item.head !== undefined) damaged.push(item.head);
        continue;
      }
      if (item.sequence > last) break;
      if (item.sequence < expected) continue;
      reportUpTo(item.sequence - 1n);
      const where = `${file.path}, offset ${offset}`;
      offset = item.endOffset;
      expected = item.sequence + 1n;
      if (item.sequence >= from) {
        yield { position: item.sequence, place: where, record: item.payload };
      }
      if (expected > last) break;
    }
  } catch (error) {
    const failure = await toIoError(error, { fileSystem, directory, place: { file: file.path } });
    // A block that the disk cannot read: what is behind it counts as damaged.
    if (!isPatient || failure.errorName !== 'IoFailed') throw failure;
  } finally {
    await closeQuietly(handle);
  }
  reportUpTo(last);
}
