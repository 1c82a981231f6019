// What a log directory holds when it is opened: reads the headers of all files and the records of
// the last one, tells a torn tail from damage (R9), cuts the tail and removes files that are not
// part of the log. Invariant: no bytes are changed before every file has been judged; damage leaves
// the disk as it was.

import { readFully } from '../base/file-helpers.ts';
import type { FileSystem } from '../base/file-system.ts';
import { MilvusError } from '../model/error.ts';
import type { Crc32c } from '../base/crc32c.ts';
import {
  decodeHeader,
  FORMAT_VERSION,
  HEADER_BYTES,
  parseFileName,
  SPARE_SUFFIX,
} from './record-format.ts';
import type { FileHeader } from './record-format.ts';
import { scanRecords } from './record-scanner.ts';

/** Acknowledged records that cannot be read. Positions `from`..`to` are gone, both included. */
export interface WalDamage {
  readonly file: string;
  readonly offset: number;
  readonly from: bigint;
  readonly to: bigint;
}

/** A file of the log; the records first..last of it are acknowledged, what else it holds is not. */
export interface WalFile {
  readonly number: number;
  readonly epoch: bigint;
  readonly path: string;
  readonly first: bigint;
  last: bigint;
  /** Header and records; what is prepared behind them does not count. */
  bytes: number;
}

export interface RecoveryOptions {
  readonly fileSystem: FileSystem;
  readonly directory: string;
  readonly crc32c: Crc32c;
  /** Goes on without the damaged records; each is reported first. */
  readonly acceptDamage: boolean;
  readonly onDamage: (damage: WalDamage) => void;
}

export interface Recovered {
  /** Oldest first. */
  readonly files: WalFile[];
  readonly lastSequence: bigint;
  readonly nextNumber: number;
}

interface Candidate {
  readonly name: string;
  readonly path: string;
  readonly number: number;
  readonly epoch: bigint;
  readonly bytes: number;
  readonly header: FileHeader | undefined;
}

/** Intact records one behind another, with consecutive sequence numbers. */
interface Run {
  readonly first: bigint;
  readonly offset: number;
  /** The first record's claim: the records up to it are in earlier batches. */
  readonly firstDurable: bigint;
  last: bigint;
  endOffset: number;
  lastDurable: bigint;
}

/** Makes a damage known: throws, unless the options accept it. */
export function reportDamage(
  options: Pick<RecoveryOptions, 'acceptDamage' | 'onDamage'>,
  damage: WalDamage,
): void {
  if (!options.acceptDamage) {
    throw new MilvusError('DataIntegrity', {
      message: 'write-ahead log is damaged',
      fields: {
        file: damage.file,
        offset: damage.offset,
        from: damage.from,
        to: damage.to,
      },
    });
  }
  options.onDamage(damage);
}

/**
 * Reads the directory, cuts the torn tail and makes all that is left durable.
 * @throws MilvusError DataIntegrity; errors of the file system as they are
 */
export async function recoverFiles(options: RecoveryOptions): Promise<Recovered> {
  const entries = await options.fileSystem.readDirectory(options.directory);
  const names = entries.filter((entry) => !entry.isDirectory).map((entry) => entry.name);
  const candidates = await readHeaders(options, names);
  const chain = await linkChain(options, candidates);
  const tail = await recoverTail(options, candidates, chain);

  const kept = new Set(tail.files.map((file) => file.path));
  const strays = candidates.filter((file) => !kept.has(file.path)).map((file) => file.path);
  for (const name of names) {
    if (name.endsWith(SPARE_SUFFIX)) strays.push(`${options.directory}/${name}`);
  }
  await cutTail(options, tail.files.at(-1));
  for (const path of strays) await options.fileSystem.unlink(path);
  // Not needed for what is acknowledged: so that files removed here do not come back one by one.
  await options.fileSystem.syncDirectory(options.directory);
  const highest = candidates.at(-1)?.number ?? 0;
  return { files: tail.files, lastSequence: tail.lastSequence, nextNumber: highest + 1 };
}

