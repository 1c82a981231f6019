// The index coordinator: index definitions, which files exist, and the build queue.
// One build at a time (each uses all build threads), largest segment first: small ones are soon
// merged away.

import { isDeepStrictEqual } from 'node:util';
import type { Logger } from '../../base/logger.ts';
import type { Catalog } from '../../meta/catalog.ts';
import { KEYS } from '../../meta/catalog.ts';
import { MilvusError } from '../../model/error.ts';
import { INDEX_PROPERTIES, INDEX_ROWS_MIN } from '../../model/index-params.ts';
import { getJsonCastType } from '../../model/json-path.ts';
import type { IndexFile, IndexInfo, SegmentInfo } from '../../model/segment-info.ts';
import { EMPTY, type IndexCoord, type IndexStatus, type Peers } from '../../rpc/contract.ts';
import type { ObjectStorage } from '../../storage/object-storage.ts';

export interface IndexCoordDeps {
  readonly catalog: Catalog;
  readonly storage: ObjectStorage;
  readonly peers: Peers;
  readonly logger: Logger;
}

interface BuildTask {
  readonly index: IndexInfo;
  readonly segment: SegmentInfo;
}

/** Numbers of common.IndexState. */
const INDEX_STATE = { unissued: 1, inProgress: 2, finished: 3, failed: 4 } as const;
const OWNED_PREFIX = 'indexes/';

export class IndexCoordRole implements IndexCoord {
  readonly #deps: IndexCoordDeps;
  readonly #indexes = new Map<bigint, IndexInfo[]>();
  /** Collection id → `<segment>/<index>` → file. */
  readonly #files = new Map<bigint, Map<string, IndexFile>>();
  readonly #failures = new Map<string, string>();
  readonly #dirty = new Set<bigint>();
  readonly #abort = new AbortController();
  #building: Promise<void> | undefined;

  constructor(deps: IndexCoordDeps) {
    this.#deps = deps;
  }

  async start(): Promise<void> {
    const { catalog, storage } = this.#deps;
    for (const index of await catalog.list('index')) this.#put(index);
    const used = new Set<string>();
    for (const file of await catalog.list('index-file')) {
      this.#putFile(file);
      used.add(file.file);
    }
    for await (const { key } of storage.list(OWNED_PREFIX)) {
      if (!used.has(key)) await storage.remove(key);
    }
  }

  /** Opens the known files at the query nodes and builds what is missing. When all roles are up. */
  async resume(): Promise<void> {
    for (const [collectionId, files] of this.#files) {
      await this.#deps.peers.querycoord.attachIndexes({ files: [...files.values()] }, {});
      this.#wake(collectionId);
    }
    for (const collectionId of this.#indexes.keys()) this.#wake(collectionId);
  }

  async stop(): Promise<void> {
    this.#abort.abort();
    this.#dirty.clear();
    await this.#building;
  }

  readonly createIndex: IndexCoord['createIndex'] = async (request, call) => {
    const { collectionId, fieldId, name } = request;
    const existing = this.#indexes.get(collectionId) ?? [];
    const sameName = existing.find((index) => index.name === name);
    const sameField = existing.find(
      (index) =>
        index.fieldId === fieldId && isDeepStrictEqual(index.jsonPath, request.jsonPath),
    );
    if (sameName !== undefined) {
      if (isSameDefinition(sameName, request)) return EMPTY;
      throw new MilvusError('ParameterInvalid', {
        message: 'at most one distinct index is allowed per field',
      });
    }
    if (sameField !== undefined) {
      throw new MilvusError('ParameterInvalid', {
        message: 'CreateIndex failed: creating multiple indexes on same field is not supported',
      });
    }
    const { rootcoord } = this.#deps.peers;
    const { first: indexId } = await rootcoord.allocateIds({ count: 1 }, call);
    const { first: createdTimestamp } = await rootcoord.allocateTimestamps({ count: 1 }, call);
    const index: IndexInfo = { ...request, indexId, createdTimestamp };
    await this.#deps.catalog.write([{ key: KEYS.index(collectionId, indexId), record: index }]);
    this.#put(index);
    this.#wake(collectionId);
    return EMPTY;
  };

  readonly dropIndex: IndexCoord['dropIndex'] = async ({ collectionId, name, fieldName }, call) => {
    const isMeant = (index: IndexInfo): boolean =>
      name === '' ? fieldName === '' || index.fieldName === fieldName : index.name === name;
    for (const index of (this.#indexes.get(collectionId) ?? []).filter(isMeant)) {
      const { indexId, fieldId } = index;
      const files = this.#listFiles(collectionId).filter((file) => file.indexId === indexId);
      await this.#deps.catalog.write([
        { key: KEYS.index(collectionId, indexId), record: undefined },
        ...files.map((file) => ({
          key: KEYS.indexFile(collectionId, file.segmentId, indexId),
          record: undefined,
        })),
      ]);
      const rest = (this.#indexes.get(collectionId) ?? []).filter((other) => other !== index);
      this.#indexes.set(collectionId, rest);
      await this.#deps.peers.querycoord.detachIndex(
        { collectionId, fieldId, ...getJsonTarget(index) },
        call,
      );
      await this.#removeFiles(collectionId, files);
    }
    return EMPTY;
  };

