// A collection's schema as every role sees it: plain nouns, no wire names, no defaults to guess.
// System fields (0 RowID, 1 Timestamp) are not in it; the dynamic field `$meta`, where enabled, is.

import { isVectorType } from './data-type.ts';

export const ROW_ID_FIELD_ID = 0n;
export const TIMESTAMP_FIELD_ID = 1n;
/** Ids of user fields start here. */
export const FIRST_USER_FIELD_ID = 100n;
export const DYNAMIC_FIELD_NAME = '$meta';

export type DefaultValue = boolean | number | bigint | string;

export interface FieldSchema {
  readonly fieldId: bigint;
  readonly name: string;
  readonly description: string;
  /** Number of schema.DataType. */
  readonly dataType: number;
  /** Element type of an Array field, else 0. */
  readonly elementType: number;
  readonly isPrimaryKey: boolean;
  readonly autoId: boolean;
  readonly isPartitionKey: boolean;
  readonly isClusteringKey: boolean;
  /** The field `$meta`, which holds the undeclared keys of each row as a JSON object. */
  readonly isDynamic: boolean;
  readonly nullable: boolean;
  /** Int64 defaults are bigint, other numbers are number. */
  readonly defaultValue?: DefaultValue;
  /** As the client gave them: max_length, max_capacity, dim, mmap.enabled, … */
  readonly typeParams: Readonly<Record<string, string>>;
  readonly indexParams: Readonly<Record<string, string>>;
  /** Dimension of a vector field, else 0. */
  readonly dim: number;
  /** Bytes at most of a VarChar (or of a VarChar element of an Array), else 0. */
  readonly maxLength: number;
  /** Elements at most of an Array, else 0. */
  readonly maxCapacity: number;
}

export interface CollectionSchema {
  readonly name: string;
  readonly description: string;
  /** User fields in the order of the client, `$meta` last. */
  readonly fields: readonly FieldSchema[];
  readonly enableDynamicField: boolean;
  /** Grows by one with every change of the schema. */
  readonly version: number;
  readonly properties: Readonly<Record<string, string>>;
}

/** Returns the primary key field. Every stored schema has exactly one. */
export function getPrimaryKeyField(schema: CollectionSchema): FieldSchema {
  const field = schema.fields.find((candidate) => candidate.isPrimaryKey);
  if (field === undefined) throw new Error(`schema of ${schema.name} has no primary key`);
  return field;
}

export function findField(schema: CollectionSchema, name: string): FieldSchema | undefined {
  return schema.fields.find((field) => field.name === name);
}

export function findFieldById(schema: CollectionSchema, fieldId: bigint): FieldSchema | undefined {
  return schema.fields.find((field) => field.fieldId === fieldId);
}

export function getVectorFields(schema: CollectionSchema): readonly FieldSchema[] {
  return schema.fields.filter((field) => isVectorType(field.dataType));
}

export function findDynamicField(schema: CollectionSchema): FieldSchema | undefined {
  return schema.fields.find((field) => field.isDynamic);
}

export function findPartitionKeyField(schema: CollectionSchema): FieldSchema | undefined {
  return schema.fields.find((field) => field.isPartitionKey);
}
