// What a log directory holds when it is opened: reads the headers of all files and the records of
// the last one, tells a torn tail from damage (R9), cuts the tail and removes files that are not
// part of the log. Invariant: no bytes are changed before every file has been judged; where there
// is damage, nothing is cut or removed. Not here: what the records of older files are like; reading
// finds that.

import { max } from '../base/bigint.ts';
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
import { readSpan, removeSpan, writeSpan, type Span } from './span.ts';
import type { WalDamage } from './wal.ts';

/** More than files that were lost can have held: their positions are not given out again. */
const LOST_SEQUENCES = 2n ** 32n;

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
}

/** The options, and what has been found so far. */
interface Search extends RecoveryOptions {
  readonly damage: WalDamage[];
}

export interface Recovered {
  /** Oldest first. The records between them that are in none are lost. */
  readonly files: WalFile[];
  /**
   * Where files or parts of them are damaged or missing, with bounds of what is lost; the records
   * may be there nevertheless (a header is lost alone).
   */
  readonly damage: WalDamage[];
  /** Records from here on are to be there, or lost. */
  readonly firstSequence: bigint;
  readonly lastSequence: bigint;
  readonly nextNumber: number;
  /** Number of the oldest file that is there or missed; of the next one when there is none. */
  readonly oldestNumber: number;
  /** Number of the newest file when it is missed, else 0. */
  readonly lostNumber: number;
  /** The note on the disk says that no record comes any more. */
  readonly isNotedLast: boolean;
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

/**
 * Reads the directory, cuts the torn tail and makes all that is left durable.
 * @throws MilvusError DataIntegrity for a format of a later version; errors of the file system as
 *   they are
 */
export async function recoverFiles(given: RecoveryOptions): Promise<Recovered> {
  const options: Search = { ...given, damage: [] };
  const entries = await options.fileSystem.readDirectory(options.directory);
  const names = entries.filter((entry) => !entry.isDirectory).map((entry) => entry.name);
  const candidates = await readHeaders(options, names);
  const span = await readSpan(options.fileSystem, options.directory, options.crc32c);
  const chain = await linkChain(options, candidates, span);
  const tail = await recoverTail(options, candidates, chain);
  const highest = candidates.at(-1)?.number ?? 0;
  const lostNumber = span !== undefined && span.last > highest ? span.last : 0;
  if (span !== undefined) missEnd(options, span, tail, lostNumber);

  const { damage } = options;
  const isDamaged = damage.length > 0;
  const kept = new Set(tail.files.map((file) => file.path));
  const strays = names
    .filter((name) => name.endsWith(SPARE_SUFFIX))
    .map((name) => `${options.directory}/${name}`);
  for (const { path } of candidates) if (!isDamaged && !kept.has(path)) strays.push(path);
  await settleTail(options, tail.files.at(-1), isDamaged);
  if (!isDamaged) await settleSpan(options, span, tail.files);
  for (const path of strays) await options.fileSystem.unlink(path);
  // Not needed for what is acknowledged: so that files removed here do not come back one by one.
  await options.fileSystem.syncDirectory(options.directory);
  const { files, lastSequence } = tail;
  let firstSequence = files[0]?.first ?? lastSequence + 1n;
  for (const { from } of damage) if (from < firstSequence) firstSequence = from;
  const nextNumber = Math.max(highest, lostNumber) + 1;
  const oldestNumber = (isDamaged ? span?.first : undefined) ?? files[0]?.number ?? nextNumber;
  const isNotedLast = span?.isLast === true;
  const numbers = { nextNumber, oldestNumber, lostNumber, isNotedLast };
  return { files, damage, firstSequence, lastSequence, ...numbers };
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
  options: Search,
  candidates: readonly Candidate[],
  span: Span | undefined,
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
    // The file before has no header, or is not there: truncated if nothing older is there either,
    // and nothing says that there should be.
    const older: Candidate | undefined = findBelow(header.previousNumber);
    const isMissed = span !== undefined && span.first <= header.previousNumber;
    if (previous === undefined && older === undefined && !isMissed) break;
    const file = previous?.path ?? `${options.directory}/file number ${header.previousNumber}`;
    const salvaged = previous && (await salvageFile(options, previous, last));
    const first = older?.header?.firstSequence ?? salvaged?.file.first ?? 1n;
    options.damage.push({ file, offset: 0, from: first, to: last });
    if (salvaged !== undefined) {
      chain.unshift(salvaged.file);
      last = salvaged.lastDurable;
    } else if (previous !== undefined) {
      // Holds nothing, and goes with the files that do.
      chain.unshift(makeFile(previous, last + 1n, last));
    }
    current = older;
  }
  return chain;
}

