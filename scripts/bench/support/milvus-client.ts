// A small client of the Milvus protocol for the demo and the benchmarks: objects in, objects out,
// over gRPC. The hot messages can be had as bytes, so that a benchmark encodes them before its
// clock starts.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { Client, credentials } from '@grpc/grpc-js';
import type { INamespace, Method, Root } from 'protobufjs';
import { ROOT } from './paths.ts';

const protobuf = createRequire(import.meta.url)('protobufjs/light.js') as {
  Root: { fromJSON(json: INamespace): Root };
};
const PACKAGE = 'milvus.proto.milvus';
const MESSAGE_BYTES_MAX = 512 * 1024 * 1024;
export const SERVICE = `${PACKAGE}.MilvusService`;

export interface Status {
  readonly code: number;
  readonly reason: string;
}

/** A reply as plain data. int64 are decimal strings. */
export type Reply = any;

const DataType = { Int64: 5, VarChar: 21, FloatVector: 101 } as const;
const DSL_TYPE_EXPR = 1;
const PLACEHOLDER_FLOAT_VECTOR = 101;

export interface CollectionSpec {
  readonly name: string;
  readonly dim: number;
  /** Adds a VarChar field `word` beside `id` and `vector`. */
  readonly hasWords?: boolean;
}

export interface SearchSpec {
  readonly collection: string;
  readonly metric: string;
  readonly k: number;
  readonly params: Readonly<Record<string, number>>;
  readonly outputFields?: readonly string[];
}

export class MilvusClient {
  readonly #client: Client;
  readonly #root: Root;

