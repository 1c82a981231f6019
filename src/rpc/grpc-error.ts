// Errors that a call ends with as a status of gRPC, without a message.

/** The statuses of gRPC that this server answers with (grpc/doc/statuscodes.md). */
export const GrpcCode = {
  ok: 0,
  deadlineExceeded: 4,
  resourceExhausted: 8,
  unimplemented: 12,
  internal: 13,
} as const;

/** What a method throws to answer with a status of gRPC and no message. */
export class GrpcError extends Error {
  readonly code: number;

  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export function makeTooLarge(what: string, bytesMax: number): GrpcError {
  return new GrpcError(GrpcCode.resourceExhausted, `${what}: the limit is ${bytesMax} bytes`);
}
