// The write-ahead log in files of one directory (docs/formats/wal.md): group commit into prepared
// files. Invariants (R9): one write and one fsync at a time, a batch within one file; a record is
// acknowledged only after the fsync that covers it; after a failed write or fsync its file is never
// appended to again. Not here: exclusive access to the directory (the server's lock), and what the
// records mean.

import { MilvusError } from '../model/error.ts';
import { min } from '../base/bigint.ts';
import { getErrorCode, makeDurableDirectory, writeAll } from '../base/file-helpers.ts';
import type { FileHandle, FileSystem } from '../base/file-system.ts';
import { toIoError } from '../model/io-error.ts';
import { Batch, makePendingRecord } from './batch.ts';
import type { PendingRecord } from './batch.ts';
import { crc32c as crc32cByTable } from '../base/crc32c.ts';
import type { Crc32c } from '../base/crc32c.ts';
import { activateSpare, closeQuietly, discardFile, prepareSpare } from './log-file.ts';
import type { ActiveFile, Spare } from './log-file.ts';
import { encodeHeader, FORMAT_VERSION, HEADER_BYTES } from './record-format.ts';
import { readLogFile } from './log-reader.ts';
import { recoverFiles } from './recovery.ts';
import type { Recovered, WalFile } from './recovery.ts';
import { removeSpan, writeSpan } from './span.ts';
import { createClosedError } from './refusals.ts';
import { describeDamage, RECORD_BYTES_MAX } from './wal.ts';
import type { Wal, WalDamage, WalEntry } from './wal.ts';

const MIB = 1024 * 1024;
/** A batch ends here though more waits: bounds the wait of the first in line. */
const BATCH_BYTES_MAX = 32 * MIB;

export interface LocalFileWalOptions {
  /** Made, with its parents, if it is not there. */
  readonly directory: string;
  readonly fileSystem: FileSystem;
  /** Size of a prepared file; a larger record gets a file of its own. Default 64 MiB. */
  readonly fileBytes?: number;
  /** Size of a file that has to be made while appends wait, as the first one. Default 4 MiB. */
  readonly firstFileBytes?: number;
  /** Bytes of records that may wait; past it appends are refused. Default 256 MiB. */
  readonly queueBytesMax?: number;
  readonly crc32c?: Crc32c;
  /** Told when appends begin to fail, and with undefined when one has succeeded again. */
  readonly onFailure?: (error: MilvusError | undefined) => void;
}

interface Waiting extends PendingRecord {
  readonly resolve: (position: bigint) => void;
  readonly reject: (error: MilvusError) => void;
}

type Settings = Required<LocalFileWalOptions>;

export class LocalFileWal implements Wal {
  readonly #settings: Settings;
  /**
   * Files with acknowledged records or a durable header, oldest first; the active one is the last.
   */
  readonly #files: WalFile[];
  /** What the opening has found; reading finds the rest. */
  #damage: WalDamage[];
  /** Records from here on are in the files, or lost. */
  #firstSequence: bigint;
  #queue: Waiting[] = [];
  #queueBytes = 0;
  #last: bigint;
  #nextNumber: number;
  /** Of the files that are there, or have been lost. */
  #oldestNumber: number;
  readonly #lostNumber: number;
  /** The note on the disk says that no record comes any more. */
  #isNotedLast: boolean;
  #active: ActiveFile | undefined;
  #spare: Promise<Spare | undefined> | undefined;
  #committing: Promise<void> | undefined;
  #truncating: Promise<void> = Promise.resolve();
  #spanning: Promise<void> = Promise.resolve();
  /** The last batch was rejected. */
  #isFailing = false;
  #isClosed = false;
  #closing: Promise<void> | undefined;

  private constructor(settings: Settings, recovered: Recovered) {
    this.#settings = settings;
    this.#files = recovered.files;
    this.#damage = recovered.damage;
    this.#firstSequence = recovered.firstSequence;
    this.#last = recovered.lastSequence;
    this.#nextNumber = recovered.nextNumber;
    this.#oldestNumber = recovered.oldestNumber;
    this.#lostNumber = recovered.lostNumber;
    this.#isNotedLast = recovered.isNotedLast;
  }

