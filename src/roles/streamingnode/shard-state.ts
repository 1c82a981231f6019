// What a shard is, for all of its pieces: its collection as last told, and whether it serves.
// Invariant: a shard serves when it is wholly open, and one that has ended never again; what it was
// asked before and has not done is refused.

import assert from 'node:assert/strict';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import type { WriteRequest } from '../../rpc/contract.ts';
import { createStoppedError } from './shard-health.ts';

export class ShardState {
  readonly vchannel: string;
  readonly shardIndex: number;
  info: CollectionInfo;
  #life: 'opening' | 'open' | 'stopped' | 'dropped' | 'closed' = 'opening';
  #reason = '';

  constructor(info: CollectionInfo, shardIndex: number) {
    this.info = info;
    this.shardIndex = shardIndex;
    this.vchannel = info.vchannels[shardIndex]!;
  }

  get schema(): CollectionSchema {
    return this.info.schema;
  }

  /** The log is not read yet, or sealed segments are not shown. */
  get isOpening(): boolean {
    return this.#life === 'opening';
  }

  get isOpen(): boolean {
    return this.#life === 'open';
  }

  /** The server stops: nothing is removed any more. */
  get isClosed(): boolean {
    return this.#life === 'closed';
  }

  open(): void {
    assert.equal(this.#life, 'opening');
    this.#life = 'open';
  }

  /** Reads and writes are refused with this reason from now on (R8). */
  stop(reason: string): void {
    this.#life = 'stopped';
    this.#reason = reason;
  }

  end(how: 'dropped' | 'closed'): void {
    this.#life = how;
  }

  /** @throws MilvusError ChannelNotAvailable */
  requireNotStopped(): void {
    if (this.#life === 'stopped') throw createStoppedError(this.info, this.#reason);
  }

  /** @throws MilvusError ServiceNotReady, unexecuted */
  requireOpened(): void {
    if (this.#life !== 'opening') return;
    const fields = { channel: this.vchannel };
    throw new MilvusError('ServiceNotReady', { fields, isUnexecuted: true });
  }

  /** @throws MilvusError also ChannelNotAvailable when stopped, CollectionNotFound when gone */
  requireOpen(): void {
    if (this.#life === 'open') return;
    this.requireNotStopped();
    this.requireOpened();
    throw new MilvusError('CollectionNotFound', {
      fields: { database: this.info.dbName, collection: this.info.schema.name },
    });
  }

  /** @throws MilvusError also when schema or partitions are not those that the write is for */
  requireWritable({ schemaVersion, parts }: WriteRequest): void {
    this.requireOpen();
    if (schemaVersion !== this.schema.version) {
      throw new MilvusError('CollectionSchemaMismatch', {
        fields: { got: schemaVersion, expected: this.schema.version },
        isUnexecuted: true,
      });
    }
    for (const { partitionId } of parts) {
      if (partitionId !== 0n && !this.hasPartition(partitionId)) {
        throw new MilvusError('PartitionNotFound', { fields: { partition: String(partitionId) } });
      }
    }
  }

  hasPartition(partitionId: bigint): boolean {
    return this.info.partitions.some((partition) => partition.partitionId === partitionId);
  }
}
