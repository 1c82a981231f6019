// What the checks make of a column: ready to be copied into a row batch.

import type { FixedBytes, Spans } from '../../../codec/wire-lists.ts';

export type FixedArray =
  | Uint8Array
  | Int8Array
  | Int16Array
  | Int32Array
  | BigInt64Array
  | Float32Array
  | Float64Array;

/** Values in the order of the wire; `physical` of the column maps rows to them. */
export type CheckedValues =
  | { readonly kind: 'fixed'; readonly values: FixedArray }
  | { readonly kind: 'spans'; readonly bytes: Uint8Array; readonly spans: Spans }
  | { readonly kind: 'vector'; readonly bytes: Uint8Array; readonly values: FixedBytes }
  /** The primary key is made from the row ids. */
  | { readonly kind: 'generated' }
  /** No data: every row is the default, or null. */
  | { readonly kind: 'absent' };
