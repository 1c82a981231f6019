// milvus.InsertRequest, UpsertRequest and DeleteRequest from bytes.

import { decodeFieldData, decodeInside, type FieldDataView } from './field-data.ts';
import { decodeMsgBase, type Draft, type MsgBase } from './request-parts.ts';
import { decodeTemplateEntry } from './template-value.ts';
import type { TemplateValue, TemplateValues } from '../model/template-value.ts';
import { Int32List } from './wire-lists.ts';
import { WireReader } from './wire.ts';

interface WriteTarget {
  readonly base: MsgBase | undefined;
  readonly dbName: string;
  readonly collectionName: string;
  readonly partitionName: string;
  /** uint32 values in an Int32Array. */
  readonly hashKeys: Int32Array;
  readonly namespace: string | undefined;
  readonly rlsPrincipal: string;
  readonly skipRls: boolean;
}

export interface InsertRequest extends WriteTarget {
  readonly fieldsData: readonly FieldDataView[];
  readonly numRows: number;
  readonly schemaTimestamp: bigint;
  /** Of the encoded request. */
  readonly byteLength: number;
}

export const PartialUpdateOp = { Replace: 0, ArrayAppend: 1, ArrayRemove: 2 } as const;

export interface FieldPartialUpdateOp {
  readonly fieldName: string;
  /** A number of `PartialUpdateOp`. */
  readonly op: number;
}

export interface UpsertRequest extends InsertRequest {
  readonly partialUpdate: boolean;
  readonly fieldOps: readonly FieldPartialUpdateOp[];
}

export interface DeleteRequest extends WriteTarget {
  readonly expr: string;
  readonly consistencyLevel: number;
  readonly exprTemplateValues: TemplateValues;
}

const NO_KEYS = new Int32Array(0);

/** The result refers to `message`: see codec/field-data.ts for how long it is good. */
export function decodeInsertRequest(message: Uint8Array): InsertRequest {
  const reader = new WireReader(message);
  const fieldsData: FieldDataView[] = [];
  // Written out, here and below: spreading a shared part costs more than decoding a small request.
  const request: Draft<InsertRequest> = {
    base: undefined,
    dbName: '',
    collectionName: '',
    partitionName: '',
    hashKeys: NO_KEYS,
    namespace: undefined,
    rlsPrincipal: '',
    skipRls: false,
    fieldsData,
    numRows: 0,
    schemaTimestamp: 0n,
    byteLength: message.byteLength,
  };
  const hashKeys = new Int32List();
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (decodeInsertField(reader, tag, request, { fieldsData, hashKeys })) continue;
    if (tag === 0x4a) request.namespace = reader.readString();
    else if (tag === 0x52) request.rlsPrincipal = reader.readString();
    else if (tag === 0x58) request.skipRls = reader.readBool();
    else reader.skip(tag);
  }
  request.hashKeys = hashKeys.finish();
  return request;
}

/** The result refers to `message`: see codec/field-data.ts for how long it is good. */
export function decodeUpsertRequest(message: Uint8Array): UpsertRequest {
  const reader = new WireReader(message);
  const fieldsData: FieldDataView[] = [];
  const fieldOps: FieldPartialUpdateOp[] = [];
  const request: Draft<UpsertRequest> = {
    base: undefined,
    dbName: '',
    collectionName: '',
    partitionName: '',
    hashKeys: NO_KEYS,
    namespace: undefined,
    rlsPrincipal: '',
    skipRls: false,
    fieldsData,
    numRows: 0,
    schemaTimestamp: 0n,
    byteLength: message.byteLength,
    partialUpdate: false,
    fieldOps,
  };
  const hashKeys = new Int32List();
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (decodeInsertField(reader, tag, request, { fieldsData, hashKeys })) continue;
    if (tag === 0x48) request.partialUpdate = reader.readBool();
    else if (tag === 0x52) request.namespace = reader.readString();
    else if (tag === 0x5a) fieldOps.push(decodeInside(reader, decodeFieldOp));
    else if (tag === 0x62) request.rlsPrincipal = reader.readString();
    else if (tag === 0x68) request.skipRls = reader.readBool();
    else reader.skip(tag);
  }
  request.hashKeys = hashKeys.finish();
  return request;
}

export function decodeDeleteRequest(message: Uint8Array): DeleteRequest {
  const reader = new WireReader(message);
  const exprTemplateValues = new Map<string, TemplateValue>();
  const request: Draft<DeleteRequest> = {
    base: undefined,
    dbName: '',
    collectionName: '',
    partitionName: '',
    hashKeys: NO_KEYS,
    namespace: undefined,
    rlsPrincipal: '',
    skipRls: false,
    expr: '',
    consistencyLevel: 0,
    exprTemplateValues,
  };
  const hashKeys = new Int32List();
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (decodeTargetField(reader, tag, request, hashKeys)) continue;
    if (tag === 0x2a) request.expr = reader.readString();
    else if (tag === 0x38) request.consistencyLevel = reader.readInt32();
    else if (tag === 0x42) decodeTemplateEntry(reader, exprTemplateValues);
    else if (tag === 0x4a) request.namespace = reader.readString();
    else if (tag === 0x52) request.rlsPrincipal = reader.readString();
    else if (tag === 0x58) request.skipRls = reader.readBool();
    else reader.skip(tag);
  }
  request.hashKeys = hashKeys.finish();
  return request;
}

/** Fields 1 to 4 and 6, the same in all three. Returns whether it read the field. */
function decodeTargetField(
  reader: WireReader,
  tag: number,
  into: Draft<WriteTarget>,
  hashKeys: Int32List,
): boolean {
  if (tag === 0x0a) into.base = decodeInside(reader, decodeMsgBase);
  else if (tag === 0x12) into.dbName = reader.readString();
  else if (tag === 0x1a) into.collectionName = reader.readString();
  else if (tag === 0x22) into.partitionName = reader.readString();
  else if (tag === 0x30) hashKeys.readOne(reader);
  else if (tag === 0x32) hashKeys.readPacked(reader);
  else return false;
  return true;
}

/** Fields 1 to 8, the same in Insert and Upsert. */
function decodeInsertField(
  reader: WireReader,
  tag: number,
  into: Draft<InsertRequest>,
  lists: { readonly fieldsData: FieldDataView[]; readonly hashKeys: Int32List },
): boolean {
  if (tag === 0x2a) lists.fieldsData.push(decodeInside(reader, decodeFieldData));
  else if (tag === 0x38) into.numRows = reader.readUint32();
  else if (tag === 0x40) into.schemaTimestamp = reader.readUint64();
  else return decodeTargetField(reader, tag, into, lists.hashKeys);
  return true;
}

function decodeFieldOp(reader: WireReader): FieldPartialUpdateOp {
  let fieldName = '';
  let op = 0;
  for (let tag = reader.nextTag(); tag !== 0; tag = reader.nextTag()) {
    if (tag === 0x0a) fieldName = reader.readString();
    else if (tag === 0x10) op = reader.readInt32();
    else reader.skip(tag);
  }
  return { fieldName, op };
}
