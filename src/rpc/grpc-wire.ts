// Pieces of gRPC's form on HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md): timeouts, encodings of messages,
// status messages. Pure functions; who calls them is grpc-http2.ts.

import { gunzip, inflate, type InputType, type ZlibOptions } from 'node:zlib';

/** What deflate makes of a byte at most (zlib's "maximum compression factor"). */
export const EXPANSION_MAX = 1032;

type Decompress = (
  bytes: InputType,
  options: ZlibOptions,
  done: (error: Error | null, result: Buffer) => void,
) => void;

/** `grpc-encoding` → what undoes it. */
export const DECOMPRESSORS: Readonly<Record<string, Decompress>> = {
  gzip: gunzip,
  deflate: inflate,
};

const UNIT_MS: Readonly<Record<string, number>> = {
  H: 3_600_000, M: 60_000, S: 1_000, m: 1, u: 1e-3, n: 1e-6,
};

/** `grpc-timeout` as milliseconds; undefined when there is none or it is not one. */
export function readTimeoutMs(value: string | string[] | undefined): number | undefined {
  const match = /^(\d{1,8})([HMSmun])$/.exec(String(value ?? ''));
  return match === null ? undefined : Number(match[1]) * UNIT_MS[match[2]!]!;
}

/** Percent-encoded as gRPC wants: all but the printable ASCII characters, and `%` itself. */
export function encodeStatusMessage(message: string): string {
  return message.replace(/[^ -$&-~]+/gu, (text) =>
    [...Buffer.from(text)].map((b) => `%${b.toString(16).toUpperCase().padStart(2, '0')}`).join(''),
  );
}
