// What the filter compiler needs to know of a collection. One with dynamic fields has a JSON field
// `$meta` marked isDynamic; without it an unknown name is an error.

/** One field a filter may name. `elementType` is 0 unless the field is an Array. */
export interface FilterField {
  readonly fieldId: bigint;
  readonly name: string;
  /** schema.DataType of the wire protocol. */
  readonly dataType: number;
  readonly elementType: number;
  readonly nullable: boolean;
  readonly isPrimaryKey: boolean;
  readonly isPartitionKey: boolean;
  readonly isDynamic: boolean;
  /** Bytes, of VarChar fields. */
  readonly maxLength?: number;
}

export interface FilterSchema {
  readonly fields: readonly FilterField[];
}

/** Returns the field of that name; at most 64 fields, so a scan is as good as a map. */
export function findFieldByName(schema: FilterSchema, name: string): FilterField | undefined {
  for (const field of schema.fields) {
    if (field.name === name) return field;
  }
  return undefined;
}

/** Returns the `$meta` field of a collection with dynamic fields. */
export function findDynamicField(schema: FilterSchema): FilterField | undefined {
  return schema.fields.find((field) => field.isDynamic);
}
