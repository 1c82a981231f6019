// What a shard tells about itself when something is wrong: to the log, to health, and to clients.

import { getErrorMessage } from '../../base/error-message.ts';
import type { Health } from '../../base/health.ts';
import type { Logger } from '../../base/logger.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';

const COMPONENT = 'streamingnode';

export class ShardHealth {
  readonly #health: Health;
  readonly #logger: Logger;
  readonly #vchannel: string;
  /** Segment id → why it could not be written. */
  readonly #sealFailures = new Map<bigint, string>();

  constructor(deps: { readonly health: Health; readonly logger: Logger }, vchannel: string) {
    this.#health = deps.health;
    this.#logger = deps.logger;
    this.#vchannel = vchannel;
  }

  reportStopped({ dbName, schema }: CollectionInfo, reason: string): void {
    const { name } = schema;
    const fields = { vchannel: this.#vchannel, collection: name, reason };
    this.#logger.error(fields, 'the collection is stopped');
    const what = `${dbName}.${name} is stopped: ${reason}`;
    const more = '; its part of the log is kept until it is dropped';
    this.#health.report(COMPONENT, this.#vchannel, what + more);
  }

  reportSealFailure({ dbName, schema }: CollectionInfo, segmentId: bigint, error: unknown): void {
    this.#logger.error({ segmentId: String(segmentId), error }, 'segment not written');
    const what = `a segment of ${dbName}.${schema.name} cannot be written`;
    const reason = `${what}: ${getErrorMessage(error)}`;
    this.#sealFailures.set(segmentId, reason);
    this.#health.report(COMPONENT, `${this.#vchannel}/seal`, reason);
  }

  /** It has been written, or is not wanted any more. */
  clearSealFailure(segmentId: bigint): void {
    if (!this.#sealFailures.delete(segmentId)) return;
    const subject = `${this.#vchannel}/seal`;
    const [another] = this.#sealFailures.values();
    if (another === undefined) this.#health.clear(COMPONENT, subject);
    else this.#health.report(COMPONENT, subject, another);
  }

  /** Costs memory until the next start, and nothing else. */
  reportReleaseFailure(error: unknown): void {
    this.#logger.warn({ vchannel: this.#vchannel, error }, 'memory of a stopped shard not freed');
  }

  /** The shard is gone. */
  clear(): void {
    this.#health.clear(COMPONENT, this.#vchannel);
  }
}

export function createStoppedError({ schema }: CollectionInfo, reason: string): MilvusError {
  return new MilvusError('ChannelNotAvailable', {
    message: 'the collection is stopped',
    fields: { collection: schema.name, reason },
  });
}

/** The log is another one, or has lost its end: a healthy one reaches every checkpoint. */
export function createLostLogError(last: bigint, checkpoint: bigint): MilvusError {
  return new MilvusError('DataIntegrity', {
    message:
      `the write-ahead log ends with record ${last}, before the checkpoint ${checkpoint} ` +
      'of this shard: it has lost its end or was replaced',
  });
}
