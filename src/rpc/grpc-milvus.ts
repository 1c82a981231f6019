// The client API's gRPC server. An RPC without a handler answers UNIMPLEMENTED with its name.
// Errors of handlers travel inside the reply's Status, as Milvus' do.

import { DecodeError } from '../codec/wire.ts';
import { MilvusError } from '../model/error.ts';
import type { Admission, CallKind, CallMemory } from './admission.ts';
import type { CallFacts, ClientCall } from './client-call.ts';
import { GrpcCode, GrpcError } from './grpc-error.ts';
import { GrpcHttp2Server, type UnaryCall, type UnaryMethod } from './grpc-http2.ts';
import type { MilvusProto } from './milvus-proto.ts';
import { toMilvusError, toStatus, type Status } from './status.ts';

/**
 * What a client may have in flight towards us on one stream: less costs large messages round trips
 * (64 KiB a factor 3), more is memory that calls hold while they wait to be let in.
 */
const WINDOW_BYTES = { min: 256 * 1024, max: 4 * 1024 * 1024, shareOfMemory: 1 / 128 };

/**
 * Bytes in memory for each byte of a message: a write is there as it came and as row batches, which
 * the log takes as they are.
 */
const MESSAGE_COPIES = 2;

export interface RpcHandler {
  readonly kind: CallKind;
  /** Message in, message out; rejects with a MilvusError. */
  readonly run: (message: Uint8Array, call: ClientCall) => Promise<Uint8Array>;
  /** @param error  what was thrown: it may say more than a status can */
  readonly encodeError: (status: Status, error: unknown) => Uint8Array;
}

/** Told of every call when it ends: name, bytes in and out, milliseconds, error or undefined. */
export type RpcObserver = (
  name: string,
  request: Uint8Array,
  replyBytes: number,
  milliseconds: number,
  error: MilvusError | undefined,
  facts: CallFacts,
) => void;

export interface MilvusServerOptions {
  readonly proto: MilvusProto;
  readonly handlers: ReadonlyMap<string, RpcHandler>;
  readonly receiveBytesMax: number;
  readonly sendBytesMax: number;
  readonly admission: Admission;
  readonly observe: RpcObserver;
  readonly nowMs: () => number;
  /** An error that is not a MilvusError: a defect of ours. */
  readonly onDefect: (name: string, error: unknown) => void;
}

export class MilvusServer {
  readonly #server: GrpcHttp2Server;

  constructor(options: MilvusServerOptions) {
    const methods = new Map<string, UnaryMethod>();
    for (const { service, name } of options.proto.methods) {
      const handler = options.handlers.get(name);
      if (handler !== undefined) methods.set(`/${service}/${name}`, serve(name, handler, options));
    }
    const { receiveBytesMax, sendBytesMax, admission } = options;
    const { min, max, shareOfMemory } = WINDOW_BYTES;
    const share = Math.floor(shareOfMemory * admission.messages.bytesMax);
    const windowBytes = Math.min(max, Math.max(min, share));
    const { nowMs } = options;
    const wire = { methods, receiveBytesMax, sendBytesMax, windowBytes, admission, nowMs };
    this.#server = new GrpcHttp2Server(wire);
  }

  /** Resolves with the port; 0 asks for a free one. */
  listen(host: string, port: number): Promise<number> {
    return this.#server.listen(host, port);
  }

  /** Refuses new calls, waits for those in progress at most `graceMs`, then cuts them off. */
  stop(graceMs: number): Promise<void> {
    return this.#server.stop(graceMs);
  }
}

function serve(
  name: string,
  handler: RpcHandler,
  { observe, nowMs, onDefect }: MilvusServerOptions,
): UnaryMethod {
  const run: UnaryMethod['run'] = async (unary) => {
    const started = nowMs();
    const call = new GrpcCall(unary);
    unary.onCancel = () => call.cancel();
    const finish = (reply: Uint8Array, error?: MilvusError): Uint8Array => {
      observe(name, unary.message, reply.byteLength, nowMs() - started, error, call.facts);
      return reply;
    };
    try {
      return finish(await handler.run(unary.message, call));
    } catch (thrown) {
      if (thrown instanceof DecodeError) {
        throw new GrpcError(GrpcCode.internal, `${name}: ${thrown.message}`);
      }
      if (!(thrown instanceof MilvusError) && !call.isCanceled) onDefect(name, thrown);
      const error = thrown instanceof MilvusError ? thrown : new MilvusError('Unexpected');
      return finish(handler.encodeError(toStatus(thrown), thrown), error);
    }
  };
  const refuse: UnaryMethod['refuse'] = (error) => {
    const reply = handler.encodeError(toStatus(error), error);
    observe(name, NO_MESSAGE, reply.byteLength, 0, toMilvusError(error), makeFacts());
    return reply;
  };
  return { cost: { kind: handler.kind, copies: MESSAGE_COPIES }, run, refuse };
}

const NO_MESSAGE = new Uint8Array();
const makeFacts = (): CallFacts => ({ collection: undefined, units: 0 });

/** Makes the signal when it is first asked for: most calls never do, and it is not cheap. */
class GrpcCall implements ClientCall {
  readonly dbName: string;
  readonly memory: CallMemory;
  readonly deadlineMs?: number;
  readonly facts = makeFacts();
  isCanceled = false;
  #abort: AbortController | undefined;
  readonly #listeners = new Set<() => void>();

  constructor({ headers, memory, deadlineMs }: UnaryCall) {
    this.dbName = typeof headers['dbname'] === 'string' ? headers['dbname'] : '';
    this.memory = memory;
    if (deadlineMs !== undefined) this.deadlineMs = deadlineMs;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.isCanceled) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  onCancel(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  cancel(): void {
    this.isCanceled = true;
    this.#abort?.abort();
    for (const listener of this.#listeners) listener();
  }
}
