// A small client of the Milvus protocol for tests, by protobufjs and grpc-js: nothing of the
// server's own codec is in it. int64 is bigint everywhere. A reply with an error status is thrown
// as MilvusReplyError.

import { DataType } from '../../src/model/data-type.ts';
import { getMessageType } from './codec/milvus-proto.ts';
import { connect, findMethod, type Transport } from './milvus-transport.ts';

export type Value =
  bigint | number | string | boolean | null | readonly (number | bigint | string)[];
/** Field name → value. JSON fields and `$meta` are text. */
export type Row = Readonly<Record<string, Value>>;

export interface FieldSpec {
  readonly name: string;
  readonly type: number;
  readonly isPrimaryKey?: boolean;
  readonly isPartitionKey?: boolean;
  readonly autoId?: boolean;
  readonly nullable?: boolean;
  readonly defaultValue?: bigint | string;
  readonly dim?: number;
  readonly maxLength?: number;
  readonly maxCapacity?: number;
  readonly elementType?: number;
}

export interface CollectionSpec {
  readonly name: string;
  readonly fields: readonly FieldSpec[];
  readonly shards?: number;
  /** Only with a partition key. */
  readonly partitions?: number;
  readonly hasDynamicField?: boolean;
}

export interface QueryOptions {
  readonly filter?: string;
  readonly outputFields?: readonly string[];
  readonly partitions?: readonly string[];
  readonly limit?: number;
}

export interface SearchOptions extends QueryOptions {
  readonly field: string;
  readonly vectors: readonly (readonly number[])[];
  readonly k: number;
}

export interface Hit {
  readonly key: bigint | string;
  readonly score: number;
}

type Plain = Record<string, unknown>;

/** `common.Status` of a reply. */
export interface ReplyStatus {
  readonly code: number;
  readonly error_code: number;
  readonly reason: string;
  readonly detail: string;
  readonly retriable: boolean;
  readonly extra_info: Readonly<Record<string, string>>;
}

export class MilvusReplyError extends Error {
  readonly code: number;
  readonly status: ReplyStatus;
  /** The whole reply. */
  readonly reply: Plain;

  constructor(method: string, status: ReplyStatus, reply: Plain) {
    const code = status.code || status.error_code;
    super(`${method}: ${status.reason} (code ${code})`);
    this.code = code;
    this.status = status;
    this.reply = reply;
  }
}

export class MilvusClient {
  readonly #send: Transport;
  readonly #close: () => void;

  /**
   * @param to      `host:port`: connects at the first call, each client by itself; or another way
   * @param dbName  the database of requests that name none, over a connection
   */
  constructor(to: string | Transport, dbName = '') {
    const { send, close } =
      typeof to === 'string' ? connect(to, dbName) : { send: to, close: () => undefined };
    this.#send = send;
    this.#close = close;
  }

  close(): void {
    this.#close();
  }

  /** Any unary call: proto field names, int64 as decimal text in replies. */
  async call(method: string, request: Plain): Promise<Plain> {
    const { requestType, replyType } = findMethod(method);
    const bytes = Buffer.from(requestType.encode(requestType.fromObject(request)).finish());
    const reply = await this.#send(method, bytes);
    const plain = replyType.toObject(replyType.decode(reply), {
      longs: String,
      defaults: true,
      arrays: true,
      objects: true,
    }) as Plain;
    const status = (plain['status'] ?? plain) as ReplyStatus;
    if ((status.code || status.error_code || 0) !== 0) {
      throw new MilvusReplyError(method, status, plain);
    }
    return plain;
  }

  async createCollection(spec: CollectionSpec): Promise<void> {
    const type = getMessageType('milvus.proto.schema.CollectionSchema');
    const schema = {
      name: spec.name,
      enable_dynamic_field: spec.hasDynamicField ?? false,
      fields: spec.fields.map(toFieldSchema),
    };
    await this.call('CreateCollection', {
      collection_name: spec.name,
      schema: Buffer.from(type.encode(type.fromObject(schema)).finish()),
      shards_num: spec.shards ?? 1,
      num_partitions: spec.partitions ?? 0,
    });
  }

