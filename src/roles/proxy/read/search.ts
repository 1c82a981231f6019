// Search: options and filter → plan, query vectors → shards → the page of hits that is wanted.

import { runInTurns } from '../../../base/turns.ts';
import type { Ids } from '../../../codec/ids.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import { takeRowsOf } from '../../../codec/row-batch-ops.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import type { SearchIteratorResult, SearchParams, SearchReply } from '../../../model/read.ts';
import { getPrimaryKeyField, type FieldSchema } from '../../../model/schema.ts';
import type { TemplateValues } from '../../../model/template-value.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { compileRequestFilter } from './filter.ts';
import { selectOutputFields, type OutputSelection } from './output-fields.ts';
import { readGivenVectors, readVectorsOfKeys, type GivenVectors } from './query-vectors.ts';
import {
  readSearchSettings,
  readTarget,
  type ReadInput,
  type SearchSettings,
} from './read-options.ts';
import { requireOutputSize, searchShards, type ReadTarget } from './read-shards.ts';
import { readPage, toIteratorResult } from './search-iterator.ts';

export interface SearchInput extends ReadInput {
  readonly filter: string;
  readonly templates: TemplateValues;
  /** What is searched for, */
  readonly vectors: GivenVectors | undefined;
  /** or the primary keys of rows that have it. */
  readonly ids: Ids | undefined;
}

/** Hits of query 0 first, best first within a query. */
export interface SearchResult {
  readonly collectionName: string;
  readonly timestamp: bigint;
  readonly nq: number;
  /** Hits that were asked for, and those of each query. */
  readonly k: number;
  readonly counts: Int32Array;
  readonly scores: Float32Array;
  /** A row for each hit. */
  readonly rows: RowBatchReader;
  readonly primary: FieldSchema;
  readonly selection: OutputSelection;
  /** Rows that were looked at. */
  readonly visibleRows?: number;
  readonly iterator?: SearchIteratorResult;
}

export async function search(
  proxy: Proxy,
  input: SearchInput,
  context: RequestContext,
): Promise<SearchResult> {
  const { collectionName } = input;
  const info = await requireCollection(proxy, collectionName, context);
  const selection = selectOutputFields(info.schema, input.outputFields, false);
  const plan = await planSearch(proxy, info, input, selection.fieldIds, context);
  const { settings, params } = plan;
  const { offset, iterator, k, roundDecimal } = settings;
  const found = await runPlan(proxy, info, plan, context);
  const page = offset > 0 ? await skipHits(found, offset) : found;
  requireOutputSize(proxy, 'search', page.rows);
  return {
    collectionName,
    timestamp: found.timestamp,
    nq: params.nq,
    k,
    counts: page.counts,
    scores: roundScores(page.scores, roundDecimal),
    rows: new RowBatchReader(page.rows),
    primary: getPrimaryKeyField(info.schema),
    selection,
    visibleRows: page.visibleRows,
    ...(iterator === undefined ? {} : { iterator: toIteratorResult(iterator, page.scores) }),
  };
}

/** A search whose options are read and checked; `params.k` counts the hits before the page too. */
export interface SearchPlan {
  readonly settings: SearchSettings;
  readonly params: SearchParams;
  readonly target: ReadTarget;
}

/** Also for the sub-searches of a hybrid one. */
export async function planSearch(
  proxy: Proxy,
  info: CollectionInfo,
  input: SearchInput,
  outputFieldIds: readonly bigint[],
  context: RequestContext,
): Promise<SearchPlan> {
  const { collectionId } = info;
  const { indexes } = await proxy.peers.indexcoord.listIndexes({ collectionId }, context);
  const settings = readSearchSettings(proxy, info, indexes, input.options);
  const filter = await compileRequestFilter(proxy, info, input.filter, input.templates, 'query');
  const { ignoreGrowing, field, index, k, offset, indexParams, radius, rangeFilter } = settings;
  const target = readTarget(proxy, info, input, { verb: 'search', filter, ignoreGrowing });
  const { partitionIds } = target;
  const { nq, queries } =
    input.ids === undefined
      ? readGivenVectors(proxy, input.vectors, field)
      : await readVectorsOfKeys(proxy, info, input.ids, { field, partitionIds }, context);
  context.facts.units += nq;
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
  return { settings, params, target };
}

async function runPlan(
  proxy: Proxy,
  info: CollectionInfo,
  { settings, params, target }: SearchPlan,
  context: RequestContext,
): Promise<SearchReply & { readonly timestamp: bigint }> {
  const { iterator, offset } = settings;
  const run = async (k: number, spareRows: number) => {
    const search = { target, params: { ...params, k }, spareRows };
    const [reply] = await searchShards(proxy, info, [search], context);
    return reply!;
  };
  if (iterator === undefined) return run(params.k, offset);
  return readPage(iterator.batchSize, proxy.deps.limits.topK, (k) => {
    // The rows of a page that was too short are done with.
    context.memory.settle(0);
    return run(k, k - 1);
  });
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
