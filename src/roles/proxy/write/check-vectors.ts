// A FloatVector column of an insert: kind, dimension and length. Its floats are looked at after the
// one copy that aligns them (build-row-batch.ts).

import { invalidParameter, type MilvusError } from '../../../model/error.ts';
import type { FieldSchema } from '../../../model/schema.ts';
import { refuseValue } from './check-error.ts';
import type { CheckedValues } from './checked-values.ts';
import type { FieldDataView } from '../../../codec/field-data.ts';

function refuseKind(field: FieldSchema, got: string, collection: string | undefined): MilvusError {
  const root = 'invalid parameter[expected=need float vector]';
  return invalidParameter(
    `float vector field '${field.name}' is illegal, array type mismatch: ` +
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
  const { vectors } = view;
  const column = vectors?.column;
  if (vectors === undefined || (column === undefined && vectors.dim === 0)) {
    const isEmpty = view.scalars === undefined && view.structArrays === undefined;
    if (isEmpty && field.nullable) return { kind: 'absent' };
    if (isEmpty) throw refuseKind(field, 'nil', collection);
  }
  if (column !== undefined && column.kind !== 'float') {
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
  const floats = (column?.values.byteLength ?? 0) / 4;
  if (column === undefined || floats === 0) {
    if (!field.nullable) throw refuseKind(field, 'nil', collection);
    return { kind: 'absent' };
  }
  if (floats % field.dim !== 0) {
    throw refuseValue(collection, {
      text: `the length (${floats}) of field data(${field.name}) is not a multiple of its dim`,
      field: field.name,
      row: Math.floor(floats / field.dim),
      expected: `a multiple of ${field.dim} floats`,
      actual: floats,
    });
  }
  return { kind: 'vector', bytes: view.message, floats: column.values };
}
