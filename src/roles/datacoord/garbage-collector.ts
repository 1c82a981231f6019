// The one owner of removal: takes garbage records in order of due, removes the files that they
// name, then the record; what fails is tried again, also after a restart. Bounded: one record at a
// time, a file at a time, nothing held in memory but the records of one look.
// At start, beside everything else, it makes garbage of files that no record names: those of data
// directories from before there were records of what is being written.

import type { Logger } from '../../base/logger.ts';
import type { Runtime } from '../../base/clock.ts';
import type { Catalog, GarbageRecord } from '../../meta/catalog.ts';
import { GARBAGE_FILES_MAX, GARBAGE_GRACE_MS, makeGarbage } from '../../meta/garbage.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';

export interface GarbageCollectorDeps {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  readonly logger: Logger;
  readonly runtime: Runtime;
}

/** Folders of the storage whose files have records; everything else in it is someone else's. */
const OWNED_PREFIXES = ['segments/', 'deletes/', 'indexes/'];
/** Records taken at a look. */
const RECORDS_PER_LOOK = 100;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 60_000;

export class GarbageCollector {
  readonly #deps: GarbageCollectorDeps;
  readonly #stop = new AbortController();
  /** Ends the wait for a first record. */
  #wake = new AbortController();
  #running: Promise<unknown> = Promise.resolve();

  constructor(deps: GarbageCollectorDeps) {
    this.#deps = deps;
  }

  start(): void {
    this.#running = Promise.all([this.#run(), this.#findOrphans()]);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const unwatch = this.#deps.catalog.watch('garbage', () => this.#wake.abort());
    let retryMs = RETRY_MS_MIN;
    while (!this.#stop.signal.aborted) {
      this.#wake = new AbortController();
      try {
        const waitMs = await this.#collectDue();
        retryMs = RETRY_MS_MIN;
        if (waitMs > 0) await this.#waitForMore(waitMs);
      } catch (error) {
        if (this.#stop.signal.aborted) break;
        this.#deps.logger.warn({ error, retryMs }, 'files not removed; tried again');
        await this.#deps.runtime.sleep(retryMs, this.#stop.signal).catch(() => undefined);
        retryMs = Math.min(2 * retryMs, RETRY_MS_MAX);
      }
    }
    unwatch();
  }

  /** Returns how long to wait for the next record: 0 = it may be due, Infinity = there is none. */
  async #collectDue(): Promise<number> {
    const { catalog, runtime } = this.#deps;
    let firstError: unknown;
    let waitMs = Infinity;
    for (const { key, record } of await catalog.listFirst('garbage', RECORDS_PER_LOOK)) {
      const leftMs = record.dueMs - runtime.nowMs();
      if (leftMs > 0) waitMs = Math.min(waitMs, leftMs, GARBAGE_GRACE_MS);
      if (leftMs > 0 && leftMs <= GARBAGE_GRACE_MS) break;
      try {
        if (leftMs <= 0) await this.#remove(record);
        // Due later than any can be: by a clock that was ahead.
        const again = leftMs <= 0 ? [] : makeGarbage(record, runtime.nowMs());
        await catalog.write([{ key, record: undefined }, ...again]);
      } catch (error) {
        // One that fails does not hold up the others.
        firstError ??= error;
      }
      this.#stop.signal.throwIfAborted();
    }
    if (firstError !== undefined) throw firstError;
    if (waitMs < Infinity) return waitMs;
    return (await catalog.listFirst('garbage', 1)).length > 0 ? 0 : Infinity;
  }

  async #remove({ files, prefixes }: GarbageRecord): Promise<void> {
    const { storage } = this.#deps;
    for (const file of files) await this.#removeFile(file);
    for (const prefix of prefixes) {
      for await (const { key } of storage.list(prefix)) await this.#removeFile(key);
    }
  }

  async #removeFile(key: string): Promise<void> {
    this.#stop.signal.throwIfAborted();
    await this.#deps.storage.remove(key);
  }

  /** So long, or until a record is written. */
  async #waitForMore(delayMs: number): Promise<void> {
    const signal = AbortSignal.any([this.#stop.signal, this.#wake.signal]);
    if (signal.aborted) return;
    if (delayMs < Infinity) {
      await this.#deps.runtime.sleep(delayMs, signal).catch(() => undefined);
      return;
    }
    await new Promise<void>((resolve) => {
      signal.addEventListener('abort', () => resolve(), { once: true });
    });
  }

  /**
   * A file that no record names is looked at twice, because one that is written meanwhile is no
   * orphan: what is being written is read before the records that would name it.
   */
  async #findOrphans(): Promise<void> {
    const { catalog, storage, logger, runtime } = this.#deps;
    const { signal } = this.#stop;
    try {
      let known = await this.#listNamed();
      const unnamed: string[] = [];
      for (const prefix of OWNED_PREFIXES) {
        for await (const { key } of storage.list(prefix)) {
          if (signal.aborted) return;
          if (!known(key)) unnamed.push(key);
        }
      }
      if (unnamed.length === 0) return;
      const writing = new Set((await catalog.list('writing')).map(({ file }) => file));
      known = await this.#listNamed();
      const orphans = unnamed.filter((file) => !writing.has(file) && !known(file));
      for (let from = 0; from < orphans.length; from += GARBAGE_FILES_MAX) {
        const files = orphans.slice(from, from + GARBAGE_FILES_MAX);
        await catalog.write(makeGarbage({ files }, runtime.nowMs()));
      }
      if (orphans.length > 0) logger.info({ count: orphans.length }, 'files without record found');
    } catch (error) {
      if (!signal.aborted) logger.warn({ error }, 'files without record not looked for');
    }
  }

  /** Tells whether some record names a file, garbage included. */
  async #listNamed(): Promise<(file: string) => boolean> {
    const { catalog } = this.#deps;
    const files = new Set<string>();
    const prefixes: string[] = [];
    for await (const { file } of catalog.each('segment')) files.add(file);
    for await (const { file } of catalog.each('index-file')) files.add(file);
    for await (const { deleteFiles } of catalog.each('channel')) {
      for (const { file } of deleteFiles) files.add(file);
    }
    for await (const garbage of catalog.each('garbage')) {
      for (const file of garbage.files) files.add(file);
      for (const prefix of garbage.prefixes) prefixes.push(prefix);
    }
    return (file) => files.has(file) || prefixes.some((prefix) => file.startsWith(prefix));
  }
}