  readonly alterIndex: IndexCoord['alterIndex'] = async (request) => {
    const { collectionId, name, properties, deleteKeys } = request;
    const index = this.#indexes.get(collectionId)?.find((other) => other.name === name);
    if (index === undefined) throw new MilvusError('IndexNotFound', { fields: { index: name } });
    const params: Record<string, string> = { ...index.params, ...properties };
    for (const key of deleteKeys) delete params[key];
    const changed = { ...index, params };
    const key = KEYS.index(collectionId, index.indexId);
    await this.#deps.catalog.write([{ key, record: changed }]);
    this.#put(changed);
    return EMPTY;
  };

  readonly listIndexes: IndexCoord['listIndexes'] = async ({ collectionId }) => ({
    indexes: this.#indexes.get(collectionId) ?? [],
  });

  readonly describeIndexes: IndexCoord['describeIndexes'] = async (
    { collectionId, name },
    call,
  ) => {
    const indexes = (this.#indexes.get(collectionId) ?? []).filter(
      (index) => name === undefined || index.name === name,
    );
    const { datacoord, streamingnode } = this.#deps.peers;
    const { segments } = await datacoord.listSegments({ collectionId }, call);
    const { segments: growing } = await streamingnode.listGrowing({ collectionId }, call);
    const growingRows = growing.reduce((sum, segment) => sum + segment.rows, 0);
    return { indexes: indexes.map((index) => this.#describe(index, segments, growingRows)) };
  };

  readonly segmentsChanged: IndexCoord['segmentsChanged'] = async ({ collectionId }) => {
    this.#wake(collectionId);
    return EMPTY;
  };

  readonly buildSegment: IndexCoord['buildSegment'] = async ({ segment, schema }, call) => {
    const files: IndexFile[] = [];
    if (segment.rows < INDEX_ROWS_MIN) return { files };
    try {
      for (const index of this.#indexes.get(segment.collectionId) ?? []) {
        files.push(await this.#build(index, segment, schema, call.signal));
      }
    } catch (error) {
      // The segment will not come: what was built goes as stale.
      this.#prepared.delete(segment.segmentId);
      throw error;
    }
    return { files };
  };

  readonly listIndexFiles: IndexCoord['listIndexFiles'] = async ({ collectionId }) => ({
    files: this.#listFiles(collectionId),
  });

  readonly dropCollection: IndexCoord['dropCollection'] = async ({ collectionId }) => {
    const indexes = this.#indexes.get(collectionId) ?? [];
    const files = this.#listFiles(collectionId);
    this.#indexes.delete(collectionId);
    this.#dirty.delete(collectionId);
    await this.#deps.catalog.write([
      ...indexes.map(({ indexId }) => ({
        key: KEYS.index(collectionId, indexId),
        record: undefined,
      })),
      ...files.map(({ segmentId, indexId }) => ({
        key: KEYS.indexFile(collectionId, segmentId, indexId),
        record: undefined,
      })),
    ]);
    await this.#removeFiles(collectionId, files);
    this.#files.delete(collectionId);
    return EMPTY;
  };

  #put(index: IndexInfo): void {
    const others = (this.#indexes.get(index.collectionId) ?? []).filter(
      (other) => other.indexId !== index.indexId,
    );
    this.#indexes.set(index.collectionId, [...others, index]);
  }

