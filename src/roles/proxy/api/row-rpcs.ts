// The RPCs about rows: the hot path, with messages that are read and written by hand. What features
// that are not there yet are asked for is seen here, because verbs have no place for it.

import { nextTurn } from '../../../base/turns.ts';
import { encodeStringIds, type IdsInput } from '../../../codec/ids.ts';
import {
  decodeDeleteRequest,
  decodeInsertRequest,
  decodeUpsertRequest,
  type InsertRequest,
} from '../../../codec/insert-request.ts';
import { encodeMutationResult } from '../../../codec/mutation-result.ts';
import { decodePlaceholderGroup } from '../../../codec/placeholder-group.ts';
import { encodeQueryResults, encodeQueryResultsInTurns } from '../../../codec/query-results.ts';
import {
  decodeHybridSearchRequest,
  decodeQueryRequest,
  decodeSearchRequest,
  type SearchRequest,
} from '../../../codec/read-requests.ts';
import { encodeInt64FieldData } from '../../../codec/rows-to-field-data.ts';
import { encodeSearchResults, encodeSearchResultsInTurns } from '../../../codec/search-results.ts';
import type { Keys } from '../../../model/keys.ts';
import { OK_STATUS, type Status } from '../../../rpc/status.ts';
import { notYet } from '../not-yet.ts';
import { hybridSearch } from '../read/hybrid-search.ts';
import { COUNT, query, type QueryResult } from '../read/query.ts';
import type { GivenVectors } from '../read/query-vectors.ts';
import { search, type SearchInput, type SearchResult } from '../read/search.ts';
import { deleteRows } from '../write/delete.ts';
import { insert, upsert, type InsertInput } from '../write/insert.ts';
import { PartialWriteError, type WriteResult } from '../write/shard-writes.ts';
import { joinKeys } from '../write/sharding.ts';
import { MessageRows } from './message-rows.ts';
import { toRecord } from './pairs.ts';
import { hot, type Rpc } from './rpc.ts';

const SEARCH_REPLY = {
  encode: encodeSearch,
  encodeError: (status: Status) => encodeSearchResults({ status }),
};
const WRITE_REPLY = { encode: encodeWrite, encodeError: encodeWriteError };

export const ROW_RPCS: Readonly<Record<string, Rpc>> = {
  Insert: hot({
    access: 'writing',
    read: readRows,
    run: insert,
    codec: { decode: decodeInsertRequest, ...WRITE_REPLY },
  }),
  Upsert: hot({
    access: 'writing',
    read: (request) => ({
      ...readRows(request),
      partialUpdate: request.partialUpdate,
      fieldOps: request.fieldOps,
    }),
    run: upsert,
    codec: { decode: decodeUpsertRequest, ...WRITE_REPLY },
  }),
  Delete: hot({
    access: 'writing',
    read: ({ collectionName, partitionName, expr, exprTemplateValues }) => {
      return { collectionName, partitionName, filter: expr, templates: exprTemplateValues };
    },
    run: deleteRows,
    codec: { decode: decodeDeleteRequest, ...WRITE_REPLY },
  }),
  Search: hot({
    access: 'reading',
    read: (request) => readSearch(request),
    run: search,
    codec: { decode: decodeSearchRequest, ...SEARCH_REPLY },
  }),
  HybridSearch: hot({
    access: 'reading',
    read: (request) => {
      refuseRankings(request);
      return {
        collectionName: request.collectionName,
        partitionNames: request.partitionNames,
        outputFields: request.outputFields,
        guaranteeTimestamp: request.guaranteeTimestamp,
        options: toRecord(request.rankParams),
        searches: request.requests.map(readSearch),
      };
    },
    run: hybridSearch,
    codec: { decode: decodeHybridSearchRequest, ...SEARCH_REPLY },
  }),
  Query: hot({
    access: 'reading',
    read: (request) => ({
      collectionName: request.collectionName,
      partitionNames: request.partitionNames,
      outputFields: request.outputFields,
      guaranteeTimestamp: request.guaranteeTimestamp,
      options: toRecord(request.queryParams),
      filter: request.expr,
      templates: request.exprTemplateValues,
    }),
    run: query,
    codec: {
      decode: decodeQueryRequest,
      encode: encodeQuery,
      encodeError: (status) => encodeQueryResults({ status }),
    },
  }),
};

function readRows(request: InsertRequest): InsertInput {
  const { collectionName, partitionName, schemaTimestamp } = request;
  return { collectionName, partitionName, schemaTimestamp, rows: new MessageRows(request) };
}

