// What one index type is: an entry of the tables in this folder. How it is tuned, what of it is
// checked and what is built for it stand in its entry and nowhere else.

/** Build and search parameters as the index's own native code reads them; others pass them on. */
export type ParamBag = Readonly<Record<string, number | string>>;

export type TextParams = Readonly<Record<string, string>>;

export interface IntegerParam {
  readonly min: number;
  readonly max: number;
  readonly default: number;
}

export type ParamTable = Readonly<Record<string, IntegerParam>>;

export const INT_MAX = 2147483647;
/** Bits of a code, and equal parts that a product quantizer cuts a vector into; 0 = not given. */
export const NBITS: IntegerParam = { min: 1, max: 24, default: 8 };
export const SUBQUANTIZERS: IntegerParam = { min: 1, max: 65536, default: 0 };

/** What a search is asked with. */
export interface SearchInput {
  /** JSON values or text. */
  readonly given: Readonly<Record<string, unknown>>;
  readonly k: number;
  /** A range search, or a page of an iterator. */
  readonly isRange: boolean;
  /** Goes on to the last row. */
  readonly isIterator: boolean;
}

/** What the native builder is told. */
export interface IndexBuild {
  readonly kind: string;
  readonly params: ParamBag;
}

export interface VectorIndexType {
  /** Build parameters that are whole numbers. */
  readonly params: ParamTable;
  /** Those that must be given. */
  readonly required?: readonly string[];
  /** Numbers of equal parts that a quantizer cuts a vector into. */
  readonly dividesDim?: readonly string[];
  /** Names of scalar quantizers that `sq_type` may have. */
  readonly quantizers?: readonly string[];
  /** Codes by which the best hits may be scored again (`refine_type`). */
  readonly refineTypes?: readonly string[];
  /** What is built, and which search parameters there are, for the compatibility page. */
  readonly builtAs: string;
  readonly tunedBy: string;
  /** Undefined: no file is needed. */
  readonly build: (params: TextParams, rows: number) => IndexBuild | undefined;
  /** @throws MilvusError ParameterInvalid: not a number, out of range, too small for k */
  readonly readSearch: (input: SearchInput) => ParamBag;
}

/** A stored build parameter; it was checked when the index was made. */
export function readStored(params: TextParams, key: string, fallback: number): number {
  return Number(params[key] ?? fallback);
}