  async dropCollection(name: string): Promise<void> {
    await this.call('DropCollection', { collection_name: name });
  }

  async hasCollection(name: string): Promise<boolean> {
    return (await this.call('HasCollection', { collection_name: name }))['value'] === true;
  }

  async createPartition(collection: string, partition: string): Promise<void> {
    await this.call('CreatePartition', { collection_name: collection, partition_name: partition });
  }

  async dropPartition(collection: string, partition: string): Promise<void> {
    await this.call('DropPartition', { collection_name: collection, partition_name: partition });
  }

  async listPartitions(collection: string): Promise<string[]> {
    const reply = await this.call('ShowPartitions', { collection_name: collection });
    return reply['partition_names'] as string[];
  }

  /** `params` as `{ index_type: 'HNSW', metric_type: 'L2', params: '{"M":8}' }`. */
  async createIndex(
    collection: string,
    field: string,
    params: Readonly<Record<string, string>>,
  ): Promise<void> {
    await this.call('CreateIndex', {
      collection_name: collection,
      field_name: field,
      index_name: field,
      extra_params: toPairs(params),
    });
  }

  async dropIndex(collection: string, field: string): Promise<void> {
    await this.call('DropIndex', { collection_name: collection, index_name: field });
  }

  async load(collection: string, partitions: readonly string[] = []): Promise<void> {
    const [method, more] =
      partitions.length === 0
        ? ['LoadCollection', {}]
        : ['LoadPartitions', { partition_names: partitions }];
    await this.call(method as string, {
      collection_name: collection,
      replica_number: 1,
      ...(more as Plain),
    });
  }

  async release(collection: string, partitions: readonly string[] = []): Promise<void> {
    if (partitions.length === 0)
      await this.call('ReleaseCollection', { collection_name: collection });
    else {
      await this.call('ReleasePartitions', {
        collection_name: collection,
        partition_names: partitions,
      });
    }
  }

  async isLoaded(collection: string, partitions: readonly string[] = []): Promise<boolean> {
    const reply = await this.call('GetLoadState', {
      collection_name: collection,
      partition_names: partitions,
    });
    return reply['state'] === 3;
  }

  async insert(spec: CollectionSpec, rows: readonly Row[], partition = ''): Promise<void> {
    await this.call('Insert', toWrite(spec, rows, partition));
  }

  async upsert(spec: CollectionSpec, rows: readonly Row[], partition = ''): Promise<void> {
    await this.call('Upsert', toWrite(spec, rows, partition));
  }

  async delete(collection: string, filter: string, partition = ''): Promise<void> {
    await this.call('Delete', {
      collection_name: collection,
      expr: filter,
      partition_name: partition,
    });
  }

  /** Returns the rows with all fields, or those asked for. */
  async query(collection: string, options: QueryOptions): Promise<Row[]> {
    const { filter = '', outputFields = ['*'], partitions = [], limit } = options;
    const reply = await this.call('Query', {
      collection_name: collection,
      expr: filter,
      output_fields: outputFields,
      partition_names: partitions,
      query_params: limit === undefined ? [] : toPairs({ limit: String(limit) }),
    });
    return toRows(reply['fields_data'] as Plain[]);
  }

  async count(
    collection: string,
    filter = '',
    partitions: readonly string[] = [],
  ): Promise<bigint> {
    const [row] = await this.query(collection, { filter, outputFields: ['count(*)'], partitions });
    return row!['count(*)'] as bigint;
  }

  /** Returns the hits of each query vector, best first. */
  async search(collection: string, options: SearchOptions): Promise<Hit[][]> {
    const { field, vectors, k, filter = '', partitions = [], outputFields = [] } = options;
    const group = getMessageType('milvus.proto.common.PlaceholderGroup');
    const values = vectors.map((vector) => Buffer.from(Float32Array.from(vector).buffer));
    const placeholders = [{ tag: '$0', type: DataType.FloatVector, values }];
    const reply = await this.call('Search', {
      collection_name: collection,
      partition_names: partitions,
      dsl: filter,
      dsl_type: 1,
      placeholder_group: Buffer.from(group.encode(group.fromObject({ placeholders })).finish()),
      output_fields: outputFields,
      nq: vectors.length,
      search_params: toPairs({ anns_field: field, topk: String(k), params: '{}' }),
    });
    return splitHits(reply['results'] as Plain);
  }

