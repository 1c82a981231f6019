// Search: filter → plan, query vectors → shard leaders → merge → encode. Also search by primary
// keys.

import { runInTurns } from '../../../base/turns.ts';
import type { Ids } from '../../../codec/ids.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import { takeRowsOf } from '../../../codec/row-batch-ops.ts';
import type { SearchRequest } from '../../../codec/search-request.ts';
import { encodeSearchResultsInTurns } from '../../../codec/search-results.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { DataType } from '../../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { getPrimaryKeyField, type FieldSchema } from '../../../model/schema.ts';
import type { Keys } from '../../../model/keys.ts';
import type { ReadBounds, SearchParams, SearchReply } from '../../../model/read.ts';
import { getVectorType } from '../../../model/vector-type.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { KeyReader, mergeSearches } from '../../../segment/reduce.ts';
import { compileRequestFilter } from './filter.ts';
import { notYet } from '../not-yet.ts';
import { selectOutputFields } from './output-fields.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { readWithin, type ReadSize } from './read-bounds.ts';
import {
  getPinnedTimestamp,
  requirePartitionKey,
  selectPartitions,
  toShardRead,
} from './read-target.ts';
import { readPage, toIteratorResult } from './search-iterator.ts';
import { readQueryVectors, readSearchSettings, type SearchSettings } from './search-request.ts';

/** One search, still with the hits before `offset`. */
export interface SearchOutcome extends SearchReply {
  readonly settings: SearchSettings;
  readonly nq: number;
  readonly timestamp: bigint;
}

export async function search(
  proxy: Proxy,
  request: SearchRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collectionName, context);
  refuseOtherFeatures(request);
  const selection = selectOutputFields(info.schema, request.outputFields, false);
  const plan = await planSearch(proxy, info, request, selection.fieldIds, context);
  const outcome = await runPlannedSearch(proxy, info, plan, context);
  const { settings, nq, timestamp } = outcome;
  const page = settings.offset > 0 ? await skipHits(outcome, settings.offset) : outcome;
  const rows = new RowBatchReader(page.rows);
  requireOutputSize(proxy, page.rows);
  const primary = getPrimaryKeyField(info.schema);
  return encodeSearchResultsInTurns({
    status: OK_STATUS,
    collectionName: request.collectionName,
    sessionTs: timestamp,
    results: {
      numQueries: nq,
      topK: settings.k,
      scores: roundScores(page.scores, settings.roundDecimal),
      ids: { kind: 'column', column: rows.findColumn(primary.fieldId)! },
      topks: page.counts,
      outputFields: selection.names,
      primaryFieldName: primary.name,
      rows,
      outputs: selection.outputs,
      allSearchCount: page.visibleRows,
      ...(settings.iterator === undefined
        ? {}
        : { iterator: toIteratorResult(settings.iterator, page.scores) }),
    },
  });
}

/** A search whose parameters are read and checked. */
export interface SearchPlan {
  readonly settings: SearchSettings;
  readonly params: SearchParams;
  readonly target: Parameters<typeof toShardRead>[2];
}

/** Also for the sub-searches of a hybrid one. */
export async function planSearch(
  proxy: Proxy,
  info: CollectionInfo,
  request: SearchRequest,
  outputFieldIds: readonly bigint[],
  context: RequestContext,
): Promise<SearchPlan> {
  const { collectionId } = info;
  const { indexes } = await proxy.peers.indexcoord.listIndexes({ collectionId }, context);
  const settings = readSearchSettings(proxy, info, indexes, request.searchParams);
  const filter = await compileRequestFilter(
    proxy,
    info,
    request.dsl,
    request.exprTemplateValues,
    'query',
  );
  requirePartitionKey(proxy.deps.limits, info, 'search');
  const partitionIds = selectPartitions(info, request.partitionNames, filter);
  const { field, index, k, offset, indexParams, radius, rangeFilter } = settings;
  const { nq, queries } =
    request.ids === undefined
      ? readQueryVectors(proxy, request, field)
      : await readVectorsOfKeys(proxy, info, request.ids, { field, partitionIds }, context);
  context.units = (context.units ?? 0) + nq;
  requireEntryCount(proxy, nq * k);
  if (settings.iterator !== undefined && nq !== 1) {
    throw invalidParameter('search_iterator_v2 takes one query vector');
  }
  const params: SearchParams = {
    fieldId: field.fieldId,
    metric: index.metric,
    nq,
    k: k + offset,
    queries,
    ...(filter === undefined ? {} : { plan: await filter.encode() }),
    indexParams,
    ...(radius === undefined ? {} : { radius }),
    ...(rangeFilter === undefined ? {} : { rangeFilter }),
    outputFieldIds,
  };
  const target = {
    partitionIds,
    ignoreGrowing: settings.ignoreGrowing,
    pinnedTimestamp: getPinnedTimestamp(request.searchParams, request.guaranteeTimestamp),
  };
  return { settings, params, target };
}

