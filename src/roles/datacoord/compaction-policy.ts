// Which sealed segments to merge: a pure function, so that it is tested with made-up lists.
// Size tiers: small ones are merged as soon as there are several, large ones only with their like,
// up to the largest that one build can hold. A segment with many deleted rows is rewritten alone,
// once a rewrite may leave them out: before that it would free nothing.

import type { SegmentInfo } from '../../model/segment-info.ts';

export interface CompactionLimits {
  /** A merge's inputs together are at most this large. */
  readonly segmentBytesMax: number;
  /** Share of droppable rows from which a segment is rewritten. */
  readonly deletedShareMin: number;
}

export interface CompactionCandidate {
  readonly segment: SegmentInfo;
  /** Deleted, and left out of a merge that is made now. */
  readonly droppableRows: number;
}

/**
 * How eagerly to merge. `busy`: rows keep coming, so only several of a tier are worth rewriting.
 * `rest`: nothing is growing, so two of a tier are, unless together they are so small that a search
 * would not notice; a row is still rewritten only when its segment grows by a quarter at least.
 * `all`: a user asked, whatever fits together.
 */
export type CompactionMode = 'busy' | 'rest' | 'all';

/** Segments of one tier differ in size by less than this factor. */
const TIER_FACTOR = 4;
const BUSY_INPUTS_MIN = 4;
const REST_BYTES_MIN = 16 << 20;
const INPUTS_MAX = 64;

/** Returns groups of segment ids to merge, disjoint, each of one partition and shard. */
export function planCompactions(
  candidates: readonly CompactionCandidate[],
  limits: CompactionLimits,
  mode: CompactionMode,
): bigint[][] {
  const groups = new Map<string, CompactionCandidate[]>();
  for (const candidate of candidates) {
    const { partitionId, vchannel } = candidate.segment;
    const key = `${vchannel}/${partitionId}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [candidate]);
    else group.push(candidate);
  }
  return [...groups.values()].flatMap((group) => planGroup(group, limits, mode));
}

function planGroup(
  group: readonly CompactionCandidate[],
  limits: CompactionLimits,
  mode: CompactionMode,
): bigint[][] {
  const ascending = [...group].sort((a, b) => liveBytes(a) - liveBytes(b));
  const plans: bigint[][] = [];
  let current: CompactionCandidate[] = [];
  let bytes = 0;
  const close = (): void => {
    if (isWorthMerging(current.length, bytes, mode)) plans.push(current.map(idOf));
    else for (const c of current) if (isWorthRewriting(c, limits, mode)) plans.push(one(c));
    current = [];
    bytes = 0;
  };
  for (const candidate of ascending) {
    const size = liveBytes(candidate);
    const first = current[0];
    const sameTier =
      mode === 'all' ||
      first === undefined ||
      size <= TIER_FACTOR * Math.max(liveBytes(first), 1 << 20);
    const fits = bytes + size <= limits.segmentBytesMax && current.length < INPUTS_MAX;
    if (!sameTier || !fits) close();
    current.push(candidate);
    bytes += size;
  }
  close();
  return plans;
}

function isWorthMerging(inputs: number, bytes: number, mode: CompactionMode): boolean {
  if (inputs >= BUSY_INPUTS_MIN) return true;
  if (inputs < 2 || mode === 'busy') return false;
  return mode === 'all' || bytes >= REST_BYTES_MIN;
}

const idOf = (candidate: CompactionCandidate): bigint => candidate.segment.segmentId;
const one = (candidate: CompactionCandidate): bigint[] => [candidate.segment.segmentId];

function liveBytes({ segment, droppableRows }: CompactionCandidate): number {
  const liveShare = segment.rows === 0 ? 0 : 1 - droppableRows / segment.rows;
  return segment.fileBytes * liveShare;
}

function isWorthRewriting(
  { segment, droppableRows }: CompactionCandidate,
  limits: CompactionLimits,
  mode: CompactionMode,
): boolean {
  if (droppableRows === 0) return false;
  return mode === 'all' || droppableRows >= limits.deletedShareMin * segment.rows;
}
