// Paths of JSON indexes, `field["a"]["b"][0]`, and the types that their values are cast to.

import { DataType } from './data-type.ts';
import { MilvusError, invalidParameter } from './error.ts';

export interface JsonPath {
  /** The JSON field, or a key of the dynamic field. */
  readonly root: string;
  readonly steps: readonly (string | number)[];
}

const ROOT = /^[A-Za-z_$][A-Za-z0-9_$]*/;
const STEP = /^\[(?:"([^"]*)"|'([^']*)'|(\d+))\]/;

/** @throws MilvusError Unexpected (as Milvus) when the text is not a path */
export function parseJsonPath(text: string): JsonPath {
  const refuse = (rest: string): MilvusError =>
    new MilvusError('Unexpected', {
      message: `cannot parse identifier: ${text}, error: mismatched input '${rest.charAt(0)}'`,
    });
  const root = ROOT.exec(text)?.[0];
  if (root === undefined) throw refuse(text);
  const steps: (string | number)[] = [];
  let rest = text.slice(root.length);
  while (rest !== '') {
    const match = STEP.exec(rest);
    if (match === null) throw refuse(rest);
    const [whole, double, single, index] = match;
    steps.push(index === undefined ? (double ?? single ?? '') : Number(index));
    rest = rest.slice(whole.length);
  }
  return { root, steps };
}

/** Cast types of JSON indexes; those without a type are answered by scanning the binary form. */
const CAST_TYPES: ReadonlyMap<string, DataType | undefined> = new Map([
  ['BOOL', DataType.Bool],
  ['DOUBLE', DataType.Double],
  ['VARCHAR', DataType.VarChar],
  ['ARRAY_BOOL', undefined],
  ['ARRAY_DOUBLE', undefined],
  ['ARRAY_VARCHAR', undefined],
  ['JSON', undefined],
]);

/** Which cast types an index type takes, by upper-case names. */
const CASTS_BY_INDEX: ReadonlyMap<string, readonly string[]> = new Map([
  ['INVERTED', [...CAST_TYPES.keys()]],
  ['AUTOINDEX', [...CAST_TYPES.keys()]],
  ['BITMAP', ['BOOL', 'VARCHAR']],
  ['STL_SORT', ['DOUBLE', 'VARCHAR']],
]);

/** @throws MilvusError ParameterMissing, ParameterInvalid */
export function checkJsonCast(indexType: string, castType: string | undefined): void {
  if (castType === undefined || castType === '') {
    throw new MilvusError('ParameterMissing', {
      message: 'json index must specify cast type: missing parameter',
    });
  }
  const name = castType.toUpperCase();
  if (!CAST_TYPES.has(name)) {
    throw invalidParameter(`json_cast_type ${castType} is not supported`);
  }
  const casts = CASTS_BY_INDEX.get(indexType.toUpperCase());
  if (casts?.includes(name) === false) {
    throw invalidParameter(`${indexType} index with json_cast_type ${castType} is not supported`);
  }
}

/** The type that the built index holds; undefined for a cast that is answered by scanning. */
export function getJsonCastType(castType: string | undefined): DataType | undefined {
  return CAST_TYPES.get((castType ?? '').toUpperCase());
}
