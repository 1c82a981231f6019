// The untyped tree of a filter: names and constants as written, before any field is looked up.
// `depth` bounds the recursion of whoever walks it; the parser refuses trees deeper than
// `AST_DEPTH_MAX`.

import type { Literal, PathStep, ValueList } from './plan.ts';

/** Deepest tree and deepest nesting of brackets that is accepted: no input overflows the stack. */
export const AST_DEPTH_MAX = 500;

export type ArithmeticSign = '+' | '-' | '*' | '/' | '%' | '&' | '|' | '^' | '**' | '<<' | '>>';
export type CompareSign = '==' | '!=' | '<' | '<=' | '>' | '>=';

interface AstPlace {
  /** Offset in the filter of the node's first character, or of its operator. */
  readonly at: number;
  readonly depth: number;
}

export type ColumnAst = AstPlace & {
  readonly kind: 'column';
  readonly name: string;
  readonly path: readonly PathStep[];
};

export type RangeAst = AstPlace & {
  readonly kind: 'range';
  readonly column: ColumnAst;
  readonly lower: AstNode;
  readonly lowerInclusive: boolean;
  readonly upper: AstNode;
  readonly upperInclusive: boolean;
};

export type InAst = AstPlace & {
  readonly kind: 'in';
  readonly left: AstNode;
  readonly right: AstNode;
  readonly negated: boolean;
};

export type RegexAst = AstPlace & {
  readonly kind: 'regex';
  readonly operand: AstNode;
  readonly pattern: AstNode;
  readonly negated: boolean;
};

export type CallAst = AstPlace & {
  readonly kind: 'call';
  /** Lower case. */
  readonly name: string;
  readonly args: readonly AstNode[];
};

export type AstNode =
  | (AstPlace & { readonly kind: 'literal'; readonly value: Literal })
  | (AstPlace & { readonly kind: 'list'; readonly items: readonly AstNode[] })
  /** A list of nothing but constants. */
  | (AstPlace & { readonly kind: 'values'; readonly list: ValueList })
  | (AstPlace & { readonly kind: 'template'; readonly name: string })
  | ColumnAst
  | (AstPlace & {
      readonly kind: 'unary';
      readonly sign: '+' | '-' | '~' | 'not';
      readonly operand: AstNode;
    })
  | (AstPlace & {
      readonly kind: 'arithmetic';
      readonly sign: ArithmeticSign;
      readonly left: AstNode;
      readonly right: AstNode;
    })
  | (AstPlace & {
      readonly kind: 'compare';
      readonly sign: CompareSign;
      readonly left: AstNode;
      readonly right: AstNode;
    })
  | (AstPlace & {
      readonly kind: 'logical';
      readonly sign: 'and' | 'or';
      readonly items: readonly AstNode[];
    })
  | RangeAst
  | InAst
  | (AstPlace & { readonly kind: 'like'; readonly operand: AstNode; readonly pattern: AstNode })
  | RegexAst
  | (AstPlace & { readonly kind: 'isNull'; readonly column: ColumnAst; readonly negated: boolean })
  | (AstPlace & { readonly kind: 'exists'; readonly operand: AstNode })
  | CallAst;
