// A schema as native knows it.

import type { NativeField } from '../index/native.ts';
import type { CollectionSchema } from '../model/schema.ts';

const CACHE = new WeakMap<CollectionSchema, readonly NativeField[]>();

export function getNativeFields(schema: CollectionSchema): readonly NativeField[] {
  let fields = CACHE.get(schema);
  if (fields === undefined) {
    fields = schema.fields.map(
      ({ fieldId, dataType, elementType, dim, nullable, isPrimaryKey }) => ({
        fieldId,
        dataType,
        elementType,
        dim,
        nullable,
        isPrimaryKey,
      }),
    );
    CACHE.set(schema, fields);
  }
  return fields;
}
