// The file that the log appends to, and the files that are prepared for later. A file is written
// by one writer, one write and one sync at a time, and never again after either has failed (R9).

import { randomBytes } from 'node:crypto';
import { writeAll } from '../base/file-helpers.ts';
import type { FileHandle, FileSystem } from '../base/file-system.ts';
import { HEADER_BYTES, makeFileName, SPARE_SUFFIX } from './record-format.ts';
import type { WalFile } from './recovery.ts';

const ZERO_BYTES = 1024 * 1024;
const ZERO_PIECES = 4;
const ZEROS = new Uint8Array(ZERO_BYTES);

/** A zero-filled file under a name that is not yet part of the log. */
export interface Spare {
  readonly handle: FileHandle;
  readonly path: string;
  readonly epoch: bigint;
  readonly capacityBytes: number;
}

/**
 * The file being appended to. Its `file` joins the log's list with the first sync that succeeds.
 */
export interface ActiveFile {
  readonly handle: FileHandle;
  readonly file: WalFile;
  readonly capacityBytes: number;
  readonly previousNumber: number;
  /** Whether the header is durable. */
  isBegun: boolean;
}

/** 64 random bits, never 0: zeros on the disk never look like a record. */
function drawEpoch(): bigint {
  return randomBytes(8).readBigUInt64LE() || 1n;
}

/**
 * Makes a file that holds `capacityBytes`. A file for one huge record is not filled with zeros: it
 * is written once, whole, and its length becomes durable with it.
 */
export async function prepareSpare(
  fileSystem: FileSystem,
  directory: string,
  options: { capacityBytes: number; isFilled: boolean; isSynced: boolean },
): Promise<Spare> {
  const epoch = drawEpoch();
  const path = `${directory}/${epoch.toString(16).padStart(16, '0')}${SPARE_SUFFIX}`;
  const handle = await fileSystem.open(path, 'create');
  try {
    if (options.isFilled) await fillWithZeros(handle, options.capacityBytes);
    if (options.isSynced) await handle.fdatasync();
  } catch (error) {
    await discardFile(fileSystem, { handle, path });
    throw error;
  }
  return { handle, path, epoch, capacityBytes: options.capacityBytes };
}

async function fillWithZeros(handle: FileHandle, bytes: number): Promise<void> {
  for (let at = 0; at < bytes; ) {
    const pieces: Uint8Array[] = [];
    let end = at;
    while (pieces.length < ZERO_PIECES && end < bytes) {
      const take = Math.min(ZERO_BYTES, bytes - end);
      pieces.push(take === ZERO_BYTES ? ZEROS : ZEROS.subarray(0, take));
      end += take;
    }
    await writeAll(handle, pieces, at);
    at = end;
  }
}

/** Gives a spare its place in the log: renames it and makes the name durable. */
export async function activateSpare(
  fileSystem: FileSystem,
  directory: string,
  spare: Spare,
  place: { number: number; previousNumber: number; first: bigint },
): Promise<ActiveFile> {
  const path = `${directory}/${makeFileName(place.number, spare.epoch)}`;
  try {
    await fileSystem.rename(spare.path, path);
    await fileSystem.syncDirectory(directory);
  } catch (error) {
    await removeQuietly(fileSystem, path);
    await discardFile(fileSystem, spare);
    throw error;
  }
  const { number, first } = place;
  return {
    handle: spare.handle,
    file: { number, epoch: spare.epoch, path, first, last: first - 1n, bytes: HEADER_BYTES },
    capacityBytes: spare.capacityBytes,
    previousNumber: place.previousNumber,
    isBegun: false,
  };
}

/**
 * Closes and removes a file that holds nothing acknowledged; what fails is left to the next open.
 */
export async function discardFile(
  fileSystem: FileSystem,
  file: { readonly handle: FileHandle; readonly path: string },
): Promise<void> {
  await closeQuietly(file.handle);
  await removeQuietly(fileSystem, file.path);
}

async function removeQuietly(fileSystem: FileSystem, path: string): Promise<void> {
  await fileSystem.unlink(path).catch(() => undefined);
}

export async function closeQuietly(handle: FileHandle): Promise<void> {
  await handle.close().catch(() => undefined);
}
