// The data types of fields, with the numbers of Milvus' wire protocol (schema.DataType).
// A type that is on the wire but not here cannot be stored yet: schema checks refuse it by name.

export const DataType = {
  None: 0,
  Bool: 1,
  Int8: 2,
  Int16: 3,
  Int32: 4,
  Int64: 5,
  Float: 10,
  Double: 11,
  String: 20,
  VarChar: 21,
  Array: 22,
  JSON: 23,
  Geometry: 24,
  Text: 25,
  Timestamptz: 26,
  BinaryVector: 100,
  FloatVector: 101,
  Float16Vector: 102,
  BFloat16Vector: 103,
  SparseFloatVector: 104,
  Int8Vector: 105,
  ArrayOfVector: 106,
  ArrayOfStruct: 200,
  Struct: 201,
} as const;

export type DataType = (typeof DataType)[keyof typeof DataType];

/** Types with one value of their own: what an Array's elements may be, too. */
export const SCALAR_TYPES = [
  DataType.Bool,
  DataType.Int8,
  DataType.Int16,
  DataType.Int32,
  DataType.Int64,
  DataType.Float,
  DataType.Double,
  DataType.VarChar,
] as const;

const NAME_BY_NUMBER = new Map<number, string>(
  Object.entries(DataType).map(([name, value]) => [value, name]),
);

/** Returns the wire name (`VarChar`), or the number as text for one that is not in the table. */
export function getDataTypeName(dataType: number): string {
  return NAME_BY_NUMBER.get(dataType) ?? String(dataType);
}

export function isIntegerType(dataType: number): boolean {
  return dataType >= DataType.Int8 && dataType <= DataType.Int64;
}

export function isNumericType(dataType: number): boolean {
  return isIntegerType(dataType) || dataType === DataType.Float || dataType === DataType.Double;
}

export function isVectorType(dataType: number): boolean {
  return dataType >= DataType.BinaryVector && dataType <= DataType.ArrayOfVector;
}
