// Reads every file of the storage against its checksums, one after another and again and again
// (R16): a disk that loses bits is noticed while a copy or a backup may still have them. Walks the
// collections in rounds; of each the files are listed when its turn comes.

import type { Runtime } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { StoredFile } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';
import { toMilvusError } from '../../rpc/status.ts';
import type { SegmentTable } from './segment-table.ts';

export interface ScrubberDeps {
  readonly peers: Peers;
  readonly logger: Logger;
  /** Between two files; 0 = never. */
  readonly scrubIntervalMs: number;
  readonly runtime: Runtime;
}

export class Scrubber {
  readonly #deps: ScrubberDeps;
  readonly #table: SegmentTable;
  readonly #abort = new AbortController();
  #running: Promise<void> = Promise.resolve();

  constructor(deps: ScrubberDeps, table: SegmentTable) {
    this.#deps = deps;
    this.#table = table;
  }

  start(): void {
    if (this.#deps.scrubIntervalMs > 0) this.#running = this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    while (await this.#pause()) {
      for (const collectionId of this.#table.collectionIds()) {
        for (const stored of await this.#list(collectionId)) {
          if (this.#isStored(collectionId, stored)) await this.#verify(collectionId, stored);
          if (!(await this.#pause())) return;
        }
      }
    }
  }

  /** False when the scrub ends. */
  async #pause(): Promise<boolean> {
    const { scrubIntervalMs, runtime } = this.#deps;
    const { signal } = this.#abort;
    await runtime.sleep(scrubIntervalMs, signal).catch(() => undefined);
    return !signal.aborted;
  }

  async #list(collectionId: bigint): Promise<StoredFile[]> {
    const stored: StoredFile[] = [];
    for (const segment of this.#table.listFlushed(collectionId)) {
      stored.push({ kind: 'segment', segment });
    }
    for (const { vchannel, deleteFiles } of this.#table.listChannels(collectionId)) {
      for (const deletes of deleteFiles) stored.push({ kind: 'deletes', vchannel, deletes });
    }
    try {
      const { files } = await this.#deps.peers.indexcoord.listIndexFiles({ collectionId }, {});
      for (const index of files) if (index.file !== '') stored.push({ kind: 'index', index });
    } catch (error) {
      const fields = { collectionId: String(collectionId), error };
      this.#deps.logger.warn(fields, 'index files not listed for the scrub');
    }
    return stored;
  }

  /** What was merged, dropped or replaced meanwhile has no file any more, or soon. */
  #isStored(collectionId: bigint, stored: StoredFile): boolean {
    switch (stored.kind) {
      case 'segment': {
        const { segmentId, file } = stored.segment;
        return this.#table.find(collectionId, segmentId)?.file === file;
      }
      case 'deletes': {
        const { deleteFiles } = this.#table.getChannel(collectionId, stored.vchannel);
        return deleteFiles.some(({ file }) => file === stored.deletes.file);
      }
      case 'index':
        // The index coordinator knows, and is asked when it matters.
        return true;
    }
  }

  async #verify(collectionId: bigint, stored: StoredFile): Promise<void> {
    const { peers, logger } = this.#deps;
    try {
      await peers.datanode.verify({ stored }, {});
    } catch (error) {
      if (this.#abort.signal.aborted || !this.#isStored(collectionId, stored)) return;
      const fields = { collectionId: String(collectionId), kind: stored.kind, error };
      logger.error(fields, 'a file is damaged or cannot be read');
      await this.#report(stored, error).catch((failure: unknown) => {
        logger.error({ ...fields, failure }, 'a damaged file could not be reported');
      });
    }
  }

  /** An index file is made anew; for anything else the shard stops. What may pass is logged. */
  async #report(stored: StoredFile, error: unknown): Promise<void> {
    const { peers } = this.#deps;
    const { errorName, message: reason } = toMilvusError(error);
    if (errorName !== 'DataIntegrity') return;
    if (stored.kind === 'index') {
      await peers.indexcoord.reportDamagedFile({ file: stored.index, reason }, {});
      return;
    }
    const { vchannel } = stored.kind === 'segment' ? stored.segment : stored;
    await peers.shard(vchannel).reportDamage({ vchannel, reason }, {});
  }
}
