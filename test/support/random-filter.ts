// Random filter texts for differential tests: every operator, both spellings of keywords, all forms
// of numbers and strings, templates. Every text compiles; literals come from the pool that rows are
// drawn from.

import type { FilterField, FilterSchema } from '../../src/expr/filter-schema.ts';
import type { TemplateValue } from '../../src/model/template-value.ts';
import type { PathStep } from '../../src/expr/plan.ts';
import { DataType, isIntegerType, isNumericType } from '../../src/model/data-type.ts';
import type { Random } from './codec/random.ts';
import { FILTER_POOL, makeRandomPath } from './filter-pool.ts';
import type { FilterPool } from './filter-pool.ts';

export interface RandomFilter {
  readonly text: string;
  readonly templates: ReadonlyMap<string, TemplateValue>;
}

export interface RandomFilterOptions {
  readonly schema: FilterSchema;
  readonly pool?: FilterPool;
  /** Levels of and, or, not above the leaves. */
  readonly depthMax?: number;
  /** 0 gives texts without templates, which a plan cache may keep. */
  readonly templateChance?: number;
}

/** Returns a filter that compiles against the schema. */
export function makeRandomFilter(random: Random, options: RandomFilterOptions): RandomFilter {
  const writer = new FilterWriter(random, options);
  const text = writer.writePredicate(options.depthMax ?? 3);
  return { text, templates: writer.templates };
}

/** Something to compare: how it is written and what its values are. */
interface Target {
  readonly text: string;
  readonly type: 'integer' | 'floating' | 'string' | 'bool' | 'json';
}

type Constant = boolean | bigint | number | string;

const CASED_WORDS = ['and', 'or', 'not', 'in', 'like', 'exists', 'is null', 'is not null'] as const;
const EQUALITIES = ['==', '!='] as const;
const COMPARISONS = ['==', '!=', '<', '<=', '>', '>='] as const;
const RESERVED =
  /^(and|or|not|in|like|exists|is|true|false|null|iso|interval|u8|[uUlLrR])$/i;

class FilterWriter {
  readonly templates = new Map<string, TemplateValue>();
  private readonly random: Random;
  private readonly schema: FilterSchema;
  private readonly pool: FilterPool;
  private readonly templateChance: number;
  private readonly scalars: readonly FilterField[];
  private readonly arrays: readonly FilterField[];
  private readonly documents: readonly FilterField[];
  /** Spellings of this text's keywords. */
  private readonly words: ReadonlyMap<string, string>;

  constructor(random: Random, options: RandomFilterOptions) {
    this.random = random;
    this.schema = options.schema;
    this.pool = options.pool ?? FILTER_POOL;
    this.templateChance = options.templateChance ?? 0.1;
    const { fields } = options.schema;
    this.scalars = fields.filter(({ dataType }) => getType(dataType) !== undefined);
    this.arrays = fields.filter(({ dataType }) => dataType === DataType.Array);
    this.documents = fields.filter(({ dataType }) => dataType === DataType.JSON);
    const upper = random.chance(0.3);
    this.words = new Map(CASED_WORDS.map((word) => [word, upper ? word.toUpperCase() : word]));
  }

  writePredicate(depth: number): string {
    const { random } = this;
    if (depth === 0 || random.chance(0.35)) return this.writeLeaf();
    if (random.chance(0.2)) return `${this.not()}(${this.writePredicate(depth - 1)})`;
    const count = 2 + random.below(3);
    const parts = Array.from({ length: count }, () => `(${this.writePredicate(depth - 1)})`);
    const sign = random.chance(0.5)
      ? random.pick([this.word('and'), '&&'])
      : random.pick([this.word('or'), '||']);
    return parts.join(` ${sign} `);
  }

  private writeLeaf(): string {
    const leaves = [
      () => this.writeCompare(), () => this.writeCompare(), () => this.writeCompare(),
      () => this.writeRange(), () => this.writeIn(), () => this.writeIn(),
      () => this.writeArithmetic(), () => this.writeLike(), () => this.writeLike(),
      () => this.writeRegex(),
      () => this.writeNullTest(),
      () => this.writeFieldPair(), () => this.writeContains(), () => this.writeContains(),
      () => this.writeLength(), () => this.writeExists(), () => this.writeListEquality(),
      () => this.random.pick(['true', 'False', '1 + 2 == 3', '"a" < "b"']),
    ];
    // A leaf that this schema has no field for gives undefined; `true == true` never runs out.
    for (let tries = 0; tries < 20; tries += 1) {
      const text = this.random.pick(leaves)();
      if (text !== undefined) return text;
    }
    return 'true == true';
  }

