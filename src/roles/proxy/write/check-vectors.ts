// A vector column of an insert: kind, dimension and length. Its elements are looked at after the
// one copy that aligns them (build-row-batch.ts).

import { invalidParameter, type MilvusError } from '../../../model/error.ts';
import type { FieldSchema } from '../../../model/schema.ts';
import { getVectorType } from '../../../model/vector-type.ts';
import { refuseValue } from './check-error.ts';
import type { CheckedValues } from './checked-values.ts';
import type { FieldDataView } from '../../../codec/field-data.ts';

function refuseKind(field: FieldSchema, got: string, collection: string | undefined): MilvusError {
  const { label } = getVectorType(field.dataType);
  const root = `invalid parameter[expected=need ${label} vector]`;
  return invalidParameter(
    `${label} vector field '${field.name}' is illegal, array type mismatch: ` +
      `${root}[actual=got ${got}]` +
      `${collection === undefined ? '' : `[collection=${collection}]`}[field=${field.name}]`,
  );
}

/** @throws MilvusError ParameterInvalid, also for the vector kinds that cannot be stored yet */
export function checkVectorColumn(
  field: FieldSchema,
  view: FieldDataView,
  collection: string | undefined,
): CheckedValues {
  const { wireKind, elementBytes, label } = getVectorType(field.dataType);
  const { vectors } = view;
  const column = vectors?.column;
  if (vectors === undefined || (column === undefined && vectors.dim === 0)) {
    const isEmpty = view.scalars === undefined && view.structArrays === undefined;
    if (isEmpty && field.nullable) return { kind: 'absent' };
    if (isEmpty) throw refuseKind(field, 'nil', collection);
  }
  if (column !== undefined && column.kind !== wireKind) {
    throw refuseKind(field, `${column.kind} vector`, collection);
  }
  if (vectors === undefined) throw refuseKind(field, 'scalar', collection);
  if (vectors.dim !== field.dim) {
    throw refuseValue(collection, {
      text:
        `the dim (${vectors.dim}) of field data(${field.name}) ` +
        `is not equal to schema dim (${field.dim})`,
      field: field.name,
      expected: field.dim,
      actual: vectors.dim,
    });
  }
  const elements = (column?.values.byteLength ?? 0) / elementBytes;
  if (column === undefined || elements === 0) {
    if (!field.nullable) throw refuseKind(field, 'nil', collection);
    return { kind: 'absent' };
  }
  if (elements % field.dim !== 0) {
    throw refuseValue(collection, {
      text: `the length (${elements}) of field data(${field.name}) is not a multiple of its dim`,
      field: field.name,
      row: Math.floor(elements / field.dim),
      expected: `a multiple of ${field.dim} ${label}s`,
      actual: elements,
    });
  }
  return { kind: 'vector', bytes: view.message, values: column.values };
}
