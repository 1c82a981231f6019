// A shard's sealed segments: query nodes hold their files, the view says which of them readers see.
// Invariant: what readers see is open, with the indexes that there are and every delete that its
// file lacks (R3), but for those that are delivered before the next read. Whoever changes the view
// is in the shard's line.

import type { DeleteRun } from '../../codec/delete-batch.ts';
import { MilvusError } from '../../model/error.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import type { IndexFile, SegmentInfo, SegmentStats } from '../../model/segment-info.ts';
import type { IndexDetachment, Peers, QueryNode } from '../../rpc/contract.ts';
import type { DeleteBuffer } from './delete-buffer.ts';
import { SealedDeletes } from './sealed-deletes.ts';
import type { ShardState } from './shard-state.ts';
import { groupByNode, type PlacedSegment, type View } from './view.ts';

export interface SealedSegmentsOf {
  readonly peers: Peers;
  readonly view: View;
  readonly deletes: DeleteBuffer;
  readonly state: ShardState;
  readonly term: number;
  /** There are deletes that no file has. */
  readonly onDeletes: () => void;
  /** Deletes are acknowledged and not applied: what readers would see is not what the log says. */
  readonly onDeletesLost: (error: unknown) => void;
}

export class SealedSegments {
  readonly #of: SealedSegmentsOf;
  readonly #waiting = new SealedDeletes((deletes) => this.#applyDeletes(deletes));
  /** What the query nodes hold: all that readers see, and what they will see. */
  readonly #held = new Map<bigint, PlacedSegment>();
  /** Segments that are being opened. */
  readonly #opening = new Set<Promise<unknown>>();

  constructor(of: SealedSegmentsOf) {
    this.#of = of;
  }

