// Whole requests of the hand codec in the plain form of milvus-proto.ts.

import {
  decodeDeleteRequest,
  decodeInsertRequest,
  decodeUpsertRequest,
} from '../../../src/codec/insert-request.ts';
import { decodePlaceholderGroup } from '../../../src/codec/placeholder-group.ts';
import type { MsgBase } from '../../../src/codec/request-parts.ts';
import {
  decodeHybridSearchRequest,
  decodeQueryRequest,
  decodeSearchRequest,
  type ReadRequest,
  type SearchBody,
  type SearchRequest,
} from '../../../src/codec/read-requests.ts';
import { dropDefaults, getMessageType, type Plain } from './milvus-proto.ts';
import {
  raw,
  viewBase,
  viewFieldData,
  viewIds,
  viewPairs,
  viewPlaceholder,
  viewTemplates,
} from './views-to-plain.ts';

const MILVUS = 'milvus.proto.milvus.';
const SCHEMA = 'milvus.proto.schema.';
const COMMON = 'milvus.proto.common.';

/** By message name: bytes → our decoder → plain. */
export const REQUEST_VIEWS: Readonly<Record<string, (bytes: Uint8Array) => Plain>> = {
  InsertRequest: (bytes) => {
    const request = decodeInsertRequest(bytes);
    return finish('InsertRequest', { ...viewWrite(request), ...viewInsert(request) });
  },
  UpsertRequest: (bytes) => {
    const request = decodeUpsertRequest(bytes);
    const type = getMessageType(`${SCHEMA}FieldPartialUpdateOp`);
    return finish('UpsertRequest', {
      ...viewWrite(request),
      ...viewInsert(request),
      partial_update: request.partialUpdate,
      field_ops: request.fieldOps.map(({ fieldName, op }) =>
        dropDefaults(type, { field_name: fieldName, op }),
      ),
    });
  },
  DeleteRequest: (bytes) => {
    const request = decodeDeleteRequest(bytes);
    return finish('DeleteRequest', {
      ...viewWrite(request),
      expr: request.expr,
      consistency_level: request.consistencyLevel,
      expr_template_values: viewTemplates(request.exprTemplateValues),
    });
  },
  SearchRequest: (bytes) => viewSearch(decodeSearchRequest(bytes)),
  HybridSearchRequest: (bytes) => {
    const request = decodeHybridSearchRequest(bytes);
    return finish('HybridSearchRequest', {
      ...viewRead(request),
      requests: request.requests.map(viewSearch),
      rank_params: viewPairs(request.rankParams),
      function_score: viewRaw('FunctionScore', request.functionScore),
      function_chains: request.functionChains.map((each) => viewRaw('FunctionChain', each)),
    });
  },
  QueryRequest: (bytes) => {
    const request = decodeQueryRequest(bytes);
    return finish('QueryRequest', {
      ...viewRead(request),
      expr: request.expr,
      query_params: viewPairs(request.queryParams),
      expr_template_values: viewTemplates(request.exprTemplateValues),
    });
  },
  PlaceholderGroup: (bytes) => {
    const placeholders = decodePlaceholderGroup(bytes).map(viewPlaceholder);
    return dropDefaults(getMessageType(`${COMMON}PlaceholderGroup`), { placeholders });
  },
};

function finish(name: string, plain: Plain): Plain {
  return dropDefaults(getMessageType(MILVUS + name), plain);
}

function viewWrite(request: {
  readonly base: MsgBase | undefined;
  readonly dbName: string;
  readonly collectionName: string;
  readonly partitionName: string;
  readonly hashKeys: Int32Array;
  readonly namespace: string | undefined;
  readonly rlsPrincipal: string;
  readonly skipRls: boolean;
}): Plain {
  return {
    base: request.base && viewBase(request.base),
    db_name: request.dbName,
    collection_name: request.collectionName,
    partition_name: request.partitionName,
    hash_keys: Array.from(request.hashKeys, (key) => key >>> 0),
    namespace: request.namespace,
    rls_principal: request.rlsPrincipal,
    skip_rls: request.skipRls,
  };
}

function viewInsert(request: ReturnType<typeof decodeInsertRequest>): Plain {
  return {
    fields_data: request.fieldsData.map(viewFieldData),
    num_rows: request.numRows,
    schema_timestamp: request.schemaTimestamp,
  };
}

function viewRead(request: ReadRequest): Plain {
  return {
    base: request.base && viewBase(request.base),
    db_name: request.dbName,
    collection_name: request.collectionName,
    partition_names: request.partitionNames,
    output_fields: request.outputFields,
    travel_timestamp: request.travelTimestamp,
    guarantee_timestamp: request.guaranteeTimestamp,
    not_return_all_meta: request.notReturnAllMeta,
    consistency_level: request.consistencyLevel,
    use_default_consistency: request.useDefaultConsistency,
    namespace: request.namespace,
    rls_principal: request.rlsPrincipal,
    skip_rls: request.skipRls,
  };
}

function viewBody(body: SearchBody): Plain {
  return {
    dsl: body.dsl,
    placeholder_group: body.placeholderGroup && Buffer.from(body.placeholderGroup).toString('hex'),
    dsl_type: body.dslType,
    search_params: viewPairs(body.searchParams),
    nq: BigInt(body.nq),
    expr_template_values: viewTemplates(body.exprTemplateValues),
    namespace: body.namespace,
  };
}

function viewSearch(request: SearchRequest): Plain {
  return finish('SearchRequest', {
    ...viewRead(request),
    ...viewBody(request),
    ids: request.ids && viewIds(request.ids),
    search_by_primary_keys: request.searchByPrimaryKeys,
    sub_reqs: request.subReqs.map((each) => finish('SubSearchRequest', viewBody(each))),
    function_score: viewRaw('FunctionScore', request.functionScore),
    highlighter: request.highlighter && raw(`${COMMON}Highlighter`, request.highlighter),
    search_aggregation:
      request.searchAggregation &&
      raw(`${COMMON}SearchAggregationSpec`, request.searchAggregation),
    function_chains: request.functionChains.map((each) => viewRaw('FunctionChain', each)),
  });
}

function viewRaw(name: string, bytes: Uint8Array | undefined): Plain | undefined {
  return bytes === undefined ? undefined : raw(SCHEMA + name, bytes);
}
