// Reads each file that the query node has opened against its checksums, once, soon afterwards
// (R16): opening has compared headers and tables only. One file at a time, at a rate that gets
// through what waits in time. What is damaged is reported to whoever owns it: an index file is made
// anew, a segment's shard stops. Not here: looking again later, which is the scrub's.

import type { Runtime } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { IndexFile, SegmentInfo } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';
import { toMilvusError } from '../../rpc/status.ts';
import { verifyIndexFile, verifySegment, type VerifyOptions } from '../../segment/verify-file.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';

export interface FileVerifierDeps {
  readonly storage: ObjectStorage;
  readonly peers: Peers;
  readonly logger: Logger;
  readonly runtime: Runtime;
}

/** What was opened; `damage` when opening it has failed already. */
export type OpenedFile =
  | { readonly kind: 'segment'; readonly segment: SegmentInfo }
  | { readonly kind: 'index'; readonly index: IndexFile; readonly damage?: unknown };

/** A start has opened everything by then, and a seal or a build has become visible. */
const DELAY_MS = 2000;
/** What waits is read within this time, which with the delay is less than ten minutes. */
const WITHIN_MS = 480_000;
/** The least rate: 64 MiB/s are 1 % of a core. 30 GiB are read in time at this rate. */
const BYTES_PER_MS_MIN = (64 * 1024 * 1024) / 1000;

export class FileVerifier {
  readonly #deps: FileVerifierDeps;
  readonly #isHeld: (file: OpenedFile) => boolean;
  /** By storage key: bounded by the files that are held and those that have just been let go. */
  readonly #waiting = new Map<string, OpenedFile>();
  #waitingBytes = 0;
  readonly #abort = new AbortController();
  #running: Promise<void> | undefined;

  /** @param isHeld  whether the file is still in use: one that is not may be gone */
  constructor(deps: FileVerifierDeps, isHeld: (file: OpenedFile) => boolean) {
    this.#deps = deps;
    this.#isHeld = isHeld;
  }

  add(opened: OpenedFile): void {
    if (this.#abort.signal.aborted) return;
    const { file, fileBytes } = getFile(opened);
    if (!this.#waiting.has(file)) this.#waitingBytes += fileBytes;
    this.#waiting.set(file, opened);
    this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    const { runtime } = this.#deps;
    const { signal } = this.#abort;
    await runtime.sleep(DELAY_MS, signal).catch(() => undefined);
    for (;;) {
      const [next] = this.#waiting;
      if (next === undefined || signal.aborted) {
        // In this turn: who adds a file from now on starts a new run.
        this.#running = undefined;
        return;
      }
      const [file, opened] = next;
      await this.#verify(opened);
      // Another file of that key may have taken its place meanwhile.
      if (this.#waiting.get(file) !== opened) continue;
      this.#waiting.delete(file);
      this.#waitingBytes -= getFile(opened).fileBytes;
    }
  }

  async #verify(opened: OpenedFile): Promise<void> {
    const { storage, logger } = this.#deps;
    const options = { signal: this.#abort.signal, onPiece: this.#keepPace };
    try {
      if (opened.kind === 'index' && opened.damage !== undefined) throw opened.damage;
      if (!this.#isHeld(opened)) return;
      await read(storage, opened, options);
    } catch (error) {
      if (this.#abort.signal.aborted) return;
      const { file } = getFile(opened);
      await this.#report(opened, error).catch((failure: unknown) => {
        logger.error({ file, error, failure }, 'a damaged file could not be reported');
      });
    }
  }

  readonly #keepPace = async (bytes: number): Promise<void> => {
    const rate = Math.max(BYTES_PER_MS_MIN, this.#waitingBytes / WITHIN_MS);
    await this.#deps.runtime.sleep(bytes / rate, this.#abort.signal);
  };

  async #report(opened: OpenedFile, error: unknown): Promise<void> {
    const { peers, logger, storage } = this.#deps;
    const { file } = getFile(opened);
    const { errorName, message: reason } = toMilvusError(error);
    const isDamaged = errorName === 'DataIntegrity';
    if (opened.kind === 'index') {
      // Whatever it is, the index can be made anew; of a file that is not damaged nor gone it may
      // be something that passes.
      const isGone = !isDamaged && (await storage.size(file)) === undefined;
      if (isDamaged || isGone) {
        await peers.indexcoord.reportDamagedFile({ file: opened.index, reason }, {});
        return;
      }
    } else if (!this.#isHeld(opened)) {
      return;
    } else if (isDamaged) {
      const { vchannel } = opened.segment;
      await peers.shard(vchannel).reportDamage({ vchannel, reason }, {});
      return;
    }
    logger.error({ file, error }, 'a file cannot be read against its checksums');
  }
}

function getFile(opened: OpenedFile): { readonly file: string; readonly fileBytes: number } {
  return opened.kind === 'segment' ? opened.segment : opened.index;
}

async function read(
  storage: ObjectStorage,
  opened: OpenedFile,
  options: VerifyOptions,
): Promise<void> {
  if (opened.kind === 'segment') await verifySegment(storage, opened.segment, options);
  else await verifyIndexFile(storage, opened.index, options);
}