async function readHeaders(
  options: RecoveryOptions,
  names: readonly string[],
): Promise<Candidate[]> {
  const candidates: Candidate[] = [];
  for (const name of names) {
    const parsed = parseFileName(name);
    if (parsed === undefined) continue;
    const path = `${options.directory}/${name}`;
    const file = await options.fileSystem.open(path, 'read');
    try {
      const bytes = new Uint8Array(HEADER_BYTES);
      const read = await readFully(file, bytes, 0);
      const header = decodeHeader(bytes.subarray(0, read), options.crc32c);
      requireKnownVersion(path, header);
      const isOwn = header?.number === parsed.number && header.epoch === parsed.epoch;
      candidates.push({
        name,
        path,
        ...parsed,
        bytes: await file.bytes(),
        header: isOwn ? header : undefined,
      });
    } finally {
      await file.close();
    }
  }
  return candidates.sort((a, b) => a.number - b.number);
}

function requireKnownVersion(file: string, header: FileHeader | undefined): void {
  if (header === undefined || header.version === FORMAT_VERSION) return;
  throw new MilvusError('DataIntegrity', {
    message: 'write-ahead log has a format that this version does not know',
    fields: { file, version: header.version, known: FORMAT_VERSION },
  });
}

function makeFile(candidate: Candidate, first: bigint, last: bigint): WalFile {
  const { number, epoch, path, bytes } = candidate;
  return { number, epoch, path, first, last, bytes };
}

/**
 * Follows the headers from the last whole one to the file before it, and so on. Each header vouches
 * for the file before: it must be there, and its records go up to `lastDurableSequence`.
 * Files that no header names were given up before anything in them was acknowledged.
 * @returns the chain, oldest first; the last file's `last` is yet to be found by a scan
 */
async function linkChain(
  options: RecoveryOptions,
  candidates: readonly Candidate[],
): Promise<WalFile[]> {
  const chain: WalFile[] = [];
  const findBelow = (number: number): Candidate | undefined =>
    candidates.findLast((file) => file.header !== undefined && file.number < number);
  let current = candidates.findLast((file) => file.header !== undefined);
  let last = 0n;
  while (current?.header !== undefined) {
    const header: FileHeader = current.header;
    chain.unshift(makeFile(current, header.firstSequence, last));
    last = header.lastDurableSequence;
    const previous = candidates.find((file) => file.number === header.previousNumber);
    if (header.previousNumber === 0 || previous?.header !== undefined) {
      current = previous;
      continue;
    }
    // The file before has no header, or is not there: truncated if nothing older is there either.
    const older: Candidate | undefined = findBelow(header.previousNumber);
    if (previous === undefined && older === undefined) break;
    const path = previous?.path ?? `${options.directory}/file number ${header.previousNumber}`;
    const from = older?.header?.firstSequence ?? 1n;
    reportDamage(options, { file: path, offset: 0, from, to: last });
    const salvaged = previous && (await salvageFile(options, previous, last));
    if (salvaged !== undefined) {
      chain.unshift(salvaged.file);
      last = salvaged.lastDurable;
    }
    current = older;
  }
  return chain;
}

/** Takes a file without a header for what its intact records say; undefined if there are none. */
async function salvageFile(
  options: RecoveryOptions,
  candidate: Candidate,
  last: bigint,
): Promise<{ file: WalFile; lastDurable: bigint } | undefined> {
  const [run] = await findRuns(options, candidate);
  if (run === undefined) return undefined;
  return { file: makeFile(candidate, run.first, last), lastDurable: run.firstDurable };
}

