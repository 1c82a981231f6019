// milvus.SearchRequest with its sub-requests, HybridSearchRequest and QueryRequest from bytes. A
// message is a table: tag → what reads the field into the request.
// Parts that belong to features of their own (rerankers, highlighter, aggregation, function chains)
// stay undecoded bytes, so that the proxy sees that they were asked for.
// A decoded request refers to its message: see codec/field-data.ts for how long it is good.

import type { TemplateValue } from '../model/template-value.ts';
import { decodeInside } from './field-data.ts';
import { decodeIds, type Ids } from './ids.ts';
import { decodeKeyValue, decodeMsgBase, type KeyValue, type MsgBase } from './request-parts.ts';
import { decodeTemplateEntry } from './template-value.ts';
import { WireReader } from './wire.ts';

/** What Search, HybridSearch and Query share. */
export class ReadRequest {
  base: MsgBase | undefined = undefined;
  dbName = '';
  collectionName = '';
  readonly partitionNames: string[] = [];
  readonly outputFields: string[] = [];
  travelTimestamp = 0n;
  guaranteeTimestamp = 0n;
  notReturnAllMeta = false;
  consistencyLevel = 0;
  useDefaultConsistency = false;
  namespace: string | undefined = undefined;
  rlsPrincipal = '';
  skipRls = false;
}

export class QueryRequest extends ReadRequest {
  expr = '';
  readonly queryParams: KeyValue[] = [];
  readonly exprTemplateValues = new Map<string, TemplateValue>();
}

/** What a search and a sub-search share. */
export interface SearchBody {
  /** The filter's text. */
  dsl: string;
  /** Undecoded common.PlaceholderGroup: codec/placeholder-group.ts. */
  placeholderGroup: Uint8Array | undefined;
  dslType: number;
  readonly searchParams: KeyValue[];
  nq: number;
  readonly exprTemplateValues: Map<string, TemplateValue>;
  namespace: string | undefined;
}

class SubSearchRequest implements SearchBody {
  dsl = '';
  placeholderGroup: Uint8Array | undefined = undefined;
  dslType = 0;
  readonly searchParams: KeyValue[] = [];
  nq = 0;
  readonly exprTemplateValues = new Map<string, TemplateValue>();
  namespace: string | undefined = undefined;
}

export class SearchRequest extends ReadRequest implements SearchBody {
  dsl = '';
  placeholderGroup: Uint8Array | undefined = undefined;
  dslType = 0;
  readonly searchParams: KeyValue[] = [];
  nq = 0;
  readonly exprTemplateValues = new Map<string, TemplateValue>();
  /** The other member of the oneof with `placeholderGroup`: search by primary key. */
  ids: Ids | undefined = undefined;
  searchByPrimaryKeys = false;
  readonly subReqs: SearchBody[] = [];
  functionScore: Uint8Array | undefined = undefined;
  highlighter: Uint8Array | undefined = undefined;
  searchAggregation: Uint8Array | undefined = undefined;
  readonly functionChains: Uint8Array[] = [];
}

export class HybridSearchRequest extends ReadRequest {
  readonly requests: SearchRequest[] = [];
  readonly rankParams: KeyValue[] = [];
  functionScore: Uint8Array | undefined = undefined;
  readonly functionChains: Uint8Array[] = [];
}

export function decodeQueryRequest(message: Uint8Array): QueryRequest {
  return readFields(new WireReader(message), new QueryRequest(), QUERY_FIELDS);
}

export function decodeSearchRequest(message: Uint8Array): SearchRequest {
  return decodeSearch(new WireReader(message));
}

export function decodeHybridSearchRequest(message: Uint8Array): HybridSearchRequest {
  return readFields(new WireReader(message), new HybridSearchRequest(), HYBRID_SEARCH_FIELDS);
}

function decodeSearch(reader: WireReader): SearchRequest {
  return readFields(reader, new SearchRequest(), SEARCH_FIELDS);
}

function decodeSubSearch(reader: WireReader): SearchBody {
  return readFields(reader, new SubSearchRequest(), SUB_SEARCH_FIELDS);
}

/** Reads a field's value, whose tag has been read, into the request. */
type ReadField<Request> = (reader: WireReader, into: Request) => void;
type Fields<Request> = Readonly<Record<number, ReadField<Request>>>;

/** Fields that the table does not have are skipped. */
function readFields<Request>(
  reader: WireReader,
  request: Request,
  fields: Fields<Request>,
): Request {
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    const readField = fields[tag];
    if (readField === undefined) reader.skip(tag);
    else readField(reader, request);
  }
  return request;
}

const text =
  <Key extends string>(key: Key): ReadField<Record<Key, string | undefined>> =>
  (reader, into) => {
    into[key] = reader.readString();
  };