  private writeCompare(): string | undefined {
    const target = this.pickTarget();
    if (target === undefined) return undefined;
    const value = this.pickConstant(target);
    const sign = this.random.pick(typeof value === 'boolean' ? EQUALITIES : COMPARISONS);
    const constant = this.writeConstant(value);
    return this.random.chance(0.2)
      ? `${constant} ${sign} ${target.text}`
      : `${target.text} ${sign} ${constant}`;
  }

  private writeRange(): string | undefined {
    const target = this.pickTarget();
    if (target === undefined || target.type === 'bool') return undefined;
    const isString = target.type === 'string';
    const wantsText = isString || (target.type === 'json' && this.random.chance(0.3));
    const pick = (): Constant =>
      wantsText ? this.random.pick(this.pool.strings) : this.pickNumber();
    const [lower = 0, upper = 0] = [pick(), pick()].sort(compareConstants);
    const isPoint = compareConstants(lower, upper) === 0;
    const sign = (): string => (isPoint || this.random.chance(0.5) ? '<=' : '<');
    const [a, b] = [this.writeConstant(lower), this.writeConstant(upper)];
    if (this.random.chance(0.7)) return `${a} ${sign()} ${target.text} ${sign()} ${b}`;
    return `${b} ${sign().replace('<', '>')} ${target.text} ${sign().replace('<', '>')} ${a}`;
  }

  private writeIn(): string | undefined {
    const target = this.pickTarget();
    if (target === undefined) return undefined;
    const count = this.random.below(this.random.chance(0.1) ? 40 : 5);
    const values = Array.from({ length: count }, () => this.pickMember(target.type));
    const not = this.random.chance(0.3) ? `${this.word('not')} ` : '';
    return `${target.text} ${not}${this.word('in')} ${this.writeList(values)}`;
  }

  private writeArithmetic(): string | undefined {
    const target = this.pickTarget();
    if (target === undefined) return undefined;
    if (target.type === 'string' || target.type === 'bool') return undefined;
    const canBeInteger = target.type !== 'floating';
    const sign = this.random.pick(canBeInteger ? '+-*/%&|^'.split('') : '+-*/'.split(''));
    const right = '%&|^'.includes(sign) ? this.random.pick(this.pool.integers) : this.pickNumber();
    const divides = sign === '/' || sign === '%';
    const operand = this.writeConstant(divides && Number(right) === 0 ? 3n : right);
    const left = '+*'.includes(sign) && this.random.chance(0.2)
      ? `${operand} ${sign} ${target.text}`
      : `${target.text} ${sign} ${operand}`;
    const constant = this.writeConstant(this.pickNumber());
    return `(${left}) ${this.random.pick(COMPARISONS)} ${constant}`;
  }

  private writeLike(): string | undefined {
    const target = this.pickTarget();
    if (target === undefined) return undefined;
    if (target.type !== 'string' && target.type !== 'json') return undefined;
    const pieces = Array.from({ length: 1 + this.random.below(4) }, () =>
      this.random.pick(['%', '%', '_', '\\%', '\\_', '\\\\', 'a', 'ab', 'b', 'é', '中', '\n']),
    );
    const pattern = this.random.chance(0.3)
      ? `${this.random.pick(this.pool.strings).slice(0, 2).replace(/[\\%_]|[\ud800-\udfff]/g, '')}%`
      : pieces.join('');
    return `${target.text} ${this.word('like')} ${this.writeConstant(pattern)}`;
  }

  /** Only what RE2 and JavaScript read alike. */
  private writeRegex(): string | undefined {
    const target = this.pickTarget();
    if (target === undefined) return undefined;
    if (target.type !== 'string' && target.type !== 'json') return undefined;
    const { random } = this;
    const pieces = Array.from({ length: 1 + random.below(4) }, () => {
      const atom = random.pick([
        'a', 'b', 'ab', 'é', '中', '.', '[a-m]', '[^a-m]', '[é-中]', '\\d', '\\w',
        '(a|b)', '(?:ab|中)', '(a*b)', '\\n', '\\\\', '\\.', '[%_]',
      ]);
      return atom + random.pick(['', '', '', '*', '+', '?', '{2}', '{1,3}', '*?']);
    });
    const begin = random.chance(0.2) ? '^' : random.chance(0.1) ? '\\b' : '';
    const pattern = `${begin}${pieces.join('')}${random.chance(0.2) ? '$' : ''}`;
    const sign = random.pick(['=~', '!~']);
    return `${target.text} ${sign} ${this.writeConstant(pattern)}`;
  }

