// milvus.QueryResults to bytes. Output fields are written straight from the row batch of native.

import { runInTurns, runNow, type Steps } from '../base/turns.ts';
import type { RowBatchReader } from './row-batch.ts';
import { estimateFieldBytes, writeFieldData, type OutputField } from './rows-to-field-data.ts';
import { writeStatus, type StatusMessage } from './status-message.ts';
import { WireWriter } from './wire-writer.ts';

export interface QueryResults {
  readonly status: StatusMessage;
  readonly rows?: RowBatchReader;
  /** Read from `rows`. */
  readonly outputs?: readonly OutputField[];
  /** Fields that are FieldData bytes already, such as `count(*)`; after `outputs`. */
  readonly encodedFields?: readonly Uint8Array[];
  readonly collectionName?: string;
  readonly outputFields?: readonly string[];
  /** Timestamp of the read; iterators send it back. */
  readonly sessionTs?: bigint;
  readonly primaryFieldName?: string;
}

export function encodeQueryResults(message: QueryResults): Buffer {
  return runNow(writeQueryResults(message));
}

/** The same in turns of the event loop, when it is long. */
export function encodeQueryResultsInTurns(message: QueryResults): Promise<Buffer> {
  return runInTurns(writeQueryResults(message));
}

function* writeQueryResults(message: QueryResults): Steps<Buffer> {
  const { rows, outputs = [] } = message;
  const hint =
    rows === undefined
      ? 0
      : outputs.reduce((sum, output) => sum + estimateFieldBytes(output, rows), 0);
  const writer = new WireWriter(hint + 256);
  writeStatus(writer, 1, message.status);
  if (rows !== undefined) {
    for (const output of outputs) yield* writeFieldData(writer, 2, { output, batch: rows });
  }
  for (const field of message.encodedFields ?? []) writer.appendBytes(2, field);
  writer.writeString(3, message.collectionName ?? '');
  writer.writeStrings(4, message.outputFields ?? []);
  writer.writeInt64(5, message.sessionTs ?? 0n);
  writer.writeString(6, message.primaryFieldName ?? '');
  return writer.finish();
}
