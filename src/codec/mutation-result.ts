// milvus.MutationResult to bytes: the answer to Insert, Upsert and Delete.

import { runNow } from '../base/turns.ts';
import { getIdBytesMax, writeIds, type IdsInput } from './ids.ts';
import { writeStatus, type StatusMessage } from './status-message.ts';
import { WireWriter } from './wire-writer.ts';

export interface MutationResult {
  readonly status: StatusMessage;
  readonly ids?: IdsInput | undefined;
  readonly succIndex?: ArrayLike<number>;
  readonly errIndex?: ArrayLike<number>;
  readonly acknowledged?: boolean;
  readonly insertCount?: number;
  readonly deleteCount?: number;
  readonly upsertCount?: number;
  readonly timestamp?: bigint;
}

export function encodeMutationResult(result: MutationResult): Buffer {
  const { ids, succIndex } = result;
  const idBytes = ids === undefined ? 0 : getIdBytesMax(ids);
  const writer = new WireWriter(128 + idBytes + 5 * (succIndex?.length ?? 0));
  writeStatus(writer, 1, result.status);
  if (ids !== undefined) runNow(writeIds(writer, 2, ids));
  writer.writePackedInt32(3, succIndex ?? []);
  writer.writePackedInt32(4, result.errIndex ?? []);
  writer.writeBool(5, result.acknowledged ?? false);
  writer.writeInt64(6, result.insertCount ?? 0);
  writer.writeInt64(7, result.deleteCount ?? 0);
  writer.writeInt64(8, result.upsertCount ?? 0);
  writer.writeInt64(9, result.timestamp ?? 0n);
  return writer.finish();
}
