// common.KeyValuePair lists, as the protobuf library makes them, and what they stand for.

import type { Options } from '../options.ts';

export interface KeyValuePair {
  readonly key: string;
  readonly value: string;
}

/** Later pairs win. */
export function toRecord(pairs: readonly KeyValuePair[]): Record<string, string> {
  return Object.fromEntries(pairs.map(({ key, value }) => [key, value]));
}

export function toPairs(record: Options): KeyValuePair[] {
  return Object.entries(record).map(([key, value]) => ({ key, value }));
}
