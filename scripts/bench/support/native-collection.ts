// The native core in this process, without a server: one segment of (id, vector), growing or
// written to a file.

import { mkdtemp, open, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodeRowBatch } from '../../../src/codec/row-batch-ops.ts';
import { RowBatchReader } from '../../../src/codec/row-batch.ts';
import { native, type NativeSearchRequest, type NativeSegment } from '../../../src/index/native.ts';
import { DataType } from '../../../src/model/data-type.ts';
import type { CollectionSchema, FieldSchema } from '../../../src/model/schema.ts';
import { getNativeFields } from '../../../src/segment/native-fields.ts';
import { readSegmentLayout, writeSegmentFile } from '../../../src/segment/segment-file.ts';

const KEY = 100n;
const VECTOR = 101n;
const FOREVER = 2n ** 63n - 1n;
const BATCH_ROWS = 1000;

/** Rows of `vectors` with their numbers as keys, searchable at once by an exact scan. */
export function openGrowing(vectors: Float32Array, dim: number): NativeSegment {
  const segment = native.createGrowing(getNativeFields(makeSchema(dim)));
  const count = vectors.length / dim;
  for (let first = 0; first < count; first += BATCH_ROWS) {
    const end = Math.min(count, first + BATCH_ROWS);
    const ids = BigInt64Array.from({ length: end - first }, (_, i) => BigInt(first + i));
    const batch = encodeRowBatch(
      [
        { fieldId: 0n, dataType: DataType.Int64, data: ids },
        { fieldId: KEY, dataType: DataType.Int64, data: ids },
        {
          fieldId: VECTOR,
          dataType: DataType.FloatVector,
          dim,
          data: vectors.subarray(first * dim, end * dim),
        },
      ],
      end - first,
    );
    native.appendRows(segment, batch, 1n);
  }
  return segment;
}

export interface SealedCollection {
  readonly segment: NativeSegment;
  /** Returns seconds. Replaces an earlier index. */
  buildIndex(params: {
    kind: string;
    metric: string;
    M?: number;
    efConstruction?: number;
    nlist?: number;
  }): Promise<number>;
  close(): Promise<void>;
}

/** The same rows in a segment file, as the server has them after a flush. */
export async function openSealed(vectors: Float32Array, dim: number): Promise<SealedCollection> {
  const folder = await mkdtemp(join(tmpdir(), 'elanus-bench-'));
  const schema = makeSchema(dim);
  const fields = getNativeFields(schema);
  const growing = openGrowing(vectors, dim);
  const path = join(folder, 'segment');
  const writer = await native.createWriter([growing], 0n);
  const file = await open(path, 'w+');
  const bytes = await writeSegmentFile(schema, fields, writer, {
    write: async (piece) => {
      await file.write(piece);
    },
  });
  native.closeWriter(writer);
  native.closeSegment(growing);
  const { rows, layout } = await readSegmentLayout(path, bytes, async (offset, length) => {
    const { buffer } = await file.read(Buffer.alloc(length), 0, length, offset);
    return buffer;
  });
  await file.close();
  const segment = await native.openSealed(fields, path, rows, layout);
  return {
    segment,
    async buildIndex({ kind, metric, M = 16, efConstruction = 200, nlist = 128 }) {
      const started = performance.now();
      const params = { kind, metric, params: { M, efConstruction, nlist } };
      const indexPath = join(folder, kind);
      await native.buildIndex(segment, VECTOR, params, indexPath, 1);
      const seconds = (performance.now() - started) / 1000;
      await native.attachIndex(segment, VECTOR, indexPath);
      return seconds;
    },
    async close() {
      native.closeSegment(segment);
      await rm(folder, { recursive: true, force: true });
    },
  };
}

export function makeSearch(
  queries: Float32Array,
  dim: number,
  {
    metric = 'IP',
    k,
    ef = 64,
    nprobe = 8,
  }: { metric?: string; k: number; ef?: number; nprobe?: number },
): NativeSearchRequest {
  return {
    fieldId: VECTOR,
    metric,
    nq: queries.length / dim,
    k,
    queries: new Uint8Array(queries.buffer, queries.byteOffset, queries.byteLength),
    readTimestamp: FOREVER,
    indexParams: { ef, nprobe },
    outputFieldIds: [],
  };
}

/** Ids found, by query. */
export function readHits(result: { counts: Int32Array; rows: Uint8Array }): number[][] {
  const keys = new RowBatchReader(result.rows).findColumn(KEY)!.asInt64();
  let at = 0;
  return Array.from(result.counts, (count) => {
    const ids = Array.from(keys.subarray(at, at + count), Number);
    at += count;
    return ids;
  });
}

function makeSchema(dim: number): CollectionSchema {
  const field = (given: Partial<FieldSchema>): FieldSchema => ({
    fieldId: 0n,
    name: `f${given.fieldId}`,
    description: '',
    dataType: 0,
    elementType: 0,
    isPrimaryKey: false,
    autoId: false,
    isPartitionKey: false,
    isClusteringKey: false,
    isDynamic: false,
    nullable: false,
    typeParams: {},
    indexParams: {},
    dim: 0,
    maxLength: 0,
    maxCapacity: 0,
    ...given,
  });
  return {
    name: 'bench',
    description: '',
    fields: [
      field({ fieldId: KEY, dataType: DataType.Int64, isPrimaryKey: true }),
      field({ fieldId: VECTOR, dataType: DataType.FloatVector, dim }),
    ],
    enableDynamicField: false,
    version: 0,
    properties: {},
  };
}
