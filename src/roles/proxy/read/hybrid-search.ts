// Hybrid search: several searches on several vector fields, their lists merged by rank (RRF) or
// weighted score. Formulas: Milvus 2.6. Limit, offset, partitions and consistency are those of the
// whole: SDKs copy them into each part, where they are not read.

import { runInTurns, type Steps } from '../../../base/turns.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import { findValue, type KeyValue } from '../../../codec/request-parts.ts';
import type { HybridSearchRequest } from '../../../codec/search-request.ts';
import { encodeSearchResultsInTurns } from '../../../codec/search-results.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { invalidParameter } from '../../../model/error.ts';
import { getMetric, type Metric } from '../../../model/metric.ts';
import { getPrimaryKeyField, type FieldSchema } from '../../../model/schema.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { reduceLists, type AnswerList } from '../../../segment/reduce.ts';
import { notYet } from '../not-yet.ts';
import { selectOutputFields } from './output-fields.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { readWithin } from './read-bounds.ts';
import { readInteger } from './read-target.ts';
import { readRoundDecimal } from './search-request.ts';
import {
  getSearchSize,
  planSearch,
  refuseOtherFeatures,
  refuseOtherRankings,
  requireOutputSize,
  roundScores,
  runSearch,
  type SearchOutcome,
  type SearchPlan,
} from './search.ts';

const SUB_SEARCHES_MAX = 1024;
/** Ranking a hit takes as long as copying so many bytes. */
const HIT_WORK = 64;
const RRF_K_DEFAULT = 60;
const RRF_K_END = 16384;

/** How lists are merged: what each hit adds to its row's final score. */
interface Ranker {
  /** `rank` begins at 1; `score` is larger = better when `isDescending`. */
  readonly share: (list: number, rank: number, score: number) => number;
  /** Whether scores are brought into [0, 1], larger = better, first. */
  readonly isNormalized: boolean;
  readonly usesScores: boolean;
}

export async function hybridSearch(
  proxy: Proxy,
  request: HybridSearchRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collectionName, context);
  checkParts(request);
  const window = readWindow(proxy, request);
  const ranker = readRanker(request.rankParams, request.requests.length);
  const selection = selectOutputFields(info.schema, request.outputFields, false);
  const plans = await Promise.all(
    request.requests.map((sub) => {
      const { partitionNames, guaranteeTimestamp } = request;
      const searchParams = readPartParams(sub.searchParams, window);
      const whole = { ...sub, searchParams, partitionNames, guaranteeTimestamp };
      return planSearch(proxy, info, whole, selection.fieldIds, context);
    }),
  );
  const { nq } = plans[0]!.params;
  if (plans.some(({ params }) => params.nq !== nq)) {
    throw invalidParameter('nq of the sub-searches of a hybrid search should be the same');
  }
  const outcomes = await runAll(proxy, info, plans, window, context);
  const primary = getPrimaryKeyField(info.schema);
  const merged = await fuse(outcomes, ranker, nq, window, primary);
  requireOutputSize(proxy, merged.rows.bytes);
  return encodeSearchResultsInTurns({
    status: OK_STATUS,
    collectionName: request.collectionName,
    sessionTs: outcomes.reduce((max, { timestamp }) => (timestamp > max ? timestamp : max), 0n),
    results: {
      numQueries: nq,
      topK: window.limit,
      scores: roundScores(merged.scores, window.roundDecimal),
      ids: { kind: 'column', column: merged.rows.findColumn(primary.fieldId)! },
      topks: merged.counts,
      outputFields: selection.names,
      primaryFieldName: primary.name,
      rows: merged.rows,
      outputs: selection.outputs,
    },
  });
}

/** Runs the sub-searches, each in its share of one reservation. */
async function runAll(
  proxy: Proxy,
  info: CollectionInfo,
  plans: readonly SearchPlan[],
  { limit, offset }: Window,
  context: RequestContext,
): Promise<SearchOutcome[]> {
  // What is merged is no shorter than the longest list, and a page of it goes into the reply.
  const sizes = plans.map(({ params }) =>
    getSearchSize(info, params, Math.max(offset, params.k - limit)),
  );
  return readWithin(proxy, context, {
    sizes,
    read: (bounds) =>
      Promise.all(
        plans.map(async (plan, i): Promise<SearchOutcome> => {
          const { settings, params } = plan;
          const read = { k: params.k, bounds: bounds[i]! };
          const reply = await runSearch(proxy, info, plan, read, context);
          return { ...reply, settings, nq: params.nq };
        }),
      ),
    listRows: (outcomes) => outcomes.map(({ rows }) => rows),
  });
}

function checkParts(request: HybridSearchRequest): void {
  const { requests } = request;
  if (requests.length < 1 || requests.length > SUB_SEARCHES_MAX) {
    throw invalidParameter(
      `maximum of ann search requests is ${SUB_SEARCHES_MAX}, minimum of ann search requests ` +
        `is 1, but got ${requests.length}`,
    );
  }
  refuseOtherRankings(request);
  for (const part of requests) refuseOtherFeatures(part);
  if (findValue(request.rankParams, 'group_by_field')) throw notYet('grouping search');
}

interface Window {
  readonly limit: number;
  readonly offset: number;
  readonly roundDecimal: number;
}

