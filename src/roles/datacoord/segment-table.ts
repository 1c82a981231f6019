// The data coordinator's segments and channels: the catalog's records, held in memory. A change is
// durable before it shows.

import type { Catalog, CatalogWrite, WriteOptions } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';
import { CollectionTotals } from '../../model/collection-totals.ts';
import { SegmentState, type ChannelInfo, type SegmentInfo } from '../../model/segment-info.ts';

export class SegmentTable {
  readonly #catalog: Catalog;
  readonly #segments = new Map<bigint, Map<bigint, SegmentInfo>>();
  readonly #channels = new Map<string, ChannelInfo>();
  /** Of flushed segments. */
  readonly stored = new CollectionTotals();
  #tombstoneCount = 0;

  constructor(catalog: Catalog) {
    this.#catalog = catalog;
  }

  async load(): Promise<void> {
    for (const segment of await this.#catalog.list('segment')) this.#putSegment(segment);
    for (const channel of await this.#catalog.list('channel')) {
      this.#channels.set(channel.vchannel, channel);
    }
  }

  /** Tombstones too. */
  list(collectionId: bigint): SegmentInfo[] {
    return [...(this.#segments.get(collectionId)?.values() ?? [])];
  }

  listFlushed(collectionId: bigint): SegmentInfo[] {
    return this.list(collectionId).filter((segment) => segment.state === SegmentState.Flushed);
  }

  find(collectionId: bigint, segmentId: bigint): SegmentInfo | undefined {
    return this.#segments.get(collectionId)?.get(segmentId);
  }

  findFlushed(collectionId: bigint, segmentId: bigint): SegmentInfo | undefined {
    const segment = this.find(collectionId, segmentId);
    return segment?.state === SegmentState.Flushed ? segment : undefined;
  }

  getChannel(collectionId: bigint, vchannel: string): ChannelInfo {
    return (
      this.#channels.get(vchannel) ?? { vchannel, collectionId, checkpoint: 0n, deleteFiles: [] }
    );
  }

  /** Records of segments that are gone and may still be met by replay (R2). */
  get tombstoneCount(): number {
    return this.#tombstoneCount;
  }

  listChannels(collectionId: bigint): ChannelInfo[] {
    return [...this.#channels.values()].filter((info) => info.collectionId === collectionId);
  }

  collectionIds(): bigint[] {
    return [...this.#segments.keys()];
  }

  /** One transaction over segments, a channel, records to remove and others' writes. */
  async commit(change: {
    readonly segments?: readonly SegmentInfo[];
    readonly channel?: ChannelInfo;
    readonly removedSegments?: readonly SegmentInfo[];
    readonly more?: readonly CatalogWrite[];
    /** Else nothing is recorded. */
    readonly unchanged?: WriteOptions['unchanged'];
  }): Promise<void> {
    const writes: CatalogWrite[] = [...(change.more ?? [])];
    for (const segment of change.segments ?? []) {
      writes.push({ key: KEYS.segment(segment.collectionId, segment.segmentId), record: segment });
    }
    for (const { collectionId, segmentId } of change.removedSegments ?? []) {
      writes.push({ key: KEYS.segment(collectionId, segmentId), record: undefined });
    }
    if (change.channel !== undefined) {
      const { collectionId, vchannel } = change.channel;
      writes.push({ key: KEYS.channel(collectionId, vchannel), record: change.channel });
    }
    if (writes.length > 0) {
      await this.#catalog.write(writes, { unchanged: change.unchanged ?? [] });
    }
    for (const segment of change.segments ?? []) this.#putSegment(segment);
    for (const { collectionId, segmentId } of change.removedSegments ?? []) {
      this.#removeSegment(collectionId, segmentId);
    }
    if (change.channel !== undefined) this.#channels.set(change.channel.vchannel, change.channel);
  }

  /** The collection's records go with it, in the transaction that ends its drop. */
  forget(collectionId: bigint): void {
    for (const segment of this.list(collectionId)) this.#uncount(segment);
    this.#segments.delete(collectionId);
    for (const channel of [...this.#channels.values()]) {
      if (channel.collectionId === collectionId) this.#channels.delete(channel.vchannel);
    }
  }

  #putSegment(segment: SegmentInfo): void {
    let segments = this.#segments.get(segment.collectionId);
    if (segments === undefined) {
      segments = new Map();
      this.#segments.set(segment.collectionId, segments);
    }
    const before = segments.get(segment.segmentId);
    if (before !== undefined) this.#uncount(before);
    segments.set(segment.segmentId, segment);
    if (segment.state === SegmentState.Dropped) this.#tombstoneCount += 1;
    else this.stored.add(segment.collectionId, toSize(segment));
  }

  #removeSegment(collectionId: bigint, segmentId: bigint): void {
    const segment = this.find(collectionId, segmentId);
    if (segment === undefined) return;
    this.#segments.get(collectionId)?.delete(segmentId);
    this.#uncount(segment);
  }

  #uncount(segment: SegmentInfo): void {
    if (segment.state === SegmentState.Dropped) this.#tombstoneCount -= 1;
    else this.stored.remove(segment.collectionId, toSize(segment));
  }
}

/** What is left of a merged or dropped segment: replay skips its records (R2). */
export function makeTombstone(segment: SegmentInfo): SegmentInfo {
  const { crc32c: _crc32c, ...rest } = segment;
  return { ...rest, state: SegmentState.Dropped, file: '', fileBytes: 0, rows: 0 };
}

function toSize({ rows, fileBytes }: SegmentInfo): { rows: number; bytes: number } {
  return { rows, bytes: fileBytes };
}
