// Compiles a filter's text to its plan: parse, look names up, fill templates in, fold constants,
// check types. Every mistake in a filter ends here as one MilvusError; the plan that comes out is
// well typed.

import { DataType, getDataTypeName } from '../model/data-type.ts';
import { MilvusError } from '../model/error.ts';
import type { AstNode, CallAst, InAst, RangeAst, RegexAst } from './ast.ts';
import { checkNullTest, getContainer, resolveColumn, toValue } from './column.ts';
import type { Column } from './column.ts';
import { compileCompare, compileIn, compileRange, negate } from './compile-compare.ts';
import {
  castList, formatLiteral, getLiteralTypeName, readTemplateList, toLiteral,
} from './constant.ts';
import { FilterError, NotBooleanError, formatPosition } from './filter-error.ts';
import type { FilterSchema } from './filter-schema.ts';
import type { TemplateValue } from '../model/template-value.ts';
import { lowerLike } from './like-pattern.ts';
import type { ReadLists } from './list-reader.ts';
import { parseFilter } from './parser.ts';
import { ContainsMode } from './plan.ts';
import type { Literal, Operand, PlanNode, ValueList } from './plan.ts';
import { tooLarge } from './regex-parser.ts';
import { compileRegex } from './regex-program.ts';
import { applyArithmetic, checkNotTemplate, describeValue } from './typed-value.ts';
import type { TypedValue } from './typed-value.ts';
import { toLiterals, toValueList } from './value-list.ts';

const CONTAINS_MODES: ReadonlyMap<string, ContainsMode> = new Map([
  ['json_contains', ContainsMode.One], ['array_contains', ContainsMode.One],
  ['json_contains_all', ContainsMode.All], ['array_contains_all', ContainsMode.All],
  ['json_contains_any', ContainsMode.Any], ['array_contains_any', ContainsMode.Any],
]);

/**
 * Returns the plan of a filter; blank text is always true.
 *
 * @param templates  values of the `{name}` placeholders
 * @param lists      lists of the text that have been read already
 * @throws MilvusError ParameterInvalid, `cannot parse expression: <text>, error: <detail>`; the
 *   detail of a syntax error begins with `line L:C`. A filter that is no condition is
 *   `predicate is not a boolean expression: <text>, data type: <type>`
 * Source: Milvus 2.6.
 */
export function compileFilter(
  text: string,
  schema: FilterSchema,
  templates: ReadonlyMap<string, TemplateValue>,
  lists?: ReadLists,
): PlanNode {
  try {
    if (/^[ \t\r\n]*$/.test(text)) return { node: 'const', value: true };
    return new Compiler(schema, templates).compilePredicate(parseFilter(text, lists), 'root');
  } catch (error) {
    if (error instanceof FilterError) throw toMilvusError(text, error);
    throw error;
  }
}

function toMilvusError(text: string, error: FilterError): MilvusError {
  // Whoever compiles for a request ends the message: it depends on what the plan is for.
  if (error instanceof NotBooleanError) {
    return new MilvusError('ParameterInvalid', {
      message: `predicate is not a boolean expression: ${text}, data type: ${error.type}`,
    });
  }
  const { offset, message } = error;
  const detail = offset === undefined ? message : `${formatPosition(text, offset)} ${message}`;
  return new MilvusError('ParameterInvalid', {
    message: `cannot parse expression: ${text}, error: ${detail}`,
  });
}

/**
 * Characters of patterns and instructions of their programs, of one filter: a filter is compiled in
 * one turn of the event loop, and so much takes some 200 ms (P9).
 */
const REGEX_WORK_MAX = 100_000;

class Compiler {
  private readonly schema: FilterSchema;
  private readonly templates: ReadonlyMap<string, TemplateValue>;
  private regexWork = 0;

  constructor(schema: FilterSchema, templates: ReadonlyMap<string, TemplateValue>) {
    this.schema = schema;
    this.templates = templates;
  }