/** Written out, as above: spreading a shared part costs more than decoding a small request. */
function readSearch(request: SearchRequest): SearchInput {
  refuseRankings(request);
  if (request.highlighter !== undefined) throw notYet('the highlighter');
  if (request.searchAggregation !== undefined) throw notYet('search aggregation');
  return {
    collectionName: request.collectionName,
    partitionNames: request.partitionNames,
    outputFields: request.outputFields,
    guaranteeTimestamp: request.guaranteeTimestamp,
    options: toRecord(request.searchParams),
    filter: request.dsl,
    templates: request.exprTemplateValues,
    vectors: readVectors(request.placeholderGroup),
    ids: request.ids,
  };
}

function refuseRankings(
  request: Pick<SearchRequest, 'functionScore' | 'functionChains'>,
): void {
  if (request.functionScore !== undefined && request.functionScore.length > 0)
    throw notYet('function rankers');
  if (request.functionChains.length > 0) throw notYet('function chains');
}

/** The types of placeholders that are vectors have the numbers of the data types. */
function readVectors(group: Uint8Array | undefined): GivenVectors | undefined {
  if (group === undefined) return undefined;
  const [placeholder, other] = decodePlaceholderGroup(group);
  if (placeholder === undefined || other !== undefined) return undefined;
  const { type, message, values } = placeholder;
  return { type, bytes: message, values };
}

function encodeSearch(result: SearchResult): Promise<Uint8Array> {
  const { collectionName, timestamp, selection, primary, rows, iterator } = result;
  return encodeSearchResultsInTurns({
    status: OK_STATUS,
    collectionName,
    sessionTs: timestamp,
    results: {
      numQueries: result.nq,
      topK: result.k,
      scores: result.scores,
      ids: { kind: 'column', column: rows.findColumn(primary.fieldId)! },
      topks: result.counts,
      outputFields: selection.names,
      primaryFieldName: primary.name,
      rows,
      outputs: selection.outputs,
      allSearchCount: result.visibleRows ?? 0,
      ...(iterator === undefined ? {} : { iterator }),
    },
  });
}

function encodeQuery(result: QueryResult): Promise<Uint8Array> {
  const { collectionName, timestamp, primaryFieldName, count, rows, selection } = result;
  const isCount = count !== undefined;
  return encodeQueryResultsInTurns({
    status: OK_STATUS,
    collectionName,
    sessionTs: timestamp,
    primaryFieldName,
    rows,
    outputs: isCount ? [] : selection.outputs,
    encodedFields: isCount ? [encodeInt64FieldData(COUNT, BigInt64Array.of(count))] : [],
    outputFields: isCount ? [COUNT] : selection.names,
  });
}

async function encodeWrite(result: WriteResult): Promise<Uint8Array> {
  const [first] = result.keys;
  const texts: Uint8Array[] = [];
  if (first?.kind === 'string') {
    for (const keys of result.keys) {
      if (texts.length > 0) await nextTurn();
      texts.push(encodeStringIds(keys.values as readonly string[]));
    }
  }
  return encodeOutcome(OK_STATUS, result, texts);
}

/** In part, or as a whole. */
function encodeWriteError(status: Status, error: unknown): Uint8Array {
  if (!(error instanceof PartialWriteError)) return encodeMutationResult({ status });
  const { result } = error;
  const texts = result.keys.flatMap((keys) =>
    keys.kind === 'string' ? [encodeStringIds(keys.values)] : [],
  );
  return encodeOutcome(status, result, texts);
}

/** @param texts  the keys, when they are strings, as encodeStringIds makes them */
function encodeOutcome(
  status: Status,
  result: WriteResult,
  texts: readonly Uint8Array[],
): Uint8Array {
  return encodeMutationResult({
    status,
    ids: texts.length > 0 ? { kind: 'encodedStrings', chunks: texts } : joinInt64(result.keys),
    succIndex: result.written,
    errIndex: result.missing,
    // Of a delete that fails in part no rows are named.
    acknowledged: status === OK_STATUS || result.written.length > 0,
    insertCount: result.insertCount,
    deleteCount: result.deleteCount,
    upsertCount: result.upsertCount,
    timestamp: result.timestamp,
  });
}

function joinInt64(keys: readonly Keys[]): IdsInput | undefined {
  const joined = joinKeys(keys);
  return joined?.kind === 'int64' ? { kind: 'int', values: joined.values } : undefined;
}
