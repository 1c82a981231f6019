// What a collection must hold: every version of every row with the time it was inserted and
// deleted. Events may be told in any order; their timestamps decide.

/** What a client writes. */
export interface Row {
  readonly id: bigint;
  readonly vec: readonly number[];
  readonly n: bigint | null;
  readonly s: string;
}

export interface ReadOptions {
  readonly filter?: string;
  readonly partitionIds?: readonly bigint[];
  /** A read timestamp; absent = now. */
  readonly pinned?: bigint;
  readonly limit?: number;
}

export interface ModelRow extends Row {
  readonly partitionId: bigint;
  readonly insertedAt: bigint;
  deletedAt: bigint;
}

interface ModelDelete {
  readonly timestamp: bigint;
  readonly killsUpTo: bigint;
  readonly partitionId: bigint;
}

const NEVER = 2n ** 62n;

export class CollectionModel {
  /** Ascending by key, newest first, once `#sort` has run. */
  #rows: ModelRow[] = [];
  #isSorted = true;
  readonly #deletes = new Map<bigint, ModelDelete[]>();

  insert(rows: readonly Row[], timestamp: bigint, partitionId: bigint): void {
    for (const row of rows) {
      const version = { ...row, partitionId, insertedAt: timestamp, deletedAt: NEVER };
      for (const entry of this.#deletes.get(row.id) ?? []) kill(version, entry);
      this.#rows.push(version);
      this.#isSorted = false;
    }
  }

  delete(ids: Iterable<bigint>, timestamp: bigint, killsUpTo: bigint, partitionId: bigint): void {
    const entry = { timestamp, killsUpTo, partitionId };
    const dead = new Set(ids);
    for (const id of dead) this.#deletes.set(id, [...(this.#deletes.get(id) ?? []), entry]);
    for (const row of this.#rows) if (dead.has(row.id)) kill(row, entry);
  }

  dropPartition(partitionId: bigint): void {
    this.#rows = this.#rows.filter((row) => row.partitionId !== partitionId);
  }

  /** Visible versions that pass, ascending by key, newest first. */
  list(options: ReadOptions & { readonly passes?: (row: ModelRow) => boolean } = {}): ModelRow[] {
    const { pinned = NEVER - 1n, partitionIds = [], passes = () => true } = options;
    this.#sort();
    return this.#rows.filter(
      (row) =>
        row.insertedAt <= pinned &&
        row.deletedAt > pinned &&
        (partitionIds.length === 0 || partitionIds.includes(row.partitionId)) &&
        passes(row),
    );
  }

  #sort(): void {
    if (this.#isSorted) return;
    this.#rows.sort((a, b) => Number(a.id - b.id) || Number(b.insertedAt - a.insertedAt));
    this.#isSorted = true;
  }

  /** As `list`, the newest version of each key only. */
  query(options: Parameters<CollectionModel['list']>[0] = {}): ModelRow[] {
    return this.list(options).filter((row, i, all) => i === 0 || all[i - 1]!.id !== row.id);
  }

  /** The k nearest distinct keys, best score of each. */
  search(
    vector: readonly number[],
    k: number,
    options: Parameters<CollectionModel['list']>[0] = {},
  ): { id: bigint; score: number }[] {
    const best = new Map<bigint, number>();
    for (const row of this.list(options)) {
      const score = scoreL2(vector, row.vec);
      if (score < (best.get(row.id) ?? Infinity)) best.set(row.id, score);
    }
    return [...best]
      .map(([id, score]) => ({ id, score }))
      .sort((a, b) => a.score - b.score || Number(a.id - b.id))
      .slice(0, k);
  }
}

function kill(row: ModelRow, { timestamp, killsUpTo, partitionId }: ModelDelete): void {
  if (partitionId !== 0n && partitionId !== row.partitionId) return;
  if (row.insertedAt <= killsUpTo && timestamp < row.deletedAt) row.deletedAt = timestamp;
}

function scoreL2(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + (value - b[i]!) ** 2, 0);
}