  /** Compiles a part that must be true or false; `place` is the operator it belongs to. */
  compilePredicate(node: AstNode, place: 'root' | 'and' | 'or' | 'not'): PlanNode {
    const value = this.compileValue(node);
    if (value.is === 'predicate') return value.plan;
    if (value.is === 'constant' && value.literal.kind === 'bool' && value.template === undefined) {
      return { node: 'const', value: value.literal.value };
    }
    const type = describeValue(value);
    if (place === 'root') {
      throw new NotBooleanError(type);
    }
    if (place === 'not') {
      throw new FilterError(
        `'not' can only be used on boolean expressions, but got: ${type}; ` +
          "it binds tighter than comparisons, write not (…)",
      );
    }
    throw new FilterError(
      `'${place}' can only be used between boolean expressions, but got: ${type}`,
    );
  }

  private compileValue(node: AstNode): TypedValue {
    switch (node.kind) {
      case 'literal':
        return { is: 'constant', literal: node.value };
      case 'list':
        return { is: 'constant', literal: { kind: 'array', value: this.compileItems(node.items) } };
      case 'values':
        return { is: 'constant', literal: { kind: 'array', value: toLiterals(node.list) } };
      case 'template': {
        const literal = toLiteral(this.requireTemplate(node.name));
        return { is: 'constant', literal, template: node.name };
      }
      case 'column':
        return { is: 'column', column: toValue(resolveColumn(node, this.schema)) };
      case 'unary':
        return this.compileUnary(node.sign, node.operand);
      case 'arithmetic':
        return applyArithmetic(
          this.compileValue(node.left), node.sign, this.compileValue(node.right),
        );
      case 'compare':
        return compileCompare(
          this.compileValue(node.left), node.sign, this.compileValue(node.right),
        );
      case 'call':
        return this.compileCall(node);
      default:
        return { is: 'predicate', plan: this.compileTest(node) };
    }
  }

  private compileTest(node: AstNode): PlanNode {
    switch (node.kind) {
      case 'logical':
        return this.compileLogical(node.sign, node.items);
      case 'range':
        return this.compileRange(node);
      case 'in':
        return this.compileIn(node);
      case 'like':
        return this.compileLike(node.operand, node.pattern);
      case 'regex':
        return this.compileRegex(node);
      case 'exists':
        return this.compileExists(node.operand);
      case 'isNull': {
        const plan = compileNullTest(resolveColumn(node.column, this.schema));
        return node.negated ? negate(plan) : plan;
      }
      default:
        throw new FilterError(`unexpected ${node.kind}`);
    }
  }

  private requireTemplate(name: string): TemplateValue {
    const value = this.templates.get(name);
    if (value === undefined) {
      throw new FilterError(
        `the value of expression template variable name {${name}} is not found`,
      );
    }
    return value;
  }

  private compileItems(items: readonly AstNode[]): Literal[] {
    const values: Literal[] = [];
    for (const item of items) {
      if (item.kind === 'literal') {
        values.push(item.value);
        continue;
      }
      const value = this.compileValue(item);
      if (value.is !== 'constant') {
        throw new FilterError('a list can only hold constants, but got: ' + describeValue(value));
      }
      values.push(value.literal);
    }
    return values;
  }

  private compileUnary(sign: '+' | '-' | '~' | 'not', operand: AstNode): TypedValue {
    if (sign === '~') throw new FilterError("'~' is not supported");
    if (sign === 'not') {
      return { is: 'predicate', plan: negate(this.compilePredicate(operand, 'not')) };
    }
    const value = this.compileValue(operand);
    if (value.is !== 'constant') {
      throw new FilterError(`unary '${sign}' can only be used on constants`);
    }
    checkNotTemplate(value);
    if (sign === '-' && value.literal.kind === 'double') {
      return { is: 'constant', literal: { kind: 'double', value: -value.literal.value } };
    }
    const zero: TypedValue = { is: 'constant', literal: { kind: 'int64', value: 0n } };
    return applyArithmetic(zero, sign, value);
  }

