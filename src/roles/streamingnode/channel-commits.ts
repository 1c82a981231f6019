// A shard's commits to the data coordinator, and the files that they name. Each commit has a number
// of its own. One whose outcome is unknown is repeated with the same number, and then looked up: so
// it is recorded once or not at all, and the shard learns which. Calls come one after another.

import type { Runtime } from '../../base/clock.ts';
import { retry } from '../../base/retry.ts';
import { MilvusError, type ErrorName } from '../../model/error.ts';
import type { ChannelCommit } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';

export interface ChannelCommitsOptions {
  readonly peers: Peers;
  readonly runtime: Runtime;
  readonly collectionId: bigint;
  readonly vchannel: string;
  /** Commits of an owner with a lower one are refused. */
  readonly term: number;
  /** Of the last commit that is recorded. */
  readonly commitSeq: number;
}

/** Writes of the shard wait meanwhile: about 0.3 s at most. */
const RETRY = { attemptsMax: 4, baseDelayMs: 40, delayMsMax: 200 };
/** With these nothing was recorded, and nothing would be. */
const FINAL_ERRORS = new Set<ErrorName>([
  'ChannelNotAvailable',
  'CollectionNotFound',
  'SegmentNotFound',
]);

export class ChannelCommits {
  readonly #options: ChannelCommitsOptions;
  #lastSeq: number;
  #areDeletesReported = false;
  /** Files given up of which the data coordinator could not be told. */
  readonly #givenUp = new Set<string>();

  constructor(options: ChannelCommitsOptions) {
    this.#options = options;
    this.#lastSeq = options.commitSeq;
  }

  /** Returns the key to write a segment's file to, or with `undefined` a delete file. */
  async beginFile(segmentId: bigint | undefined): Promise<string> {
    const { peers, collectionId } = this.#options;
    // So that they do not pile up: a file is begun before each.
    await this.#reportGivenUp();
    const request = segmentId === undefined ? { collectionId } : { collectionId, segmentId };
    return (await peers.datacoord.beginFile(request, {})).file;
  }

  /** The files will not be committed. Those that have been stay. Never rejects. */
  async giveUp(files: readonly string[]): Promise<void> {
    for (const file of files) this.#givenUp.add(file);
    // Where it fails the next file's beginning tries again, and the next start.
    await this.#reportGivenUp().catch(() => undefined);
  }

  async #reportGivenUp(): Promise<void> {
    if (this.#givenUp.size === 0) return;
    const { peers, collectionId } = this.#options;
    const files = [...this.#givenUp];
    await peers.datacoord.giveUpFiles({ collectionId, files }, {});
    for (const file of files) this.#givenUp.delete(file);
  }

  /** Resolves when it is recorded; when it rejects, a later commit may take its place. */
  async commit(
    change: Omit<ChannelCommit, 'collectionId' | 'vchannel' | 'term' | 'commitSeq'>,
  ): Promise<void> {
    const { peers, runtime, collectionId, vchannel, term } = this.#options;
    this.#lastSeq += 1;
    const commit = { ...change, collectionId, vchannel, term, commitSeq: this.#lastSeq };
    const isRetriable = (error: unknown): boolean =>
      !(error instanceof MilvusError && FINAL_ERRORS.has(error.errorName));
    try {
      await retry(() => peers.datacoord.commitChannel(commit, {}), {
        ...RETRY,
        runtime,
        isRetriable,
      });
    } catch (error) {
      if (!isRetriable(error) || !(await this.#isRecorded(commit.commitSeq))) throw error;
    }
    this.#areDeletesReported = false;
  }

  async #isRecorded(commitSeq: number): Promise<boolean> {
    const { peers, collectionId, vchannel } = this.#options;
    try {
      const { channel } = await peers.datacoord.openChannel({ collectionId, vchannel }, {});
      return (channel.commitSeq ?? 0) >= commitSeq;
    } catch {
      return false;
    }
  }

  /** The shard holds deletes that no file has: says so once, until a commit. */
  reportDeletes(): void {
    if (this.#areDeletesReported) return;
    this.#areDeletesReported = true;
    const { peers, collectionId } = this.#options;
    peers.datacoord.deletesWait({ collectionId }, {}).catch(() => {
      this.#areDeletesReported = false;
    });
  }
}