async function findRuns(options: RecoveryOptions, file: Candidate | WalFile): Promise<Run[]> {
  const handle = await options.fileSystem.open(file.path, 'read');
  const runs: Run[] = [];
  try {
    let isJoined = false;
    for await (const item of scanRecords(handle, { epoch: file.epoch, crc32c: options.crc32c })) {
      const run = runs.at(-1);
      if (item.kind === 'bad') {
        isJoined = false;
      } else if (run !== undefined && isJoined && item.sequence === run.last + 1n) {
        run.last = item.sequence;
        run.endOffset = item.endOffset;
        run.lastDurable = item.lastDurableSequence;
      } else {
        runs.push({
          first: item.sequence,
          offset: item.offset,
          firstDurable: item.lastDurableSequence,
          last: item.sequence,
          endOffset: item.endOffset,
          lastDurable: item.lastDurableSequence,
        });
        isJoined = true;
      }
    }
  } finally {
    await handle.close();
  }
  return runs;
}

/**
 * Finds where the acknowledged records end. Every intact record says which record was durable when
 * it was written; the highest such claim is what must be readable, and what lies above it may be
 * torn.
 */
async function recoverTail(
  options: RecoveryOptions,
  candidates: readonly Candidate[],
  chain: WalFile[],
): Promise<{ files: WalFile[]; lastSequence: bigint }> {
  const tail = chain.at(-1);
  const header = candidates.find((file) => file.path === tail?.path)?.header;
  const runs = tail === undefined ? [] : await findRuns(options, tail);
  let durable = header?.lastDurableSequence ?? 0n;
  for (const run of runs) durable = max(durable, run.lastDurable);

  // Files begun after the last whole header: their first write was torn, or their header is
  // damaged.
  const begun = candidates.filter((file) => file.number > (tail?.number ?? 0));
  const headless: { candidate: Candidate; runs: Run[] }[] = [];
  for (const candidate of begun) {
    const found = { candidate, runs: await findRuns(options, candidate) };
    for (const run of found.runs) durable = max(durable, run.lastDurable);
    headless.push(found);
  }

  const files = [...chain];
  let last = header?.lastDurableSequence ?? 0n;
  if (tail !== undefined) {
    endFile(options, tail, runs, durable);
    last = max(last, tail.last);
  }
  for (const { candidate, runs: found } of headless) {
    if (durable <= last || found[0] === undefined) continue;
    reportDamage(options, { file: candidate.path, offset: 0, from: last + 1n, to: durable });
    const file = makeFile(candidate, found[0].first, 0n);
    endFile(options, file, found, durable);
    files.push(file);
    last = max(last, file.last);
  }
  if (durable > last) {
    const file = files.at(-1)?.path ?? options.directory;
    reportDamage(options, {
      file,
      offset: files.at(-1)?.bytes ?? 0,
      from: last + 1n,
      to: durable,
    });
  }
  return { files, lastSequence: max(last, durable) };
}

/** Sets `last` and `bytes` of the last file: the end of its records, torn ones cut off. */
function endFile(
  options: RecoveryOptions,
  file: WalFile,
  runs: readonly Run[],
  durable: bigint,
): void {
  file.bytes = HEADER_BYTES;
  file.last = file.first - 1n;
  for (const run of runs) {
    if (run.first !== file.last + 1n || run.offset !== file.bytes) {
      if (durable <= file.last) return;
      const to = max(file.last + 1n, run.first - 1n);
      reportDamage(options, { file: file.path, offset: file.bytes, from: file.last + 1n, to });
    }
    file.bytes = run.endOffset;
    file.last = run.last;
  }
}

async function cutTail(options: RecoveryOptions, file: WalFile | undefined): Promise<void> {
  if (file === undefined) return;
  const handle = await options.fileSystem.open(file.path, 'write');
  try {
    if ((await handle.bytes()) > file.bytes) await handle.truncate(file.bytes);
    // A killed process may have left records in the page cache only: from now on they count.
    await handle.fdatasync();
  } finally {
    await handle.close();
  }
}

function max(a: bigint, b: bigint): bigint {
  return a > b ? a : b;
}
