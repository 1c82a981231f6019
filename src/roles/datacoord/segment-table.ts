// The data coordinator's segments and channels: the catalog's records, held in memory. A change is
// durable before it shows.

import type { Catalog, CatalogWrite } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';
import { SegmentState, type ChannelInfo, type SegmentInfo } from '../../model/segment-info.ts';

export class SegmentTable {
  readonly #catalog: Catalog;
  readonly #segments = new Map<bigint, Map<bigint, SegmentInfo>>();
  readonly #channels = new Map<string, ChannelInfo>();

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

  getChannel(collectionId: bigint, vchannel: string): ChannelInfo {
    return (
      this.#channels.get(vchannel) ?? { vchannel, collectionId, checkpoint: 0n, deleteFiles: [] }
    );
  }

  collectionIds(): bigint[] {
    return [...this.#segments.keys()];
  }

  /** All storage keys in use. */
  listFiles(): Set<string> {
    const files = new Set<string>();
    for (const segments of this.#segments.values()) {
      for (const { file } of segments.values()) if (file !== '') files.add(file);
    }
    for (const { deleteFiles } of this.#channels.values()) {
      for (const { file } of deleteFiles) files.add(file);
    }
    return files;
  }

  /** One transaction over segments, a channel and records to remove. */
  async commit(change: {
    readonly segments?: readonly SegmentInfo[];
    readonly channel?: ChannelInfo;
    readonly removedSegments?: readonly SegmentInfo[];
  }): Promise<void> {
    const writes: CatalogWrite[] = [];
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
    if (writes.length > 0) await this.#catalog.write(writes);
    for (const segment of change.segments ?? []) this.#putSegment(segment);
    for (const { collectionId, segmentId } of change.removedSegments ?? []) {
      this.#segments.get(collectionId)?.delete(segmentId);
    }
    if (change.channel !== undefined) this.#channels.set(change.channel.vchannel, change.channel);
  }

  /** Forgets a collection. Returns the files that nothing names any more. */
  async removeCollection(collectionId: bigint): Promise<string[]> {
    const segments = this.list(collectionId);
    const channels = [...this.#channels.values()].filter(
      (channel) => channel.collectionId === collectionId,
    );
    await this.#catalog.write([
      ...segments.map(({ segmentId }) => ({
        key: KEYS.segment(collectionId, segmentId),
        record: undefined,
      })),
      ...channels.map(({ vchannel }) => ({
        key: KEYS.channel(collectionId, vchannel),
        record: undefined,
      })),
    ]);
    this.#segments.delete(collectionId);
    for (const { vchannel } of channels) this.#channels.delete(vchannel);
    const files = [
      ...segments.map((segment) => segment.file),
      ...channels.flatMap((channel) => channel.deleteFiles.map(({ file }) => file)),
    ];
    return files.filter((file) => file !== '');
  }

  #putSegment(segment: SegmentInfo): void {
    let segments = this.#segments.get(segment.collectionId);
    if (segments === undefined) {
      segments = new Map();
      this.#segments.set(segment.collectionId, segments);
    }
    segments.set(segment.segmentId, segment);
  }
}