async function runPlannedSearch(
  proxy: Proxy,
  info: CollectionInfo,
  plan: SearchPlan,
  context: RequestContext,
): Promise<SearchOutcome> {
  const { settings, params } = plan;
  const { iterator, offset } = settings;
  const run = async (k: number, spareRows: number): Promise<MergedReply> => {
    const size = getSearchSize(info, { ...params, k }, spareRows);
    return readWithin(proxy, context, {
      sizes: [size],
      read: ([bounds]) => runSearch(proxy, info, plan, { k, bounds: bounds! }, context),
      listRows: ({ rows }) => [rows],
    });
  };
  const { nq } = params;
  if (iterator === undefined) return { ...(await run(params.k, offset)), settings, nq };
  const { topK } = proxy.deps.limits;
  const reply = await readPage(iterator.batchSize, topK, (k) => {
    // The rows of a page that was too short are done with.
    context.memory.settle(0);
    return run(k, k - 1);
  });
  return { ...reply, settings, nq };
}

/** What a search finds; `spareRows` of each query's hits stay out of the reply. */
export function getSearchSize(
  { schema }: CollectionInfo,
  { nq, k, outputFieldIds }: SearchParams,
  spareRows: number,
): ReadSize {
  return { schema, fieldIds: outputFieldIds, rows: nq * k, rowsEach: k, spareRows };
}

/** Milvus' bound on the hits of one request; off unless it is set. */
function requireEntryCount(proxy: Proxy, entries: number): void {
  const { maxResultEntries } = proxy.deps.limits;
  if (maxResultEntries <= 0 || entries <= maxResultEntries) return;
  throw new MilvusError('ParameterInvalid', {
    message: 'number of result entries is too large',
    fields: { got: entries, limit: maxResultEntries },
  });
}

interface MergedReply extends SearchReply {
  readonly timestamp: bigint;
}

/** Asks every shard's leader and merges. */
export async function runSearch(
  proxy: Proxy,
  info: CollectionInfo,
  plan: SearchPlan,
  { k, bounds }: { k: number; bounds: ReadBounds },
  context: RequestContext,
): Promise<MergedReply> {
  const { target } = plan;
  const params = { ...plan.params, k, bounds };
  const replies = await Promise.all(
    info.vchannels.map((vchannel) =>
      proxy.peers.streamingnode.search({ ...toShardRead(info, vchannel, target), params }, context),
    ),
  );
  const merged =
    replies.length === 1
      ? replies[0]!
      : await mergeSearches(replies, params, getPrimaryKeyField(info.schema));
  const timestamp = replies.reduce(
    (max, reply) => (reply.timestamp > max ? reply.timestamp : max),
    0n,
  );
  return { ...merged, timestamp };
}

/** Where the vectors of rows are. */
interface VectorPlace {
  readonly field: FieldSchema;
  readonly partitionIds: readonly bigint[];
}

/**
 * Search by primary keys: the stored vectors of these rows are the queries, in the order of the
 * keys.
 */
async function readVectorsOfKeys(
  proxy: Proxy,
  info: CollectionInfo,
  ids: Ids,
  place: VectorPlace,
  context: RequestContext,
): Promise<{ nq: number; queries: Uint8Array }> {
  const { field } = place;
  const nq = ids.values.length;
  const max = proxy.deps.limits.nq;
  if (nq < 1 || nq > max) {
    throw invalidParameter(
      `nq [${nq}] is invalid, nq (number of search vector per search request) should be in ` +
        `range [1, ${max}], but got ${nq}`,
    );
  }
  const primary = getPrimaryKeyField(info.schema);
  const keys = toKeys(ids, primary);
  if (new Set<bigint | string>(keys.values).size < nq) {
    throw invalidParameter('duplicate IDs found in search request');
  }
  const vectors = new Map<bigint | string, Uint8Array>();
  // A row whose vector is null has no hits.
  const noVector = getVectorType(field.dataType).makeFarQuery(field.dim);
  for (const rows of await readVectorRows(proxy, info, keys, place, context)) {
    const batch = new RowBatchReader(rows);
    if (batch.rows === 0) continue;
    const reader = new KeyReader(batch, primary);
    const column = batch.findColumn(field.fieldId)!;
    for (let row = 0; row < batch.rows; row++) {
      vectors.set(reader.at(row), column.isValid(row) ? column.getBytes(row) : noVector);
    }
  }
  const missing = Array.from<bigint | string>(keys.values as Iterable<bigint | string>).filter(
    (key) => !vectors.has(key),
  );
  if (missing.length > 0) {
    throw invalidParameter(
      'some of the provided primary key IDs do not exist: missing IDs = ' +
        `[${missing.slice(0, 10).join(' ')}]`,
    );
  }
  const width = noVector.length;
  const queries = new Uint8Array(new ArrayBuffer(nq * width));
  keys.values.forEach((key: bigint | string, i: number) =>
    queries.set(vectors.get(key)!, i * width),
  );
  context.memory.settle(queries.byteLength);
  return { nq, queries };
}

