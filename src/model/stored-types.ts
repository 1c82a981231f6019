// Which types can be stored, and how wide their values are in columns.

import { DataType, SCALAR_TYPES } from './data-type.ts';
import { findVectorType, VECTOR_TYPES } from './vector-type.ts';

export const STORED_TYPES: ReadonlySet<number> = new Set([
  ...SCALAR_TYPES,
  DataType.Array,
  DataType.JSON,
  ...VECTOR_TYPES.map(({ dataType }) => dataType),
]);

/**
 * Bytes per value in columns; 0 for types of variable width. Vectors: bytes per element times dim.
 */
export function getFixedWidth(dataType: number, dim = 0): number {
  switch (dataType) {
    case DataType.Bool:
    case DataType.Int8:
      return 1;
    case DataType.Int16:
      return 2;
    case DataType.Int32:
    case DataType.Float:
      return 4;
    case DataType.Int64:
    case DataType.Double:
      return 8;
    default:
      return (findVectorType(dataType)?.elementBytes ?? 0) * dim;
  }
}
