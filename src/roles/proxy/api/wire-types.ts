// The cold messages of milvus.proto as the decoder makes them: field names as in the protocol,
// int64 as decimal strings, enums as numbers, absent fields as defaults. Only what the proxy reads
// is named.

export interface KeyValuePair {
  readonly key: string;
  readonly value: string;
}

export interface WireValueField {
  readonly bool_data?: boolean;
  readonly int_data?: number;
  readonly long_data?: string;
  readonly float_data?: number;
  readonly double_data?: number;
  readonly string_data?: string;
  readonly bytes_data?: Uint8Array;
  readonly timestamptz_data?: string;
  readonly date_data?: number;
  readonly time_data?: string;
}

export interface WireFieldSchema {
  readonly fieldID: string;
  readonly name: string;
  readonly is_primary_key: boolean;
  readonly description: string;
  readonly data_type: number;
  readonly type_params: readonly KeyValuePair[];
  readonly index_params: readonly KeyValuePair[];
  readonly autoID: boolean;
  readonly element_type: number;
  readonly default_value: WireValueField | null;
  readonly is_dynamic: boolean;
  readonly is_partition_key: boolean;
  readonly is_clustering_key: boolean;
  readonly nullable: boolean;
  readonly is_function_output: boolean;
}

export interface WireCollectionSchema {
  readonly name: string;
  readonly description: string;
  readonly autoID: boolean;
  readonly fields: readonly WireFieldSchema[];
  readonly enable_dynamic_field: boolean;
  readonly properties: readonly KeyValuePair[];
  readonly functions: readonly object[];
  readonly struct_array_fields: readonly object[];
  readonly external_source: string;
}

/** Later pairs win. */
export function toRecord(pairs: readonly KeyValuePair[]): Record<string, string> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
}

export function toPairs(record: Readonly<Record<string, string>>): KeyValuePair[] {
  return Object.entries(record).map(([key, value]) => ({ key, value }));
}
