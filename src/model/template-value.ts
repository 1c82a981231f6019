// The values that a request gives for the `{name}` places of its filter.

/** bigint is int64, number is double; a BigInt64Array is a list of int64. */
export type TemplateValue =
  | boolean
  | bigint
  | number
  | string
  | BigInt64Array
  | readonly TemplateValue[];

/** By name. */
export type TemplateValues = ReadonlyMap<string, TemplateValue>;
