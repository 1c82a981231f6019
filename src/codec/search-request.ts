// milvus.SearchRequest, its sub-requests, and HybridSearchRequest from bytes.
// Parts that belong to features of their own (rerankers, highlighter, aggregation, function chains)
// stay undecoded bytes, so that the proxy sees that they were asked for.

import { decodeInside } from './field-data.ts';
import { decodeIds, type Ids } from './ids.ts';
import {
  decodeKeyValue,
  decodeMsgBase,
  makeReadLists,
  makeReadTarget,
  type Draft,
  type KeyValue,
  type ReadLists,
  type ReadTarget,
} from './request-parts.ts';
import { decodeTemplateEntry } from './template-value.ts';
import type { TemplateValue, TemplateValues } from '../model/template-value.ts';
import { WireReader } from './wire.ts';

/** What a search and a sub-search share. */
interface SearchBody {
  /** The filter's text. */
  readonly dsl: string;
  /** Undecoded common.PlaceholderGroup: codec/placeholder-group.ts. */
  readonly placeholderGroup: Uint8Array | undefined;
  readonly dslType: number;
  readonly searchParams: readonly KeyValue[];
  readonly nq: number;
  readonly exprTemplateValues: TemplateValues;
  readonly namespace: string | undefined;
}

export type SubSearchRequest = SearchBody;

export interface SearchRequest extends ReadTarget, SearchBody {
  /** The other member of the oneof with `placeholderGroup`: search by primary key. */
  readonly ids: Ids | undefined;
  readonly searchByPrimaryKeys: boolean;
  readonly subReqs: readonly SubSearchRequest[];
  readonly functionScore: Uint8Array | undefined;
  readonly highlighter: Uint8Array | undefined;
  readonly searchAggregation: Uint8Array | undefined;
  readonly functionChains: readonly Uint8Array[];
}

export interface HybridSearchRequest extends ReadTarget {
  readonly requests: readonly SearchRequest[];
  readonly rankParams: readonly KeyValue[];
  readonly functionScore: Uint8Array | undefined;
  readonly functionChains: readonly Uint8Array[];
}

/** The result refers to `message`: see codec/field-data.ts for how long it is good. */
export function decodeSearchRequest(message: Uint8Array): SearchRequest {
  return decodeSearch(new WireReader(message));
}

/** The result refers to `message`: see codec/field-data.ts for how long it is good. */
export function decodeHybridSearchRequest(message: Uint8Array): HybridSearchRequest {
  const reader = new WireReader(message);
  const lists = makeReadLists();
  const requests: SearchRequest[] = [];
  const request: Draft<HybridSearchRequest> = {
    ...makeReadTarget(lists),
    requests,
    rankParams: lists.params,
    functionScore: undefined,
    functionChains: lists.functionChains,
  };
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 0x0a:
        request.base = decodeInside(reader, decodeMsgBase);
        break;
      case 0x12:
        request.dbName = reader.readString();
        break;
      case 0x1a:
        request.collectionName = reader.readString();
        break;
      case 0x22:
        lists.partitionNames.push(reader.readString());
        break;
      case 0x2a:
        requests.push(decodeInside(reader, decodeSearch));
        break;
      case 0x32:
        lists.params.push(decodeInside(reader, decodeKeyValue));
        break;
      case 0x38:
        request.travelTimestamp = reader.readUint64();
        break;
      case 0x40:
        request.guaranteeTimestamp = reader.readUint64();
        break;
      case 0x48:
        request.notReturnAllMeta = reader.readBool();
        break;
      case 0x52:
        lists.outputFields.push(reader.readString());
        break;
      case 0x58:
        request.consistencyLevel = reader.readInt32();
        break;
      case 0x60:
        request.useDefaultConsistency = reader.readBool();
        break;
      case 0x6a:
        request.functionScore = reader.readBytes();
        break;
      case 0x72:
        request.namespace = reader.readString();
        break;
      case 0x7a:
        lists.functionChains.push(reader.readBytes());
        break;
      case 0x82:
        request.rlsPrincipal = reader.readString();
        break;
      case 0x88:
        request.skipRls = reader.readBool();
        break;
      default:
        reader.skip(tag);
    }
  }
  return request;
}

