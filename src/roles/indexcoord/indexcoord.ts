// The index coordinator: index definitions, which files exist, and the build queue.
// One build at a time (each uses all build threads), largest segment first: small ones are soon
// merged away.
// Invariant: changes of one collection are in one line, its drop included, and each looks at the
// catalog inside it. A file is recorded as being written before it is built, and named or made
// garbage afterwards.

import { isDeepStrictEqual } from 'node:util';
import type { Health } from '../../base/health.ts';
import { KeyedQueue } from '../../base/keyed-queue.ts';
import type { Logger } from '../../base/logger.ts';
import type { Runtime } from '../../base/clock.ts';
import type { Catalog } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';
import { makeGarbage } from '../../meta/garbage.ts';
import { WritingFiles } from '../../meta/writing-files.ts';
import { MilvusError } from '../../model/error.ts';
import { INDEX_PROPERTIES } from '../../model/index/check-index.ts';
import { getJsonCastType } from '../../model/json-path.ts';
import type { CollectionSchema } from '../../model/schema.ts';
import type { IndexFile, IndexInfo, SegmentInfo } from '../../model/segment-info.ts';
import {
  EMPTY,
  type CallContext,
  type IndexCoord,
  type IndexStatus,
  type Peers,
} from '../../rpc/contract.ts';
import { askCollection, listGrowing } from '../../rpc/shards.ts';
import { BuildFailures } from './build-failures.ts';
import { IndexTable } from './index-table.ts';

export interface IndexCoordDeps {
  readonly catalog: Catalog;
  readonly peers: Peers;
  readonly logger: Logger;
  readonly runtime: Runtime;
  readonly health: Health;
  /** Smaller segments are searched as they are and count as indexed (R23). */
  readonly indexRowsMin: number;
}

interface BuildTask {
  readonly index: IndexInfo;
  readonly segment: SegmentInfo;
}

/** Numbers of common.IndexState. */
const INDEX_STATE = { unissued: 1, inProgress: 2, finished: 3, failed: 4 } as const;
const OWNED_FOLDER = 'indexes/';
/** Changes that wait, of all collections; more are refused with code 8 (R24). */
const PENDING_MAX = 4096;
/** Records of files that one transaction drops. */
const FILES_PER_TRANSACTION = 100;