  private writeNullTest(): string | undefined {
    const test = this.word(this.random.pick(['is null', 'is not null']));
    if (this.random.chance(0.4)) {
      const path = this.pickPath();
      return path && `${path} ${test}`;
    }
    const field = this.pickFrom([...this.scalars, ...this.arrays, ...this.documents]);
    return field && `${field.name} ${test}`;
  }

  private writeFieldPair(): string | undefined {
    const left = this.pickFrom(this.scalars);
    if (left === undefined) return undefined;
    const type = getType(left.dataType);
    const isNumber = isNumericType(left.dataType);
    const right = this.random.pick(
      this.scalars.filter(({ dataType }) =>
        isNumber ? isNumericType(dataType) : getType(dataType) === type,
      ),
    );
    const sign = this.random.pick(type === 'bool' ? EQUALITIES : COMPARISONS);
    return `${left.name} ${sign} ${right.name}`;
  }

  private writeContains(): string | undefined {
    const container = this.pickContainer();
    if (container === undefined) return undefined;
    const names = ['json_contains', 'array_contains', 'Array_Contains', 'JSON_CONTAINS'];
    const name = this.random.pick(names);
    if (this.random.chance(0.4)) {
      const value = this.pickMember(container.type);
      return `${name}(${container.text}, ${this.writeConstant(value)})`;
    }
    const count = this.random.below(4);
    const values = Array.from({ length: count }, () => this.pickMember(container.type));
    const suffix = this.random.pick(['_all', '_any', '_ALL']);
    return `${name}${suffix}(${container.text}, ${this.writeList(values)})`;
  }

  private writeLength(): string | undefined {
    const container = this.pickContainer();
    if (container === undefined) return undefined;
    const sign = this.random.pick(COMPARISONS);
    const count = this.writeConstant(BigInt(this.random.below(5)));
    return `array_length(${container.text}) ${sign} ${count}`;
  }

  private writeExists(): string | undefined {
    const path = this.pickPath();
    return path && `${this.word('exists')} ${path}`;
  }

  private writeListEquality(): string | undefined {
    const container = this.pickContainer();
    if (container === undefined) return undefined;
    const count = this.random.below(3);
    const values = Array.from({ length: count }, () => this.pickMember(container.type));
    return `${container.text} ${this.random.pick(EQUALITIES)} ${this.writeList(values)}`;
  }

  private pickTarget(): Target | undefined {
    const { random } = this;
    const kind = random.below(10);
    if (kind < 3 && this.documents.length > 0) {
      const text = random.chance(0.1) ? random.pick(this.documents).name : this.pickPath();
      return text === undefined ? undefined : { text, type: 'json' };
    }
    if (kind < 5 && this.arrays.length > 0) {
      const field = random.pick(this.arrays);
      const type = getType(field.elementType);
      return type && { text: `${field.name}[${random.below(4)}]`, type };
    }
    const field = this.pickFrom(this.scalars);
    const type = field && getType(field.dataType);
    return field && type && { text: field.name, type };
  }

  /** An Array field, or a JSON path that may lead to an array. */
  private pickContainer(): Target | undefined {
    if (this.random.chance(0.5)) {
      const field = this.pickFrom(this.arrays);
      const type = field && getType(field.elementType);
      return field && type && { text: field.name, type };
    }
    const text = this.pickPath();
    return text === undefined ? undefined : { text, type: 'json' };
  }

  private pickPath(): string | undefined {
    const field = this.pickFrom(this.documents);
    if (field === undefined) return undefined;
    const path = makeRandomPath(this.random, this.pool);
    const [first] = path;
    const isBare = field.isDynamic && typeof first === 'string' && this.canBeBare(first);
    if (!isBare || this.random.chance(0.3)) return field.name + this.writeSteps(path);
    return first + this.writeSteps(path.slice(1));
  }

  private canBeBare(key: string): boolean {
    if (!/^[A-Za-z_\p{Script=Han}][A-Za-z0-9_\p{Script=Han}]*$/u.test(key)) return false;
    return !RESERVED.test(key) && !this.schema.fields.some(({ name }) => name === key);
  }

  private writeSteps(path: readonly PathStep[]): string {
    return path
      .map((step) => (typeof step === 'number' ? `[${step}]` : `[${this.writeString(step)}]`))
      .join('');
  }

  private pickConstant(target: Target): Constant {
    if (target.type === 'integer' || target.type === 'floating') return this.pickNumber();
    return this.pickMember(target.type);
  }

