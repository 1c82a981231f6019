// Turns a filter's text into its untyped tree, by precedence climbing. The precedences are Milvus',
// oddities too: `not` binds tighter than comparisons, `like` and `=~` tighter than arithmetic, `&`
// looser than `==`. Source: Milvus 2.6.

import { AST_DEPTH_MAX } from './ast.ts';
import type { ArithmeticSign, AstNode, ColumnAst, CompareSign } from './ast.ts';
import { FilterError } from './filter-error.ts';
import { Lexer, TokenKind } from './lexer.ts';
import { readList } from './list-reader.ts';
import type { ReadLists } from './list-reader.ts';
import type { Literal, PathStep } from './plan.ts';

/** Binding powers, loosest 1. */
const POWER = {
  Or: 1, And: 2, Equal: 6, Relational: 7, Range: 8, In: 9, Unary: 13, Regex: 16, Like: 17,
  Primary: 18,
} as const;

const ARITHMETIC_POWER: ReadonlyMap<string, number> = new Map([
  ['|', 3], ['^', 4], ['&', 5], ['<<', 10], ['>>', 10], ['+', 11], ['-', 11],
  ['*', 12], ['/', 12], ['%', 12], ['**', 14],
]);

const RELATIONAL: ReadonlySet<string> = new Set(['<', '<=', '>', '>=']);
const INT64_MIN = -(2n ** 63n);
const INT64_MAX = 2n ** 63n - 1n;
const INDEX_MAX = 2n ** 32n - 1n;
/** One less than a plan can hold, as a dynamic key is a step too. */
const PATH_STEPS_MAX = 0xfffe;
/** Names and constants outside of lists of constants: each is some objects until it is compiled. */
const OPERANDS_MAX = 1 << 19;

/** Functions of Milvus whose arguments have a syntax of their own, which is not read yet. */
const FUNCTIONS_TO_COME = new Set([
  'text_match', 'text_match_fuzzy', 'phrase_match', 'random_sample', 'element_filter',
  'match_any', 'match_all', 'match_least', 'match_most', 'match_exact', 'st_equals',
  'st_touches', 'st_overlaps', 'st_crosses', 'st_contains', 'st_intersects', 'st_within',
  'st_dwithin', 'st_isvalid', 'empty', 'starts_with',
]);

/**
 * Returns the tree of a filter.
 * @param lists  lists of this text that have been read already
 * @throws FilterError with the offset, when the text is not a filter
 */
export function parseFilter(text: string, lists?: ReadLists): AstNode {
  return new Parser(text, lists).parse();
}

class Parser {
  private readonly lexer: Lexer;
  private readonly lists: ReadLists | undefined;
  private nesting = 0;
  private operands = 0;

  constructor(text: string, lists: ReadLists | undefined) {
    this.lexer = new Lexer(text);
    this.lists = lists;
  }

  parse(): AstNode {
    const root = this.parseExpression(POWER.Or);
    if (this.lexer.kind !== TokenKind.End) throw this.unexpected();
    return root;
  }

  /** Parses an expression whose operators all bind at least as tight as `powerMin`. */
  private parseExpression(powerMin: number): AstNode {
    this.nesting += 1;
    if (this.nesting > AST_DEPTH_MAX) throw tooDeep(this.lexer.start);
    const node = this.parseOperators(this.parsePrefix(), powerMin);
    this.nesting -= 1;
    return node;
  }

  private parseOperators(first: AstNode, powerMin: number): AstNode {
    let left = first;
    for (;;) {
      const next = this.parseOperator(left, powerMin);
      if (next === undefined) return left;
      if (next.depth > AST_DEPTH_MAX) throw tooDeep(next.at);
      left = next;
    }
  }

  /**
   * Parses one operator after `left`, with its right side; undefined if none binds tight enough.
   */
  private parseOperator(left: AstNode, powerMin: number): AstNode | undefined {
    const { lexer } = this;
    if (lexer.kind !== TokenKind.Symbol) return undefined;
    const sign = lexer.text;
    const power = ARITHMETIC_POWER.get(sign);
    if (power !== undefined) {
      if (power < powerMin) return undefined;
      return this.parseArithmetic(left, sign as ArithmeticSign, power);
    }
    if (sign === 'and') return powerMin > POWER.And ? undefined : this.parseLogical(left, 'and');
    if (sign === 'or') return powerMin > POWER.Or ? undefined : this.parseLogical(left, 'or');
    if (RELATIONAL.has(sign)) {
      return powerMin > POWER.Range ? undefined : this.parseRelational(left, powerMin);
    }
    if (sign === '==' || sign === '!=') {
      return powerMin > POWER.Equal ? undefined : this.parseCompare(left, sign, POWER.Equal + 1);
    }
    if (sign === 'in' || sign === 'not') {
      return powerMin > POWER.In ? undefined : this.parseIn(left);
    }
    if (sign === 'like' || sign === '=~' || sign === '!~') return this.parseMatch(left, sign);
    if (sign === '=') throw this.unexpected();
    return undefined;
  }

