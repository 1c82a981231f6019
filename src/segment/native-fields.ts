// A schema as native knows it.

import { encodeDefaultValue } from '../codec/default-value.ts';
import type { NativeField } from '../index/native.ts';
import type { CollectionSchema, FieldSchema } from '../model/schema.ts';

const CACHE = new WeakMap<CollectionSchema, readonly NativeField[]>();

export function getNativeFields(schema: CollectionSchema): readonly NativeField[] {
  let fields = CACHE.get(schema);
  if (fields === undefined) {
    fields = schema.fields.map(toNativeField);
    CACHE.set(schema, fields);
  }
  return fields;
}

function toNativeField(field: FieldSchema): NativeField {
  const { fieldId, dataType, elementType, dim, nullable, isPrimaryKey, isDynamic } = field;
  // Every row has been written with `$meta`: no segment lacks it.
  const defaultValue = isDynamic ? undefined : encodeDefaultValue(field);
  return { fieldId, dataType, elementType, dim, nullable, isPrimaryKey, defaultValue };
}
