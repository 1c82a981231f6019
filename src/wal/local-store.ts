// Write-ahead logs in files: a folder for each pchannel. The lock of the data directory keeps other
// processes away, so who owns a log is known here. Invariant: a folder is written by one log at a
// time. Terms are remembered as long as the process lives; over starts the metadata have them.

import { LocalFileWal, type LocalFileWalOptions } from './local-file.ts';
import { createOldTermError } from './refusals.ts';
import type { LogStore } from './wal.ts';

export interface LocalLogStoreOptions extends LocalFileWalOptions {
  /** Its files are in the directory itself; those of the others in folders of their names. */
  readonly firstPchannel: string;
}

interface Log {
  readonly term: number;
  readonly wal: Promise<LocalFileWal>;
}

export class LocalLogStore implements LogStore {
  readonly #options: LocalLogStoreOptions;
  readonly #logs = new Map<string, Log>();

  constructor(options: LocalLogStoreOptions) {
    this.#options = options;
  }

  open(pchannel: string, term: number): Promise<LocalFileWal> {
    const before = this.#logs.get(pchannel);
    if (before !== undefined && term < before.term) {
      return Promise.reject(createOldTermError(pchannel, term, before.term));
    }
    const wal = this.#openAfter(before, pchannel);
    this.#logs.set(pchannel, { term, wal });
    return wal;
  }

  async #openAfter(before: Log | undefined, pchannel: string): Promise<LocalFileWal> {
    // Without one that could not be opened nobody writes.
    const owned = await before?.wal.catch(() => undefined);
    await owned?.close();
    const { firstPchannel, directory, ...options } = this.#options;
    const isFirst = pchannel === firstPchannel;
    return LocalFileWal.open({
      ...options,
      directory: isFirst ? directory : `${directory}/${pchannel}`,
    });
  }
}
