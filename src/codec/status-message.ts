// common.Status onto the wire.

import type { WireWriter } from './wire-writer.ts';

/** The fields of common.Status, as `rpc/status.ts` makes them. */
export interface StatusMessage {
  readonly error_code: number;
  readonly reason: string;
  readonly code: number;
  readonly retriable: boolean;
  readonly detail: string;
  readonly extra_info: Readonly<Record<string, string>>;
}

export function writeStatus(writer: WireWriter, field: number, status: StatusMessage): void {
  const mark = writer.begin(field);
  writer.writeInt32(1, status.error_code);
  writer.writeString(2, status.reason);
  writer.writeInt32(3, status.code);
  writer.writeBool(4, status.retriable);
  writer.writeString(5, status.detail);
  for (const [key, value] of Object.entries(status.extra_info)) {
    const entry = writer.begin(6);
    writer.writeString(1, key);
    writer.writeString(2, value);
    writer.end(entry);
  }
  writer.end(mark);
}
