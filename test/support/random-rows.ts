// Random rows for tests of a sandbox's collection, and a check of every kind of read against the
// model.

import assert from 'node:assert/strict';
import type { Random } from './codec/random.ts';
import type { ModelRow, ReadOptions, Row } from './collection-model.ts';
import { toFound, type SandboxCollection } from './sandbox-collection.ts';

/** Coordinates are multiples of 1/4, so that scores are exact in 32 bits. */
export function makeRow(random: Random, id: bigint): Row {
  return {
    id,
    vec: Array.from({ length: 4 }, () => (random.below(33) - 16) / 4),
    n: random.chance(0.2) ? null : BigInt(random.below(20)),
    s: `s${random.below(5)}`,
  };
}

/** Rows `from` up to, not including, `to`. */
export function makeRows(random: Random, from: number, to: number): Row[] {
  return Array.from({ length: to - from }, (_unused, i) => makeRow(random, BigInt(from + i)));
}

export const range = (from: number, to: number): bigint[] =>
  Array.from({ length: to - from }, (_unused, i) => BigInt(from + i));

/** Every kind of read gives what the model says. */
export async function checkReads(
  collection: SandboxCollection,
  random: Random,
  given: ReadOptions = {},
): Promise<void> {
  const { model } = collection;
  const bound = BigInt(random.below(22));
  const passes = ({ n }: ModelRow): boolean => n !== null && n < bound;
  for (const options of [given, { ...given, filter: `n < ${bound}` }]) {
    const asked = options.filter === undefined ? options : { ...options, passes };
    assert.deepEqual(await collection.query(options), model.query(asked).map(toFound), 'query');
    assert.equal(await collection.count(options), model.list(asked).length, 'count(*)');
    const limit = 1 + random.below(10);
    const first = model.query(asked).slice(0, limit).map(toFound);
    assert.deepEqual(await collection.query({ ...options, limit }), first, 'query with a limit');
    const vector = makeRow(random, 0n).vec;
    const k = 1 + random.below(random.chance(0.2) ? 400 : 12);
    const found = await collection.search(vector, k, options);
    assert.deepEqual(found, model.search(vector, k, asked), `search, k ${k}`);
  }
  if (given.pinned !== undefined || given.partitionIds !== undefined) return;
  const ids = [...new Set(Array.from({ length: 5 }, () => BigInt(random.below(80))))];
  const wanted = model.query({ passes: ({ id }) => ids.includes(id) }).map(toFound);
  assert.deepEqual(await collection.get(ids), wanted, 'get');
}
