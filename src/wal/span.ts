// A note beside the files of the log: the numbers of the oldest and the newest, and the last record
// that was durable when it was written, which is the last one after a clean stop. Headers and
// records vouch for what is before them; only this tells that the newest file or its end, the
// oldest file, or all of them have been lost. docs/formats/wal.md has the bytes. Invariant: the
// note never names what was not there; it may lag behind, which costs detection, never a false
// alarm.

import type { Crc32c } from '../base/crc32c.ts';
import { readFully, writeAll } from '../base/file-helpers.ts';
import type { FileSystem } from '../base/file-system.ts';

export interface Span {
  readonly first: number;
  readonly last: number;
  /** Position of a durable record; no earlier one is missing. */
  readonly lastSequence: bigint;
  /** The log was closed after it: no record is later. */
  readonly isLast: boolean;
}

const SPAN_NAME = 'span';
const UNFINISHED_NAME = 'span.new';
const SPAN_BYTES = 40;
const MAGIC = 0x4e4150534e414c45n; // "ELANSPAN"
const CRC_OFFSET = 36;

function encodeSpan({ first, last, lastSequence, isLast }: Span, crc32c: Crc32c): Uint8Array {
  const bytes = new Uint8Array(SPAN_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, MAGIC, true);
  view.setBigUint64(8, BigInt(first), true);
  view.setBigUint64(16, BigInt(last), true);
  view.setBigUint64(24, lastSequence, true);
  view.setUint32(32, isLast ? 1 : 0, true);
  view.setUint32(CRC_OFFSET, crc32c(bytes.subarray(0, CRC_OFFSET), 0), true);
  return bytes;
}

/** Returns the note; undefined when there is none, or none that is whole. */
export async function readSpan(
  fileSystem: FileSystem,
  directory: string,
  crc32c: Crc32c,
): Promise<Span | undefined> {
  const path = `${directory}/${SPAN_NAME}`;
  if ((await fileSystem.stat(path)) === undefined) return undefined;
  const file = await fileSystem.open(path, 'read');
  try {
    const bytes = new Uint8Array(SPAN_BYTES);
    if ((await readFully(file, bytes, 0)) < SPAN_BYTES) return undefined;
    const view = new DataView(bytes.buffer);
    const crc = crc32c(bytes.subarray(0, CRC_OFFSET), 0);
    if (view.getBigUint64(0, true) !== MAGIC || view.getUint32(CRC_OFFSET, true) !== crc) {
      return undefined;
    }
    const [first, last] = [8, 16].map((at) => Number(view.getBigUint64(at, true)));
    const lastSequence = view.getBigUint64(24, true);
    return { first: first!, last: last!, lastSequence, isLast: view.getUint32(32, true) === 1 };
  } finally {
    await file.close();
  }
}

/** Replaces the note, durably. @throws errors of the file system as they are */
export async function writeSpan(
  fileSystem: FileSystem,
  directory: string,
  span: Span,
  crc32c: Crc32c,
): Promise<void> {
  const unfinished = `${directory}/${UNFINISHED_NAME}`;
  if ((await fileSystem.stat(unfinished)) !== undefined) await fileSystem.unlink(unfinished);
  const file = await fileSystem.open(unfinished, 'create');
  try {
    await writeAll(file, [encodeSpan(span, crc32c)], 0);
    await file.fdatasync();
  } finally {
    await file.close();
  }
  await fileSystem.rename(unfinished, `${directory}/${SPAN_NAME}`);
  await fileSystem.syncDirectory(directory);
}

/** Durably takes the note away: nothing is missed any more. */
export async function removeSpan(fileSystem: FileSystem, directory: string): Promise<void> {
  const path = `${directory}/${SPAN_NAME}`;
  if ((await fileSystem.stat(path)) === undefined) return;
  await fileSystem.unlink(path);
  await fileSystem.syncDirectory(directory);
}