  /** Asks for every growing row to be written out; `isWritten` tells when it is done. */
  /** `isWritten` may ask another server: the next one on the same data. */
  async flush(
    collection: string,
  ): Promise<{ isWritten: (client?: MilvusClient) => Promise<boolean> }> {
    const reply = await this.call('Flush', { collection_names: [collection] });
    const sealed = (reply['coll_segIDs'] as Record<string, { data: string[] }>)[collection];
    const times = reply['coll_flush_ts'] as Record<string, string>;
    return {
      isWritten: async (client = this) => {
        const state = await client.call('GetFlushState', {
          collection_name: collection,
          segmentIDs: sealed?.data ?? [],
          flush_ts: times[collection] ?? '0',
        });
        return state['flushed'] === true;
      },
    };
  }

  async compact(collection: string): Promise<{ isDone: () => Promise<boolean> }> {
    const reply = await this.call('ManualCompaction', { collection_name: collection });
    return {
      isDone: async () => {
        const state = await this.call('GetCompactionState', {
          compactionID: reply['compactionID'],
        });
        return state['state'] === 2;
      },
    };
  }

  /** Names of the indexed fields; empty when there is no index. */
  async listIndexedFields(collection: string): Promise<string[]> {
    try {
      const reply = await this.call('DescribeIndex', { collection_name: collection });
      return (reply['index_descriptions'] as { field_name: string }[]).map(
        (index) => index.field_name,
      );
    } catch (error) {
      if (error instanceof MilvusReplyError && error.code === INDEX_NOT_FOUND) return [];
      throw error;
    }
  }

  /** Segments that are written; for looking at, not for promises. */
  async countSegments(collection: string): Promise<number> {
    const reply = await this.call('GetPersistentSegmentInfo', { collectionName: collection });
    return (reply['infos'] as unknown[]).length;
  }
}

const INDEX_NOT_FOUND = 700;

/** A filter's list of these keys. */
export function quoteKeys(keys: readonly (bigint | string)[]): string {
  return keys
    .map((key) => (typeof key === 'bigint' ? String(key) : JSON.stringify(key)))
    .join(', ');
}

function toPairs(values: Readonly<Record<string, string>>): { key: string; value: string }[] {
  return Object.entries(values).map(([key, value]) => ({ key, value }));
}

function toFieldSchema(field: FieldSpec): Plain {
  const params: Record<string, string> = {};
  if (field.dim !== undefined) params['dim'] = String(field.dim);
  if (field.maxLength !== undefined) params['max_length'] = String(field.maxLength);
  if (field.maxCapacity !== undefined) params['max_capacity'] = String(field.maxCapacity);
  return {
    name: field.name,
    data_type: field.type,
    element_type: field.elementType ?? 0,
    is_primary_key: field.isPrimaryKey ?? false,
    is_partition_key: field.isPartitionKey ?? false,
    autoID: field.autoId ?? false,
    nullable: field.nullable ?? false,
    ...toDefault(field.defaultValue),
    type_params: toPairs(params),
  };
}

function toDefault(value: bigint | string | undefined): Plain {
  if (value === undefined) return {};
  const held = typeof value === 'bigint' ? { long_data: String(value) } : { string_data: value };
  return { default_value: held };
}

/** An Insert or Upsert of these rows. Fields that no row has are left out. */
export function toWrite(spec: CollectionSpec, rows: readonly Row[], partition: string): Plain {
  const columns = spec.fields
    .filter((field) => rows.some((row) => row[field.name] !== undefined))
    .map((field) =>
      toFieldData(
        field,
        rows.map((row) => row[field.name] ?? null),
      ),
    );
  if (spec.hasDynamicField === true) {
    const data = rows.map((row) => Buffer.from((row['$meta'] as string | undefined) ?? '{}'));
    columns.push({ type: DataType.JSON, is_dynamic: true, scalars: { json_data: { data } } });
  }
  return {
    collection_name: spec.name,
    partition_name: partition,
    fields_data: columns,
    num_rows: rows.length,
  };
}