/** The rows with these keys, of each shard. */
async function readVectorRows(
  proxy: Proxy,
  info: CollectionInfo,
  keys: Keys,
  { field, partitionIds }: VectorPlace,
  context: RequestContext,
): Promise<Uint8Array[]> {
  const outputFieldIds = [field.fieldId];
  const target = { partitionIds, ignoreGrowing: false, pinnedTimestamp: 0n };
  const rows = keys.values.length;
  const size = { schema: info.schema, fieldIds: outputFieldIds, rows, rowsEach: rows };
  return readWithin(proxy, context, {
    sizes: [{ ...size, spareRows: 0, isInternal: true }],
    read: async ([bounds]) => {
      const params = { keys, limit: 0, outputFieldIds, countOnly: false, bounds: bounds! };
      const batches: Uint8Array[] = [];
      for (const vchannel of info.vchannels) {
        const request = { ...toShardRead(info, vchannel, target), params };
        batches.push((await proxy.peers.streamingnode.query(request, context)).rows);
      }
      return batches;
    },
    listRows: (batches) => batches,
  });
}

function toKeys(ids: Ids, primary: FieldSchema): Keys {
  if (ids.kind === 'int' && primary.dataType === DataType.Int64)
    return { kind: 'int64', values: ids.values };
  if (ids.kind === 'string' && primary.dataType !== DataType.Int64)
    return { kind: 'string', values: ids.values };
  const type = primary.dataType === DataType.Int64 ? 'int64' : 'varchar';
  throw invalidParameter(`primary key is ${type}, but IDs type mismatch`);
}

export function refuseOtherFeatures(request: SearchRequest): void {
  refuseOtherRankings(request);
  if (request.highlighter !== undefined) throw notYet('the highlighter');
  if (request.searchAggregation !== undefined) throw notYet('search aggregation');
}

export function refuseOtherRankings(
  request: Pick<SearchRequest, 'functionScore' | 'functionChains'>,
): void {
  if (request.functionScore !== undefined && request.functionScore.length > 0)
    throw notYet('function rankers');
  if (request.functionChains.length > 0) throw notYet('function chains');
}

/** Leaves out the first `offset` hits of each query. */
async function skipHits(reply: SearchReply, offset: number): Promise<SearchReply> {
  const kept: number[] = [];
  const counts = new Int32Array(reply.counts.length);
  let start = 0;
  reply.counts.forEach((count, query) => {
    for (let i = offset; i < count; i++) kept.push(start + i);
    counts[query] = Math.max(0, count - offset);
    start += count;
  });
  const scores = Float32Array.from(kept, (i) => reply.scores[i]!);
  const rows = await runInTurns(takeRowsOf([new RowBatchReader(reply.rows)], kept));
  return { ...reply, counts, scores, rows };
}

/** Half away from zero to `decimals` places, as Milvus rounds; -1 leaves scores alone. */
export function roundScores(scores: Float32Array, decimals: number): Float32Array {
  if (decimals < 0) return scores;
  const factor = 10 ** decimals;
  return scores.map((score) => (Math.sign(score) * Math.round(Math.abs(score) * factor)) / factor);
}

export function requireOutputSize(proxy: Proxy, rows: Uint8Array): void {
  const { maxOutputSize } = proxy.deps.limits;
  if (rows.byteLength <= maxOutputSize) return;
  throw new MilvusError('ParameterTooLarge', {
    message: 'search results exceed the maxOutputSize Limit',
    fields: { got: rows.byteLength, limit: maxOutputSize },
  });
}