const texts =
  <Key extends string>(key: Key): ReadField<Record<Key, string[]>> =>
  (reader, into) => {
    into[key].push(reader.readString());
  };
const bytes =
  <Key extends string>(key: Key): ReadField<Record<Key, Uint8Array | undefined>> =>
  (reader, into) => {
    into[key] = reader.readBytes();
  };
const bool =
  <Key extends string>(key: Key): ReadField<Record<Key, boolean>> =>
  (reader, into) => {
    into[key] = reader.readBool();
  };
const int32 =
  <Key extends string>(key: Key): ReadField<Record<Key, number>> =>
  (reader, into) => {
    into[key] = reader.readInt32();
  };
const uint64 =
  <Key extends string>(key: Key): ReadField<Record<Key, bigint>> =>
  (reader, into) => {
    into[key] = reader.readUint64();
  };
const messages =
  <Key extends string, Message>(
    key: Key,
    decode: (reader: WireReader) => Message,
  ): ReadField<Record<Key, Message[]>> =>
  (reader, into) => {
    into[key].push(decodeInside(reader, decode));
  };

const base: ReadField<ReadRequest> = (reader, into) => {
  into.base = decodeInside(reader, decodeMsgBase);
};
const nq: ReadField<SearchBody> = (reader, into) => {
  into.nq = reader.readInt64AsNumber();
};
const templates: ReadField<SearchBody | QueryRequest> = (reader, into) =>
  decodeTemplateEntry(reader, into.exprTemplateValues);
const functionChains: ReadField<SearchRequest | HybridSearchRequest> = (reader, into) => {
  into.functionChains.push(reader.readBytes());
};

const QUERY_FIELDS: Fields<QueryRequest> = {
  0x0a: base,
  0x12: text('dbName'),
  0x1a: text('collectionName'),
  0x22: text('expr'),
  0x2a: texts('outputFields'),
  0x32: texts('partitionNames'),
  0x38: uint64('travelTimestamp'),
  0x40: uint64('guaranteeTimestamp'),
  0x4a: messages('queryParams', decodeKeyValue),
  0x50: bool('notReturnAllMeta'),
  0x58: int32('consistencyLevel'),
  0x60: bool('useDefaultConsistency'),
  0x6a: templates,
  0x72: text('namespace'),
  0x7a: text('rlsPrincipal'),
  0x80: bool('skipRls'),
};

const SEARCH_FIELDS: Fields<SearchRequest> = {
  0x0a: base,
  0x12: text('dbName'),
  0x1a: text('collectionName'),
  0x22: texts('partitionNames'),
  0x2a: text('dsl'),
  0x32: (reader, into) => {
    into.placeholderGroup = reader.readBytes();
    into.ids = undefined;
  },
  0x38: int32('dslType'),
  0x42: texts('outputFields'),
  0x4a: messages('searchParams', decodeKeyValue),
  0x50: uint64('travelTimestamp'),
  0x58: uint64('guaranteeTimestamp'),
  0x60: nq,
  0x68: bool('notReturnAllMeta'),
  0x70: int32('consistencyLevel'),
  0x78: bool('useDefaultConsistency'),
  0x80: bool('searchByPrimaryKeys'),
  0x8a: messages('subReqs', decodeSubSearch),
  0x92: templates,
  0x9a: bytes('functionScore'),
  0xa2: text('namespace'),
  0xaa: bytes('highlighter'),
  0xb2: (reader, into) => {
    into.ids = decodeInside(reader, decodeIds);
    into.placeholderGroup = undefined;
  },
  0xba: bytes('searchAggregation'),
  0xc2: functionChains,
  0xca: text('rlsPrincipal'),
  0xd0: bool('skipRls'),
};

const SUB_SEARCH_FIELDS: Fields<SearchBody> = {
  0x0a: text('dsl'),
  0x12: bytes('placeholderGroup'),
  0x18: int32('dslType'),
  0x22: messages('searchParams', decodeKeyValue),
  0x28: nq,
  0x32: templates,
  0x3a: text('namespace'),
};

const HYBRID_SEARCH_FIELDS: Fields<HybridSearchRequest> = {
  0x0a: base,
  0x12: text('dbName'),
  0x1a: text('collectionName'),
  0x22: texts('partitionNames'),
  0x2a: messages('requests', decodeSearch),
  0x32: messages('rankParams', decodeKeyValue),
  0x38: uint64('travelTimestamp'),
  0x40: uint64('guaranteeTimestamp'),
  0x48: bool('notReturnAllMeta'),
  0x52: texts('outputFields'),
  0x58: int32('consistencyLevel'),
  0x60: bool('useDefaultConsistency'),
  0x6a: bytes('functionScore'),
  0x72: text('namespace'),
  0x7a: functionChains,
  0x82: text('rlsPrincipal'),
  0x88: bool('skipRls'),
};