  private compileLogical(sign: 'and' | 'or', items: readonly AstNode[]): PlanNode {
    // `and` stops being true at false, `or` stops being false at true; the other constant is idle.
    const stop = sign === 'or';
    const children: PlanNode[] = [];
    let stopped = false;
    for (const item of items) {
      const plan = this.compilePredicate(item, sign);
      if (plan.node === sign) for (const child of plan.children) children.push(child);
      else if (plan.node !== 'const') children.push(plan);
      else if (plan.value === stop) stopped = true;
    }
    const [first] = children;
    if (stopped || first === undefined) return { node: 'const', value: stopped === stop };
    return children.length === 1 ? first : { node: sign, children };
  }

  private compileRange(node: RangeAst): PlanNode {
    return compileRange(toValue(resolveColumn(node.column, this.schema)), {
      lower: this.requireBound(node.lower, 'lowerbound'),
      lowerInclusive: node.lowerInclusive,
      upper: this.requireBound(node.upper, 'upperbound'),
      upperInclusive: node.upperInclusive,
    });
  }

  private requireBound(node: AstNode, name: string): Literal {
    const value = this.compileValue(node);
    if (value.is === 'constant') return value.literal;
    const got = describeValue(value);
    throw new FilterError(`${name} of a range must be a constant, but got: ${got}`);
  }

  private compileIn(node: InAst): PlanNode {
    const left = this.compileValue(node.left);
    if (left.is !== 'column') {
      const got = describeValue(left);
      throw new FilterError(`'in' can only be used on single field, but got: ${got}`);
    }
    const plan = compileIn(left.column, this.requireList(node.right));
    return node.negated ? negate(plan) : plan;
  }

  private requireList(node: AstNode): ValueList {
    const list = this.findList(node);
    if (list !== undefined) return list;
    const value = this.compileValue(node);
    if (value.is === 'constant' && value.template !== undefined) {
      throw new FilterError(
        `the value of term expression template variable {${value.template}} is not array`,
      );
    }
    const got = value.is === 'constant' ? formatLiteral(value.literal) : describeValue(value);
    throw new FilterError(`the right-hand side of 'in' must be a list, but got: ${got}`);
  }

  /** Returns the constants of a written list or of a template. */
  private findList(node: AstNode): ValueList | undefined {
    if (node.kind === 'values') return node.list;
    if (node.kind === 'list') return toValueList(this.compileItems(node.items));
    if (node.kind !== 'template') return undefined;
    return readTemplateList(this.requireTemplate(node.name));
  }

  private compileLike(operandAst: AstNode, patternAst: AstNode): PlanNode {
    const operand = this.requireText(operandAst, 'like');
    const pattern = this.requirePattern(patternAst, 'like');
    return { node: 'like', operand, ...lowerLike(pattern) };
  }

  private compileRegex(node: RegexAst): PlanNode {
    const operand = this.requireText(node.operand, 'regex');
    const pattern = this.requirePattern(node.pattern, 'regex');
    const { like, program } = compileRegex(pattern);
    this.regexWork += pattern.length + program.instructions.length;
    if (this.regexWork > REGEX_WORK_MAX) {
      const more = `more than ${REGEX_WORK_MAX} instructions`;
      throw tooLarge(`the patterns of one filter together, ${more}`);
    }
    // `!~` holds for a JSON value that is no string at all, which no other negation does.
    const negated = node.negated && operand.kind === 'path';
    const plan: PlanNode = like === undefined || negated
      ? { node: 'regex', operand, negated, pattern, program }
      : { node: 'like', operand, ...like };
    return node.negated && !negated ? negate(plan) : plan;
  }