  private parseArithmetic(left: AstNode, sign: ArithmeticSign, power: number): AstNode {
    const at = this.skip();
    const right = this.parseExpression(power + 1);
    return { kind: 'arithmetic', sign, left, right, at, depth: above([left, right]) };
  }

  private parseCompare(left: AstNode, sign: CompareSign, rightPower: number): AstNode {
    const at = this.skip();
    const right = this.parseExpression(rightPower);
    return { kind: 'compare', sign, left, right, at, depth: above([left, right]) };
  }

  /** Collects `a and b and c` in one node, so that a long chain is not a deep tree. */
  private parseLogical(left: AstNode, sign: 'and' | 'or'): AstNode {
    const at = this.lexer.start;
    const items = [left];
    const power = sign === 'and' ? POWER.And : POWER.Or;
    let depth = left.depth;
    while (this.lexer.isSymbol(sign)) {
      this.lexer.next();
      const item = this.parseExpression(power + 1);
      items.push(item);
      depth = Math.max(depth, item.depth);
    }
    return { kind: 'logical', sign, items, at, depth: depth + 1 };
  }

  /**
   * Parses `left < …`: a range if a plain column and a second sign of the same direction follow.
   */
  private parseRelational(left: AstNode, powerMin: number): AstNode | undefined {
    const { lexer } = this;
    const first = lexer.text as CompareSign;
    const at = this.skip();
    if (first === '<' && lexer.isSymbol('>')) {
      throw new FilterError("unexpected '<>', use '!=' to compare", at);
    }
    const isBare = lexer.kind === TokenKind.Identifier;
    const middle = this.parsePrefix();
    const second = lexer.kind === TokenKind.Symbol ? lexer.text : '';
    const sameDirection = RELATIONAL.has(second) && second.charAt(0) === first.charAt(0);
    if (middle.kind !== 'column' || !isBare || !sameDirection) {
      if (powerMin > POWER.Relational) {
        throw new FilterError('a chained comparison needs a field in the middle', at);
      }
      const right = this.parseOperators(middle, POWER.Range);
      return { kind: 'compare', sign: first, left, right, at, depth: above([left, right]) };
    }
    lexer.next();
    const right = this.parseExpression(POWER.Range + 1);
    const ascends = first.charAt(0) === '<';
    return {
      kind: 'range',
      column: middle,
      lower: ascends ? left : right,
      lowerInclusive: (ascends ? first : second).length === 2,
      upper: ascends ? right : left,
      upperInclusive: (ascends ? second : first).length === 2,
      at,
      depth: above([left, right]),
    };
  }

  private parseIn(left: AstNode): AstNode {
    const negated = this.lexer.text === 'not';
    const at = this.skip();
    if (negated) this.expect('in');
    const right = this.parseExpression(POWER.In + 1);
    return { kind: 'in', left, right, negated, at, depth: above([left, right]) };
  }

  private parseMatch(operand: AstNode, sign: 'like' | '=~' | '!~'): AstNode {
    const at = this.lexer.start;
    this.lexer.next(sign === 'like' ? 'like' : 'regex');
    const isPattern = this.lexer.kind === TokenKind.String || this.lexer.isSymbol('{');
    if (!isPattern) throw this.unexpected('a pattern string');
    const pattern = this.parsePrefix();
    const depth = operand.depth + 1;
    if (sign === 'like') return { kind: 'like', operand, pattern, at, depth };
    return { kind: 'regex', operand, pattern, negated: sign === '!~', at, depth };
  }

  private parsePrefix(): AstNode {
    const { lexer } = this;
    const at = lexer.start;
    this.operands += 1;
    if (this.operands > OPERANDS_MAX) {
      throw new FilterError(`expression has more than ${OPERANDS_MAX} operands`, at);
    }
    switch (lexer.kind) {
      case TokenKind.Integer:
        return this.parseInteger(lexer.integer);
      case TokenKind.Float:
        return this.parseLiteral({ kind: 'double', value: lexer.float });
      case TokenKind.String:
        return this.parseLiteral({ kind: 'string', value: lexer.text });
      case TokenKind.Boolean:
        return this.parseLiteral({ kind: 'bool', value: lexer.boolean });
      case TokenKind.Identifier:
        return this.parseName();
      case TokenKind.End:
        throw this.unexpected();
      default:
        return this.parseSymbol(at);
    }
  }

  private parseSymbol(at: number): AstNode {
    const sign = this.lexer.text;
    if (sign === '(') {
      this.lexer.next();
      const inner = this.parseExpression(POWER.Or);
      this.expect(')');
      return inner;
    }
    if (sign === '[') return this.parseList(at);
    if (sign === '{') return this.parseTemplate(at);
    if (sign === 'exists') {
      this.lexer.next();
      const operand = this.parseExpression(POWER.Primary);
      return { kind: 'exists', operand, at, depth: operand.depth + 1 };
    }
    if (sign === '+' || sign === '-' || sign === '~' || sign === 'not') {
      this.lexer.next();
      if (sign === '-' && this.lexer.kind === TokenKind.Integer) {
        if (this.lexer.integer === -INT64_MIN) return this.parseInteger(INT64_MIN);
      }
      const operand = this.parseExpression(POWER.Unary);
      return { kind: 'unary', sign, operand, at, depth: operand.depth + 1 };
    }
    throw this.unexpected();
  }

