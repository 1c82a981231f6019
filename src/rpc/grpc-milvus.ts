// The client API's gRPC server. All RPCs of the protocol are registered; one without a handler
// answers UNIMPLEMENTED with its name. Errors of handlers travel inside the reply's Status, as
// Milvus' do.

import {
  Metadata,
  Server,
  ServerCredentials,
  status as grpcStatus,
  type handleUnaryCall,
  type MethodDefinition,
  type ServerUnaryCall,
  type ServiceDefinition,
  type UntypedServiceImplementation,
} from '@grpc/grpc-js';
import { DecodeError } from '../codec/wire.ts';
import { MilvusError } from '../model/error.ts';
import { raiseWindow } from './grpc-window.ts';
import type { MilvusProto, RpcMethod } from './milvus-proto.ts';
import { toStatus, type Status } from './status.ts';

/**
 * Memory that a client may have in flight towards us on one connection (toolchain: 64 KiB costs a
 * factor 3).
 */
const WINDOW_BYTES = 4 * 1024 * 1024;

/** What a handler learns of the call. */
export interface RpcContext {
  readonly dbName: string;
  readonly signal: AbortSignal;
}

export interface RpcHandler {
  /** Message in, message out; rejects with a MilvusError. */
  readonly run: (message: Uint8Array, context: RpcContext) => Promise<Uint8Array>;
  readonly encodeError: (status: Status) => Uint8Array;
}

/** Told of every call when it ends: name, bytes in and out, milliseconds, error or undefined. */
export type RpcObserver = (
  name: string,
  request: Uint8Array,
  replyBytes: number,
  milliseconds: number,
  error: MilvusError | undefined,
) => void;

export interface MilvusServerOptions {
  readonly proto: MilvusProto;
  readonly handlers: ReadonlyMap<string, RpcHandler>;
  readonly receiveBytesMax: number;
  readonly sendBytesMax: number;
  readonly observe: RpcObserver;
  readonly nowMs: () => number;
  /** An error that is not a MilvusError: a defect of ours. */
  readonly onDefect: (name: string, error: unknown) => void;
}

const passThrough = (bytes: Buffer): Buffer => bytes;

export class MilvusServer {
  readonly #server: Server;

  constructor(options: MilvusServerOptions) {
    this.#server = new Server({
      'grpc.max_receive_message_length': options.receiveBytesMax,
      'grpc.max_send_message_length': options.sendBytesMax,
    });
    raiseWindow(this.#server, WINDOW_BYTES);
    for (const service of new Set(options.proto.methods.map((method) => method.service))) {
      const methods = options.proto.methods.filter((method) => method.service === service);
      this.#server.addService(defineService(methods), implementService(methods, options));
    }
  }

  /** Resolves with the port; 0 asks for a free one. */
  listen(host: string, port: number): Promise<number> {
    const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
    return new Promise((resolve, reject) => {
      this.#server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
        if (error === null) resolve(bound);
        else reject(error);
      });
    });
  }

  /** Refuses new calls, waits for those in progress at most `graceMs`, then cuts them off. */
  async stop(graceMs: number): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(() => {
        this.#server.forceShutdown();
        resolve();
      }, graceMs);
      this.#server.tryShutdown(() => {
        clearTimeout(timer);
        resolve();
      });
    });
  }
}

function defineService(methods: readonly RpcMethod[]): ServiceDefinition {
  const definition: Record<string, MethodDefinition<Buffer, Buffer>> = {};
  for (const { service, name, isRequestStream, isReplyStream } of methods) {
    definition[name] = {
      path: `/${service}/${name}`,
      requestStream: isRequestStream,
      responseStream: isReplyStream,
      requestSerialize: passThrough,
      requestDeserialize: passThrough,
      responseSerialize: passThrough,
      responseDeserialize: passThrough,
    };
  }
  return definition;
}

function implementService(
  methods: readonly RpcMethod[],
  options: MilvusServerOptions,
): UntypedServiceImplementation {
  const implementation: UntypedServiceImplementation = {};
  for (const { name, isReplyStream, isRequestStream } of methods) {
    const handler = options.handlers.get(name);
    implementation[name] =
      handler === undefined
        ? refuse(name, isReplyStream || isRequestStream)
        : serve(name, handler, options);
  }
  return implementation;
}

function refuse(name: string, isStream: boolean): never {
  const error = {
    code: grpcStatus.UNIMPLEMENTED,
    details: `${name} is not implemented by this version of Elanus`,
    metadata: new Metadata(),
  };
  const unary: handleUnaryCall<Buffer, Buffer> = (_call, reply) => reply(error);
  const stream = (call: { emit(event: string, error: object): void }): void => {
    call.emit('error', error);
  };
  return (isStream ? stream : unary) as never;
}

function serve(
  name: string,
  handler: RpcHandler,
  { observe, nowMs, onDefect }: MilvusServerOptions,
): handleUnaryCall<Buffer, Buffer> {
  return (call, reply) => {
    const started = nowMs();
    const context = new CallContext(getDbName(call));
    const cancel = (): void => context.cancel();
    call.on('cancelled', cancel);
    const finish = (bytes: Uint8Array, error: MilvusError | undefined): void => {
      call.off('cancelled', cancel); // grpc-js emits it after a success too.
      observe(name, call.request, bytes.byteLength, nowMs() - started, error);
      reply(null, bytes as Buffer);
    };
    handler.run(call.request, context).then(
      (bytes) => finish(bytes, undefined),
      (thrown: unknown) => {
        if (thrown instanceof DecodeError) {
          reply({ code: grpcStatus.INTERNAL, details: `${name}: ${thrown.message}` });
          return;
        }
        if (!(thrown instanceof MilvusError) && !context.isCanceled) onDefect(name, thrown);
        const status = toStatus(thrown);
        const error = thrown instanceof MilvusError ? thrown : new MilvusError('Unexpected');
        finish(handler.encodeError(status), error);
      },
    );
  };
}

/** Makes the signal when it is first asked for: most calls never do, and it is not cheap. */
class CallContext implements RpcContext {
  readonly dbName: string;
  isCanceled = false;
  #abort: AbortController | undefined;

  constructor(dbName: string) {
    this.dbName = dbName;
  }

  get signal(): AbortSignal {
    if (this.#abort === undefined) {
      this.#abort = new AbortController();
      if (this.isCanceled) this.#abort.abort();
    }
    return this.#abort.signal;
  }

  cancel(): void {
    this.isCanceled = true;
    this.#abort?.abort();
  }
}

function getDbName(call: ServerUnaryCall<Buffer, Buffer>): string {
  const value = call.metadata.get('dbname')[0];
  return typeof value === 'string' ? value : '';
}
