// A shard's sealed segments: the query node holds their files, the view says which of them readers
// see. Invariant: what readers see is open, with every delete that its file lacks (R3), but for
// those that are delivered before the next read. Whoever changes the view is in the shard's line.

import type { DeleteRun } from '../../codec/delete-batch.ts';
import { MilvusError } from '../../model/error.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import type { IndexFile, SegmentInfo } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';
import type { DeleteBuffer } from './delete-buffer.ts';
import { SealedDeletes } from './sealed-deletes.ts';
import type { ShardState } from './shard-state.ts';
import type { View } from './view.ts';

export interface SealedSegmentsOf {
  readonly peers: Peers;
  readonly view: View;
  readonly deletes: DeleteBuffer;
  readonly state: ShardState;
  /** There are deletes that no file has. */
  readonly onDeletes: () => void;
  /** Deletes are acknowledged and not applied: what readers would see is not what the log says. */
  readonly onDeletesLost: (error: unknown) => void;
}

export class SealedSegments {
  readonly #of: SealedSegmentsOf;
  readonly #waiting = new SealedDeletes((deletes) => this.#applyDeletes(deletes));

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

  /** The same once they are many. Never rejects. */
  async deliverMany(): Promise<void> {
    if (this.#waiting.isFull) await this.deliverDeletes().catch(() => undefined);
  }

  /**
   * Has the query node open segments, with every delete that they lack as of this turn: those in
   * delete files and those that only the log has. Readers do not see them yet. When it rejects,
   * nothing of them is held.
   */
  async open(
    segments: readonly SegmentInfo[],
    indexFiles: readonly IndexFile[] = [],
  ): Promise<void> {
    const { peers, deletes, state } = this.#of;
    const { collectionId, schema } = state.info;
    const known = { deleteFiles: deletes.files, deletes: deletes.encodePending() };
    const request = { collectionId, schema, segments, ...known, indexFiles };
    try {
      await peers.querynode.loadSegments(request, {});
    } catch (error) {
      await this.close(segments.map(({ segmentId }) => segmentId)).catch(() => undefined);
      throw error;
    }
  }

  /** Has the query node forget segments that readers do not see. */
  async close(segmentIds: readonly bigint[]): Promise<void> {
    if (segmentIds.length === 0) return;
    await this.#of.peers.querynode.releaseSegments({ segmentIds }, {});
  }

  /** To readers, once they are open. */
  show(segments: readonly SegmentInfo[]): void {
    for (const segment of segments) this.#of.view.sealed.set(segment.segmentId, segment);
  }

  /** Nobody reads any more. */
  async dropAll(): Promise<void> {
    this.#waiting.clear();
    await this.drop([]);
  }

  /** Takes those of the partitions from readers, and closes them; empty = all. */
  async drop(partitionIds: readonly bigint[]): Promise<void> {
    const { view } = this.#of;
    const segmentIds = view.selectSealed(partitionIds);
    for (const id of segmentIds) view.sealed.delete(id);
    await this.close(segmentIds);
  }

  /**
   * Opens what a merge has made of `inputs`, and returns it but for what readers see already.
   * @throws MilvusError SegmentNotFound when an input is not seen: an output beside something that
   * it was made of would count rows twice
   */
  async openOutputs(
    outputs: readonly SegmentInfo[],
    inputs: readonly bigint[],
    indexFiles: readonly IndexFile[],
  ): Promise<SegmentInfo[]> {
    const { sealed } = this.#of.view;
    const added = outputs.filter(({ segmentId }) => !sealed.has(segmentId));
    if (added.length === 0) return added;
    if (!inputs.every((id) => sealed.has(id))) {
      throw new MilvusError('SegmentNotFound', { fields: { segments: `${inputs}` } });
    }
    await this.open(added, indexFiles);
    return added;
  }

  /** Shows what `openOutputs` returned in place of the inputs, in one step for readers (R3). */
  async swap(added: readonly SegmentInfo[], inputs: readonly bigint[]): Promise<void> {
    for (const id of inputs) this.#of.view.sealed.delete(id);
    this.show(added);
    await this.close(inputs);
  }

  /** Fields were added: the segments read them as their defaults (R25). */
  async updateSchema(schema: CollectionSchema): Promise<void> {
    const { peers, view } = this.#of;
    const segmentIds = [...view.sealed.keys()];
    if (segmentIds.length > 0) await peers.querynode.updateSchema({ segmentIds, schema }, {});
  }

  async #applyDeletes(deletes: Uint8Array): Promise<void> {
    const { peers, view } = this.#of;
    await peers.querynode.applyDeletes({ segmentIds: [...view.sealed.keys()], deletes }, {});
  }
}