  private pickNumber(): bigint | number {
    const isInteger = this.random.chance(0.6);
    return this.random.pick<bigint | number>(isInteger ? this.pool.integers : this.pool.doubles);
  }

  /** A constant that casts to the type, as lists and arrays want. */
  private pickMember(type: Target['type']): Constant {
    switch (type) {
      case 'integer':
        return this.random.pick(this.pool.integers);
      case 'floating':
        return this.pickNumber();
      case 'string':
        return this.random.pick(this.pool.strings);
      case 'bool':
        return this.random.chance(0.5);
      case 'json':
        return this.pickMember(this.random.pick(['integer', 'floating', 'string', 'bool']));
    }
  }

  private pickFrom(fields: readonly FilterField[]): FilterField | undefined {
    return fields.length === 0 ? undefined : this.random.pick(fields);
  }

  private writeList(values: readonly Constant[]): string {
    if (this.random.chance(this.templateChance)) return this.addTemplate(values);
    const comma = values.length > 0 && this.random.chance(0.1) ? ',' : '';
    return `[${values.map((value) => this.writeLiteral(value)).join(', ')}${comma}]`;
  }

  private writeConstant(value: Constant): string {
    if (this.random.chance(this.templateChance)) return this.addTemplate(value);
    return this.writeLiteral(value);
  }

  private addTemplate(value: TemplateValue): string {
    const name = `p${this.templates.size}`;
    this.templates.set(name, value);
    return `{${name}}`;
  }

  private writeLiteral(value: Constant): string {
    switch (typeof value) {
      case 'boolean':
        return this.random.pick(value ? ['true', 'True', 'TRUE'] : ['false', 'False', 'FALSE']);
      case 'bigint':
        return this.writeInteger(value);
      case 'number': {
        const text = String(value).replace('e+', 'e');
        return /[.e]/.test(text) ? text : text + this.random.pick(['.0', '.', 'e0']);
      }
      default:
        return this.writeString(value);
    }
  }

  private writeInteger(value: bigint): string {
    const form = this.random.below(10);
    const magnitude = value < 0n ? -value : value;
    const sign = value < 0n ? '-' : '';
    // Only in decimal can the smallest int64 be written.
    if (form > 3 || magnitude === 2n ** 63n) return String(value);
    if (form === 0) return `${sign}0x${magnitude.toString(16)}`;
    if (form === 1) return `${sign}0b${magnitude.toString(2)}`;
    if (form === 2) return `${sign}0${magnitude.toString(8)}`;
    return magnitude < 1000n ? `(${value - 1n} + 1)` : String(value);
  }

  private writeString(value: string): string {
    const quote = this.random.pick(['"', "'"]);
    const isPlain = !value.includes(quote);
    if (isPlain && this.random.chance(0.15)) return `r${quote}${value}${quote}`;
    const prefix = this.random.chance(0.05) ? this.random.pick(['u8', 'u', 'U', 'L']) : '';
    const body = Array.from(value, (character) => this.writeCharacter(character, quote)).join('');
    return prefix + quote + body + quote;
  }

  private writeCharacter(character: string, quote: string): string {
    if (character === '\\') return '\\\\';
    if (character === quote) return `\\${quote}`;
    if (character === '\n') return this.random.pick(['\\n', '\\x0a', '\\012', '\n']);
    if (!this.random.chance(0.05)) return character;
    const codePoint = character.codePointAt(0) ?? 0;
    if (codePoint > 0xffff) return `\\U${codePoint.toString(16).padStart(8, '0')}`;
    if (this.random.chance(0.5)) return `\\u${codePoint.toString(16).padStart(4, '0')}`;
    return [...new TextEncoder().encode(character)]
      .map((byte) => `\\x${byte.toString(16).padStart(2, '0')}`)
      .join('');
  }

  private not(): string {
    return this.random.chance(0.3) ? '!' : `${this.word('not')} `;
  }

  private word(word: (typeof CASED_WORDS)[number]): string {
    return this.words.get(word) ?? word;
  }
}

function getType(dataType: number): Target['type'] | undefined {
  if (isIntegerType(dataType)) return 'integer';
  if (isNumericType(dataType)) return 'floating';
  if (dataType === DataType.VarChar) return 'string';
  return dataType === DataType.Bool ? 'bool' : undefined;
}

function compareConstants(left: Constant, right: Constant): number {
  if (typeof left === 'string' && typeof right === 'string') {
    return Buffer.compare(Buffer.from(left), Buffer.from(right));
  }
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    if (left === right) return 0;
    return left < right ? -1 : 1;
  }
  return Number(left) - Number(right);
}
