// The values that random filters and random rows share. Drawn from one small pool, so that filters
// match some rows and not others; around the edges of the types, so that wrong widths and roundings
// show.

import type { PathStep } from '../../src/expr/plan.ts';
import type { FilterSchema } from '../../src/expr/filter-schema.ts';
import { DataType, isIntegerType } from '../../src/model/data-type.ts';
import type { Random } from './codec/random.ts';
import type { JsonValue } from './json-value.ts';
import type { FieldValue, OracleRow } from './oracle/evaluate.ts';

export interface FilterPool {
  readonly integers: readonly bigint[];
  readonly doubles: readonly number[];
  readonly strings: readonly string[];
  /** Keys of JSON documents and of `$meta`. */
  readonly keys: readonly string[];
}

const TWO_53 = 2n ** 53n;

export const FILTER_POOL: FilterPool = {
  integers: [
    -129n, -128n, -3n, -2n, -1n, 0n, 1n, 2n, 3n, 4n, 5n, 7n, 10n, 100n, 127n, 128n, 300n, 32767n,
    32768n, 2n ** 31n - 1n, 2n ** 31n, -(2n ** 31n), TWO_53, TWO_53 + 1n, 2n ** 63n - 1n,
    -(2n ** 63n),
  ],
  doubles: [
    -1.5, -1, 0, 0.1, 0.5, 0.8, 1, 1.5, 2, 2.5, 3, 3.14, 100.25, 127, 1e-9, 1e10, 1e300,
    Number(TWO_53),
  ],
  strings: [
    '', 'a', 'ab', 'abc', 'abcabc', 'b', 'A', 'a%b', 'a_b', 'axb', 'a\\b', 'x\ny', 'é', 'aé',
    '中文', '😀a', 'hello world', '"q"', "it's", '1',
  ],
  keys: ['a', 'b', 'n', 's', 'list', 'color', 'x y', '键', 'e"q'],
};

const NULL_CHANCE = 0.2;

/** Returns a row with a value for every field of the schema that filters can read. */
export function makeRandomRow(random: Random, schema: FilterSchema, pool = FILTER_POOL): OracleRow {
  const values = new Map<bigint, FieldValue>();
  for (const { fieldId, dataType, elementType, nullable, isDynamic } of schema.fields) {
    if (nullable && random.chance(NULL_CHANCE)) {
      values.set(fieldId, undefined);
    } else if (dataType === DataType.JSON) {
      const isObject = isDynamic || random.chance(0.85);
      values.set(fieldId, isObject ? makeObject(random, pool, 0) : makeJson(random, pool, 0));
    } else if (dataType === DataType.Array) {
      const length = random.below(5);
      values.set(
        fieldId,
        Array.from({ length }, () => makeScalar(random, pool, elementType)),
      );
    } else {
      values.set(fieldId, makeScalar(random, pool, dataType));
    }
  }
  return { getValue: (fieldId) => values.get(fieldId) };
}

function makeScalar(random: Random, pool: FilterPool, dataType: number): JsonValue {
  if (isIntegerType(dataType)) {
    const bits = { [DataType.Int8]: 8, [DataType.Int16]: 16, [DataType.Int32]: 32 }[dataType] ?? 64;
    return BigInt.asIntN(bits, random.pick(pool.integers));
  }
  switch (dataType) {
    case DataType.Bool:
      return random.chance(0.5);
    case DataType.Float: {
      const value = Math.fround(random.pick(pool.doubles));
      return Number.isFinite(value) ? value : 1;
    }
    case DataType.Double:
      return random.pick(pool.doubles);
    default:
      return random.pick(pool.strings);
  }
}

function makeJson(random: Random, pool: FilterPool, depth: number): JsonValue {
  switch (random.below(depth < 3 ? 9 : 6)) {
    case 0:
      return null;
    case 1:
      return random.chance(0.5);
    case 2:
    case 3:
      return random.pick(pool.integers);
    case 4:
      return random.pick(pool.doubles);
    case 5:
      return random.pick(pool.strings);
    case 6:
      return makeObject(random, pool, depth + 1);
    default:
      return Array.from({ length: random.below(4) }, () => makeJson(random, pool, depth + 1));
  }
}

function makeObject(random: Random, pool: FilterPool, depth: number): Map<string, JsonValue> {
  const keys = pool.keys.filter(() => random.chance(0.6));
  return new Map(keys.map((key) => [key, makeJson(random, pool, depth)]));
}

/** Returns a path of one to three steps. */
export function makeRandomPath(random: Random, pool = FILTER_POOL): PathStep[] {
  const path: PathStep[] = [random.pick(pool.keys)];
  while (path.length < 3 && random.chance(0.35)) {
    path.push(random.chance(0.5) ? random.pick(pool.keys) : random.below(3));
  }
  return path;
}