function decodeSearch(reader: WireReader): SearchRequest {
  const lists = makeReadLists();
  const subReqs: SubSearchRequest[] = [];
  // Written out: spreading the shared part costs more than all the decoding.
  const request: Draft<SearchRequest> = {
    base: undefined,
    dbName: '',
    collectionName: '',
    partitionNames: lists.partitionNames,
    outputFields: lists.outputFields,
    travelTimestamp: 0n,
    guaranteeTimestamp: 0n,
    notReturnAllMeta: false,
    consistencyLevel: 0,
    useDefaultConsistency: false,
    namespace: undefined,
    rlsPrincipal: '',
    skipRls: false,
    dsl: '',
    placeholderGroup: undefined,
    dslType: 0,
    searchParams: lists.params,
    nq: 0,
    exprTemplateValues: lists.templates,
    ids: undefined,
    searchByPrimaryKeys: false,
    subReqs,
    functionScore: undefined,
    highlighter: undefined,
    searchAggregation: undefined,
    functionChains: lists.functionChains,
  };
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    switch (tag) {
      case 0x0a:
        request.base = decodeInside(reader, decodeMsgBase);
        break;
      case 0x12:
        request.dbName = reader.readString();
        break;
      case 0x1a:
        request.collectionName = reader.readString();
        break;
      case 0x22:
        lists.partitionNames.push(reader.readString());
        break;
      case 0x2a:
        request.dsl = reader.readString();
        break;
      case 0x32:
        request.placeholderGroup = reader.readBytes();
        request.ids = undefined;
        break;
      case 0x38:
        request.dslType = reader.readInt32();
        break;
      case 0x42:
        lists.outputFields.push(reader.readString());
        break;
      case 0x4a:
        lists.params.push(decodeInside(reader, decodeKeyValue));
        break;
      case 0x50:
        request.travelTimestamp = reader.readUint64();
        break;
      case 0x58:
        request.guaranteeTimestamp = reader.readUint64();
        break;
      case 0x60:
        request.nq = reader.readInt64AsNumber();
        break;
      case 0x68:
        request.notReturnAllMeta = reader.readBool();
        break;
      case 0x70:
        request.consistencyLevel = reader.readInt32();
        break;
      case 0x78:
        request.useDefaultConsistency = reader.readBool();
        break;
      default:
        decodeRareSearchField(reader, tag, request, { lists, subReqs });
    }
  }
  return request;
}

function decodeRareSearchField(
  reader: WireReader,
  tag: number,
  request: Draft<SearchRequest>,
  into: { readonly lists: ReadLists; readonly subReqs: SubSearchRequest[] },
): void {
  switch (tag) {
    case 0x80:
      request.searchByPrimaryKeys = reader.readBool();
      return;
    case 0x8a:
      into.subReqs.push(decodeInside(reader, decodeSubSearch));
      return;
    case 0x92:
      decodeTemplateEntry(reader, into.lists.templates);
      return;
    case 0x9a:
      request.functionScore = reader.readBytes();
      return;
    case 0xa2:
      request.namespace = reader.readString();
      return;
    case 0xaa:
      request.highlighter = reader.readBytes();
      return;
    case 0xb2:
      request.ids = decodeInside(reader, decodeIds);
      request.placeholderGroup = undefined;
      return;
    case 0xba:
      request.searchAggregation = reader.readBytes();
      return;
    case 0xc2:
      into.lists.functionChains.push(reader.readBytes());
      return;
    case 0xca:
      request.rlsPrincipal = reader.readString();
      return;
    case 0xd0:
      request.skipRls = reader.readBool();
      return;
    default:
      reader.skip(tag);
  }
}

function decodeSubSearch(reader: WireReader): SubSearchRequest {
  const searchParams: KeyValue[] = [];
  const exprTemplateValues = new Map<string, TemplateValue>();
  const request: Draft<SubSearchRequest> = {
    dsl: '',
    placeholderGroup: undefined,
    dslType: 0,
    searchParams,
    nq: 0,
    exprTemplateValues,
    namespace: undefined,
  };
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) request.dsl = reader.readString();
    else if (tag === 0x12) request.placeholderGroup = reader.readBytes();
    else if (tag === 0x18) request.dslType = reader.readInt32();
    else if (tag === 0x22) searchParams.push(decodeInside(reader, decodeKeyValue));
    else if (tag === 0x28) request.nq = reader.readInt64AsNumber();
    else if (tag === 0x32) decodeTemplateEntry(reader, exprTemplateValues);
    else if (tag === 0x3a) request.namespace = reader.readString();
    else reader.skip(tag);
  }
  return request;
}
