// Primary keys in columns: of a request, a record of the log, a read.

/** Primary keys of one kind. */
export type Keys =
  | { readonly kind: 'int64'; readonly values: BigInt64Array }
  | { readonly kind: 'string'; readonly values: readonly string[] };
