// Checks of single index parameters, with Milvus' texts. Build parameters arrive as text, search
// parameters as JSON values or as text. Facts: Milvus 2.6.

import { invalidParameter } from '../error.ts';
import { INT_MAX, type IntegerParam, type SearchInput } from './index-type.ts';

const FLOAT_MAX = '340282346638528859811704183484516925440.000000';

type Given = SearchInput['given'];

/** @throws MilvusError ParameterInvalid */
export function checkBuildInteger(key: string, text: string, range: IntegerParam): void {
  if (!/^[+-]?\d+$/.test(text.trim())) {
    throw invalidParameter(`invalid integer value, key: '${key}', value: '${text}'`);
  }
  requireInRange(key, text, Number(text), range);
}

/** Undefined when it is not given. @throws MilvusError ParameterInvalid */
export function readSearchInteger(
  given: Given,
  key: string,
  range: IntegerParam,
): number | undefined {
  const value = given[key];
  if (value === undefined) return undefined;
  const number = typeof value === 'string' && value.trim() !== '' ? Number(value) : value;
  if (typeof number !== 'number' || Number.isNaN(number)) {
    throw invalidParameter(
      `Type conflict in json: param '${key}' (${JSON.stringify(value)}) should be integer`,
    );
  }
  if (!Number.isInteger(number)) {
    throw invalidParameter(`Type conflict in json: param '${key}' (${value}) should be integer`);
  }
  requireInRange(key, String(value), number, range);
  return number;
}

function requireInRange(key: string, text: string, value: number, range: IntegerParam): void {
  if (value >= range.min && value <= range.max) return;
  throw invalidParameter(
    `Out of range in json: param '${key}' (${text}) should be in range [${range.min}, ` +
      `${range.max}]`,
  );
}

/** How many times k hits are scored again. Scores are exact already, so nothing is read from it. */
export function checkRefineK(given: Given): void {
  const value = given['refine_k'];
  if (value === undefined) return;
  if (typeof value === 'string' && (value.trim() === '' || Number.isNaN(Number(value)))) {
    throw invalidParameter(`invalid float value, key: 'refine_k', value: '${value}'`);
  }
  if (typeof value !== 'number' && typeof value !== 'string') {
    throw invalidParameter(
      `Type conflict in json: param 'refine_k' (${JSON.stringify(value)}) should be a number`,
    );
  }
  if (Number(value) < 1 || !Number.isFinite(Math.fround(Number(value)))) {
    throw invalidParameter(
      `Out of range in json: param 'refine_k' (${value}) should be in range [1.000000, ` +
        `${FLOAT_MAX}]`,
    );
  }
}

/** A number of candidates that must not be below k. `shown`: what messages call it. */
export function readCandidates(
  { given, k, isRange }: SearchInput,
  key: string,
  shown: string,
): number | undefined {
  const count = readSearchInteger(given, key, { min: 1, max: INT_MAX, default: 0 });
  if (count !== undefined && count < k && !isRange) {
    throw invalidParameter(`${shown}(${count}) should be larger than k(${k})`);
  }
  return count;
}
