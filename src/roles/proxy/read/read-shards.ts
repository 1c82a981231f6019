// Asks the leaders of a collection's shards and merges what they find, within memory that is taken
// for the rows before the read begins (P6). The bounds travel to whoever gathers rows, so that what
// is too large is refused where it is found, and never made. How long values of variable width are
// is not known before: a read begins with memory for short ones and is done again with more when
// they are longer.

import type { CollectionInfo } from '../../../model/collection-info.ts';
import { DataType } from '../../../model/data-type.ts';
import { MilvusError } from '../../../model/error.ts';
import type {
  QueryParams,
  QueryReply,
  ReadBounds,
  SearchParams,
  SearchReply,
} from '../../../model/read.ts';
import {
  findFieldById,
  getPrimaryKeyField,
  type CollectionSchema,
} from '../../../model/schema.ts';
import { getFixedWidth } from '../../../model/stored-types.ts';
import type { ShardReadRequest } from '../../../rpc/contract.ts';
import { askShards } from '../../../rpc/shards.ts';
import { mergeQueries, mergeSearches } from '../../../segment/reduce.ts';
import type { Proxy, RequestContext } from '../proxy.ts';

/** Where a read looks, and as of when. */
export interface ReadTarget {
  /** Empty = all. */
  readonly partitionIds: readonly bigint[];
  readonly ignoreGrowing: boolean;
  /** 0 = everything acknowledged so far. */
  readonly pinnedTimestamp: bigint;
}

/** What a read at several shards is as of: the latest of theirs. */
interface Timed {
  readonly timestamp: bigint;
}

export interface ShardSearch {
  readonly target: ReadTarget;
  readonly params: SearchParams;
  /** Hits of each query vector that the reply leaves out. */
  readonly spareRows: number;
}

/** Searches that run together, each at every shard. */
export function searchShards(
  proxy: Proxy,
  info: CollectionInfo,
  searches: readonly ShardSearch[],
  context: RequestContext,
): Promise<readonly (SearchReply & Timed)[]> {
  const { schema } = info;
  return readWithin(proxy, context, {
    sizes: searches.map(({ params: { outputFieldIds: fieldIds, nq, k }, spareRows }) => {
      return { schema, fieldIds, rows: nq * k, rowsEach: k, spareRows };
    }),
    read: (bounds) =>
      Promise.all(
        searches.map((search, i) => searchWithin(proxy, info, search, bounds[i]!, context)),
      ),
    listRows: (replies) => replies.map(({ rows }) => rows),
  });
}

async function searchWithin(
  proxy: Proxy,
  { schema, vchannels }: CollectionInfo,
  search: ShardSearch,
  bounds: ReadBounds,
  context: RequestContext,
): Promise<SearchReply & Timed> {
  const params = { ...search.params, bounds };
  const replies = await askShards(proxy.peers, vchannels, (shard, vchannel) =>
    shard.search(toRequest(vchannel, search.target, params), context),
  );
  if (replies.length === 1) return replies[0]!;
  const merged = await mergeSearches(replies, params, getPrimaryKeyField(schema));
  return { ...merged, timestamp: getLatest(replies) };
}

export interface ShardQuery {
  readonly target: ReadTarget;
  readonly params: QueryParams;
  /**
   * What a shard is asked besides, by its index; undefined = it is not asked. Left out: all shards
   * are asked the same.
   */
  readonly ofShard?: (shard: number) => Partial<QueryParams> | undefined;
  readonly size: Omit<ReadSize, 'schema' | 'fieldIds'>;
}

/** `limit` and keys hold for each shard as for the whole. */
export function queryShards(
  proxy: Proxy,
  info: CollectionInfo,
  query: ShardQuery,
  context: RequestContext,
): Promise<QueryReply & Timed> {
  return readWithin(proxy, context, {
    sizes: [getQuerySize(info, query)],
    read: async ([bounds]) => {
      const replies = await queryWithin(proxy, info, query, bounds!, context);
      if (replies.length === 1) return replies[0]!;
      const merged = await mergeQueries(replies, query.params, getPrimaryKeyField(info.schema));
      return { ...merged, timestamp: getLatest(replies) };
    },
    listRows: ({ rows }) => [rows],
  });
}