/**
 * Takes a file without a header for what its intact records say; undefined if there are none. The
 * first of them is the file's first when nothing but the header lies before it.
 */
async function salvageFile(
  options: RecoveryOptions,
  candidate: Candidate,
  last: bigint,
): Promise<{ file: WalFile; lastDurable: bigint } | undefined> {
  const [run] = await findRuns(options, candidate);
  if (run === undefined) return undefined;
  const first = run.offset === HEADER_BYTES ? run.first : run.firstDurable + 1n;
  return { file: makeFile(candidate, first, last), lastDurable: run.firstDurable };
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
  options: Search,
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
    // Nothing in it is surely acknowledged; what is whole and next in line may be.
    if (found[0] === undefined || (durable <= last && found[0].first !== last + 1n)) continue;
    const isWhole = found[0].offset === HEADER_BYTES;
    const from = files.length === 0 && isWhole ? found[0].first : last + 1n;
    options.damage.push({ file: candidate.path, offset: 0, from, to: durable });
    const file = makeFile(candidate, found[0].first, 0n);
    endFile(options, file, found, durable);
    files.push(file);
    last = max(last, file.last);
  }
  if (durable > last) {
    const final = files.at(-1);
    const [file, offset] = [final?.path ?? options.directory, final?.bytes ?? 0];
    options.damage.push({ file, offset, from: last + 1n, to: durable });
    if (final !== undefined) final.last = durable;
  }
  return { files, lastSequence: max(last, durable) };
}

/** Sets `last` and `bytes` of the last file: the end of its records, torn ones cut off. */
function endFile(
  options: Search,
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
      options.damage.push({ file: file.path, offset: file.bytes, from: file.last + 1n, to });
    }
    file.bytes = run.endOffset;
    file.last = run.last;
  }
}

/** Compares the end of the log with what the note says was there. */
function missEnd(
  options: Search,
  span: Span,
  tail: { readonly files: readonly WalFile[]; lastSequence: bigint },
  lostNumber: number,
): void {
  const from = tail.lastSequence + 1n;
  if (lostNumber > 0) {
    const file = `${options.directory}/file number ${lostNumber}`;
    tail.lastSequence = max(tail.lastSequence, span.lastSequence);
    if (!span.isLast) tail.lastSequence += LOST_SEQUENCES;
    options.damage.push({ file, offset: 0, from, to: tail.lastSequence });
  } else if (span.lastSequence > tail.lastSequence) {
    const last = tail.files.at(-1);
    const [file, offset] = [last?.path ?? options.directory, last?.bytes ?? 0];
    tail.lastSequence = span.lastSequence;
    if (last !== undefined) last.last = span.lastSequence;
    options.damage.push({ file, offset, from, to: tail.lastSequence });
  }
}

/** Before a file that was begun in vain is removed: the note must not name it. */
async function settleSpan(
  { fileSystem, directory, crc32c }: RecoveryOptions,
  span: Span | undefined,
  files: readonly WalFile[],
): Promise<void> {
  const [first, last] = [files[0]?.number, files.at(-1)?.number];
  if (first === undefined || last === undefined) await removeSpan(fileSystem, directory);
  else if (span?.first !== first || span.last !== last) {
    const lastSequence = files.at(-1)!.last;
    const own = { first, last, lastSequence, isLast: false };
    await writeSpan(fileSystem, directory, own, crc32c);
  }
}

async function settleTail(
  options: RecoveryOptions,
  file: WalFile | undefined,
  isDamaged: boolean,
): Promise<void> {
  if (file === undefined) return;
  const handle = await options.fileSystem.open(file.path, 'write');
  try {
    if (!isDamaged && (await handle.bytes()) > file.bytes) await handle.truncate(file.bytes);
    // A killed process may have left records in the page cache only: from now on they count.
    await handle.fdatasync();
  } finally {
    await handle.close();
  }
}
