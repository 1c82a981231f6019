// milvus.QueryRequest from bytes.

import { decodeInside } from './field-data.ts';
import {
  decodeKeyValue,
  decodeMsgBase,
  makeReadLists,
  type Draft,
  type KeyValue,
  type ReadTarget,
} from './request-parts.ts';
import { decodeTemplateEntry } from './template-value.ts';
import type { TemplateValues } from '../model/template-value.ts';
import { WireReader } from './wire.ts';

export interface QueryRequest extends ReadTarget {
  readonly expr: string;
  readonly queryParams: readonly KeyValue[];
  readonly exprTemplateValues: TemplateValues;
}

export function decodeQueryRequest(message: Uint8Array): QueryRequest {
  const reader = new WireReader(message);
  const lists = makeReadLists();
  // Written out: spreading the shared part costs more than all the decoding.
  const request: Draft<QueryRequest> = {
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
    expr: '',
    queryParams: lists.params,
    exprTemplateValues: lists.templates,
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
        request.expr = reader.readString();
        break;
      case 0x2a:
        lists.outputFields.push(reader.readString());
        break;
      case 0x32:
        lists.partitionNames.push(reader.readString());
        break;
      case 0x38:
        request.travelTimestamp = reader.readUint64();
        break;
      case 0x40:
        request.guaranteeTimestamp = reader.readUint64();
        break;
      case 0x4a:
        lists.params.push(decodeInside(reader, decodeKeyValue));
        break;
      case 0x50:
        request.notReturnAllMeta = reader.readBool();
        break;
      case 0x58:
        request.consistencyLevel = reader.readInt32();
        break;
      case 0x60:
        request.useDefaultConsistency = reader.readBool();
        break;
      case 0x6a:
        decodeTemplateEntry(reader, lists.templates);
        break;
      case 0x72:
        request.namespace = reader.readString();
        break;
      case 0x7a:
        request.rlsPrincipal = reader.readString();
        break;
      case 0x80:
        request.skipRls = reader.readBool();
        break;
      default:
        reader.skip(tag);
    }
  }
  return request;
}