/** Null values are left out of the data, as pymilvus does. */
function toFieldData(field: FieldSpec, all: readonly Value[]): Plain {
  const values = all.filter((value) => value !== null);
  const mayBeNull = field.nullable === true || field.defaultValue !== undefined;
  const base = {
    type: field.type,
    field_name: field.name,
    ...(mayBeNull ? { valid_data: all.map((value) => value !== null) } : {}),
  };
  if (field.type === DataType.FloatVector) {
    return { ...base, vectors: { dim: field.dim, float_vector: { data: values.flat() } } };
  }
  return { ...base, scalars: toScalars(field.type, values, field.elementType) };
}

function toScalars(type: number, values: readonly Value[], elementType = 0): Plain {
  switch (type) {
    case DataType.Int64:
      return { long_data: { data: values.map(String) } };
    case DataType.Array: {
      const data = values.map((each) => toScalars(elementType, each as readonly bigint[]));
      return { array_data: { data, element_type: elementType } };
    }
    case DataType.JSON:
      return { json_data: { data: values.map((text) => Buffer.from(text as string)) } };
    default:
      return { [MEMBER_BY_TYPE.get(type)!]: { data: values } };
  }
}

const MEMBER_BY_TYPE: ReadonlyMap<number, string> = new Map([
  [DataType.Bool, 'bool_data'],
  [DataType.Int8, 'int_data'],
  [DataType.Int16, 'int_data'],
  [DataType.Int32, 'int_data'],
  [DataType.Int64, 'long_data'],
  [DataType.Float, 'float_data'],
  [DataType.Double, 'double_data'],
  [DataType.VarChar, 'string_data'],
  [DataType.Array, 'array_data'],
  [DataType.JSON, 'json_data'],
]);

function toRows(fields: readonly Plain[]): Row[] {
  const columns = fields.map((field) => ({
    name: field['field_name'] as string,
    values: toColumn(field),
  }));
  const rows = columns[0]?.values.length ?? 0;
  return Array.from({ length: rows }, (_unused, row) =>
    Object.fromEntries(columns.map(({ name, values }) => [name, values[row]!])),
  );
}

function toColumn(field: Plain): Value[] {
  const valid = field['valid_data'] as boolean[];
  const values =
    field['vectors'] === undefined
      ? fromScalars(field['scalars'] as Plain)
      : fromVectors(field['vectors'] as Plain);
  if (valid.length === 0) return values;
  const isCompact = values.length < valid.length;
  let next = 0;
  return valid.map((isValid, row) => {
    if (!isValid) return null;
    return values[isCompact ? next++ : row]!;
  });
}

function fromVectors(vectors: Plain): Value[] {
  const dim = Number(vectors['dim']);
  const { data } = vectors['float_vector'] as { data: number[] };
  return Array.from({ length: data.length / dim }, (_unused, row) =>
    data.slice(row * dim, (row + 1) * dim),
  );
}

function fromScalars(scalars: Plain): Value[] {
  const member = Object.keys(scalars).find((name) => name !== 'valid_data');
  if (member === undefined) return [];
  const { data } = scalars[member] as { data: unknown[] };
  if (member === 'long_data') return data.map((text) => BigInt(text as string));
  if (member === 'json_data') return data.map((bytes) => (bytes as Buffer).toString());
  if (member === 'array_data') {
    return data.map((each) => fromScalars(each as Plain) as unknown as readonly bigint[]);
  }
  return data as Value[];
}

function splitHits(results: Plain): Hit[][] {
  const ids = results['ids'] as { int_id?: { data: string[] }; str_id?: { data: string[] } } | null;
  const keys = ids?.int_id?.data.map(BigInt) ?? ids?.str_id?.data ?? [];
  const scores = results['scores'] as number[];
  let at = 0;
  return (results['topks'] as string[]).map((count) => {
    const from = at;
    at += Number(count);
    return keys.slice(from, at).map((key, i) => ({ key, score: scores[from + i]! }));
  });
}