/** Returns what each shard that is asked finds, in the order of the shards. */
export function queryEachShard(
  proxy: Proxy,
  info: CollectionInfo,
  query: ShardQuery,
  context: RequestContext,
): Promise<readonly (QueryReply & Timed)[]> {
  return readWithin(proxy, context, {
    sizes: [getQuerySize(info, query)],
    read: ([bounds]) => queryWithin(proxy, info, query, bounds!, context),
    listRows: (replies) => replies.map(({ rows }) => rows),
  });
}

function getQuerySize({ schema }: CollectionInfo, { params, size }: ShardQuery): ReadSize {
  return { ...size, schema, fieldIds: params.outputFieldIds };
}

function queryWithin(
  proxy: Proxy,
  { vchannels }: CollectionInfo,
  { target, params, ofShard }: ShardQuery,
  bounds: ReadBounds,
  context: RequestContext,
): Promise<(QueryReply & Timed)[]> {
  const bounded = { ...params, bounds };
  const replies: Promise<QueryReply & Timed>[] = [];
  for (const [shard, vchannel] of vchannels.entries()) {
    const own = ofShard?.(shard);
    if (ofShard !== undefined && own === undefined) continue;
    const request = toRequest(vchannel, target, own ? { ...bounded, ...own } : bounded);
    replies.push(proxy.peers.shard(vchannel).query(request, context));
  }
  return Promise.all(replies);
}

/** Written out: spreading the target costs as much as reading a small message. */
function toRequest<Params>(
  vchannel: string,
  { partitionIds, ignoreGrowing, pinnedTimestamp }: ReadTarget,
  params: Params,
): ShardReadRequest & { params: Params } {
  return { vchannel, partitionIds, ignoreGrowing, pinnedTimestamp, params };
}

function getLatest(replies: readonly Timed[]): bigint {
  return replies.reduce((latest, { timestamp }) => (timestamp > latest ? timestamp : latest), 0n);
}

/** @throws MilvusError ParameterTooLarge for rows that are too many for a reply */
export function requireOutputSize(
  proxy: Proxy,
  what: 'search' | 'query',
  { byteLength }: Uint8Array,
): void {
  const { maxOutputSize } = proxy.deps.limits;
  if (byteLength <= maxOutputSize) return;
  throw new MilvusError('ParameterTooLarge', {
    message: `${what} results exceed the maxOutputSize Limit`,
    fields: { got: byteLength, limit: maxOutputSize },
  });
}

export interface ReadSize {
  readonly schema: CollectionSchema;
  readonly fieldIds: readonly bigint[];
  /** Rows found at most, of all query vectors; Infinity = nobody knows. */
  readonly rows: number;
  /** Rows found for each query vector, and how many of them the reply leaves out. */
  readonly rowsEach: number;
  readonly spareRows: number;
  /** Not for a reply, but for what is made from the rows here: only memory bounds it. */
  readonly isInternal?: boolean;
}

export interface BoundedRead<Result> {
  /** Reads that run together, each within its bounds. */
  readonly sizes: readonly ReadSize[];
  readonly read: (bounds: readonly ReadBounds[]) => Promise<Result>;
  readonly listRows: (result: Result) => readonly Uint8Array[];
}

/**
 * Rows of several shards, growing and sealed, are gathered apart and then merged: one part may be
 * larger than the whole, when what it loses in the merge are its largest values.
 */
const PART_FACTOR = 2;
/** The rows, and the reply that is made from them. */
const COPIES = 2;
/** Of each row: its timestamp. Of each field: an entry in the directory and padding. */
const ROW_EXTRA_BYTES = 8;
const FIELD_EXTRA_BYTES = 96;
const BATCH_BYTES = 1024;
/** What a read begins with when it may need as much, and when nobody knows. */
const FIRST_BYTES = 64 * 1024;
const FIRST_UNKNOWN_BYTES = 4 * 1024 * 1024;
/** A value of variable width, as a read begins: few are longer on average. */
const FIRST_VALUE_BYTES = 4096;
const GROWTH = 8;

