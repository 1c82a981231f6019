// The typed form of a filter: what the parser produces, what the native evaluator and its slow twin
// evaluate. Literals already have the field's type, templates are filled in, constants are folded.
// The bytes that native reads are described in docs/formats/plan.md.

/** Comparison operators, with the numbers of the binary form. */
export const CompareOp = { Eq: 0, Ne: 1, Lt: 2, Le: 3, Gt: 4, Ge: 5 } as const;
export type CompareOp = (typeof CompareOp)[keyof typeof CompareOp];

export const ArithOp = {
  Add: 0,
  Sub: 1,
  Mul: 2,
  Div: 3,
  Mod: 4,
  BitAnd: 5,
  BitOr: 6,
  BitXor: 7,
} as const;
export type ArithOp = (typeof ArithOp)[keyof typeof ArithOp];

/** How a LIKE pattern is matched; `Pattern` keeps the pattern's `%`, `_` and `\` escapes. */
export const LikeKind = { Equal: 0, Prefix: 1, Postfix: 2, Inner: 3, Pattern: 4 } as const;
export type LikeKind = (typeof LikeKind)[keyof typeof LikeKind];

export const ContainsMode = { One: 0, All: 1, Any: 2 } as const;
export type ContainsMode = (typeof ContainsMode)[keyof typeof ContainsMode];

/** A constant. int64 is bigint, double is number; arrays are for JSON and array equality. */
export type Literal =
  | { readonly kind: 'bool'; readonly value: boolean }
  | { readonly kind: 'int64'; readonly value: bigint }
  | { readonly kind: 'double'; readonly value: number }
  | { readonly kind: 'string'; readonly value: string }
  | { readonly kind: 'array'; readonly value: readonly Literal[] };

/**
 * The constants of a list. Lists of nothing but int64 or nothing but strings are kept as such: of
 * 100,000 keys they would be 100,000 objects.
 */
export type ValueList =
  | { readonly kind: 'int64'; readonly values: BigInt64Array }
  | { readonly kind: 'string'; readonly values: readonly string[] }
  | { readonly kind: 'mixed'; readonly values: readonly Literal[] };

export type PathStep = string | number;

/** What a leaf reads: a whole field, one element of an Array field, or a path into a JSON field. */
export type Operand = {
  readonly fieldId: bigint;
  readonly dataType: number;
  /** Element type of an Array field, else 0. */
  readonly elementType: number;
} & (
  | { readonly kind: 'field' }
  | { readonly kind: 'element'; readonly index: number }
  | { readonly kind: 'path'; readonly path: readonly PathStep[] }
);

/** One step of a regular expression's automaton; what the numbers mean depends on `op`. */
export interface RegexInstruction {
  /** 0: a byte of low..high, then `next`. 1: both. 2: the condition `low` holds. 3: a match. */
  readonly op: number;
  readonly low: number;
  readonly high: number;
  /** Positions in the program. */
  readonly next: number;
  readonly other: number;
}

export interface RegexProgram {
  readonly start: number;
  readonly instructions: readonly RegexInstruction[];
}

/**
 * Three-valued: every node is true, false or null for a row; a row is kept when the root is true.
 */
export type PlanNode =
  | { readonly node: 'const'; readonly value: boolean | null }
  | { readonly node: 'and'; readonly children: readonly PlanNode[] }
  | { readonly node: 'or'; readonly children: readonly PlanNode[] }
  | { readonly node: 'not'; readonly child: PlanNode }
  | {
      readonly node: 'compare';
      readonly operand: Operand;
      readonly op: CompareOp;
      readonly value: Literal;
    }
  | {
      readonly node: 'compareOperands';
      readonly left: Operand;
      readonly op: CompareOp;
      readonly right: Operand;
    }
  | {
      readonly node: 'range';
      readonly operand: Operand;
      readonly lower: Literal;
      readonly lowerInclusive: boolean;
      readonly upper: Literal;
      readonly upperInclusive: boolean;
    }
  | { readonly node: 'in'; readonly operand: Operand; readonly list: ValueList }
  | {
      readonly node: 'arith';
      readonly operand: Operand;
      readonly arith: ArithOp;
      readonly right: Literal;
      readonly op: CompareOp;
      readonly value: Literal;
    }
  | {
      readonly node: 'like';
      readonly operand: Operand;
      readonly like: LikeKind;
      /** For all kinds but Pattern: the literal text with escapes removed. */
      readonly pattern: string;
    }
  | {
      readonly node: 'regex';
      readonly operand: Operand;
      /** Of a JSON path: true for whatever is not a string that matches, never null. */
      readonly negated: boolean;
      readonly pattern: string;
      readonly program: RegexProgram;
    }
  | { readonly node: 'isNull'; readonly operand: Operand }
  | { readonly node: 'exists'; readonly operand: Operand }
  | {
      readonly node: 'contains';
      readonly operand: Operand;
      readonly mode: ContainsMode;
      readonly list: ValueList;
    }
  | {
      readonly node: 'arrayLength';
      readonly operand: Operand;
      readonly op: CompareOp;
      readonly value: Literal;
    };
