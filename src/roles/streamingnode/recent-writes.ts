// The keys of a shard's last writes: whether a row that a partial update has read was written since
// (R6). Bounded; what it no longer knows counts as written.

import { RowBatchReader } from '../../codec/row-batch.ts';
import type { WriteRequest } from '../../rpc/contract.ts';
import { KeyReader, type KeyField } from '../../segment/reduce.ts';

const WRITES_MAX = 256;
/** A larger insert is remembered without its keys, as one that touched every row. */
const BATCH_BYTES_MAX = 64 * 1024;

interface RecentWrite {
  readonly timestamp: bigint;
  readonly parts: WriteRequest['parts'];
}

export class RecentWrites {
  readonly #writes: RecentWrite[] = [];
  /** Everything after it is known. */
  #knownAfter: bigint;

  constructor(knownAfter: bigint) {
    this.#knownAfter = knownAfter;
  }

  push(parts: WriteRequest['parts'], timestamp: bigint): void {
    this.#writes.push({ parts, timestamp });
    if (this.#writes.length <= WRITES_MAX) return;
    this.#knownAfter = this.#writes.shift()!.timestamp;
  }

  /** Whether any key of `parts` may have been written after `since`. */
  hasWritten(parts: WriteRequest['parts'], since: bigint, key: KeyField): boolean {
    if (since < this.#knownAfter) return true;
    const later = this.#writes.filter(({ timestamp }) => timestamp > since);
    if (later.length === 0) return false;
    const wanted = new Set<bigint | string>();
    for (const part of parts) for (const one of listKeys(part, key) ?? []) wanted.add(one);
    return later.some((write) =>
      write.parts.some((part) => {
        const keys = listKeys(part, key, BATCH_BYTES_MAX);
        return keys === undefined || keys.some((one) => wanted.has(one));
      }),
    );
  }
}

/** Undefined when the part is too large to be looked at. */
function listKeys(
  part: WriteRequest['parts'][number],
  key: KeyField,
  bytesMax = Infinity,
): (bigint | string)[] | undefined {
  if (part.kind === 'delete') return [...part.keys.values];
  if (part.batch.byteLength > bytesMax) return undefined;
  const batch = new RowBatchReader(part.batch);
  const reader = new KeyReader(batch, key);
  return Array.from({ length: batch.rows }, (_unused, row) => reader.at(row));
}
