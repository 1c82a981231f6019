// The keys of a shard's last writes: whether a row that a partial update has read was written since
// (R6). Bounded; what it no longer knows counts as written.

import { RowBatchReader } from '../../codec/row-batch.ts';
import type { WriteRequest } from '../../rpc/contract.ts';
import { KeyReader, type KeyField } from '../../segment/reduce.ts';

const WRITES_MAX = 256;
/** A larger write is remembered without its keys, as one that touched every row. */
const WRITE_BYTES_MAX = 64 * 1024;
/** What a key of a delete counts. */
const KEY_BYTES = 64;

interface RecentWrite {
  readonly timestamp: bigint;
  /** Undefined: too large to be remembered, may have touched any row. */
  readonly parts: WriteRequest['parts'] | undefined;
}

export class RecentWrites {
  readonly #writes: RecentWrite[] = [];
  /** Everything after it is known. */
  #knownAfter: bigint;

  constructor(knownAfter: bigint) {
    this.#knownAfter = knownAfter;
  }

  push(parts: WriteRequest['parts'], timestamp: bigint): void {
    this.#writes.push({ parts: isSmall(parts) ? parts : undefined, timestamp });
    if (this.#writes.length <= WRITES_MAX) return;
    this.#knownAfter = this.#writes.shift()!.timestamp;
  }

  /** Whether any key of `parts` may have been written after `since`. */
  hasWritten(parts: WriteRequest['parts'], since: bigint, key: KeyField): boolean {
    if (since < this.#knownAfter) return true;
    const later = this.#writes.filter(({ timestamp }) => timestamp > since);
    if (later.length === 0) return false;
    const wanted = new Set<bigint | string>();
    for (const part of parts) for (const one of listKeys(part, key)) wanted.add(one);
    return later.some(
      (write) =>
        write.parts?.some((part) => listKeys(part, key).some((one) => wanted.has(one))) ?? true,
    );
  }
}

function isSmall(parts: WriteRequest['parts']): boolean {
  let bytes = 0;
  for (const part of parts) {
    bytes += part.kind === 'insert' ? part.batch.byteLength : KEY_BYTES * part.keys.values.length;
  }
  return bytes <= WRITE_BYTES_MAX;
}

function listKeys(part: WriteRequest['parts'][number], key: KeyField): (bigint | string)[] {
  if (part.kind === 'delete') return [...part.keys.values];
  const batch = new RowBatchReader(part.batch);
  const reader = new KeyReader(batch, key);
  return Array.from({ length: batch.rows }, (_unused, row) => reader.at(row));
}
