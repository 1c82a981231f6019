// Scalar index types by upper-case name: which fields they take. All share one native structure.
// Facts: Milvus 2.6.

import { DataType, isNumericType } from '../data-type.ts';
import { invalidParameter } from '../error.ts';
import { AUTOINDEX } from './vector-indexes.ts';

type ScalarRule = (dataType: number, elementType: number) => boolean;
const isBitmapType: ScalarRule = (dataType) =>
  dataType === DataType.Bool ||
  dataType === DataType.VarChar ||
  (dataType >= DataType.Int8 && dataType <= DataType.Int64);
const isScalarType: ScalarRule = (dataType) => isBitmapType(dataType, 0) || isNumericType(dataType);

export const SCALAR_INDEXES: Readonly<Record<string, ScalarRule>> = {
  INVERTED: (dataType, elementType) =>
    isScalarType(dataType, 0) || (dataType === DataType.Array && isScalarType(elementType, 0)),
  BITMAP: (dataType, elementType) =>
    isBitmapType(dataType, 0) || (dataType === DataType.Array && isBitmapType(elementType, 0)),
  STL_SORT: (dataType) => isNumericType(dataType) || dataType === DataType.VarChar,
  ASECENEDING: (dataType) => isNumericType(dataType) || dataType === DataType.VarChar,
  TRIE: (dataType) => dataType === DataType.VarChar,
  'MARISA-TRIE': (dataType) => dataType === DataType.VarChar,
  [AUTOINDEX]: (dataType, elementType) =>
    isScalarType(dataType, 0) || (dataType === DataType.Array && isScalarType(elementType, 0)),
};
export const OTHER_SCALAR_INDEXES = new Set(['NGRAM', 'RTREE', 'HYBRID']);

/** Why a field is not taken, in Milvus' words. */
export function refuseScalarField(name: string, type: string): Error {
  switch (name) {
    case 'BITMAP':
      return invalidParameter('bitmap index are only supported on bool, int, string');
    case 'STL_SORT':
    case 'ASECENEDING':
      return invalidParameter(
        'STL_SORT are only supported on numeric, varchar or timestamptz field',
      );
    case 'TRIE':
    case 'MARISA-TRIE':
      return invalidParameter('TRIE are only supported on varchar field');
    case AUTOINDEX:
      return invalidParameter(`create auto index on type:${type} is not supported`);
    default:
      return invalidParameter(`${name} are not supported on ${type} field`);
  }
}
