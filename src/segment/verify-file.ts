// Reads whole files against their checksums (R16): in pieces on the build threads, so that whoever
// verifies large files beside other work can go as slowly as it likes. Reads with read calls, not
// through a mapping.

import { native, type NativeFileCheck } from '../index/native.ts';
import { MilvusError } from '../model/error.ts';
import type { IndexFile, SegmentInfo } from '../model/segment-info.ts';
import type { SegmentFiles } from './open-segment.ts';
import { listSegmentChecks } from './segment-file.ts';

/** Read at a time: a few milliseconds of a thread. */
const PIECE_BYTES = 16 * 1024 * 1024;

export interface VerifyOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called after each piece; the next one waits for it. */
  readonly onPiece?: ((bytes: number) => Promise<void>) | undefined;
}

/** @throws MilvusError DataIntegrity naming file and buffer, IoFailed; the signal's reason */
export async function verifySegment(
  files: SegmentFiles,
  segment: Pick<SegmentInfo, 'file' | 'fileBytes' | 'crc32c'>,
  options: VerifyOptions = {},
): Promise<void> {
  const { file, fileBytes } = segment;
  const listChecks = (): Promise<NativeFileCheck[]> =>
    listSegmentChecks(file, fileBytes, (offset, length) => files.getRange(file, offset, length));
  await verifyFile(files, { kind: 'segment file', ...segment, listChecks }, options);
}

/** @throws Error with code DataIntegrity naming file and section, IoFailed; the signal's reason */
export async function verifyIndexFile(
  files: Pick<SegmentFiles, 'openLocal'>,
  index: Pick<IndexFile, 'file' | 'fileBytes' | 'crc32c'>,
  options: VerifyOptions = {},
): Promise<void> {
  const listChecks = native.listIndexFileChecks;
  await verifyFile(files, { kind: 'index file', ...index, listChecks }, options);
}

interface Verified {
  readonly kind: string;
  readonly file: string;
  readonly fileBytes: number;
  readonly crc32c?: number;
  readonly listChecks: (path: string) => Promise<NativeFileCheck[]>;
}

/**
 * Compares the whole file with the checksum in its record; where there is none, or it is wrong,
 * each part with its own, which says where the damage is.
 */
async function verifyFile(
  files: Pick<SegmentFiles, 'openLocal'>,
  { kind, file, fileBytes, crc32c, listChecks }: Verified,
  options: VerifyOptions,
): Promise<void> {
  const damaged = (what: string): MilvusError =>
    new MilvusError('DataIntegrity', { message: `${kind}: ${what}`, fields: { file } });
  const local = await files.openLocal(file);
  try {
    const whole = { offset: 0, bytes: fileBytes };
    const isSound = crc32c !== undefined && (await read(local.path, whole, options)) === crc32c;
    if (isSound) return;
    for (const check of await listChecks(local.path)) {
      if ((await read(local.path, check, options)) === check.crc32c) continue;
      const { name, offset, bytes } = check;
      throw damaged(`checksum of ${name}, ${bytes} bytes at offset ${offset}`);
    }
    if (crc32c !== undefined) throw damaged('checksum of the whole, its parts are sound');
  } finally {
    local.close();
  }
}

/** Returns the checksum of a part. */
async function read(
  path: string,
  { offset, bytes }: { readonly offset: number; readonly bytes: number },
  { signal, onPiece }: VerifyOptions,
): Promise<number> {
  let checksum = 0;
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    signal?.throwIfAborted();
    const length = Math.min(PIECE_BYTES, bytes - at);
    checksum = await orAborted(native.crc32cOfFile(path, offset + at, length, checksum), signal);
    await onPiece?.(length);
  }
  return checksum;
}

/** A piece may have to wait for a build; who gives up does not. */
async function orAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  let onAbort = (): void => undefined;
  const aborted = new Promise<never>((_resolve, reject) => {
    onAbort = () => reject(signal.reason);
    signal.addEventListener('abort', onAbort, { once: true });
  });
  try {
    return await Promise.race([work, aborted]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}
