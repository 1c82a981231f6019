// One request's writes to the shards of its collection. A shard that refuses its part, having done
// nothing, gets it again, alone: what other shards have written is not written twice (R4). It is
// asked again for what a second look mends, a newer schema (R10) or rows to read again (R6); and
// for anything that it has not done, once another shard has written.

import { retry } from '../../../base/retry.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, type ErrorName } from '../../../model/error.ts';
import type { Keys } from '../../../model/keys.ts';
import type { DeletePart, InsertPart } from '../../../rpc/contract.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import type { LockTokens } from './row-locks.ts';

/** Waits of some 0.3 s in all: a change of the schema reaches the shards in milliseconds. */
const TRIES = { attemptsMax: 8, baseDelayMs: 5, delayMsMax: 320 };
const MENDED_BY_ANOTHER_LOOK: ReadonlySet<ErrorName> = new Set([
  'CollectionSchemaMismatch',
  'InconsistentRequery',
]);

/** What a write has done, as its client is told. */
export interface WriteResult {
  /** Of the rows, in the request's order and in pieces; none of a delete. */
  readonly keys: readonly Keys[];
  /** Rows of the request that are written, and where it has failed in part those that are not. */
  readonly written: ArrayLike<number>;
  readonly missing: ArrayLike<number>;
  readonly insertCount: number;
  readonly deleteCount: number;
  readonly upsertCount: number;
  readonly timestamp: bigint;
}

export type ShardParts = readonly (readonly (InsertPart | DeletePart)[])[];

export class ShardWrites {
  readonly #proxy: Proxy;
  readonly #context: RequestContext;
  /** Shard index → the timestamp of what it has written. */
  readonly #timestamps = new Map<number, bigint>();

  constructor(proxy: Proxy, context: RequestContext) {
    this.#proxy = proxy;
    this.#context = context;
  }

  /** Some shard has written its part. */
  get hasBegun(): boolean {
    return this.#timestamps.size > 0;
  }

  /** Of the last of the writes; 0 when there is none. */
  get timestamp(): bigint {
    let last = 0n;
    for (const timestamp of this.#timestamps.values()) if (timestamp > last) last = timestamp;
    return last;
  }

  /** A defect is not: it is reported as one. */
  hasFailedInPart(error: unknown): error is MilvusError {
    return this.hasBegun && error instanceof MilvusError;
  }

  isWritten(shard: number): boolean {
    return this.#timestamps.has(shard);
  }

  /**
   * Calls `attempt`, which sends, until every shard has written. Its number is 0 at first: later
   * ones look the collection up again.
   */
  async run(attempt: (number: number) => Promise<void>): Promise<void> {
    await retry(attempt, {
      ...TRIES,
      runtime: this.#proxy.deps.runtime,
      call: this.#context,
      isRetriable: (error) =>
        error instanceof MilvusError &&
        error.isUnexecuted &&
        (this.hasBegun || MENDED_BY_ANOTHER_LOOK.has(error.errorName)),
    });
  }

  /**
   * Sends to all shards at once what they have not written yet.
   * @param tokens  of the locks of the parts' rows, by shard
   * @throws the error of a shard, rather of one where trying again does not help
   */
  async send(
    info: CollectionInfo,
    parts: ShardParts,
    tokens: LockTokens = [],
  ): Promise<void> {
    const { schema, vchannels } = info;
    const errors: unknown[] = [];
    await Promise.all(
      vchannels.map(async (vchannel, shard) => {
        if (parts[shard]!.length === 0 || this.isWritten(shard)) return;
        const token = tokens[shard];
        const request = {
          vchannel,
          schemaVersion: schema.version,
          parts: parts[shard]!,
          ...(token === undefined ? {} : { token }),
        };
        try {
          const reply = await this.#proxy.peers.shard(vchannel).write(request, this.#context);
          this.#timestamps.set(shard, reply.timestamp);
        } catch (error) {
          errors.push(error);
        }
      }),
    );
    if (errors.length > 0) throw errors.find((error) => !isUnexecuted(error)) ?? errors[0];
  }
}

/** Some shards have written their parts, others have not. */
export class PartialWriteError extends MilvusError {
  readonly result: WriteResult;

  /** @param isRepeatable  the whole request may be sent again: it then does the same */
  constructor(
    error: MilvusError,
    result: WriteResult,
    { isRepeatable }: { readonly isRepeatable: boolean },
  ) {
    // Clients send a request again by themselves when its code asks for it.
    const isSentAgain = error.retriable || error.errorName === 'CollectionSchemaMismatch';
    super(isSentAgain && !isRepeatable ? 'ServiceInternal' : error.errorName, {
      message: `written in part: ${error.message}`,
    });
    this.result = result;
  }
}

function isUnexecuted(error: unknown): boolean {
  return error instanceof MilvusError && error.isUnexecuted;
}
