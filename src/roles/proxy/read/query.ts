// Query: options and filter → plan → shards → rows ascending by primary key. Also count(*).

import { runInTurns, VALUES_PER_TURN } from '../../../base/turns.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import { takeRowsOf } from '../../../codec/row-batch-ops.ts';
import { invalidParameter } from '../../../model/error.ts';
import type { QueryParams } from '../../../model/read.ts';
import { getPrimaryKeyField } from '../../../model/schema.ts';
import type { TemplateValues } from '../../../model/template-value.ts';
import { notYet } from '../not-yet.ts';
import { isTrue } from '../options.ts';
import { requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { compileRequestFilter, type Filter } from './filter.ts';
import { selectOutputFields, type OutputSelection } from './output-fields.ts';
import { readQueryPage, readTarget, type ReadInput } from './read-options.ts';
import { queryShards, requireOutputSize } from './read-shards.ts';

export const COUNT = 'count(*)';
const AGGREGATE = /^\s*(count|sum|avg|min|max)\s*\(.*\)\s*$/i;

export interface QueryInput extends ReadInput {
  readonly filter: string;
  readonly templates: TemplateValues;
}

export interface QueryResult {
  readonly collectionName: string;
  readonly timestamp: bigint;
  readonly primaryFieldName: string;
  /** What `count(*)` was asked for; there are no rows then. */
  readonly count: bigint | undefined;
  readonly rows: RowBatchReader;
  readonly selection: OutputSelection;
}

export async function query(
  proxy: Proxy,
  input: QueryInput,
  context: RequestContext,
): Promise<QueryResult> {
  const { collectionName, outputFields, options } = input;
  const info = await requireCollection(proxy, collectionName, context);
  const isCount = outputFields.some((name) => name.replaceAll(' ', '').toLowerCase() === COUNT);
  refuseOtherFeatures(input, isCount);
  const { limit, offset } = readQueryPage(proxy.deps.limits, options, isCount);
  const filter = await compileRequestFilter(proxy, info, input.filter, input.templates, 'query');
  const selection = isCount
    ? selectOutputFields(info.schema, [], false)
    : selectOutputFields(info.schema, outputFields, true);
  if (filter === undefined && limit === undefined && !isCount) {
    throw invalidParameter('empty expression should be used with limit');
  }
  const rows = isCount ? 0 : limit === undefined ? Infinity : limit + offset;
  const params: QueryParams = {
    ...(await chooseRows(filter)),
    limit: limit === undefined ? 0 : limit + offset,
    outputFieldIds: selection.fieldIds,
    countOnly: isCount,
  };
  const ignoreGrowing = isTrue(options['ignore_growing']);
  const target = readTarget(proxy, info, input, { verb: 'query', filter, ignoreGrowing });
  const size = {
    rows: Math.min(rows, filter?.keys?.values.length ?? Infinity),
    rowsEach: rows,
    spareRows: offset,
  };
  const found = await queryShards(proxy, info, { target, params, size }, context);
  const page = await skipRows(new RowBatchReader(found.rows), offset);
  requireOutputSize(proxy, 'query', page.bytes);
  return {
    collectionName,
    timestamp: found.timestamp,
    primaryFieldName: getPrimaryKeyField(info.schema).name,
    count: isCount ? BigInt(found.count) : undefined,
    rows: page,
    selection,
  };
}

async function chooseRows(filter: Filter | undefined): Promise<Pick<QueryParams, 'plan' | 'keys'>> {
  if (filter === undefined) return {};
  const { keys } = filter;
  // Strings go to native one by one; a plan is encoded in turns, and the keys in it are looked up
  // as well.
  const isLongText = keys?.kind === 'string' && keys.values.length > VALUES_PER_TURN;
  return keys === undefined || isLongText ? { plan: await filter.encode() } : { keys };
}

function refuseOtherFeatures({ options, outputFields }: QueryInput, isCount: boolean): void {
  if (options['group_by_fields'] !== undefined) throw notYet('group by in query');
  if (options['order_by_fields'] !== undefined) throw notYet('order by in query');
  if (!isCount && outputFields.some((name) => AGGREGATE.test(name)))
    throw notYet('aggregation in query');
}

async function skipRows(batch: RowBatchReader, offset: number): Promise<RowBatchReader> {
  if (offset === 0) return batch;
  const length = Math.max(0, batch.rows - offset);
  const kept = Uint32Array.from({ length }, (_unused, i) => offset + i);
  return new RowBatchReader(await runInTurns(takeRowsOf([batch], kept)));
}
