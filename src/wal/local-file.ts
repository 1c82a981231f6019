// The write-ahead log in files of one directory (docs/formats/wal.md): group commit into prepared
// files. Invariants (R9): one write and one fsync at a time, a batch within one file; a record is
// acknowledged only after the fsync that covers it; after a failed write or fsync its file is never
// appended to again. Not here: exclusive access to the directory (the server's lock), and what the
// records mean.

import { MilvusError } from '../model/error.ts';
import { getErrorCode, makeDurableDirectory, writeAll } from '../base/file-helpers.ts';
import type { FileHandle, FileSystem } from '../base/file-system.ts';
import { Batch, makePendingRecord } from './batch.ts';
import type { PendingRecord } from './batch.ts';
import { crc32c as crc32cByTable } from '../base/crc32c.ts';
import type { Crc32c } from '../base/crc32c.ts';
import { toIoError } from './io-error.ts';
import { activateSpare, closeQuietly, discardFile, prepareSpare } from './log-file.ts';
import type { ActiveFile, Spare } from './log-file.ts';
import { encodeHeader, FORMAT_VERSION, HEADER_BYTES } from './record-format.ts';
import { recoverFiles, reportDamage } from './recovery.ts';
import type { Recovered, WalDamage, WalFile } from './recovery.ts';
import { scanRecords } from './record-scanner.ts';
import { CHANNEL_BYTES_MAX, RECORD_BYTES_MAX } from './wal.ts';
import type { Wal, WalEntry } from './wal.ts';

