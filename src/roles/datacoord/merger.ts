// One merge: the data node writes the output, its indexes are built before it is shown, one
// transaction records it, leaves tombstones for the inputs and makes garbage of their files (R11).
// Whatever fails before that transaction leaves the inputs as they were and garbage.

import type { KeyedQueue } from '../../base/keyed-queue.ts';
import type { Logger } from '../../base/logger.ts';
import type { Runtime } from '../../base/clock.ts';
import { makeGarbage } from '../../meta/garbage.ts';
import type { WritingFiles } from '../../meta/writing-files.ts';
import { MilvusError } from '../../model/error.ts';
import type { SegmentInfo } from '../../model/segment-info.ts';
import type { Peers } from '../../rpc/contract.ts';
import { makeTombstone, type SegmentTable } from './segment-table.ts';

export interface MergerDeps {
  readonly peers: Peers;
  readonly logger: Logger;
  readonly runtime: Runtime;
  readonly mvccRetentionMs: number;
  readonly table: SegmentTable;
  readonly writing: WritingFiles;
  /** Changes of one collection's records are in one line. */
  readonly lines: KeyedQueue<bigint>;
}

/** The merges of one collection that are being made. */
export interface Round {
  readonly collectionId: bigint;
  /** Inputs of its merges, until each is swapped or has failed. */
  readonly merging: Set<bigint>;
  /** The output of the one that runs: it has no record yet, but may have index files. */
  readonly writing: Set<bigint>;
  readonly abort: AbortController;
  readonly done: Promise<void>;
}

export class Merger {
  readonly #deps: MergerDeps;

  constructor(deps: MergerDeps) {
    this.#deps = deps;
  }

  /** Returns the recorded output; undefined when no row was left. Readers do not see it yet. */
  async merge(
    round: Round,
    inputs: readonly SegmentInfo[],
    horizon: bigint,
  ): Promise<SegmentInfo | undefined> {
    const { peers, writing, lines, logger } = this.#deps;
    const { collectionId } = round;
    const { first: target } = await peers.rootcoord.allocateIds({ count: 1 }, {});
    const file = `segments/${collectionId}/${target}`;
    await writing.begin(collectionId, file);
    round.writing.add(target);
    try {
      const output = await this.#write(round, inputs, { target, file, horizon });
      await lines.run(collectionId, () => this.#record(inputs, output, file));
      const fields = { collectionId: String(collectionId), inputs: inputs.length };
      logger.info({ ...fields, rows: output?.rows ?? 0 }, 'segments merged');
      return output;
    } catch (error) {
      await lines.run(collectionId, () => writing.giveUp([file]));
      throw error;
    }
  }

  async #write(
    { collectionId, abort }: Round,
    inputs: readonly SegmentInfo[],
    { target, file, horizon }: { target: bigint; file: string; horizon: bigint },
  ): Promise<SegmentInfo | undefined> {
    const { peers, table } = this.#deps;
    const call = { signal: abort.signal };
    const ref = { dbName: '', collectionId };
    const schema = (await peers.rootcoord.describeCollection(ref, call)).schema;
    // Files that a checkpoint replaces meanwhile stay for their grace (meta/garbage.ts).
    const { deleteFiles } = table.getChannel(collectionId, inputs[0]!.vchannel);
    const { segment } = await peers.datanode.compact(
      { schema, inputs, deleteFiles, target, file, dropDeletedUpTo: horizon },
      call,
    );
    if (segment !== undefined) await peers.indexcoord.buildSegment({ segment, schema }, call);
    return segment;
  }

  /** @throws MilvusError SegmentNotFound when the collection or partition was dropped meanwhile */
  async #record(
    inputs: readonly SegmentInfo[],
    output: SegmentInfo | undefined,
    file: string,
  ): Promise<void> {
    const { table, writing, runtime } = this.#deps;
    for (const { collectionId, segmentId } of inputs) {
      if (table.findFlushed(collectionId, segmentId) !== undefined) continue;
      throw new MilvusError('SegmentNotFound', {
        message: 'inputs were dropped during compaction',
      });
    }
    const added = output === undefined ? [] : [output];
    // Where no row was left the file was never made: nothing names it, nothing is to be removed.
    const removals = writing.listRemovals([file]);
    const files = inputs.map((input) => input.file);
    await table.commit({
      segments: [...added, ...inputs.map(makeTombstone)],
      more: [...removals, ...makeGarbage({ files }, runtime.nowMs())],
    });
    writing.end([file]);
  }
}