  /** @param address  `host:port` */
  constructor(address: string) {
    this.#root = protobuf.Root.fromJSON(
      JSON.parse(readFileSync(join(ROOT, 'dist/proto/milvus.json'), 'utf8')) as INamespace,
    );
    this.#client = new Client(address, credentials.createInsecure(), {
      'grpc.max_receive_message_length': MESSAGE_BYTES_MAX,
      'grpc.max_send_message_length': MESSAGE_BYTES_MAX,
    });
  }

  close(): void {
    this.#client.close();
  }

  encode(type: string, message: object): Uint8Array {
    const found = this.#root.lookupType(type.includes('.') ? type : `${PACKAGE}.${type}`);
    // Not through fromObject, which takes no typed arrays.
    return found.encode(message as never).finish();
  }

  decode(type: string, bytes: Uint8Array): Reply {
    const found = this.#root.lookupType(type.includes('.') ? type : `${PACKAGE}.${type}`);
    return found.toObject(found.decode(bytes), { longs: String, enums: Number, defaults: true });
  }

  /** @throws Error with the server's reason when the call or its status says so */
  async call(method: string, request: object): Promise<Reply> {
    const found = this.#root.lookupService(SERVICE).methods[method];
    if (found === undefined) throw new Error(`the protocol has no method ${method}`);
    const { resolvedRequestType } = found.resolve() as Method;
    return this.callBytes(method, this.encode(resolvedRequestType!.fullName, request));
  }

  async callBytes(method: string, message: Uint8Array): Promise<Reply> {
    const found = this.#root.lookupService(SERVICE).methods[method]!;
    const { resolvedResponseType } = found.resolve() as Method;
    const bytes = await new Promise<Buffer>((resolve, reject) => {
      this.#client.makeUnaryRequest(
        `/${SERVICE}/${method}`,
        (given: Uint8Array) => given as Buffer,
        (given: Buffer) => given,
        message,
        (error, reply) => {
          if (error !== null) reject(new Error(`${method}: ${error.details || error.message}`));
          else resolve(reply!);
        },
      );
    });
    const reply = this.decode(resolvedResponseType!.fullName, bytes);
    requireOk(method, (reply.status ?? reply) as Status);
    return reply;
  }

  async createCollection({ name, dim, hasWords = false }: CollectionSpec): Promise<void> {
    const fields = [
      { name: 'id', data_type: DataType.Int64, is_primary_key: true },
      {
        name: 'vector',
        data_type: DataType.FloatVector,
        type_params: [{ key: 'dim', value: String(dim) }],
      },
    ] as object[];
    if (hasWords) {
      fields.push({
        name: 'word',
        data_type: DataType.VarChar,
        type_params: [{ key: 'max_length', value: '512' }],
      });
    }
    const schema = this.encode('milvus.proto.schema.CollectionSchema', { name, fields });
    await this.call('CreateCollection', { collection_name: name, schema, shards_num: 1 });
  }

  /** Rows `first` to `first + rows` of `vectors`, with their numbers as keys. */
  encodeInsert(
    collection: string,
    dim: number,
    vectors: Float32Array,
    first: number,
    rows: number,
    words?: readonly string[],
  ): Uint8Array {
    const ids = Array.from({ length: rows }, (_, i) => first + i);
    const data = vectors.subarray(first * dim, (first + rows) * dim);
    const fields: object[] = [
      { type: DataType.Int64, field_name: 'id', scalars: { long_data: { data: ids } } },
      {
        type: DataType.FloatVector,
        field_name: 'vector',
        vectors: { dim, float_vector: { data } },
      },
    ];
    if (words !== undefined) {
      const slice = words.slice(first, first + rows);
      fields.push({
        type: DataType.VarChar,
        field_name: 'word',
        scalars: { string_data: { data: slice } },
      });
    }
    return this.encode('InsertRequest', {
      collection_name: collection,
      num_rows: rows,
      fields_data: fields,
    });
  }

  encodeSearch(spec: SearchSpec, vectors: readonly Float32Array[]): Uint8Array {
    const placeholder_group = this.encode('milvus.proto.common.PlaceholderGroup', {
      placeholders: [
        {
          tag: '$0',
          type: PLACEHOLDER_FLOAT_VECTOR,
          values: vectors.map((v) => Buffer.from(v.buffer, v.byteOffset, v.byteLength)),
        },
      ],
    });
    const params = {
      anns_field: 'vector',
      topk: String(spec.k),
      metric_type: spec.metric,
      params: JSON.stringify(spec.params),
      round_decimal: '-1',
    };
    return this.encode('SearchRequest', {
      collection_name: spec.collection,
      dsl_type: DSL_TYPE_EXPR,
      placeholder_group,
      nq: vectors.length,
      output_fields: spec.outputFields ?? [],
      search_params: Object.entries(params).map(([key, value]) => ({ key, value })),
    });
  }

  async createIndex(collection: string, params: Readonly<Record<string, string>>): Promise<void> {
    await this.call('CreateIndex', {
      collection_name: collection,
      field_name: 'vector',
      index_name: 'vector',
      extra_params: Object.entries(params).map(([key, value]) => ({ key, value })),
    });
  }

  /** Resolves when every sealed row is indexed. `onProgress` gets the share done. */
  async waitForIndex(collection: string, onProgress?: (share: number) => void): Promise<void> {
    for (;;) {
      const reply = await this.call('DescribeIndex', {
        collection_name: collection,
        index_name: 'vector',
      });
      const index = reply.index_descriptions[0];
      const total = Number(index.total_rows);
      const done = Number(index.indexed_rows);
      onProgress?.(total === 0 ? 0 : done / total);
      const isFinished =
        index.state === 3 && done >= total && Number(index.pending_index_rows) === 0;
      if (isFinished) return;
      if (index.state === 4)
        throw new Error(`index build failed: ${index.index_state_fail_reason}`);
      await pause(100);
    }
  }

  /** Seals what has been inserted and waits until it is written. */
  async flush(collection: string): Promise<void> {
    const { coll_segIDs, coll_flush_ts } = await this.call('Flush', {
      collection_names: [collection],
    });
    for (;;) {
      const { flushed } = await this.call('GetFlushState', {
        segmentIDs: coll_segIDs[collection]?.data ?? [],
        flush_ts: coll_flush_ts?.[collection] ?? 0,
        collection_name: collection,
      });
      if (flushed === true) return;
      await pause(50);
    }
  }

  async countRows(collection: string): Promise<number> {
    const request = { collection_name: collection };
    const { stats } = await this.call('GetCollectionStatistics', request);
    return Number(stats.find(({ key }: { key: string }) => key === 'row_count')?.value);
  }

  async load(collection: string): Promise<void> {
    await this.call('LoadCollection', { collection_name: collection });
    for (;;) {
      const { progress } = await this.call('GetLoadingProgress', { collection_name: collection });
      if (Number(progress) >= 100) return;
      await pause(50);
    }
  }
}

function requireOk(method: string, status: Status & { error_code?: number }): void {
  const code = status.code || status.error_code || 0;
  if (code !== 0) throw new Error(`${method}: ${status.reason} (code ${code})`);
}

/** Ids of a search reply, k of each query. */
export function readIds(reply: Reply): number[] {
  return (reply.results.ids?.int_id?.data ?? []).map(Number);
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, milliseconds));
}