  private parseInteger(value: bigint): AstNode {
    if (value > INT64_MAX) {
      throw new FilterError(`integer ${value} is out of the range of int64`, this.lexer.start);
    }
    return this.parseLiteral({ kind: 'int64', value });
  }

  private parseLiteral(value: Literal): AstNode {
    return { kind: 'literal', value, at: this.skip(), depth: 1 };
  }

  private parseName(): AstNode {
    const { lexer } = this;
    const name = lexer.text;
    const at = this.skip();
    if (lexer.isSymbol('(')) return this.parseCall(name, at);
    if (/^(iso|interval)$/i.test(name) && lexer.kind === TokenKind.String) {
      const what = `${name.toUpperCase()} (Timestamptz comparison)`;
      throw new FilterError(`${what} is not supported yet`, at);
    }
    const path: PathStep[] = [];
    while (lexer.isSymbol('[')) path.push(this.parsePathStep());
    if (path.length > PATH_STEPS_MAX) {
      throw new FilterError(`path is longer than ${PATH_STEPS_MAX} steps`, at);
    }
    const column: ColumnAst = { kind: 'column', name, path, at, depth: 1 };
    if (lexer.isSymbol('is null') || lexer.isSymbol('is not null')) {
      const negated = lexer.text === 'is not null';
      lexer.next();
      return { kind: 'isNull', column, negated, at, depth: 2 };
    }
    return column;
  }

  /** Parses `["key"]` or `[3]`. */
  private parsePathStep(): PathStep {
    const { lexer } = this;
    lexer.next();
    let step: PathStep;
    if (lexer.kind === TokenKind.String) {
      step = lexer.text;
    } else if (lexer.kind === TokenKind.Integer) {
      if (lexer.integer > INDEX_MAX) throw new FilterError('index is out of range', lexer.start);
      step = Number(lexer.integer);
    } else if (lexer.kind === TokenKind.Identifier) {
      throw new FilterError(`struct sub-field [${lexer.text}] is not supported yet`, lexer.start);
    } else {
      throw this.unexpected('a key or an index');
    }
    lexer.next();
    this.expect(']');
    return step;
  }

  private parseCall(writtenName: string, at: number): AstNode {
    const name = writtenName.toLowerCase();
    if (FUNCTIONS_TO_COME.has(name)) throw new FilterError(`${name} is not supported yet`, at);
    this.lexer.next();
    const args = this.parseItems(')');
    return { kind: 'call', name, args, at, depth: above(args) };
  }

  private parseList(at: number): AstNode {
    const read = this.lists?.get(at) ?? readList(this.lexer.source, at);
    if (read !== undefined) {
      this.lexer.moveTo(read.end);
      return { kind: 'values', list: read.list, at, depth: 2 };
    }
    this.lexer.next();
    const items = this.parseItems(']');
    let depth = 0;
    for (const item of items) depth = Math.max(depth, item.depth);
    return { kind: 'list', items, at, depth: depth + 1 };
  }

  /** Parses items up to and with the closing bracket; a comma may follow the last one. */
  private parseItems(close: string): AstNode[] {
    const items: AstNode[] = [];
    while (!this.lexer.isSymbol(close)) {
      items.push(this.parseExpression(POWER.Or));
      if (!this.lexer.isSymbol(',')) break;
      this.lexer.next();
    }
    this.expect(close);
    return items;
  }

  private parseTemplate(at: number): AstNode {
    this.lexer.next();
    if (this.lexer.kind !== TokenKind.Identifier) throw this.unexpected('a template name');
    const name = this.lexer.text;
    this.lexer.next();
    this.expect('}');
    return { kind: 'template', name, at, depth: 1 };
  }

  private expect(symbol: string): void {
    if (!this.lexer.isSymbol(symbol)) throw this.unexpected(`'${symbol}'`);
    this.lexer.next();
  }

  /** Moves past the current token and returns where it began. */
  private skip(): number {
    const at = this.lexer.start;
    this.lexer.next();
    return at;
  }

  private unexpected(expected?: string): FilterError {
    const { lexer } = this;
    let hint = expected === undefined ? '' : `, expected ${expected}`;
    if (lexer.isSymbol('=')) hint = ", use '==' to compare";
    return new FilterError(`unexpected ${lexer.describe()}${hint}`, lexer.start);
  }
}

function above(nodes: readonly AstNode[]): number {
  let depth = 0;
  for (const node of nodes) depth = Math.max(depth, node.depth);
  return depth + 1;
}

function tooDeep(at: number): FilterError {
  return new FilterError(`expression is nested more than ${AST_DEPTH_MAX} levels deep`, at);
}