function readWindow(proxy: Proxy, { rankParams }: HybridSearchRequest): Window {
  const { topK, maxQueryResultWindow } = proxy.deps.limits;
  const limit = readInteger(rankParams, 'limit');
  if (limit === undefined) throw invalidParameter('limit not found in rank_params');
  if (limit < 1 || limit > topK) {
    throw invalidParameter(
      `limit [${limit}] is invalid, it should be in range [1, ${topK}], but got ${limit}`,
    );
  }
  const offset = readInteger(rankParams, 'offset') ?? 0;
  if (offset < 0 || limit + offset > maxQueryResultWindow) {
    throw invalidParameter(
      `(offset+limit) [${limit + offset}] is invalid, should be in range [1, ` +
        `${maxQueryResultWindow}], but got ${limit + offset}`,
    );
  }
  return { limit, offset, roundDecimal: readRoundDecimal(findValue(rankParams, 'round_decimal')) };
}

/**
 * Returns a part's parameters without the offset: a part lists its best hits from the first one on,
 * and the pages are cut from what is merged. Without a topk of its own a part lists as many hits as
 * the page needs.
 * @throws MilvusError ParameterInvalid for an offset that is not the whole search's
 */
function readPartParams(params: readonly KeyValue[], { limit, offset }: Window): KeyValue[] {
  const own = readInteger(params, 'offset') ?? 0;
  if (own !== 0 && own !== offset) {
    throw invalidParameter(
      `offset [${own}] of a sub-search is invalid: a hybrid search has one offset, of the whole, ` +
        `which is ${offset}`,
    );
  }
  const kept = params.filter(({ key }) => key !== 'offset');
  const hasTopK = kept.some(({ key, value }) => /^(topk|limit)$/.test(key) && value !== '');
  return hasTopK ? kept : [...kept, { key: 'topk', value: String(limit + offset) }];
}

function readRanker(pairs: readonly KeyValue[], lists: number): Ranker {
  const strategy = (findValue(pairs, 'strategy') ?? '').toLowerCase();
  const text = findValue(pairs, 'params');
  let params: unknown = {};
  try {
    if (text !== undefined && text !== '') params = JSON.parse(text);
  } catch {
    throw invalidParameter(`parse rerank params failed: ${text}`);
  }
  if (!isObject(params)) throw invalidParameter(`parse rerank params failed: ${text}`);
  if (strategy === '' || strategy === 'rrf') return readRrf(params);
  if (strategy === 'weighted') return readWeighted(params, lists);
  throw invalidParameter(`unsupported rank type ${strategy}`);
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function readRrf(params: Record<string, unknown>): Ranker {
  const k = params['k'] === undefined ? RRF_K_DEFAULT : params['k'];
  if (typeof k !== 'number') throw invalidParameter(`The type of rank param k should be float`);
  if (k <= 0 || k >= RRF_K_END) {
    throw invalidParameter(`The rank params k should be in range (0, ${RRF_K_END})`);
  }
  return { share: (_list, rank) => 1 / (k + rank), isNormalized: false, usesScores: false };
}

function readWeighted(params: Record<string, unknown>, lists: number): Ranker {
  const { weights } = params;
  if (!Array.isArray(weights)) throw invalidParameter('weights not found in rank_params');
  for (const weight of weights) {
    if (typeof weight !== 'number')
      throw invalidParameter('The type of rank param weight should be float');
    if (weight < 0 || weight > 1)
      throw invalidParameter('rank param weight should be in range [0, 1]');
  }
  if (weights.length !== lists) {
    throw invalidParameter(
      'the length of weights param mismatch with ann search requests: invalid ' +
        `parameter[expected=${lists}][actual=${weights.length}]`,
    );
  }
  const isNormalized = params['norm_score'] === true || params['norm_score'] === 'true';
  const numbers = weights as number[];
  return {
    share: (list, _rank, score) => numbers[list]! * score,
    isNormalized,
    usesScores: true,
  };
}

/** Merges the lists: a row has the sum of what the ranker gives for it in each. */
async function fuse(
  outcomes: readonly SearchOutcome[],
  ranker: Ranker,
  nq: number,
  { limit, offset }: Window,
  primary: FieldSchema,
): Promise<{ counts: Int32Array; scores: Float32Array; rows: RowBatchReader }> {
  const metrics = outcomes.map(({ settings }) => getMetric(settings.index.metric));
  const isMixed = new Set(metrics.map(({ isHigherBetter }) => isHigherBetter)).size > 1;
  // Distances alone stay distances; beside similarities they are turned into such.
  const isDescending =
    !ranker.usesScores || ranker.isNormalized || isMixed || metrics[0]!.isHigherBetter;
  const toComparable = (score: number, { isHigherBetter, normalize }: Metric): number => {
    if (!ranker.usesScores) return score;
    const isTurned = ranker.isNormalized || (isMixed && !isHigherBetter);
    return isTurned ? normalize(score) : score;
  };
  const lists = await runInTurns(shareSteps());
  const options = { nq, offset, limit, smallerFirst: !isDescending, addsUp: true };
  const reduced = await reduceLists(lists, options, primary);
  return { ...reduced, rows: new RowBatchReader(reduced.rows) };

  /** What each hit adds to its row's score. */
  function* shareSteps(): Steps<AnswerList[]> {
    const found: AnswerList[] = [];
    for (const [list, { counts, scores, rows }] of outcomes.entries()) {
      const shares = new Float64Array(scores.length);
      let row = 0;
      for (const count of counts) {
        for (let rank = 1; rank <= count; rank++, row++) {
          const score = toComparable(scores[row]!, metrics[list]!);
          shares[row] = ranker.share(list, rank, score);
        }
        yield HIT_WORK * count;
      }
      found.push({ counts, scores: shares, rows });
    }
    return found;
  }
}