  /**
   * Opens the log and cuts its torn tail. Reads the headers of all files and the records of the
   * last. Damage is told by read.
   * @throws MilvusError DataIntegrity for a later format, DiskLimitExceeded, IoFailed
   */
  static async open(options: LocalFileWalOptions): Promise<LocalFileWal> {
    const settings: Settings = {
      fileBytes: 64 * MIB,
      firstFileBytes: 4 * MIB,
      queueBytesMax: 256 * MIB,
      crc32c: crc32cByTable,
      onFailure: () => undefined,
      ...options,
    };
    const { fileSystem, directory } = settings;
    try {
      await makeDurableDirectory(fileSystem, directory);
      return new LocalFileWal(settings, await recoverFiles(settings));
    } catch (error) {
      throw await toIoError(error, { fileSystem, directory, place: { file: directory } });
    }
  }

  append(record: readonly Uint8Array[]): Promise<bigint> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw createClosedError();
      let payloadBytes = 0;
      for (const piece of record) payloadBytes += piece.byteLength;
      if (payloadBytes > RECORD_BYTES_MAX) {
        throw new MilvusError('ParameterTooLarge', {
          message: 'record is too large for the write-ahead log',
          fields: { bytes: payloadBytes, limit: RECORD_BYTES_MAX },
        });
      }
      if (this.#queueBytes + payloadBytes > this.#settings.queueBytesMax) {
        throw new MilvusError('RateLimit', {
          message: 'write-ahead log has too many bytes waiting',
          fields: { waiting: this.#queueBytes, limit: this.#settings.queueBytesMax },
        });
      }
      const pending = makePendingRecord(record, this.#settings.crc32c);
      this.#queueBytes += pending.bytes;
      this.#queue.push({ ...pending, resolve, reject });
      this.#startCommitting();
    });
  }

  /** The directory is one process's, and whoever opens it again in that closes this first. */
  async confirm(): Promise<void> {
    if (this.#isClosed) throw createClosedError();
  }

  confirmedUntilMs(): number {
    return this.#isClosed ? 0 : Infinity;
  }

  async *read(
    from: bigint,
    onDamage?: (damage: WalDamage) => void,
  ): AsyncGenerator<WalEntry> {
    const end = this.#last;
    const report = (found: WalDamage): void => {
      if (found.to < from || found.from > found.to) return;
      const damage = this.#nameDamage(found);
      if (onDamage === undefined) throw createDamageError(damage);
      onDamage(damage);
    };
    let expected = this.#firstSequence;
    for (const file of [...this.#files]) {
      report({ file: file.path, offset: 0, from: expected, to: min(file.first - 1n, end) });
      const last = min(file.last, end);
      if (last >= from && last >= file.first) {
        const isPatient = onDamage !== undefined;
        const isKept = (): boolean => this.#files.includes(file);
        yield* readLogFile(this.#settings, file, { from, last, isPatient, isKept, report });
      }
      if (file.last >= expected) expected = file.last + 1n;
    }
    const file = this.#files.at(-1)?.path ?? this.#settings.directory;
    report({ file, offset: 0, from: expected, to: end });
  }

  truncate(before: bigint): Promise<void> {
    if (this.#isClosed) return Promise.reject(createClosedError());
    const truncated = this.#truncating.then(() => this.#dropFiles(before));
    this.#truncating = truncated.catch(() => undefined);
    return truncated;
  }

  bytes(): number {
    let bytes = 0;
    for (const file of this.#files) bytes += file.bytes;
    return bytes;
  }

  firstPosition(): bigint {
    const file = this.#files.find((candidate) => candidate.first <= candidate.last);
    return file === undefined ? this.#last + 1n : file.first;
  }

  lastPosition(): bigint {
    return this.#last;
  }

  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Once: the files may be another owner's afterwards. */
  async #close(): Promise<void> {
    this.#isClosed = true;
    while (this.#committing !== undefined) await this.#committing;
    await this.#truncating;
    if (this.#files.length > 0) await this.#recordSpan().catch(() => undefined);
    const spare = await this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) await discardFile(this.#settings.fileSystem, spare);
    const active = this.#active;
    this.#active = undefined;
    if (active !== undefined) await this.#retire(active);
  }

  #startCommitting(): void {
    if (this.#committing !== undefined) return;
    this.#committing = this.#commitAll().finally(() => {
      this.#committing = undefined;
      if (this.#queue.length > 0) this.#startCommitting();
    });
  }

  async #commitAll(): Promise<void> {
    // One turn later, so that appends of the same turn share the first fsync.
    await Promise.resolve();
    while (this.#queue.length > 0) {
      let active: ActiveFile;
      try {
        active = await this.#requireRoom(this.#queue[0]!.bytes);
      } catch (error) {
        const need = this.#queueBytes;
        await this.#rejectAll(this.#queue.splice(0), error, this.#settings.directory, need);
        continue;
      }
      await this.#commitBatch(active, this.#takeBatch(active));
    }
  }

  /** Returns the active file if it has room for a record of these bytes, else begins a new one. */
  async #requireRoom(bytes: number): Promise<ActiveFile> {
    const active = this.#active;
    if (active !== undefined) {
      if (active.file.bytes + bytes <= active.capacityBytes) return active;
      this.#active = undefined;
      await this.#retire(active);
    }
    return this.#beginFile(bytes);
  }

  async #beginFile(bytes: number): Promise<ActiveFile> {
    const { fileSystem, directory, fileBytes, firstFileBytes } = this.#settings;
    // Once after a clean stop: what the note says must be true before the first acknowledgement.
    if (this.#isNotedLast) await this.#recordSpan();
    this.#isNotedLast = false;
    const needBytes = HEADER_BYTES + bytes;
    let spare: Spare | undefined;
    if (needBytes <= fileBytes) {
      spare = await this.#spare;
      this.#spare = undefined;
    }
    if (spare === undefined) {
      const isHuge = needBytes > fileBytes;
      const wantBytes = Math.max(firstFileBytes, HEADER_BYTES + this.#queueBytes);
      const filledBytes = Math.max(needBytes, Math.min(wantBytes, fileBytes));
      const capacityBytes = isHuge ? needBytes : filledBytes;
      const options = { capacityBytes, isFilled: !isHuge, isSynced: false };
      spare = await prepareSpare(fileSystem, directory, options);
    }
    const place = {
      number: this.#nextNumber++,
      previousNumber: Math.max(this.#files.at(-1)?.number ?? 0, this.#lostNumber),
      first: this.#last + 1n,
    };
    this.#active = await activateSpare(fileSystem, directory, spare, place);
    return this.#active;
  }

  #takeBatch(active: ActiveFile): Waiting[] {
    const room = Math.min(active.capacityBytes - active.file.bytes, BATCH_BYTES_MAX);
    let bytes = 0;
    let count = 0;
    for (const waiting of this.#queue) {
      if (count > 0 && bytes + waiting.bytes > room) break;
      bytes += waiting.bytes;
      count++;
    }
    return this.#queue.splice(0, count);
  }

  async #commitBatch(active: ActiveFile, waiting: readonly Waiting[]): Promise<void> {
    let bytes = 0;
    for (const record of waiting) bytes += record.bytes;
    try {
      await this.#writeBatch(active, waiting);
    } catch (error) {
      await this.#giveUp(active);
      await this.#rejectAll(waiting, error, active.file.path, bytes);
      await this.#fence();
      return;
    }
    this.#queueBytes -= bytes;
    active.file.bytes += bytes;
    if (this.#isFailing) this.#settings.onFailure(undefined);
    this.#isFailing = false;
    for (const record of waiting) {
      this.#last += 1n;
      active.file.last = this.#last;
      record.resolve(this.#last);
    }
    this.#prepareNext(active);
  }

  /** Writes the records, and the header before the first of them, and syncs. */
  async #writeBatch(active: ActiveFile, waiting: readonly PendingRecord[]): Promise<void> {
    const { crc32c } = this.#settings;
    const { file } = active;
    const batch = new Batch();
    if (!active.isBegun) batch.add(this.#makeHeader(active));
    let sequence = this.#last;
    for (const record of waiting) {
      sequence += 1n;
      const head = { epoch: file.epoch, sequence, lastDurableSequence: this.#last };
      batch.addRecord(record, head, crc32c);
    }
    await writeAll(active.handle, batch.finish(), active.isBegun ? file.bytes : 0);
    await active.handle.fdatasync();
    if (active.isBegun) return;
    this.#files.push(file);
    active.isBegun = true;
    // Not waited for: it serves to notice later that a whole file has been lost. A failure leaves
    // the file before as the last one known.
    this.#recordSpan().catch(() => undefined);
  }

  /** Has the disk know which files there are to be. */
  #recordSpan(): Promise<void> {
    const recorded = this.#spanning.then(() => {
      const { fileSystem, directory, crc32c } = this.#settings;
      const last = Math.max(this.#files.at(-1)?.number ?? 0, this.#lostNumber);
      const isLast = this.#isClosed;
      const span = { first: this.#oldestNumber, last, lastSequence: this.#last, isLast };
      return writeSpan(fileSystem, directory, span, crc32c);
    });
    this.#spanning = recorded.catch(() => undefined);
    return recorded;
  }

  #makeHeader(active: ActiveFile): Uint8Array {
    const header = {
      version: FORMAT_VERSION,
      number: active.file.number,
      epoch: active.file.epoch,
      firstSequence: active.file.first,
      lastDurableSequence: this.#last,
      previousNumber: active.previousNumber,
    };
    return encodeHeader(header, this.#settings.crc32c);
  }

  /** Leaves a file after a failed write or fsync; nothing will be written to it again. */
  async #giveUp(active: ActiveFile): Promise<void> {
    this.#active = undefined;
    if (active.isBegun) await closeQuietly(active.handle);
    else await discardFile(this.#settings.fileSystem, getDiscarded(active));
  }

  /**
   * After a failure, begins the next file at once: its header says where the acknowledged records
   * of the file before end, so that rejected ones, which a later start may find whole in the page
   * cache, are not replayed. If that fails too, the next append tries again.
   */
  async #fence(): Promise<void> {
    try {
      const active = await this.#beginFile(0);
      try {
        await this.#writeBatch(active, []);
      } catch (error) {
        await this.#giveUp(active);
        throw error;
      }
    } catch {
      // The appends that led here have been answered; the next ones will see the disk's state.
    }
  }

  async #rejectAll(
    waiting: readonly Waiting[],
    error: unknown,
    file: string,
    needBytes: number,
  ): Promise<void> {
    const { fileSystem, directory } = this.#settings;
    for (const record of waiting) this.#queueBytes -= record.bytes;
    const reason = await toIoError(error, { fileSystem, directory, place: { file }, needBytes });
    this.#isFailing = true;
    this.#settings.onFailure(reason);
    for (const record of waiting) record.reject(reason);
  }

  /** Has the next file filled with zeros in the background once the active one is half full. */
  #prepareNext(active: ActiveFile): void {
    if (this.#spare !== undefined || active.file.bytes * 2 < active.capacityBytes) return;
    const { fileSystem, directory, fileBytes } = this.#settings;
    const options = { capacityBytes: fileBytes, isFilled: true, isSynced: true };
    // A failure shows again, with someone to tell, when the file is needed.
    this.#spare = prepareSpare(fileSystem, directory, options).catch(() => undefined);
  }

  /** Closes a full file and gives back what was prepared behind its records. */
  async #retire(active: ActiveFile): Promise<void> {
    if (!active.isBegun) return this.#giveUp(active);
    try {
      await active.handle.truncate(active.file.bytes);
      await active.handle.fdatasync();
    } catch {
      // Its records are durable already; zeros behind them do no harm.
    }
    await closeQuietly(active.handle);
  }

  /** Names the file that the opening found to be damaged or missing there, if it did. */
  #nameDamage(damage: WalDamage): WalDamage {
    const { from, to } = damage;
    const found = this.#damage.find((other) => other.from <= to && other.to >= from);
    return found === undefined ? damage : { ...damage, file: found.file, offset: found.offset };
  }

  /** Oldest first and each removal synced, so that a power cut never leaves a hole in the chain. */
  async #dropFiles(before: bigint): Promise<void> {
    const { fileSystem, directory } = this.#settings;
    if (before > this.#firstSequence) this.#firstSequence = before;
    this.#damage = this.#damage.filter(({ to }) => to >= before);
    const keptAt = this.#files.findIndex(
      (file, i) => file.last >= before || i === this.#files.length - 1,
    );
    const oldest = this.#files[keptAt]?.number ?? 0;
    const isMissed = keptAt === 0 && this.#damage.length > 0;
    if (oldest > this.#oldestNumber && !isMissed) {
      this.#oldestNumber = oldest;
      // A full disk must not keep the log from being cut: without the note nothing is missed.
      await this.#recordSpan().catch(() => removeSpan(fileSystem, directory));
    }
    while (this.#files.length > 1 && this.#files[0]!.number < this.#oldestNumber) {
      const file = this.#files[0]!;
      try {
        await fileSystem.unlink(file.path).catch((error: unknown) => {
          if (getErrorCode(error) !== 'ENOENT') throw error;
        });
        await fileSystem.syncDirectory(directory);
      } catch (error) {
        throw await toIoError(error, { fileSystem, directory, place: { file: file.path } });
      }
      this.#files.shift();
    }
  }
}

function getDiscarded(active: ActiveFile): { handle: FileHandle; path: string } {
  return { handle: active.handle, path: active.file.path };
}

function createDamageError(damage: WalDamage): MilvusError {
  return new MilvusError('DataIntegrity', { message: describeDamage(damage) });
}
