// What the index node builds for an index.

import { getJsonCastType } from '../json-path.ts';
import type { IndexInfo } from '../segment-info.ts';
import type { IndexBuild } from './index-type.ts';
import { getVectorIndex } from './vector-indexes.ts';

export interface PhysicalIndex extends IndexBuild {
  /** '' for a scalar index. */
  readonly metric: string;
  readonly jsonPath?: readonly (string | number)[];
  readonly jsonCastType?: number;
}

/** Undefined for an index that needs no file. */
export function getPhysicalIndex(
  index: Pick<IndexInfo, 'indexType' | 'metric' | 'params' | 'jsonPath'>,
  rows: number,
): PhysicalIndex | undefined {
  const { indexType, metric, params, jsonPath } = index;
  const scalar = { kind: 'SCALAR', metric: '', params: {} };
  if (jsonPath !== undefined) {
    const jsonCastType = getJsonCastType(params['json_cast_type']);
    return jsonCastType === undefined ? undefined : { ...scalar, jsonPath, jsonCastType };
  }
  if (metric === '') return scalar;
  const build = getVectorIndex(indexType).build(params, rows);
  return build === undefined ? undefined : { ...build, metric };
}
