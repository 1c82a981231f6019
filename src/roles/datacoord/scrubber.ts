// Reads every segment file against its checksums, one after another and again and again (R16): a
// disk that loses bits is noticed while a copy or a backup may still have them.

import type { Runtime } from '../../base/clock.ts';
import type { Logger } from '../../base/logger.ts';
import type { SegmentInfo } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';
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
  #last = 0n;

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
    const { scrubIntervalMs, runtime } = this.#deps;
    const { signal } = this.#abort;
    for (;;) {
      await runtime.sleep(scrubIntervalMs, signal).catch(() => undefined);
      if (signal.aborted) return;
      const segment = this.#next();
      if (segment !== undefined) await this.#verify(segment);
    }
  }

  /** The segment with the next larger id, or the first one again. */
  #next(): SegmentInfo | undefined {
    let first: SegmentInfo | undefined;
    let next: SegmentInfo | undefined;
    const ids = this.#table.collectionIds();
    for (const segment of ids.flatMap((id) => this.#table.listFlushed(id))) {
      const { segmentId } = segment;
      if (first === undefined || segmentId < first.segmentId) first = segment;
      const isLater = segmentId > this.#last;
      if (isLater && (next === undefined || segmentId < next.segmentId)) next = segment;
    }
    return next ?? first;
  }

  async #verify(segment: SegmentInfo): Promise<void> {
    const { collectionId, segmentId, file } = segment;
    this.#last = segmentId;
    try {
      await this.#deps.peers.datanode.verify({ segment }, {});
    } catch (error) {
      // Merged or dropped meanwhile: its file has gone.
      if (this.#table.find(collectionId, segmentId)?.file !== file) return;
      const fields = { collectionId: String(collectionId), segmentId: String(segmentId), error };
      this.#deps.logger.error(fields, 'a segment file is damaged or cannot be read');
    }
  }
}