const MIB = 1024 * 1024;
/** A batch ends here though more waits: bounds the wait of the first in line. */
const BATCH_BYTES_MAX = 32 * MIB;
const CHANNELS_CACHED_MAX = 4096;

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
  /** Starts and reads on without acknowledged records that are damaged. Default false. */
  readonly acceptDamage?: boolean;
  /** Told of every damage that was accepted. */
  readonly onDamage?: (damage: WalDamage) => void;
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
  readonly #channels = new Map<string, Uint8Array>();
  #queue: Waiting[] = [];
  #queueBytes = 0;
  #last: bigint;
  #nextNumber: number;
  #active: ActiveFile | undefined;
  #spare: Promise<Spare | undefined> | undefined;
  #committing: Promise<void> | undefined;
  #truncating: Promise<void> = Promise.resolve();
  #isClosed = false;

  private constructor(settings: Settings, recovered: Recovered) {
    this.#settings = settings;
    this.#files = recovered.files;
    this.#last = recovered.lastSequence;
    this.#nextNumber = recovered.nextNumber;
  }

  /**
   * Opens the log and cuts its torn tail. Reads the headers of all files and the records of the
   * last. Later damage in older files is found by read.
   * @throws MilvusError DataIntegrity naming file and offset of damage, DiskLimitExceeded, IoFailed
   */
  static async open(options: LocalFileWalOptions): Promise<LocalFileWal> {
    const settings: Settings = {
      fileBytes: 64 * MIB,
      firstFileBytes: 4 * MIB,
      queueBytesMax: 256 * MIB,
      crc32c: crc32cByTable,
      acceptDamage: false,
      onDamage: () => undefined,
      ...options,
    };
    const { fileSystem, directory } = settings;
    try {
      await makeDurableDirectory(fileSystem, directory);
      return new LocalFileWal(settings, await recoverFiles(settings));
    } catch (error) {
      throw await toIoError(error, { fileSystem, directory, file: directory });
    }
  }

  append(channel: string, record: readonly Uint8Array[]): Promise<bigint> {
    return new Promise((resolve, reject) => {
      if (this.#isClosed) throw closedError();
      const name = this.#encodeChannel(channel);
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
      const pending = makePendingRecord(name, record, this.#settings.crc32c);
      this.#queueBytes += pending.bytes;
      this.#queue.push({ ...pending, resolve, reject });
      this.#startCommitting();
    });
  }

  async *read(from: bigint): AsyncGenerator<WalEntry> {
    const end = this.#last;
    for (const file of [...this.#files]) {
      const last = file.last < end ? file.last : end;
      if (last >= from && last >= file.first) yield* this.#readFile(file, from, last);
    }
  }

  truncate(before: bigint): Promise<void> {
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

  async close(): Promise<void> {
    this.#isClosed = true;
    while (this.#committing !== undefined) await this.#committing;
    await this.#truncating;
    const spare = await this.#spare;
    this.#spare = undefined;
    if (spare !== undefined) await discardFile(this.#settings.fileSystem, spare);
    const active = this.#active;
    this.#active = undefined;
    if (active !== undefined) await this.#retire(active);
  }

  #encodeChannel(channel: string): Uint8Array {
    const cached = this.#channels.get(channel);
    if (cached !== undefined) return cached;
    const bytes = new TextEncoder().encode(channel);
    if (bytes.byteLength > CHANNEL_BYTES_MAX) {
      throw new MilvusError('ParameterTooLarge', {
        message: 'channel name is too long',
        fields: { bytes: bytes.byteLength, limit: CHANNEL_BYTES_MAX },
      });
    }
    if (this.#channels.size >= CHANNELS_CACHED_MAX) this.#channels.clear();
    this.#channels.set(channel, bytes);
    return bytes;
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
      previousNumber: this.#files.at(-1)?.number ?? 0,
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
    if (!active.isBegun) this.#files.push(file);
    active.isBegun = true;
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
    const reason = await toIoError(error, { fileSystem, directory, file, needBytes });
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

  async *#readFile(file: WalFile, from: bigint, last: bigint): AsyncGenerator<WalEntry> {
    const { fileSystem, directory, crc32c, acceptDamage } = this.#settings;
    let handle;
    try {
      handle = await fileSystem.open(file.path, 'read');
    } catch (error) {
      if (!this.#files.includes(file)) return;
      throw await toIoError(error, { fileSystem, directory, file: file.path });
    }
    const decodeChannel = makeChannelDecoder();
    const options = { epoch: file.epoch, crc32c, stopAtBad: !acceptDamage };
    let expected = file.first;
    let offset = HEADER_BYTES;
    try {
      for await (const item of scanRecords(handle, options)) {
        if (item.kind === 'bad') continue;
        if (item.sequence > last) break;
        if (item.sequence < expected) continue;
        if (item.sequence > expected) this.#report(file, offset, expected, item.sequence - 1n);
        const place = `${file.path}, offset ${offset}`;
        offset = item.endOffset;
        expected = item.sequence + 1n;
        if (item.sequence >= from) {
          const channel = decodeChannel(item.channel);
          yield { position: item.sequence, channel, place, record: item.payload };
        }
        if (expected > last) break;
      }
      if (expected <= last) this.#report(file, offset, expected, last);
    } catch (error) {
      throw await toIoError(error, { fileSystem, directory, file: file.path });
    } finally {
      await closeQuietly(handle);
    }
  }

  #report(file: WalFile, offset: number, from: bigint, to: bigint): void {
    reportDamage(this.#settings, { file: file.path, offset, from, to });
  }

  /** Oldest first and each removal synced, so that a power cut never leaves a hole in the chain. */
  async #dropFiles(before: bigint): Promise<void> {
    const { fileSystem, directory } = this.#settings;
    while (this.#files.length > 1 && this.#files[0]!.last < before) {
      const file = this.#files[0]!;
      try {
        await fileSystem.unlink(file.path).catch((error: unknown) => {
          if (getErrorCode(error) !== 'ENOENT') throw error;
        });
        await fileSystem.syncDirectory(directory);
      } catch (error) {
        throw await toIoError(error, { fileSystem, directory, file: file.path });
      }
      this.#files.shift();
    }
  }
}

function getDiscarded(active: ActiveFile): { handle: FileHandle; path: string } {
  return { handle: active.handle, path: active.file.path };
}

function closedError(): MilvusError {
  return new MilvusError('ServiceUnavailable', { message: 'write-ahead log is closed' });
}

/** Decodes names, remembering the last: most records of a run are of few channels. */
function makeChannelDecoder(): (bytes: Uint8Array) => string {
  let lastBytes = Buffer.alloc(0);
  let lastName = '';
  return (bytes) => {
    if (!lastBytes.equals(bytes)) {
      lastBytes = Buffer.from(bytes);
      lastName = lastBytes.toString('utf8');
    }
    return lastName;
  };
}
