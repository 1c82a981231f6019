// Random row batches with a column of every storable type, beside the values they were made from.

import { DataType, SCALAR_TYPES } from '../../../src/model/data-type.ts';
import type { FieldSchema } from '../../../src/model/schema.ts';
import { encodeRowBatch, type ColumnInput } from '../../../src/codec/row-batch-ops.ts';
import type { Random } from './random.ts';

export type CellValue = null | boolean | number | bigint | string | readonly CellValue[];

export interface RandomBatch {
  readonly bytes: Buffer;
  readonly rows: number;
  readonly fields: readonly FieldSchema[];
  /** Values by field, then row. */
  readonly cells: ReadonlyMap<bigint, readonly CellValue[]>;
}

const DIM = 8;

/** Each scalar type, JSON, an Array of each scalar, a vector; then the same, nullable. */
export function makeFields(): readonly FieldSchema[] {
  const shapes = [
    ...SCALAR_TYPES.map((dataType) => ({ dataType, elementType: 0 })),
    { dataType: DataType.JSON, elementType: 0 },
    ...SCALAR_TYPES.map((elementType) => ({ dataType: DataType.Array, elementType })),
    { dataType: DataType.FloatVector, elementType: 0 },
  ];
  return [...shapes, ...shapes].map((shape, i) =>
    makeField({
      ...shape,
      fieldId: 100n + BigInt(i),
      name: `f${i}`,
      nullable: i >= shapes.length,
      dim: shape.dataType === DataType.FloatVector ? DIM : 0,
    }),
  );
}

export function makeField(
  given: Partial<FieldSchema> & { readonly dataType: number },
): FieldSchema {
  return {
    fieldId: 100n,
    name: 'f',
    description: '',
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
    maxLength: 1000,
    maxCapacity: 100,
    ...given,
  };
}

export function makeRandomBatch(random: Random, rows: number): RandomBatch {
  const fields = makeFields();
  const cells = new Map<bigint, readonly CellValue[]>();
  for (const field of fields) {
    const values = Array.from({ length: rows }, () =>
      field.nullable && random.chance(0.3) ? null : makeCell(field, random),
    );
    cells.set(field.fieldId, values);
  }
  const columns = fields.map((field) => encodeColumn(field, cells.get(field.fieldId)!));
  return { bytes: encodeRowBatch(columns, rows), rows, fields, cells };
}

export function makeCell(field: FieldSchema, random: Random): CellValue {
  if (field.dataType === DataType.Array) {
    return Array.from({ length: random.below(6) }, () => makeScalar(field.elementType, random));
  }
  if (field.dataType === DataType.FloatVector) {
    return Array.from({ length: field.dim }, () => Math.fround(random.next() - 0.5));
  }
  return makeScalar(field.dataType, random);
}

function makeScalar(dataType: number, random: Random): CellValue {
  switch (dataType) {
    case DataType.Bool:
      return random.chance(0.5);
    case DataType.Int8:
      return (random.int32() << 24) >> 24;
    case DataType.Int16:
      return (random.int32() << 16) >> 16;
    case DataType.Int32:
      return random.int32();
    case DataType.Int64:
      return random.int64();
    case DataType.Float:
      return Math.fround(random.next() * 1000);
    case DataType.Double:
      return random.next() * 1e12;
    case DataType.JSON:
      return JSON.stringify({ a: random.int32(), t: random.text() });
    default:
      return random.text();
  }
}

/** Values in the row batch's form: the slow twin of the encoder. */
export function encodeColumn(field: FieldSchema, values: readonly CellValue[]): ColumnInput {
  const { fieldId, dataType, elementType, dim } = field;
  const validity = new Uint8Array((values.length + 7) >> 3);
  values.forEach((value, i) => {
    if (value !== null) validity[i >> 3]! |= 1 << (i & 7);
  });
  const parts = values.map((value) => encodeCell(field, value));
  const base = {
    fieldId,
    dataType,
    elementType,
    dim,
    data: Buffer.concat(parts),
    ...(values.includes(null) ? { validity } : {}),
  };
  if (dataType !== DataType.VarChar && dataType !== DataType.JSON && dataType !== DataType.Array) {
    return base;
  }
  const offsets = new Uint32Array(values.length + 1);
  parts.forEach((part, i) => (offsets[i + 1] = offsets[i]! + part.length));
  return { ...base, offsets };
}

function encodeCell(field: FieldSchema, value: CellValue): Buffer {
  const { dataType, elementType } = field;
  if (dataType === DataType.Array) {
    if (value === null) return Buffer.alloc(0);
    const parts = (value as readonly CellValue[]).map((each) => encodeNumber(elementType, each));
    if (elementType !== DataType.VarChar) return Buffer.concat(parts);
    const head = Buffer.alloc(4 + 4 * (parts.length + 1));
    head.writeUInt32LE(parts.length, 0);
    let end = 0;
    parts.forEach((part, i) => head.writeUInt32LE((end += part.length), 8 + 4 * i));
    return Buffer.concat([head, ...parts]);
  }
  if (dataType === DataType.FloatVector) {
    const floats = (value ?? new Array(field.dim).fill(0)) as readonly number[];
    return Buffer.from(Float32Array.from(floats).buffer);
  }
  return encodeNumber(dataType, value);
}

function encodeNumber(dataType: number, value: CellValue): Buffer {
  const number = Number(value ?? 0);
  switch (dataType) {
    case DataType.Bool:
    case DataType.Int8:
      return Buffer.from(Int8Array.of(number).buffer);
    case DataType.Int16:
      return Buffer.from(Int16Array.of(number).buffer);
    case DataType.Int32:
      return Buffer.from(Int32Array.of(number).buffer);
    case DataType.Int64:
      return Buffer.from(BigInt64Array.of((value ?? 0n) as bigint).buffer);
    case DataType.Float:
      return Buffer.from(Float32Array.of(number).buffer);
    case DataType.Double:
      return Buffer.from(Float64Array.of(number).buffer);
    default:
      return Buffer.from((value ?? '') as string);
  }
}
