// An index's search parameters: which it takes, with which ranges and defaults. They arrive as JSON
// values or as text. Facts: Milvus 2.6.

import { invalidParameter } from './error.ts';
import { AUTOINDEX, getEngine, INT_MAX, REFINE_TYPES, type IntegerParam } from './index-params.ts';
import type { IndexInfo } from './segment-info.ts';

export const NPROBE: IntegerParam = { min: 1, max: 65536, default: 8 };
/** Checked as Milvus does, though these engines have nothing that they change. */
const ALSO_CHECKED: Readonly<Record<string, Readonly<Record<string, IntegerParam>>>> = {
  IVF_RABITQ: { rbq_bits_query: { min: 0, max: 8, default: 0 } },
  DISKANN: { beamwidth: { min: 1, max: 128, default: 8 } },
};
const EF_MIN = 16;
const RANGE_EF_DEFAULT = 512;
const FLOAT_MAX = '340282346638528859811704183484516925440.000000';

type Params = Readonly<Record<string, unknown>>;

/**
 * Reads an index's search parameters; 0 = not for this index.
 * @throws MilvusError ParameterInvalid: not a number, out of range, ef below k
 */
export function readSearchParams(
  index: Pick<IndexInfo, 'indexType'>,
  given: Params,
  k: number,
  isRange: boolean,
): { ef: number; nprobe: number } {
  const { indexType } = index;
  if (REFINE_TYPES[indexType] !== undefined) checkRefineK(given['refine_k']);
  for (const [key, range] of Object.entries(ALSO_CHECKED[indexType] ?? {})) {
    readInteger(given, key, range);
  }
  switch (getEngine(indexType)) {
    case 'FLAT':
      return { ef: 0, nprobe: 0 };
    case 'IVF':
      if (indexType === 'SCANN') checkReorderK(given, k);
      return { ef: 0, nprobe: readInteger(given, 'nprobe', NPROBE) ?? NPROBE.default };
    case 'HNSW':
      return { ef: readEf(indexType, given, k, isRange), nprobe: 0 };
  }
}

function checkReorderK(given: Params, k: number): void {
  const reorder = readInteger(given, 'reorder_k', { min: 1, max: INT_MAX, default: 0 });
  if (reorder !== undefined && reorder < k) {
    throw invalidParameter(`reorder_k(${reorder}) should be larger than k(${k})`);
  }
}

function readEf(indexType: string, given: Params, k: number, isRange: boolean): number {
  const key =
    indexType !== 'DISKANN'
      ? 'ef'
      : given['search_list'] === undefined
        ? 'search_list_size'
        : 'search_list';
  const ef = readInteger(given, key, { min: 1, max: INT_MAX, default: 0 });
  if (ef !== undefined && ef < k && !isRange) {
    const shown = key === 'ef' ? 'ef' : 'search_list_size';
    throw invalidParameter(`${shown}(${ef}) should be larger than k(${k})`);
  }
  return ef ?? Math.max(k, isRange ? RANGE_EF_DEFAULT : defaultEf(indexType, k));
}

/** AUTOINDEX promises good recall without parameters. */
function defaultEf(indexType: string, k: number): number {
  return indexType === AUTOINDEX ? Math.max(2 * k, 64) : Math.max(k, EF_MIN);
}

/** How many times k hits are scored again. Scores are exact already, so nothing is read from it. */
function checkRefineK(value: unknown): void {
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

function readInteger(given: Params, key: string, range: IntegerParam): number | undefined {
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
  if (number < range.min || number > range.max) {
    throw invalidParameter(
      `Out of range in json: param '${key}' (${value}) should be in range [${range.min}, ` +
        `${range.max}]`,
    );
  }
  return number;
}
