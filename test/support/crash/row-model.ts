// What a collection must hold: the version of each key after the acknowledged writes, and the
// writes of which nobody knows whether they took effect. Each of those is whole or not at all in
// each shard (R4).

import type { CollectionSpec } from '../milvus-client.ts';
import { getOwner, getShard, makeRow, printRow, type Key } from './rows.ts';

/** Key → version; undefined = no row. */
export type Change = ReadonlyMap<Key, number | undefined>;

export class RowModel {
  readonly spec: CollectionSpec;
  readonly rows = new Map<Key, number>();
  #open: Change[] = [];

  constructor(spec: CollectionSpec) {
    this.spec = spec;
  }

  acknowledge(change: Change): void {
    for (const [key, version] of change) {
      if (version === undefined) this.rows.delete(key);
      else this.rows.set(key, version);
    }
  }

  /** The connection was lost before the answer. */
  leaveOpen(change: Change): void {
    const byShard = new Map<number, Map<Key, number | undefined>>();
    for (const [key, version] of change) {
      const shard = getShard(this.spec, key);
      let part = byShard.get(shard);
      if (part === undefined) byShard.set(shard, (part = new Map()));
      part.set(key, version);
    }
    for (const part of byShard.values()) this.#open.push(part);
  }

  /**
   * Compares what was read (key → row) with the model, takes over what open writes turn out to have
   * done, and returns what is wrong.
   */
  settle(found: ReadonlyMap<Key, string>): string[] {
    const wrong: string[] = [];
    for (const change of this.#open) {
      const keys = [...change.keys()];
      const isDone = keys.every((key) => found.get(key) === print(key, change.get(key)));
      const isUndone = keys.every((key) => found.get(key) === print(key, this.rows.get(key)));
      if (isDone) this.acknowledge(change);
      else if (!isUndone) wrong.push(`a write in flight of ${keys.length} keys is there in part`);
    }
    this.#open = [];
    return [...wrong, ...this.compare(found)];
  }

  /** Differences between what was read and the acknowledged rows of the given owner, or of all. */
  compare(found: ReadonlyMap<Key, string>, owner?: number): string[] {
    const wrong: string[] = [];
    for (const [key, version] of this.rows) {
      if (owner !== undefined && getOwner(key) !== owner) continue;
      const expected = print(key, version);
      const got = found.get(key);
      if (got === expected) continue;
      wrong.push(got === undefined ? `lost: ${expected}` : `found ${got}\n  expected ${expected}`);
    }
    for (const [key, row] of found) if (!this.rows.has(key)) wrong.push(`back: ${row}`);
    return wrong;
  }
}

function print(key: Key, version: number | undefined): string | undefined {
  return version === undefined ? undefined : printRow(makeRow(key, version));
}
