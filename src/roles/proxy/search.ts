// Search: filter → plan, query vectors → shard leaders → merge → encode. Also search by primary
// keys.

import type { Ids } from '../../codec/ids.ts';
import { RowBatchReader } from '../../codec/row-batch.ts';
import { takeRows } from '../../codec/row-batch-ops.ts';
import type { SearchRequest } from '../../codec/search-request.ts';
import { encodeSearchResults } from '../../codec/search-results.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';
import { DataType } from '../../model/data-type.ts';
import { MilvusError, invalidParameter } from '../../model/error.ts';
import { getPrimaryKeyField, type FieldSchema } from '../../model/schema.ts';
import type { Keys, SearchParams, SearchReply } from '../../rpc/contract.ts';
import { OK_STATUS } from '../../rpc/status.ts';
import { KeyReader, mergeSearches } from '../../segment/reduce.ts';
import { compileRequestFilter } from './filter.ts';
import { notYet } from './not-yet.ts';
import { selectOutputFields } from './output-fields.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from './proxy.ts';
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
  const outcome = await searchShards(proxy, info, request, selection.fieldIds, context);
  const { settings, nq, timestamp } = outcome;
  const page = settings.offset > 0 ? skipHits(outcome, settings.offset) : outcome;
  const rows = new RowBatchReader(page.rows);
  requireOutputSize(proxy, page.rows);
  const primary = getPrimaryKeyField(info.schema);
  return encodeSearchResults({
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

/** Runs one search over all shards. Also the sub-searches of a hybrid one. */
export async function searchShards(
  proxy: Proxy,
  info: CollectionInfo,
  request: SearchRequest,
  outputFieldIds: readonly bigint[],
  context: RequestContext,
): Promise<SearchOutcome> {
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
  const { nq, queries } =
    request.ids === undefined
      ? readQueryVectors(proxy, request, settings.field)
      : await readVectorsOfKeys(proxy, info, request.ids, settings.field, partitionIds, context);
  context.units = (context.units ?? 0) + nq;
  const { field, index, k, offset, ef, nprobe, radius, rangeFilter } = settings;
  const params: SearchParams = {
    fieldId: field.fieldId,
    metric: index.metric,
    nq,
    k: k + offset,
    queries,
    ...(filter === undefined ? {} : { plan: await filter.encode() }),
    ef,
    nprobe,
    ...(radius === undefined ? {} : { radius }),
    ...(rangeFilter === undefined ? {} : { rangeFilter }),
    outputFieldIds,
  };
  const target = {
    partitionIds,
    ignoreGrowing: settings.ignoreGrowing,
    pinnedTimestamp: getPinnedTimestamp(request.searchParams, request.guaranteeTimestamp),
  };
  const run = (wanted: number): Promise<MergedReply> =>
    askShards(proxy, info, { ...params, k: wanted }, target, context);
  if (settings.iterator === undefined) return { ...(await run(params.k)), settings, nq };
  if (nq !== 1) throw invalidParameter('search_iterator_v2 takes one query vector');
  const { topK } = proxy.deps.limits;
  return { ...(await readPage(settings.iterator.batchSize, topK, run)), settings, nq };
}

interface MergedReply extends SearchReply {
  readonly timestamp: bigint;
}

async function askShards(
  proxy: Proxy,
  info: CollectionInfo,
  params: SearchParams,
  target: Parameters<typeof toShardRead>[2],
  context: RequestContext,
): Promise<MergedReply> {
  const replies = await Promise.all(
    info.vchannels.map((vchannel) =>
      proxy.peers.streamingnode.search({ ...toShardRead(info, vchannel, target), params }, context),
    ),
  );
  const merged =
    replies.length === 1
      ? replies[0]!
      : mergeSearches(replies, params, getPrimaryKeyField(info.schema));
  const timestamp = replies.reduce(
    (max, reply) => (reply.timestamp > max ? reply.timestamp : max),
    0n,
  );
  return { ...merged, timestamp };
}

/**
 * Search by primary keys: the stored vectors of these rows are the queries, in the order of the
 * keys.
 */
async function readVectorsOfKeys(
  proxy: Proxy,
  info: CollectionInfo,
  ids: Ids,
  field: FieldSchema,
  partitionIds: readonly bigint[],
  context: RequestContext,
): Promise<{ nq: number; queries: Uint8Array }> {
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
  const params = { keys, limit: 0, outputFieldIds: [field.fieldId], countOnly: false };
  const target = { partitionIds, ignoreGrowing: false, pinnedTimestamp: 0n };
  const vectors = new Map<bigint | string, Uint8Array>();
  // Nothing is near to it: a row whose vector is null has no hits.
  const noVector = new Uint8Array(new Float32Array(field.dim).fill(NaN).buffer);
  for (const vchannel of info.vchannels) {
    const shard = toShardRead(info, vchannel, target);
    const { rows } = await proxy.peers.streamingnode.query({ ...shard, params }, context);
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
  const width = 4 * field.dim;
  const queries = new Uint8Array(new ArrayBuffer(nq * width));
  keys.values.forEach((key: bigint | string, i: number) =>
    queries.set(vectors.get(key)!, i * width),
  );
  return { nq, queries };
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
export function skipHits(reply: SearchReply, offset: number): SearchReply {
  const kept: number[] = [];
  const counts = new Int32Array(reply.counts.length);
  let start = 0;
  reply.counts.forEach((count, query) => {
    for (let i = offset; i < count; i++) kept.push(start + i);
    counts[query] = Math.max(0, count - offset);
    start += count;
  });
  const scores = Float32Array.from(kept, (i) => reply.scores[i]!);
  return { ...reply, counts, scores, rows: takeRows(new RowBatchReader(reply.rows), kept) };
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
