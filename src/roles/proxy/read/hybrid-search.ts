// Hybrid search: several searches on several vector fields, their lists merged by rank (RRF) or
// weighted score. Formulas: Milvus 2.6. Limit, offset, partitions and consistency are those of the
// whole: SDKs copy them into each part, where they are not read.

import { runInTurns, type Steps } from '../../../base/turns.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import { invalidParameter } from '../../../model/error.ts';
import { getMetric, type Metric } from '../../../model/metric.ts';
import type { SearchReply } from '../../../model/read.ts';
import { getPrimaryKeyField } from '../../../model/schema.ts';
import { reduceLists, type AnswerList, type KeyField } from '../../../segment/reduce.ts';
import { notYet } from '../not-yet.ts';
import { readInteger, type Options } from '../options.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { selectOutputFields } from './output-fields.ts';
import { readHybridPage, type HybridPage, type ReadInput } from './read-options.ts';
import { requireOutputSize, searchShards } from './read-shards.ts';
import { planSearch, roundScores, type SearchInput, type SearchResult } from './search.ts';

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

/** What a sub-search says of its own; the rest is the whole's. */
type SubSearchInput = Pick<SearchInput, 'filter' | 'templates' | 'vectors' | 'ids' | 'options'>;

/** `options` are those of the ranking. */
export interface HybridSearchInput extends ReadInput {
  readonly searches: readonly SubSearchInput[];
}

export async function hybridSearch(
  proxy: Proxy,
  input: HybridSearchInput,
  context: RequestContext,
): Promise<SearchResult> {
  const { collectionName, options, searches } = input;
  const info = await requireCollection(proxy, collectionName, context);
  checkCount(searches.length);
  if (options['group_by_field']) throw notYet('grouping search');
  const page = readHybridPage(proxy.deps.limits, options);
  const ranker = readRanker(options, searches.length);
  const selection = selectOutputFields(info.schema, input.outputFields, false);
  const plans = await Promise.all(
    searches.map((sub) => {
      const { filter, templates, vectors, ids } = sub;
      const own = { filter, templates, vectors, ids, options: readPartOptions(sub.options, page) };
      const whole = { ...input, ...own };
      return planSearch(proxy, info, whole, selection.fieldIds, context);
    }),
  );
  const { nq } = plans[0]!.params;
  if (plans.some(({ params }) => params.nq !== nq)) {
    throw invalidParameter('nq of the sub-searches of a hybrid search should be the same');
  }
  // What is merged is no shorter than the longest list, and a page of it goes into the reply.
  const { limit, offset } = page;
  const parts = plans.map(({ target, params }) => {
    return { target, params, spareRows: Math.max(offset, params.k - limit) };
  });
  const replies = await searchShards(proxy, info, parts, context);
  const lists = replies.map((reply, i) => ({ reply, metric: plans[i]!.settings.index.metric }));
  const primary = getPrimaryKeyField(info.schema);
  const merged = await fuse(lists, ranker, nq, page, primary);
  requireOutputSize(proxy, 'search', merged.rows.bytes);
  return {
    collectionName,
    nq,
    k: limit,
    primary,
    selection,
    timestamp: replies.reduce((max, { timestamp }) => (timestamp > max ? timestamp : max), 0n),
    counts: merged.counts,
    scores: roundScores(merged.scores, page.roundDecimal),
    rows: merged.rows,
  };
}

function checkCount(searches: number): void {
  if (searches >= 1 && searches <= SUB_SEARCHES_MAX) return;
  throw invalidParameter(
    `maximum of ann search requests is ${SUB_SEARCHES_MAX}, minimum of ann search requests ` +
      `is 1, but got ${searches}`,
  );
}

/**
 * Returns a part's options without the offset: a part lists its best hits from the first one on,
 * and the pages are cut from what is merged. Without a topk of its own a part lists as many hits as
 * the page needs.
 * @throws MilvusError ParameterInvalid for an offset that is not the whole search's
 */
function readPartOptions(options: Options, { limit, offset }: HybridPage): Options {
  const { offset: _own, ...kept } = options;
  const own = readInteger(options, 'offset') ?? 0;
  if (own !== 0 && own !== offset) {
    throw invalidParameter(
      `offset [${own}] of a sub-search is invalid: a hybrid search has one offset, of the whole, ` +
        `which is ${offset}`,
    );
  }
  const hasTopK = Boolean(kept['topk'] || kept['limit']);
  return hasTopK ? kept : { ...kept, topk: String(limit + offset) };
}

function readRanker(options: Options, lists: number): Ranker {
  const strategy = (options['strategy'] ?? '').toLowerCase();
  const text = options['params'];
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

/** The hits of a sub-search. */
interface RankedList {
  readonly reply: SearchReply;
  readonly metric: string;
}

/** Merges the lists: a row has the sum of what the ranker gives for it in each. */
async function fuse(
  lists: readonly RankedList[],
  ranker: Ranker,
  nq: number,
  { limit, offset }: HybridPage,
  primary: KeyField,
): Promise<{ counts: Int32Array; scores: Float32Array; rows: RowBatchReader }> {
  const metrics = lists.map(({ metric }) => getMetric(metric));
  const isMixed = new Set(metrics.map(({ isHigherBetter }) => isHigherBetter)).size > 1;
  // Distances alone stay distances; beside similarities they are turned into such.
  const isDescending =
    !ranker.usesScores || ranker.isNormalized || isMixed || metrics[0]!.isHigherBetter;
  const toComparable = (score: number, { isHigherBetter, normalize }: Metric): number => {
    if (!ranker.usesScores) return score;
    const isTurned = ranker.isNormalized || (isMixed && !isHigherBetter);
    return isTurned ? normalize(score) : score;
  };
  const shares = await runInTurns(shareSteps());
  const options = { nq, offset, limit, smallerFirst: !isDescending, addsUp: true };
  const reduced = await reduceLists(shares, options, primary);
  return { ...reduced, rows: new RowBatchReader(reduced.rows) };

  /** What each hit adds to its row's score. */
  function* shareSteps(): Steps<AnswerList[]> {
    const found: AnswerList[] = [];
    for (const [list, { reply }] of lists.entries()) {
      const { counts, scores, rows } = reply;
      const own = new Float64Array(scores.length);
      let row = 0;
      for (const count of counts) {
        for (let rank = 1; rank <= count; rank++, row++) {
          own[row] = ranker.share(list, rank, toComparable(scores[row]!, metrics[list]!));
        }
        yield HIT_WORK * count;
      }
      found.push({ counts, scores: own, rows });
    }
    return found;
  }
}
