// What a search looks for: vectors of the request, or the stored vectors of rows that it names by
// their primary keys. Both become one block of bytes, a vector after another.

import type { Ids } from '../../../codec/ids.ts';
import { RowBatchReader } from '../../../codec/row-batch.ts';
import type { Spans } from '../../../codec/wire-lists.ts';
import type { CollectionInfo } from '../../../model/collection-info.ts';
import { DataType } from '../../../model/data-type.ts';
import { invalidParameter } from '../../../model/error.ts';
import type { Keys } from '../../../model/keys.ts';
import { getPrimaryKeyField, type FieldSchema } from '../../../model/schema.ts';
import { getFixedWidth } from '../../../model/stored-types.ts';
import { getVectorType } from '../../../model/vector-type.ts';
import { KeyReader } from '../../../segment/reduce.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import { queryEachShard } from './read-shards.ts';

/** Vectors of a request, as ranges of bytes. */
export interface GivenVectors {
  /** A number of `DataType`. */
  readonly type: number;
  readonly bytes: Uint8Array;
  readonly values: Spans;
}

export interface QueryVectors {
  readonly nq: number;
  readonly queries: Uint8Array;
}

/**
 * Copies the query vectors, into memory that is never shared: native reads them while the request
 * may be gone (R15).
 * @throws MilvusError ParameterInvalid: wrong type, wrong dimension, too many
 */
export function readGivenVectors(
  proxy: Proxy,
  given: GivenVectors | undefined,
  field: FieldSchema,
): QueryVectors {
  if (given === undefined) {
    throw invalidParameter(
      'invalid placeholder group: one placeholder with the query vectors is needed',
    );
  }
  const { type, bytes, values } = given;
  const { placeholderType, placeholderName, findBadElement } = getVectorType(field.dataType);
  if (type !== placeholderType) {
    throw invalidParameter(
      `vector type must be the same, field ${field.name} - type ${placeholderName}, search info ` +
        `type ${type}`,
    );
  }
  const { count: nq, pairs } = values;
  requireVectorCount(proxy, nq);
  const width = getFixedWidth(field.dataType, field.dim);
  for (let i = 0; i < nq; i++) {
    const length = pairs[2 * i + 1]!;
    if (length !== width) {
      throw invalidParameter(
        `vector dimension mismatch, expected vector size(byte) ${width}, actual ${length}.`,
      );
    }
  }
  const queries = new Uint8Array(new ArrayBuffer(nq * width));
  for (let i = 0; i < nq; i++) {
    const start = pairs[2 * i]!;
    queries.set(bytes.subarray(start, start + width), i * width);
  }
  if (findBadElement(queries) >= 0) {
    throw invalidParameter(`query vector of field ${field.name} has NaN or infinity`);
  }
  return { nq, queries };
}

function requireVectorCount(proxy: Proxy, nq: number): void {
  const max = proxy.deps.limits.nq;
  if (nq >= 1 && nq <= max) return;
  throw invalidParameter(
    `nq [${nq}] is invalid, nq (number of search vector per search request) should be in ` +
      `range [1, ${max}], but got ${nq}`,
  );
}

/** Where the vectors of rows are. */
interface VectorPlace {
  readonly field: FieldSchema;
  readonly partitionIds: readonly bigint[];
}

/**
 * Search by primary keys: the stored vectors of these rows are the queries, in the order of the
 * keys.
 */
export async function readVectorsOfKeys(
  proxy: Proxy,
  info: CollectionInfo,
  ids: Ids,
  place: VectorPlace,
  context: RequestContext,
): Promise<QueryVectors> {
  const { field } = place;
  const nq = ids.values.length;
  requireVectorCount(proxy, nq);
  const primary = getPrimaryKeyField(info.schema);
  const keys = toKeys(ids, primary);
  if (new Set<bigint | string>(keys.values).size < nq) {
    throw invalidParameter('duplicate IDs found in search request');
  }
  const vectors = new Map<bigint | string, Uint8Array>();
  // A row whose vector is null has no hits.
  const noVector = getVectorType(field.dataType).makeFarQuery(field.dim);
  for (const rows of await readVectorRows(proxy, info, keys, place, context)) {
    const batch = new RowBatchReader(rows);
    if (batch.rows === 0) continue;
    const reader = new KeyReader(batch, primary);
    const column = batch.findColumn(field.fieldId)!;
    for (let row = 0; row < batch.rows; row++) {
      vectors.set(reader.at(row), column.isValid(row) ? column.getBytes(row) : noVector);
    }
  }
  const missing = Array.from<bigint | string>(keys.values as Iterable<bigint | string>).filter(
    (key) => !vectors.has(key),
  );
  if (missing.length > 0) {
    throw invalidParameter(
      'some of the provided primary key IDs do not exist: missing IDs = ' +
        `[${missing.slice(0, 10).join(' ')}]`,
    );
  }
  const width = noVector.length;
  const queries = new Uint8Array(new ArrayBuffer(nq * width));
  keys.values.forEach((key: bigint | string, i: number) =>
    queries.set(vectors.get(key)!, i * width),
  );
  context.memory.settle(queries.byteLength);
  return { nq, queries };
}

/** The rows with these keys, of each shard. */
async function readVectorRows(
  proxy: Proxy,
  info: CollectionInfo,
  keys: Keys,
  { field, partitionIds }: VectorPlace,
  context: RequestContext,
): Promise<Uint8Array[]> {
  const rows = keys.values.length;
  const query = {
    target: { partitionIds, ignoreGrowing: false, pinnedTimestamp: 0n },
    params: { keys, limit: 0, outputFieldIds: [field.fieldId], countOnly: false },
    size: { rows, rowsEach: rows, spareRows: 0, isInternal: true },
  };
  const replies = await queryEachShard(proxy, info, query, context);
  return replies.map((reply) => reply.rows);
}

function toKeys(ids: Ids, primary: FieldSchema): Keys {
  if (ids.kind === 'int' && primary.dataType === DataType.Int64)
    return { kind: 'int64', values: ids.values };
  if (ids.kind === 'string' && primary.dataType !== DataType.Int64)
    return { kind: 'string', values: ids.values };
  const type = primary.dataType === DataType.Int64 ? 'int64' : 'varchar';
  throw invalidParameter(`primary key is ${type}, but IDs type mismatch`);
}