  /** A delete for those that readers see; it reaches them by the next read. */
  push(run: DeleteRun): void {
    if (this.#of.view.sealed.size === 0) return;
    this.#waiting.push(run);
    this.#of.onDeletes();
  }

  /** Timestamp of the first delete that has not reached them; undefined = all have. */
  firstUndelivered(): bigint | undefined {
    return this.#waiting.first();
  }

  /** Resolves when all deletes applied so far have reached them. */
  async deliverDeletes(): Promise<void> {
    if (this.#waiting.first() === undefined) return;
    this.#of.state.requireOpen();
    try {
      await this.#waiting.deliver();
    } catch (error) {
      this.#of.onDeletesLost(error);
      throw error;
    }
  }

  /** Whether so many deletes wait for the next read that they are delivered before it. */
  get hasManyDeletes(): boolean {
    return this.#waiting.isFull;
  }

  /**
   * Has query nodes open segments, with every delete that they lack as of this turn: those in
   * delete files and those that only the log has. Readers do not see them yet. When it rejects,
   * nothing of them is held.
   */
  async open(segments: readonly SegmentInfo[]): Promise<PlacedSegment[]> {
    const opening = this.#open(segments);
    this.#opening.add(opening);
    try {
      return await opening;
    } finally {
      this.#opening.delete(opening);
    }
  }

  async #open(segments: readonly SegmentInfo[]): Promise<PlacedSegment[]> {
    const { peers, deletes, state, term } = this.#of;
    const { collectionId, schema } = state.info;
    const known = { deleteFiles: deletes.files, deletes: deletes.encodePending() };
    const { nodeIds } = await peers.querycoord.place({ segments }, {});
    const placed = segments.map((segment, i) => ({ ...segment, nodeId: nodeIds[i]! }));
    const { files } = await peers.indexcoord.listIndexFiles({ collectionId }, {});
    try {
      await this.#ask(placed, async (node, segmentIds) => {
        const ids = new Set(segmentIds);
        const isMine = ({ segmentId }: { segmentId: bigint }): boolean => ids.has(segmentId);
        const mine = { segments: placed.filter(isMine), indexFiles: files.filter(isMine) };
        await node.loadSegments({ term, schema, ...mine, ...known }, {});
      });
    } catch (error) {
      await this.close(placed).catch(() => undefined);
      throw error;
    }
    for (const segment of placed) this.#held.set(segment.segmentId, segment);
    return placed;
  }

  /** Has their holders forget segments that readers do not see. */
  async close(segments: readonly PlacedSegment[]): Promise<void> {
    for (const { segmentId } of segments) this.#held.delete(segmentId);
    const { term } = this.#of;
    await this.#ask(segments, (node, segmentIds) => node.releaseSegments({ term, segmentIds }, {}));
  }

  /** To readers, once they are open. */
  show(segments: readonly PlacedSegment[]): void {
    for (const segment of segments) this.#of.view.sealed.set(segment.segmentId, segment);
  }

  /** Nobody reads any more. */
  async dropAll(): Promise<void> {
    this.#waiting.clear();
    await this.drop([]);
  }

  /** Takes those of the partitions from readers, and closes them; empty = all. */
  async drop(partitionIds: readonly bigint[]): Promise<void> {
    const { sealed } = this.#of.view;
    const dropped = [...sealed.values()].filter(
      ({ partitionId }) => partitionIds.length === 0 || partitionIds.includes(partitionId),
    );
    await this.#remove(dropped);
  }

  /**
   * Opens what a merge has made of `inputs`, and returns it but for what readers see already.
   * @throws MilvusError SegmentNotFound when an input is not seen: an output beside something that
   * it was made of would count rows twice
   */
  async openOutputs(
    outputs: readonly SegmentInfo[],
    inputs: readonly bigint[],
  ): Promise<PlacedSegment[]> {
    const { sealed } = this.#of.view;
    const added = outputs.filter(({ segmentId }) => !sealed.has(segmentId));
    if (added.length === 0) return [];
    if (!inputs.every((id) => sealed.has(id))) {
      throw new MilvusError('SegmentNotFound', { fields: { segments: `${inputs}` } });
    }
    return this.open(added);
  }

  /** Shows what `openOutputs` returned in place of the inputs, in one step for readers (R3). */
  async swap(added: readonly PlacedSegment[], inputs: readonly bigint[]): Promise<void> {
    const { sealed } = this.#of.view;
    const removed = inputs.flatMap((id) => sealed.get(id) ?? []);
    const removing = this.#remove(removed);
    this.show(added);
    await removing;
  }

  /** In this turn from readers. */
  #remove(segments: readonly PlacedSegment[]): Promise<void> {
    for (const { segmentId } of segments) this.#of.view.sealed.delete(segmentId);
    return this.close(segments);
  }

  /** Fields were added: the segments read them as their defaults (R25). */
  async updateSchema(schema: CollectionSchema): Promise<void> {
    await this.#ask(this.#held.values(), (node, segmentIds) =>
      node.updateSchema({ segmentIds, schema }, {}),
    );
  }

  async #applyDeletes(deletes: Uint8Array): Promise<void> {
    await this.#ask(this.#of.view.sealed.values(), (node, segmentIds) =>
      node.applyDeletes({ segmentIds, deletes }, {}),
    );
  }

  /** Builds have finished; files of segments that are not held any more are not opened. */
  async attachIndexes(files: readonly IndexFile[]): Promise<void> {
    await this.#whenOpened();
    const segments = files.flatMap(({ segmentId }) => this.#held.get(segmentId) ?? []);
    await this.#ask(segments, (node, segmentIds) => {
      const ids = new Set(segmentIds);
      return node.attachIndexes({ files: files.filter(({ segmentId }) => ids.has(segmentId)) }, {});
    });
  }

  /** An index is gone, of one segment or of all. */
  async detachIndex(index: IndexDetachment, segmentId?: bigint): Promise<void> {
    await this.#whenOpened();
    const segments = [...this.#held.values()].filter(
      (held) => segmentId === undefined || held.segmentId === segmentId,
    );
    await this.#ask(segments, (node, segmentIds) => node.detachIndex({ segmentIds, index }, {}));
  }

  /** Of what readers see when it is called. `horizon` 0 = no row is droppable. */
  async getStats(horizon: bigint): Promise<SegmentStats[]> {
    const replies = await this.#ask(this.#of.view.sealed.values(), (node, segmentIds) =>
      node.getStats({ segmentIds, horizon }, {}),
    );
    return replies.flatMap(({ segments }) => segments);
  }

  /** What is being opened knows the indexes that there were when it was begun. */
  async #whenOpened(): Promise<void> {
    await Promise.allSettled(this.#opening);
  }

  /** All holders at once, each for its segments. */
  #ask<Reply>(
    segments: Iterable<PlacedSegment>,
    ask: (node: QueryNode, segmentIds: readonly bigint[]) => Promise<Reply>,
  ): Promise<Reply[]> {
    const { peers } = this.#of;
    const groups = [...groupByNode(segments)];
    return Promise.all(groups.map(([nodeId, ids]) => ask(peers.querynode(nodeId), ids)));
  }
}
