// Looks up the fields that a filter names: a field, an element of an Array field, a path in a JSON
// field, or a dynamic key, which is a path in `$meta`.

import { DataType, getDataTypeName, isVectorType } from '../model/data-type.ts';
import type { ColumnAst } from './ast.ts';
import { FilterError } from './filter-error.ts';
import { findDynamicField, findFieldByName } from './filter-schema.ts';
import type { FilterField, FilterSchema } from './filter-schema.ts';
import type { Operand, PathStep } from './plan.ts';

/** A field reference of a filter, looked up. */
export interface Column {
  readonly field: FilterField;
  readonly operand: Operand;
  /** The type that constants are compared with: the element's for `arr[0]`, JSON for a path. */
  readonly dataType: number;
}

/**
 * Returns what a name and its subscripts stand for.
 * @throws FilterError when there is no such field, or the field cannot be subscripted so
 */
export function resolveColumn(column: ColumnAst, schema: FilterSchema): Column {
  const { name, path } = column;
  const field = findFieldByName(schema, name);
  if (field === undefined) return resolveDynamicKey(column, schema);
  if (path.length === 0) return makeField(field);
  if (field.dataType === DataType.JSON) return makePath(field, path);
  if (field.dataType !== DataType.Array) {
    const typeName = getDataTypeName(field.dataType);
    throw new FilterError(`${typeName} data type not supported accessed with []: field ${name}`);
  }
  const [index] = path;
  if (path.length !== 1 || typeof index !== 'number') {
    throw new FilterError(`can only access array field ${name} with one integer index`);
  }
  return makeElement(field, index);
}

function resolveDynamicKey(column: ColumnAst, schema: FilterSchema): Column {
  const { name, path } = column;
  if (/^null$/i.test(name)) {
    throw new FilterError("null is not a constant, use 'is null' or 'is not null'");
  }
  const dynamic = findDynamicField(schema);
  if (dynamic === undefined) throw new FilterError(`field ${name} not exist`);
  return makePath(dynamic, [name, ...path]);
}

function makeField(field: FilterField): Column {
  const { fieldId, dataType } = field;
  const elementType = dataType === DataType.Array ? field.elementType : 0;
  return { field, dataType, operand: { kind: 'field', fieldId, dataType, elementType } };
}

function makeElement(field: FilterField, index: number): Column {
  const { fieldId, dataType, elementType } = field;
  return {
    field,
    dataType: elementType,
    operand: { kind: 'element', fieldId, dataType, elementType, index },
  };
}

function makePath(field: FilterField, path: readonly PathStep[]): Column {
  const { fieldId, dataType } = field;
  return { field, dataType, operand: { kind: 'path', fieldId, dataType, elementType: 0, path } };
}

/**
 * Returns what stands for a column's value: a whole JSON document is the value at its empty path.
 * Only `is null`, which asks about the field, and `exists`, which needs a key, do not see it so.
 */
export function toValue(column: Column): Column {
  const { operand, field } = column;
  const isDocument = operand.kind === 'field' && field.dataType === DataType.JSON;
  return isDocument ? makePath(field, []) : column;
}

/** Returns the operand of functions that read a JSON value or an array; undefined if it is none. */
export function getContainer({ operand, dataType }: Column): Operand | undefined {
  if (operand.kind === 'path') return operand;
  return operand.kind === 'field' && dataType === DataType.Array ? operand : undefined;
}

/**
 * Returns the type's name for messages: `Array of Int64` is `Array`, an element is its own type.
 */
export function getColumnTypeName(column: Column): string {
  return getDataTypeName(column.dataType);
}

/** Throws unless the column may be tested with `is null`. */
export function checkNullTest({ field, operand }: Column): void {
  if (isVectorType(field.dataType)) {
    throw new FilterError('IsNull/IsNotNull operations are not supported on vector fields');
  }
  if (operand.kind === 'element') {
    throw new FilterError(
      'IsNull/IsNotNull operations are not supported on array element access',
    );
  }
  if (field.dataType === DataType.Text) {
    throw new FilterError(`'is null' is not supported on Text field ${field.name}`);
  }
}
