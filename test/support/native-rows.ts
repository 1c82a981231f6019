// Rows with a vector, a nullable number, text, JSON and an array, as the addon takes them, and
// requests for them. Replay of a test: TEST_SEED=<seed>.

import { encodeRowBatch } from '../../src/codec/row-batch-ops.ts';
import { RowBatchReader } from '../../src/codec/row-batch.ts';
import { encodePlan } from '../../src/expr/encode-plan.ts';
import type { PlanNode } from '../../src/expr/plan.ts';
import {
  native,
  type NativeQueryRequest,
  type NativeSearchRequest,
  type NativeSegment,
} from '../../src/index/native.ts';
import { DataType } from '../../src/model/data-type.ts';
import type { CollectionSchema } from '../../src/model/schema.ts';
import { getNativeFields } from '../../src/segment/native-fields.ts';
import { makeField } from './codec/random-batch.ts';

export const DIM = 16;
const KEY = 100n;
export const VECTOR = 101n;
export const AGE = 102n;
export const NAME = 103n;
export const JSON_FIELD = 104n;
export const TAGS = 105n;
const FOREVER = 2n ** 63n - 1n;
export const SEED = Number(process.env['TEST_SEED'] ?? 42);

export const SCHEMA: CollectionSchema = {
  name: 'c',
  description: '',
  fields: [
    makeField({ fieldId: KEY, name: 'f100', dataType: DataType.Int64, isPrimaryKey: true }),
    makeField({
      ...{ fieldId: VECTOR, name: 'f101', nullable: true },
      ...{ dataType: DataType.FloatVector, dim: DIM },
    }),
    makeField({ fieldId: AGE, name: 'f102', dataType: DataType.Int64, nullable: true }),
    makeField({ fieldId: NAME, name: 'f103', dataType: DataType.VarChar }),
    makeField({ fieldId: JSON_FIELD, name: 'f104', dataType: DataType.JSON }),
    makeField({
      ...{ fieldId: TAGS, name: 'f105' },
      ...{ dataType: DataType.Array, elementType: DataType.Int32 },
    }),
  ],
  enableDynamicField: false,
  version: 0,
  properties: {},
};
export const FIELDS = getNativeFields(SCHEMA);

export interface Row {
  readonly key: bigint;
  readonly vector: readonly number[] | null;
  readonly age: bigint | null;
  readonly name: string;
  readonly json: string;
  readonly tags: readonly number[];
}

let state = SEED;
/** In [-1, 1). */
export function random(): number {
  state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
  return state / 2 ** 31 - 1;
}

export function makeRow(key: bigint): Row {
  return {
    key,
    vector: key % 17n === 3n ? null : Array.from({ length: DIM }, random),
    age: key % 5n === 0n ? null : key % 100n,
    name: `name-${key}`,
    json: `{"a":${key % 10n},"b":"${key}"}`,
    tags: Array.from({ length: Number(key % 4n) }, (_, i) => i),
  };
}

function validityOf(values: readonly unknown[]): Uint8Array {
  const bits = new Uint8Array((values.length + 7) >> 3);
  values.forEach((value, i) => {
    if (value !== null) bits[i >> 3]! |= 1 << (i & 7);
  });
  return bits;
}

function variable(values: readonly Uint8Array[]): { offsets: Uint32Array; data: Uint8Array } {
  const offsets = new Uint32Array(values.length + 1);
  values.forEach((value, i) => {
    offsets[i + 1] = offsets[i]! + value.length;
  });
  return { offsets, data: Buffer.concat(values) };
}

export function encodeRows(rows: readonly Row[]): Uint8Array {
  const zeros = new Array<number>(DIM).fill(0);
  const vectors = rows.map(({ vector }) => vector);
  const ages = rows.map(({ age }) => age);
  const text = (values: string[]): { offsets: Uint32Array; data: Uint8Array } =>
    variable(values.map((value) => Buffer.from(value)));
  return encodeRowBatch(
    [
      { fieldId: 0n, dataType: DataType.Int64, data: BigInt64Array.from(rows, ({ key }) => key) },
      { fieldId: KEY, dataType: DataType.Int64, data: BigInt64Array.from(rows, ({ key }) => key) },
      {
        fieldId: VECTOR,
        dataType: DataType.FloatVector,
        dim: DIM,
        validity: validityOf(vectors),
        data: Float32Array.from(vectors.flatMap((vector) => vector ?? zeros)),
      },
      {
        fieldId: AGE,
        dataType: DataType.Int64,
        validity: validityOf(ages),
        data: BigInt64Array.from(ages, (age) => age ?? 0n),
      },
      { fieldId: NAME, dataType: DataType.VarChar, ...text(rows.map(({ name }) => name)) },
      { fieldId: JSON_FIELD, dataType: DataType.JSON, ...text(rows.map(({ json }) => json)) },
      {
        fieldId: TAGS,
        dataType: DataType.Array,
        elementType: DataType.Int32,
        ...variable(rows.map(({ tags }) => new Uint8Array(Int32Array.from(tags).buffer))),
      },
    ],
    rows.length,
  );
}

export const bytesOf = (array: Float32Array): Uint8Array => new Uint8Array(array.buffer);

export function makeSearch(given: Partial<NativeSearchRequest> = {}): NativeSearchRequest {
  return {
    fieldId: VECTOR,
    metric: 'L2',
    nq: 1,
    k: 10,
    queries: bytesOf(Float32Array.from({ length: DIM * (given.nq ?? 1) }, random)),
    readTimestamp: FOREVER,
    indexParams: {},
    outputFieldIds: [],
    ...given,
  };
}

export function makeQuery(given: Partial<NativeQueryRequest> = {}): NativeQueryRequest {
  return {
    readTimestamp: FOREVER,
    limit: 0,
    outputFieldIds: [],
    countOnly: false,
    ...given,
  };
}

export function readKeys(rows: Uint8Array): bigint[] {
  return [...new RowBatchReader(rows).findColumn(KEY)!.asInt64()];
}

export function compareAge(op: 0 | 2 | 4, value: bigint): Uint8Array {
  const plan: PlanNode = {
    node: 'compare',
    operand: { kind: 'field', fieldId: AGE, dataType: DataType.Int64, elementType: 0 },
    op,
    value: { kind: 'int64', value },
  };
  return encodePlan(plan);
}

export function scoreL2(query: Float32Array, vector: readonly number[]): number {
  return vector.reduce((sum, value, i) => sum + (Math.fround(value) - query[i]!) ** 2, 0);
}

export const ROWS = Array.from({ length: 3000 }, (_, i) => makeRow(BigInt((i * 7919) % 3001)));

export function makeGrowing(rows: readonly Row[] = ROWS, timestamp = 10n): NativeSegment {
  const segment = native.createGrowing(FIELDS);
  for (let at = 0; at < rows.length; at += 500) {
    native.appendRows(segment, encodeRows(rows.slice(at, at + 500)), timestamp);
  }
  return segment;
}