/**
 * Runs a read with memory taken for its rows; what is not needed of it is free at the end.
 * @throws MilvusError RateLimit when no memory becomes free in time; ParameterTooLarge
 */
export async function readWithin<Result>(
  proxy: Proxy,
  context: RequestContext,
  { sizes, read, listRows }: BoundedRead<Result>,
): Promise<Result> {
  const { memory } = context;
  const before = memory.held;
  const limits = sizes.map((size) => chooseLimits(proxy, context, size, sizes.length));
  for (let factor = 1; ; factor *= GROWTH) {
    const bounds = limits.map(({ replyBytesMax, spareRows, firstBytes, bytesMax }) => ({
      replyBytesMax,
      spareRows,
      gatherBytesMax: Math.min(bytesMax, factor * firstBytes),
    }));
    const bytes = bounds.reduce((sum, { gatherBytesMax }) => sum + gatherBytesMax, 0);
    await memory.reserve(COPIES * bytes, context);
    try {
      const result = await read(bounds);
      const rowBytes = listRows(result).reduce((sum, rows) => sum + rows.byteLength, 0);
      memory.settle(before + COPIES * rowBytes);
      return result;
    } catch (error) {
      memory.settle(before);
      // Of whoever gathers: more rows than there was memory for.
      const isMore = error instanceof MilvusError && error.errorName === 'MemoryLimitExceeded';
      if (!isMore) throw error;
      const isLast = limits.every(({ bytesMax }, i) => bounds[i]!.gatherBytesMax === bytesMax);
      if (isLast) throw new MilvusError('ParameterTooLarge', { message: error.message });
    }
  }
}

interface Limits {
  readonly replyBytesMax: number;
  readonly spareRows: number;
  /** To be gathered: at first, and at most. */
  readonly firstBytes: number;
  readonly bytesMax: number;
}

function chooseLimits(
  proxy: Proxy,
  { memory }: RequestContext,
  size: ReadSize,
  together: number,
): Limits {
  const { maxOutputSize } = proxy.deps.limits;
  const { rows, rowsEach, spareRows, isInternal = false } = size;
  // Alone in memory the rows of all and their reply fit.
  const most = Math.floor(memory.replyBytesMax / (COPIES * together));
  const share = Number.isFinite(rowsEach) ? rowsEach / Math.max(1, rowsEach - spareRows) : 1;
  const wanted = isInternal ? Infinity : PART_FACTOR * maxOutputSize * Math.max(1, share);
  const { rowBytes, isFixed } = measureRow(size);
  const batchBytes = BATCH_BYTES + FIELD_EXTRA_BYTES * (size.fieldIds.length + 2);
  const needed = rows * rowBytes + batchBytes;
  // Values may be longer than their limit is: it may have been another one when they were written.
  const bytesMax = Math.min(most, wanted, isFixed ? needed : Infinity);
  const guess = Number.isFinite(rows) ? Math.max(FIRST_BYTES, needed) : FIRST_UNKNOWN_BYTES;
  return {
    replyBytesMax: isInternal ? Number.MAX_SAFE_INTEGER : maxOutputSize,
    spareRows,
    firstBytes: Math.min(bytesMax, guess),
    bytesMax,
  };
}

/** Bytes of a row, if its values of variable width are not longer than is thought at first. */
function measureRow({ schema, fieldIds }: ReadSize): { rowBytes: number; isFixed: boolean } {
  let rowBytes = ROW_EXTRA_BYTES;
  let isFixed = true;
  for (const fieldId of new Set([getPrimaryKeyField(schema).fieldId, ...fieldIds])) {
    const field = findFieldById(schema, fieldId);
    if (field === undefined) continue;
    const { dataType, dim, maxLength } = field;
    const width = getFixedWidth(dataType, dim);
    const longest = dataType === DataType.VarChar ? maxLength : Infinity;
    // And whether it is null; and where it ends.
    rowBytes += 1 + (width > 0 ? width : 4 + Math.min(longest, FIRST_VALUE_BYTES));
    isFixed &&= width > 0;
  }
  return { rowBytes, isFixed };
}
