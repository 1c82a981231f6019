// The types of vector fields as rows of one table: all that code outside native knows of a type. A
// vector is its bytes wherever it lies, in requests, row batches, files and replies.

import { DataType } from './data-type.ts';
import { findNotFinite } from './find-not-finite.ts';

export interface VectorType {
  readonly dataType: number;
  /** What messages to clients call its elements: a "float vector". */
  readonly label: string;
  /** The kind of schema.VectorField that holds it, the field's number there, */
  readonly wireKind: 'float';
  readonly wireField: number;
  /** and whether the values are field 1 of a message in it, and not its own bytes. */
  readonly isWireNested: boolean;
  /** common.PlaceholderType of queries, and what messages call it. */
  readonly placeholderType: number;
  readonly placeholderName: string;
  /** In segment files a vector is an Arrow list of fixed size of values of this type. */
  readonly elementType: number;
  readonly elementBytes: number;
  /** Returns the first element that may be neither stored nor searched for, or -1. */
  readonly findBadElement: (data: Uint8Array) => number;
  readonly readElement: (data: Uint8Array, index: number) => number;
  /** A query that nothing is near to: it has no hits. */
  readonly makeFarQuery: (dim: number) => Uint8Array;
  readonly metrics: readonly string[];
  readonly defaultMetric: string;
}

const FLOAT_VECTOR: VectorType = {
  dataType: DataType.FloatVector,
  label: 'float',
  wireKind: 'float',
  wireField: 2,
  isWireNested: true,
  placeholderType: 101,
  placeholderName: 'VECTOR_FLOAT',
  elementType: DataType.Float,
  elementBytes: 4,
  findBadElement: ({ buffer, byteOffset, byteLength }) =>
    findNotFinite(new Int32Array(buffer, byteOffset, byteLength / 4)),
  readElement: ({ buffer, byteOffset }, index) =>
    new DataView(buffer, byteOffset).getFloat32(4 * index, true),
  makeFarQuery: (dim) => new Uint8Array(new Float32Array(dim).fill(NaN).buffer),
  metrics: ['L2', 'IP', 'COSINE'],
  defaultMetric: 'COSINE',
};

/** Types that can be stored. */
export const VECTOR_TYPES: readonly VectorType[] = [FLOAT_VECTOR];

const BY_TYPE = new Map(VECTOR_TYPES.map((type) => [type.dataType, type]));
const BY_WIRE_KIND = new Map<string, VectorType>(VECTOR_TYPES.map((type) => [type.wireKind, type]));

/** Undefined for what is no vector, and for vectors that cannot be stored. */
export function findVectorType(dataType: number): VectorType | undefined {
  return BY_TYPE.get(dataType);
}

/** Of a stored vector field. */
export function getVectorType(dataType: number): VectorType {
  const type = BY_TYPE.get(dataType);
  if (type === undefined) throw new Error(`data type ${dataType} is no stored vector type`);
  return type;
}

export function findVectorTypeOnWire(wireKind: string): VectorType | undefined {
  return BY_WIRE_KIND.get(wireKind);
}