export class IndexCoordRole implements IndexCoord {
  readonly #deps: IndexCoordDeps;
  readonly #table = new IndexTable();
  readonly #writing: WritingFiles;
  readonly #failures: BuildFailures;
  /** Collections to look at for missing indexes. */
  readonly #dirty = new Set<bigint>();
  readonly #abort = new AbortController();
  #building: Promise<void> | undefined;
  /** By collection. */
  readonly #lines = new KeyedQueue<bigint>({
    pendingCountMax: PENDING_MAX,
    refuse: (waiting) =>
      new MilvusError('RateLimit', {
        message: 'too many requests wait to change indexes',
        fields: { waiting },
      }),
  });

  constructor(deps: IndexCoordDeps) {
    this.#deps = deps;
    this.#writing = new WritingFiles(deps.catalog, () => deps.runtime.nowMs());
    const { runtime, health } = deps;
    this.#failures = new BuildFailures(runtime, health, (collectionId) => this.#wake(collectionId));
  }

  async start(): Promise<void> {
    await this.#table.load(this.#deps.catalog);
    await this.#writing.clear([OWNED_FOLDER]).catch((error: unknown) => {
      this.#deps.logger.warn({ error }, 'unfinished index files not removed; the next start does');
    });
  }

  /** Builds what is missing. When all roles are up. */
  resume(): void {
    for (const collectionId of this.#table.collectionIds()) this.#wake(collectionId);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#dirty.clear();
    await this.#failures.stop();
    await this.#building;
    await this.#lines.whenIdle();
  }

  readonly createIndex: IndexCoord['createIndex'] = async (request, call) => {
    const { collectionId } = request;
    await this.#lines.run(collectionId, async () => {
      const { catalog, peers } = this.#deps;
      await catalog.requireCollection(collectionId);
      if (this.#hasDefinition(request)) return;
      const { first: indexId } = await peers.rootcoord.allocateIds({ count: 1 }, call);
      const { first: createdTimestamp } = await peers.rootcoord.allocateTimestamps(
        { count: 1 },
        call,
      );
      await this.#put({ ...request, indexId, createdTimestamp });
    });
    this.#wake(collectionId);
    return EMPTY;
  };

  /** @throws MilvusError ParameterInvalid when another index has the name or the field */
  #hasDefinition(request: Parameters<IndexCoord['createIndex']>[0]): boolean {
    const { collectionId, fieldId, name, jsonPath } = request;
    const existing = this.#table.list(collectionId);
    const sameName = existing.find((index) => index.name === name);
    if (sameName !== undefined) {
      if (isSameDefinition(sameName, request)) return true;
      throw new MilvusError('ParameterInvalid', {
        message: 'at most one distinct index is allowed per field',
      });
    }
    const hasField = existing.some(
      (index) => index.fieldId === fieldId && isDeepStrictEqual(index.jsonPath, jsonPath),
    );
    if (!hasField) return false;
    throw new MilvusError('ParameterInvalid', {
      message: 'CreateIndex failed: creating multiple indexes on same field is not supported',
    });
  }

  readonly dropIndex: IndexCoord['dropIndex'] = async ({ collectionId, name, fieldName }, call) => {
    const isMeant = (index: IndexInfo): boolean =>
      name === '' ? fieldName === '' || index.fieldName === fieldName : index.name === name;
    await this.#lines.run(collectionId, async () => {
      for (const index of this.#table.list(collectionId).filter(isMeant)) {
        await this.#deps.catalog.write([
          { key: KEYS.index(collectionId, index.indexId), record: undefined },
        ]);
        // From here on its files are stale; whatever goes wrong, the next look takes them away.
        this.#table.remove(index);
        await this.#detach(index, undefined, call);
      }
      await this.#dropFiles(collectionId, ({ indexId }) =>
        this.#table.has({ collectionId, indexId }),
      );
    });
    return EMPTY;
  };

  readonly alterIndex: IndexCoord['alterIndex'] = async (request) => {
    const { collectionId, name, properties, deleteKeys } = request;
    await this.#lines.run(collectionId, async () => {
      const index = this.#table.list(collectionId).find((other) => other.name === name);
      if (index === undefined) throw new MilvusError('IndexNotFound', { fields: { index: name } });
      const params: Record<string, string> = { ...index.params, ...properties };
      for (const key of deleteKeys) delete params[key];
      await this.#put({ ...index, params });
      // It is another index now: what failed for it may succeed.
      this.#failures.retain(collectionId, ({ indexId }) => indexId !== index.indexId);
    });
    this.#wake(collectionId);
    return EMPTY;
  };

  /** From the segments that have it: of one, or without an id of all. */
  async #detach(
    index: IndexInfo,
    segmentId: bigint | undefined,
    call: CallContext,
  ): Promise<void> {
    const { collectionId, indexId, fieldId } = index;
    const request = {
      index: { indexId, fieldId, ...getJsonTarget(index) },
      ...(segmentId === undefined ? {} : { segmentId }),
    };
    await askCollection(
      this.#deps.peers,
      collectionId,
      (shard, vchannel) => shard.detachIndex({ vchannel, ...request }, call),
      call,
    );
  }

  async #put(index: IndexInfo): Promise<void> {
    const { collectionId, indexId } = index;
    const key = KEYS.index(collectionId, indexId);
    await this.#deps.catalog.writeFor(collectionId, [{ key, record: index }]);
    this.#table.put(index);
  }

  readonly listIndexes: IndexCoord['listIndexes'] = async ({ collectionId }) => ({
    indexes: this.#table.list(collectionId),
  });

  readonly describeIndexes: IndexCoord['describeIndexes'] = async (
    { collectionId, name },
    call,
  ) => {
    const indexes = this.#table
      .list(collectionId)
      .filter((index) => name === undefined || index.name === name);
    const { peers } = this.#deps;
    const { segments } = await peers.datacoord.listSegments({ collectionId }, call);
    const growing = await listGrowing(peers, collectionId, { mustServe: false, call });
    const growingRows = growing.reduce((sum, segment) => sum + segment.rows, 0);
    return { indexes: indexes.map((index) => this.#describe(index, segments, growingRows)) };
  };

  readonly segmentsChanged: IndexCoord['segmentsChanged'] = async ({ collectionId }) => {
    this.#wake(collectionId);
    return EMPTY;
  };

  readonly buildSegment: IndexCoord['buildSegment'] = async ({ segment, schema }, call) => {
    const files: IndexFile[] = [];
    if (segment.rows < this.#deps.indexRowsMin) return { files };
    for (const index of this.#table.list(segment.collectionId)) {
      files.push(await this.#build(index, segment, schema, call.signal));
    }
    return { files };
  };

  readonly listIndexFiles: IndexCoord['listIndexFiles'] = async ({ collectionId }) => ({
    files: this.#table.listFiles(collectionId),
  });

  readonly reportDamagedFile: IndexCoord['reportDamagedFile'] = async ({ file, reason }) => {
    const { collectionId, segmentId, indexId } = file;
    await this.#lines.run(collectionId, async () => {
      // It may have been replaced or dropped meanwhile.
      if (this.#table.findFile(file)?.file !== file.file) return;
      this.#deps.logger.warn({ file: file.file, reason }, 'an index file is damaged and made anew');
      this.#failures.addDamage(file, reason);
      await this.#dropFiles(collectionId, (other) => other.file !== file.file);
      const index = this.#table.list(collectionId).find((other) => other.indexId === indexId);
      if (index !== undefined) await this.#detach(index, segmentId, {});
    });
    this.#wake(collectionId);
    return EMPTY;
  };

  /** Forgets it; its records go with all others of the collection, in the drop's transaction. */
  readonly dropCollection: IndexCoord['dropCollection'] = async ({ collectionId }) => {
    await this.#lines.run(collectionId, async () => {
      this.#table.forget(collectionId);
      this.#failures.retain(collectionId, () => false);
      this.#dirty.delete(collectionId);
    });
    return EMPTY;
  };

  #wake(collectionId: bigint): void {
    if (this.#abort.signal.aborted) return;
    this.#dirty.add(collectionId);
    this.#building ??= this.#buildMissing();
  }

  async #buildMissing(): Promise<void> {
    for (;;) {
      const next = this.#dirty.values().next();
      if (next.done === true) {
        // In this turn: who wakes us from now on starts a new run.
        this.#building = undefined;
        return;
      }
      const collectionId = next.value;
      // Before looking, so that what changes meanwhile is looked at again.
      this.#dirty.delete(collectionId);
      let task: BuildTask | undefined;
      try {
        task = await this.#findTask(collectionId);
      } catch (error) {
        const fields = { collectionId: String(collectionId), error };
        this.#deps.logger.error(fields, 'missing indexes not looked for');
        this.#failures.lookLater(collectionId);
      }
      if (task === undefined || this.#abort.signal.aborted) continue;
      this.#dirty.add(collectionId);
      await this.#carryOut(task);
    }
  }

  async #carryOut({ index, segment }: BuildTask): Promise<void> {
    const { peers, logger } = this.#deps;
    const { collectionId, indexId } = index;
    const { segmentId } = segment;
    try {
      const { schema } = await peers.rootcoord.describeCollection({ dbName: '', collectionId }, {});
      const file = await this.#build(index, segment, schema);
      const { vchannel } = segment;
      await peers.shard(vchannel).attachIndexes({ vchannel, files: [file] }, {});
    } catch (error) {
      if (this.#abort.signal.aborted) {
        this.#dirty.clear();
        return;
      }
      if (!this.#table.has(index)) return; // Dropped while it was built.
      const failure = this.#failures.add({ collectionId, segmentId, indexId }, error);
      const { reason, attempts } = failure;
      logger.warn(
        { collectionId: String(collectionId), segmentId: String(segmentId), reason, attempts },
        'index not built',
      );
    }
  }

  /**
   * Drops files of segments and indexes that are gone, and returns the largest segment that lacks
   * an index and is not about to be merged: its successor comes with one.
   */
  async #findTask(collectionId: bigint): Promise<BuildTask | undefined> {
    const { segments, merging } = await this.#lines.run(collectionId, () =>
      this.#dropStale(collectionId),
    );
    const replaced = new Set(merging);
    const bySize = [...segments].sort((a, b) => b.rows - a.rows);
    for (const segment of bySize) {
      const { segmentId, rows } = segment;
      if (rows < this.#deps.indexRowsMin) return undefined;
      if (replaced.has(segmentId)) continue;
      for (const index of this.#table.list(collectionId)) {
        const { indexId } = index;
        if (this.#table.findFile({ collectionId, segmentId, indexId }) !== undefined) continue;
        if (!this.#failures.isBlocked(segmentId, indexId)) return { index, segment };
      }
    }
    return undefined;
  }

  /** The segments are asked for in the line: no file was recorded since for one they lack. */
  async #dropStale(
    collectionId: bigint,
  ): Promise<{ segments: readonly SegmentInfo[]; merging: readonly bigint[] }> {
    const { datacoord } = this.#deps.peers;
    const { segments, merging, writing } = await datacoord.listSegments({ collectionId }, {});
    const alive = new Set([...segments.map(({ segmentId }) => segmentId), ...writing]);
    const isAlive = ({ segmentId, indexId }: { segmentId: bigint; indexId: bigint }): boolean =>
      alive.has(segmentId) && this.#table.has({ collectionId, indexId });
    await this.#dropFiles(collectionId, isAlive);
    this.#failures.retain(collectionId, isAlive);
    return { segments, merging };
  }

  /** Drops the records of files that are not `kept`, and makes the files garbage. In the line. */
  async #dropFiles(
    collectionId: bigint,
    isKept: (file: IndexFile) => boolean,
  ): Promise<void> {
    const stale = this.#table.listFiles(collectionId).filter((file) => !isKept(file));
    for (let from = 0; from < stale.length; from += FILES_PER_TRANSACTION) {
      const some = stale.slice(from, from + FILES_PER_TRANSACTION);
      const files = some.map(({ file }) => file);
      await this.#deps.catalog.write([
        ...some.map(({ segmentId, indexId }) => ({
          key: KEYS.indexFile(collectionId, segmentId, indexId),
          record: undefined,
        })),
        ...makeGarbage({ files }, this.#deps.runtime.nowMs()),
      ]);
      for (const file of some) this.#table.removeFile(file);
    }
  }

  async #build(
    index: IndexInfo,
    segment: SegmentInfo,
    schema: CollectionSchema,
    signal?: AbortSignal,
  ): Promise<IndexFile> {
    const { peers } = this.#deps;
    const { collectionId, indexId } = index;
    const stop = this.#abort.signal;
    const call = { signal: signal === undefined ? stop : AbortSignal.any([stop, signal]) };
    const { first: buildId } = await peers.rootcoord.allocateIds({ count: 1 }, call);
    const key = `${OWNED_FOLDER}${collectionId}/${segment.segmentId}/${indexId}-${buildId}`;
    await this.#writing.begin(collectionId, key);
    try {
      const { file } = await peers.indexnode.build({ schema, segment, index, file: key }, call);
      await this.#lines.run(collectionId, () => this.#record(index, file, key));
      return file;
    } catch (error) {
      await this.#lines.run(collectionId, () => this.#writing.giveUp([key]));
      throw error;
    }
  }

  /** `key` is what was recorded as being written; a file that was not needed was not made. */
  async #record(index: IndexInfo, file: IndexFile, key: string): Promise<void> {
    const { collectionId, segmentId, indexId } = file;
    if (!this.#table.has(index)) {
      throw new MilvusError('IndexNotFound', {
        message: 'the index was dropped while it was built',
      });
    }
    const before = this.#table.findFile(file)?.file ?? '';
    await this.#deps.catalog.writeFor(collectionId, [
      { key: KEYS.indexFile(collectionId, segmentId, indexId), record: file },
      ...this.#writing.listRemovals([key]),
      ...makeGarbage({ files: [before] }, this.#deps.runtime.nowMs()),
    ]);
    this.#writing.end([key]);
    this.#table.putFile(file);
    this.#failures.remove(segmentId, indexId);
  }

  /**
   * Counts sealed segments of at least `indexRowsMin` rows; all others are searched as they are
   * (R23). Failed is what will not be tried again; what will be is in progress, with its reason.
   */
  #describe(index: IndexInfo, segments: readonly SegmentInfo[], growingRows: number): IndexStatus {
    const { collectionId, indexId } = index;
    let pendingRows = 0;
    let totalRows = growingRows;
    let failReason = '';
    let hasFailed = false;
    for (const { segmentId, rows } of segments) {
      totalRows += rows;
      const hasFile = this.#table.findFile({ collectionId, segmentId, indexId }) !== undefined;
      if (rows < this.#deps.indexRowsMin || hasFile) continue;
      pendingRows += rows;
      const failure = this.#failures.find(segmentId, indexId);
      if (failure === undefined) continue;
      const isFinal = failure.retryAtMs === Infinity;
      if (isFinal || !hasFailed) failReason = failure.reason;
      hasFailed ||= isFinal;
    }
    const state = hasFailed
      ? INDEX_STATE.failed
      : pendingRows > 0
        ? INDEX_STATE.inProgress
        : INDEX_STATE.finished;
    const indexedRows = totalRows - pendingRows;
    return { index, totalRows, indexedRows, pendingRows, state, failReason };
  }
}

/** What tells one index of a JSON field from its others. */
function getJsonTarget(
  index: IndexInfo,
): { jsonPath?: readonly (string | number)[]; jsonCastType?: number } {
  const jsonCastType = getJsonCastType(index.params['json_cast_type']);
  if (index.jsonPath === undefined || jsonCastType === undefined) return {};
  return { jsonPath: index.jsonPath, jsonCastType };
}

function isSameDefinition(
  index: IndexInfo,
  request: Pick<IndexInfo, 'fieldId' | 'indexType' | 'metric' | 'params' | 'jsonPath'>,
): boolean {
  const { fieldId, indexType, metric, params } = request;
  const keys = new Set([...Object.keys(index.params), ...Object.keys(params)]);
  return (
    index.fieldId === fieldId &&
    index.indexType === indexType &&
    index.metric === metric &&
    isDeepStrictEqual(index.jsonPath, request.jsonPath) &&
    [...keys].every((key) => INDEX_PROPERTIES.has(key) || index.params[key] === params[key])
  );
}
