// The collection that filter tests are about: one field of each kind that filters treat
// differently, nullable ones among them, JSON and `$meta`.

import type { FilterField, FilterSchema } from '../../src/expr/filter-schema.ts';
import { DataType } from '../../src/model/data-type.ts';

function makeField(
  fieldId: number,
  name: string,
  dataType: DataType,
  more: Partial<FilterField> = {},
): FilterField {
  return {
    fieldId: BigInt(fieldId),
    name,
    dataType,
    elementType: 0,
    nullable: false,
    isPrimaryKey: false,
    isPartitionKey: false,
    isDynamic: false,
    ...more,
  };
}

const NULLABLE = { nullable: true };

/** Without dynamic fields: unknown names are errors. */
export const STRICT_SCHEMA: FilterSchema = {
  fields: [
    makeField(100, 'id', DataType.Int64, { isPrimaryKey: true }),
    makeField(101, 'flag', DataType.Bool, NULLABLE),
    makeField(102, 'i8', DataType.Int8),
    makeField(103, 'i16', DataType.Int16, NULLABLE),
    makeField(104, 'i32', DataType.Int32),
    makeField(105, 'age', DataType.Int64, NULLABLE),
    makeField(106, 'f', DataType.Float),
    makeField(107, 'd', DataType.Double, NULLABLE),
    makeField(108, 'name', DataType.VarChar, { maxLength: 256 }),
    makeField(109, 'note', DataType.VarChar, { nullable: true, maxLength: 256 }),
    makeField(110, 'j', DataType.JSON, NULLABLE),
    makeField(111, 'ints', DataType.Array, { elementType: DataType.Int64, nullable: true }),
    makeField(112, 'bytes', DataType.Array, { elementType: DataType.Int8 }),
    makeField(113, 'floats', DataType.Array, { elementType: DataType.Float }),
    makeField(114, 'words', DataType.Array, { elementType: DataType.VarChar }),
    makeField(115, 'flags', DataType.Array, { elementType: DataType.Bool }),
    makeField(116, 'vec', DataType.FloatVector),
    makeField(117, 'tenant', DataType.VarChar, { isPartitionKey: true, maxLength: 64 }),
    makeField(118, 'ok', DataType.Bool),
    makeField(119, 'body', DataType.Text, NULLABLE),
    makeField(120, 'at', DataType.Timestamptz, NULLABLE),
    makeField(121, 'place', DataType.Geometry, NULLABLE),
    makeField(122, 'sparse', DataType.SparseFloatVector, NULLABLE),
    makeField(123, 'doubles', DataType.Array, { elementType: DataType.Double, nullable: true }),
    makeField(124, 'doc', DataType.JSON),
  ],
};

/** The same with a `$meta` field. */
export const DYNAMIC_SCHEMA: FilterSchema = {
  fields: [...STRICT_SCHEMA.fields, makeField(130, '$meta', DataType.JSON, { isDynamic: true })],
};
