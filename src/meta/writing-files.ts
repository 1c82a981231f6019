// Files that are being written. Each has a record before its first byte, which goes in the very
// transaction that names the file, or in the one that makes it garbage: so no file stays behind
// unnamed, and a file that was given up can never be named by a commit that comes late.
// A coordinator has one of these for the files that it has written; records that an earlier process
// left are garbage from the start.

import type { Catalog, CatalogWrite } from './catalog.ts';
import { KEYS } from './catalog.ts';
import { makeGarbage } from './garbage.ts';
import { MilvusError } from '../model/error.ts';

interface Writing {
  readonly collectionId: bigint;
  readonly revision: bigint;
}

/** Files that one transaction gives up: a comparison and a delete each, and the garbage record. */
const FILES_PER_TRANSACTION = 50;

export class WritingFiles {
  readonly #catalog: Catalog;
  readonly #nowMs: () => number;
  readonly #files = new Map<string, Writing>();
  /** Given up, while the record of that could not be written yet. */
  readonly #givenUp = new Set<string>();
  /** One at a time: two would give up the same files, and the second be refused. */
  #recording: Promise<void> = Promise.resolve();

  constructor(catalog: Catalog, nowMs: () => number) {
    this.#catalog = catalog;
    this.#nowMs = nowMs;
  }

  /** Makes garbage of what an earlier process was writing in these folders of the storage. */
  async clear(folders: readonly string[]): Promise<void> {
    const records = await this.#catalog.list('writing');
    const mine = records.filter(({ file }) => folders.some((folder) => file.startsWith(folder)));
    for (let from = 0; from < mine.length; from += FILES_PER_TRANSACTION) {
      const some = mine.slice(from, from + FILES_PER_TRANSACTION);
      const removals = some.map(({ collectionId, file }) => ({
        key: KEYS.writing(collectionId, file),
        record: undefined,
      }));
      const files = some.map(({ file }) => file);
      await this.#catalog.write([...removals, ...makeGarbage({ files }, this.#nowMs())]);
    }
  }

  /** Records a file that is about to be written. */
  async begin(collectionId: bigint, file: string): Promise<void> {
    // What could not be recorded when it was given up gets another chance; so they cannot pile up.
    await this.#recordGivenUp();
    const key = KEYS.writing(collectionId, file);
    const record = { collectionId, file };
    const revision = await this.#catalog.write([{ key, record, expected: 'absent' }]);
    this.#files.set(file, { collectionId, revision });
  }

  /**
   * What a transaction that names these files must hold: it is refused when one was given up.
   * `end` follows when it has been written. @throws MilvusError SegmentNotFound, the same
   */
  listRemovals(files: readonly string[]): CatalogWrite[] {
    return files.map((file) => {
      const writing = this.#files.get(file);
      if (writing === undefined || this.#givenUp.has(file)) {
        throw new MilvusError('SegmentNotFound', {
          message: 'the file is not being written: it was given up',
          fields: { file },
        });
      }
      const { collectionId, revision } = writing;
      return { key: KEYS.writing(collectionId, file), record: undefined, expected: revision };
    });
  }

  /** These are named. */
  end(files: readonly string[]): void {
    for (const file of files) this.#forget(file);
  }

  /**
   * These will not be named: they become garbage, there or not. Not while a transaction that names
   * one of them is under way. Never rejects: where the record cannot be written now, `begin` tries
   * again, and so does the next start.
   */
  async giveUp(files: readonly string[]): Promise<void> {
    for (const file of files) if (this.#files.has(file)) this.#givenUp.add(file);
    await this.#recordGivenUp().catch(() => undefined);
  }

  #recordGivenUp(): Promise<void> {
    const recorded = this.#recording.then(() => this.#recordSome());
    this.#recording = recorded.catch(() => undefined);
    return recorded;
  }

  async #recordSome(): Promise<void> {
    const files = [...this.#givenUp].slice(0, FILES_PER_TRANSACTION);
    if (files.length === 0) return;
    const removals = files.map((file): CatalogWrite => {
      const { collectionId, revision } = this.#files.get(file)!;
      return { key: KEYS.writing(collectionId, file), record: undefined, expected: revision };
    });
    try {
      await this.#catalog.write([...removals, ...makeGarbage({ files }, this.#nowMs())]);
    } catch (error) {
      // Some transaction whose answer was lost may have settled one of them.
      for (const [i, { key }] of removals.entries()) {
        if ((await this.#catalog.find(key)) === undefined) this.#forget(files[i]!);
      }
      throw error;
    }
    files.forEach((file) => this.#forget(file));
  }

  #forget(file: string): void {
    this.#givenUp.delete(file);
    this.#files.delete(file);
  }
}
