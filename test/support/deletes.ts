// Deletes as native takes them, made from plain keys.

import { DeleteBatchBuilder } from '../../src/codec/delete-batch.ts';
import { encodeKeys } from '../../src/codec/wal-message.ts';
import { native, type NativeKeys } from '../../src/index/native.ts';

/** One delete: when, how far back it reaches, in which partition (0 = all). */
export interface PlainDelete {
  readonly keys: NativeKeys;
  readonly timestamp: bigint;
  readonly killsUpTo: bigint;
  readonly partitionId?: bigint;
}

/** Keys as a WAL message holds them. */
export function packKeys(keys: NativeKeys): Uint8Array {
  return encodeKeys(
    keys instanceof BigInt64Array
      ? { kind: 'int64', values: keys }
      : { kind: 'string', values: keys },
  );
}

export function encodeDeletes(deletes: readonly PlainDelete[]): Uint8Array {
  const builder = new DeleteBatchBuilder();
  for (const { keys, partitionId = 0n, ...rest } of deletes) {
    builder.push({ keys: packKeys(keys), partitionId, ...rest });
  }
  return builder.encode((bytes, seed) => native.crc32c(bytes, seed));
}