  #has({ collectionId, indexId }: IndexInfo): boolean {
    const indexes = this.#indexes.get(collectionId) ?? [];
    return indexes.some((index) => index.indexId === indexId);
  }

  #putFile(file: IndexFile): void {
    let files = this.#files.get(file.collectionId);
    if (files === undefined) {
      files = new Map();
      this.#files.set(file.collectionId, files);
    }
    files.set(keyOf(file.segmentId, file.indexId), file);
  }

  #listFiles(collectionId: bigint): IndexFile[] {
    return [...(this.#files.get(collectionId)?.values() ?? [])];
  }

  /** The records are gone already; a file that stays behind is removed at the next start. */
  async #removeFiles(collectionId: bigint, files: readonly IndexFile[]): Promise<void> {
    for (const { segmentId, indexId, file } of files) {
      this.#files.get(collectionId)?.delete(keyOf(segmentId, indexId));
      if (file !== '') await this.#deps.storage.remove(file);
    }
  }

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
      }
      if (task === undefined || this.#abort.signal.aborted) continue;
      this.#dirty.add(collectionId);
      const { index, segment } = task;
      try {
        const { schema } = await this.#deps.peers.rootcoord.describeCollection(
          { dbName: '', collectionId },
          {},
        );
        const file = await this.#build(index, segment, schema);
        await this.#deps.peers.querycoord.attachIndexes({ files: [file] }, {});
      } catch (error) {
        if (this.#abort.signal.aborted) {
          this.#dirty.clear();
          continue;
        }
        if (!this.#has(index)) continue; // Dropped while it was built.
        const reason = error instanceof Error ? error.message : String(error);
        this.#failures.set(keyOf(segment.segmentId, index.indexId), reason);
        this.#deps.logger.warn(
          { collectionId: String(collectionId), segmentId: String(segment.segmentId), reason },
          'index not built',
        );
      }
    }
  }

  /**
   * Drops files of segments that are gone, and returns the largest segment that lacks an index and
   * is not about to be merged: its successor comes with one.
   */
  async #findTask(collectionId: bigint): Promise<BuildTask | undefined> {
    const indexes = this.#indexes.get(collectionId) ?? [];
    const { datacoord } = this.#deps.peers;
    const { segments, merging } = await datacoord.listSegments({ collectionId }, {});
    const replaced = new Set(merging);
    const alive = new Set(segments.map((segment) => segment.segmentId));
    const stale = this.#listFiles(collectionId).filter(
      ({ segmentId }) => !alive.has(segmentId) && !this.#prepared.has(segmentId),
    );
    if (stale.length > 0) {
      await this.#deps.catalog.write(
        stale.map(({ segmentId, indexId }) => ({
          key: KEYS.indexFile(collectionId, segmentId, indexId),
          record: undefined,
        })),
      );
      await this.#removeFiles(collectionId, stale);
    }
    for (const id of alive) this.#prepared.delete(id);
    const files = this.#files.get(collectionId);
    const bySize = [...segments].sort((a, b) => b.rows - a.rows);
    for (const segment of bySize) {
      if (segment.rows < INDEX_ROWS_MIN) return undefined;
      if (replaced.has(segment.segmentId)) continue;
      for (const index of indexes) {
        const key = keyOf(segment.segmentId, index.indexId);
        if (files?.has(key) !== true && !this.#failures.has(key)) return { index, segment };
      }
    }
    return undefined;
  }

  /** Segments whose indexes are built before the catalog lists them (a compaction's output). */
  readonly #prepared = new Set<bigint>();

  async #build(
    index: IndexInfo,
    segment: SegmentInfo,
    schema: Parameters<Peers['indexnode']['build']>[0]['schema'],
    signal?: AbortSignal,
  ): Promise<IndexFile> {
    const { collectionId, indexId } = index;
    const { segmentId } = segment;
    this.#prepared.add(segmentId);
    const stop = this.#abort.signal;
    const call = { signal: signal === undefined ? stop : AbortSignal.any([stop, signal]) };
    const { file } = await this.#deps.peers.indexnode.build({ schema, segment, index }, call);
    if (!this.#has(index)) {
      if (file.file !== '') await this.#deps.storage.remove(file.file);
      throw new MilvusError('IndexNotFound', {
        message: 'the index was dropped while it was built',
      });
    }
    const key = KEYS.indexFile(collectionId, segmentId, indexId);
    await this.#deps.catalog.write([{ key, record: file }]);
    this.#putFile(file);
    return file;
  }

  /**
   * Counts sealed segments of at least INDEX_ROWS_MIN rows; all others are searched as they are
   * (R23).
   */
  #describe(index: IndexInfo, segments: readonly SegmentInfo[], growingRows: number): IndexStatus {
    const files = this.#files.get(index.collectionId);
    let pendingRows = 0;
    let totalRows = growingRows;
    let failReason = '';
    for (const { segmentId, rows } of segments) {
      totalRows += rows;
      const key = keyOf(segmentId, index.indexId);
      if (rows < INDEX_ROWS_MIN || files?.has(key) === true) continue;
      pendingRows += rows;
      failReason = this.#failures.get(key) ?? failReason;
    }
    const state =
      failReason !== ''
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

function keyOf(segmentId: bigint, indexId: bigint): string {
  return `${segmentId}/${indexId}`;
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