  private requireText(node: AstNode, what: 'like' | 'regex'): Operand {
    const value = this.compileValue(node);
    if (value.is !== 'column') {
      throw new FilterError(`${what} operation on complicated expr is unsupported`);
    }
    const { operand, dataType } = value.column;
    if (operand.kind !== 'path' && dataType !== DataType.VarChar) {
      throw new FilterError(`${what} operation on non-string or no-json field is unsupported`);
    }
    return operand;
  }

  private requirePattern(node: AstNode, what: 'like' | 'regex'): string {
    const pattern = this.compileValue(node);
    if (pattern.is === 'constant' && pattern.literal.kind === 'string') {
      return pattern.literal.value;
    }
    throw new FilterError(`${what} pattern must be a string, but got: ${describeValue(pattern)}`);
  }

  private compileExists(operand: AstNode): PlanNode {
    const value = this.compileValue(operand);
    const path = value.is === 'column' ? value.column.operand : undefined;
    if (path?.kind !== 'path' || path.path.length === 0) {
      throw new FilterError(
        'exists operations are only supported on a path in a json field or a dynamic key, ' +
          `but got: ${describeValue(value)}`,
      );
    }
    return { node: 'exists', operand: path };
  }

  private compileCall(node: CallAst): TypedValue {
    const { name, args } = node;
    const mode = CONTAINS_MODES.get(name);
    if (mode !== undefined) return { is: 'predicate', plan: this.compileContains(node, mode) };
    if (name !== 'array_length') throw new FilterError(`function ${name} not found`);
    const [arg] = args;
    if (arg === undefined || args.length !== 1) throw wrongCount(node, 1);
    const value = this.compileValue(arg);
    const operand = value.is === 'column' ? getContainer(value.column) : undefined;
    if (operand === undefined) {
      throw new FilterError(
        `array_length operation are only supported on json or array fields now, got: ` +
          describeValue(value),
      );
    }
    return { is: 'length', operand };
  }

  private compileContains(node: CallAst, mode: ContainsMode): PlanNode {
    const [target, argument] = node.args;
    if (target === undefined || argument === undefined || node.args.length !== 2) {
      throw wrongCount(node, 2);
    }
    const value = this.compileValue(target);
    const operand = value.is === 'column' ? getContainer(value.column) : undefined;
    if (operand === undefined) {
      throw new FilterError(
        `contains operation are only supported on json or array fields now, got: ` +
          describeValue(value),
      );
    }
    const written = this.compileContained(node, argument, mode);
    const isPath = operand.kind === 'path';
    const list = isPath ? written : castElements(node, written, operand.elementType);
    return { node: 'contains', operand, mode, list };
  }

  /** Returns the values to look for: one, which may be a list itself, or those of a list. */
  private compileContained(node: CallAst, argument: AstNode, mode: ContainsMode): ValueList {
    const list = mode === ContainsMode.One ? undefined : this.findList(argument);
    if (list !== undefined) return list;
    const constant = this.compileValue(argument);
    if (constant.is !== 'constant') {
      throw new FilterError(`${node.name} needs a constant, but got: ${describeValue(constant)}`);
    }
    if (mode === ContainsMode.One) return toValueList([constant.literal]);
    throw new FilterError(`${node.name} operation element must be an array`);
  }
}

function castElements(node: CallAst, list: ValueList, elementType: number): ValueList {
  return castList(list, elementType, (literal) => {
    const types = `${getDataTypeName(elementType)}, but got: ${getLiteralTypeName(literal)}`;
    return new FilterError(`${node.name} on this array needs values of type ${types}`);
  });
}

function compileNullTest(column: Column): PlanNode {
  checkNullTest(column);
  const { operand, field } = column;
  if (operand.kind === 'field' && !field.nullable) return { node: 'const', value: false };
  return { node: 'isNull', operand };
}

function wrongCount({ name, args }: CallAst, expected: number): FilterError {
  return new FilterError(`${name} expects arguments: ${expected}, but got: ${args.length}`);
}
