// Query: filter → plan → shard leaders → merge by primary key → rows. Also count(*).

import { runInTurns, VALUES_PER_TURN } from '../../../base/turns.ts';
import type { QueryRequest } from '../../../codec/query-request.ts';
import { encodeQueryResultsInTurns } from '../../../codec/query-results.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import { takeRowsOf } from '../../../codec/row-batch-ops.ts';
import { encodeInt64FieldData } from '../../../codec/rows-to-field-data.ts';
import { findValue } from '../../../codec/request-parts.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { MilvusError, invalidParameter } from '../../../model/error.ts';
import { getPrimaryKeyField } from '../../../model/schema.ts';
import type { QueryParams, QueryReply } from '../../../model/read.ts';
import { OK_STATUS } from '../../../rpc/status.ts';
import { mergeQueries } from '../../../segment/reduce.ts';
import { compileRequestFilter, type Filter } from './filter.ts';
import { notYet } from '../not-yet.ts';
import { selectOutputFields } from './output-fields.ts';
import { getDbName, requireCollection, type Proxy, type RequestContext } from '../proxy.ts';
import { readWithin } from './read-bounds.ts';
import {
  getPinnedTimestamp,
  isTrue,
  readInteger,
  requirePartitionKey,
  selectPartitions,
} from './read-target.ts';

const COUNT = 'count(*)';
const AGGREGATE = /^\s*(count|sum|avg|min|max)\s*\(.*\)\s*$/i;

export async function query(
  proxy: Proxy,
  request: QueryRequest,
  context: RequestContext,
): Promise<Uint8Array> {
  const dbName = getDbName(request, context);
  const info = await requireCollection(proxy, dbName, request.collectionName, context);
  const isCount = request.outputFields.some(
    (name) => name.replaceAll(' ', '').toLowerCase() === COUNT,
  );
  refuseOtherFeatures(request, isCount);
  const { limit, offset } = readWindow(proxy, request, isCount);
  const filter = await compileRequestFilter(
    proxy,
    info,
    request.expr,
    request.exprTemplateValues,
    'query',
  );
  const selection = isCount
    ? selectOutputFields(info.schema, [], false)
    : selectOutputFields(info.schema, request.outputFields, true);
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
  requirePartitionKey(proxy.deps.limits, info, 'query');
  const target = {
    partitionIds: selectPartitions(info, request.partitionNames, filter),
    ignoreGrowing: isTrue(findValue(request.queryParams, 'ignore_growing')),
    pinnedTimestamp: getPinnedTimestamp(request.queryParams, request.guaranteeTimestamp),
  };
  const size = {
    schema: info.schema,
    fieldIds: selection.fieldIds,
    rows: Math.min(rows, filter?.keys?.values.length ?? Infinity),
    rowsEach: rows,
    spareRows: offset,
  };
  const read = await readWithin(proxy, context, {
    sizes: [size],
    read: ([bounds]) =>
      readShards(proxy, info, context, { ...params, bounds: bounds! }, target),
    listRows: (reply) => [reply.rows],
  });
  const common = {
    status: OK_STATUS,
    collectionName: request.collectionName,
    sessionTs: read.timestamp,
    primaryFieldName: getPrimaryKeyField(info.schema).name,
  };
  if (isCount) {
    const count = encodeInt64FieldData(COUNT, BigInt64Array.of(BigInt(read.count)));
    return encodeQueryResultsInTurns({ ...common, encodedFields: [count], outputFields: [COUNT] });
  }
  const page = await skipRows(new RowBatchReader(read.rows), offset);
  requireOutputSize(proxy, page.bytes);
  return encodeQueryResultsInTurns({
    ...common,
    rows: page,
    outputs: selection.outputs,
    outputFields: selection.names,
  });
}

async function chooseRows(filter: Filter | undefined): Promise<Pick<QueryParams, 'plan' | 'keys'>> {
  if (filter === undefined) return {};
  const { keys } = filter;
  // Strings go to native one by one; a plan is encoded in turns, and the keys in it are looked up
  // as well.
  const isLongText = keys?.kind === 'string' && keys.values.length > VALUES_PER_TURN;
  return keys === undefined || isLongText ? { plan: await filter.encode() } : { keys };
}

/** Asks every shard's leader and merges. `limit` and keys hold for each shard as for the whole. */
async function readShards(
  proxy: Proxy,
  info: CollectionInfo,
  context: RequestContext,
  params: QueryParams,
  target: { partitionIds: readonly bigint[]; ignoreGrowing: boolean; pinnedTimestamp: bigint },
): Promise<QueryReply & { timestamp: bigint }> {
  const replies = await Promise.all(
    info.vchannels.map((vchannel) =>
      proxy.peers.shard(vchannel).query({ vchannel, ...target, params }, context),
    ),
  );
  if (replies.length === 1) return replies[0]!;
  const timestamp = replies.reduce(
    (max, reply) => (reply.timestamp > max ? reply.timestamp : max),
    0n,
  );
  const merged = await mergeQueries(replies, params, getPrimaryKeyField(info.schema));
  return { ...merged, timestamp };
}

function readWindow(
  proxy: Proxy,
  request: QueryRequest,
  isCount: boolean,
): { limit: number | undefined; offset: number } {
  const { queryParams } = request;
  const limit = readInteger(queryParams, 'limit');
  const offset = readInteger(queryParams, 'offset') ?? 0;
  const isUnlimited = limit === undefined || limit === -1;
  if (isCount && !isUnlimited)
    throw invalidParameter('count entities with pagination is not allowed');
  if (isUnlimited) return { limit: undefined, offset: 0 };
  const max = proxy.deps.limits.maxQueryResultWindow;
  if (limit <= 0) {
    throw invalidParameter(
      `invalid max query result window, limit [${limit}] is invalid, should be greater than 0`,
    );
  }
  if (offset < 0) {
    throw invalidParameter(
      `invalid max query result window, offset [${offset}] is invalid, should be gte than 0`,
    );
  }
  if (limit + offset > max) {
    throw invalidParameter(
      `invalid max query result window, (offset+limit) should be in range [1, ${max}], but got ` +
        `${limit + offset}`,
    );
  }
  return { limit, offset };
}

function refuseOtherFeatures(request: QueryRequest, isCount: boolean): void {
  const { queryParams, outputFields } = request;
  if (findValue(queryParams, 'group_by_fields') !== undefined) throw notYet('group by in query');
  if (findValue(queryParams, 'order_by_fields') !== undefined) throw notYet('order by in query');
  if (!isCount && outputFields.some((name) => AGGREGATE.test(name)))
    throw notYet('aggregation in query');
}

function requireOutputSize(proxy: Proxy, rows: Uint8Array): void {
  const { maxOutputSize } = proxy.deps.limits;
  if (rows.byteLength <= maxOutputSize) return;
  throw new MilvusError('ParameterTooLarge', {
    message: 'query results exceed the maxOutputSize Limit',
    fields: { got: rows.byteLength, limit: maxOutputSize },
  });
}

async function skipRows(batch: RowBatchReader, offset: number): Promise<RowBatchReader> {
  if (offset === 0) return batch;
  const length = Math.max(0, batch.rows - offset);
  const kept = Uint32Array.from({ length }, (_unused, i) => offset + i);
  return new RowBatchReader(await runInTurns(takeRowsOf([batch], kept)));
}
