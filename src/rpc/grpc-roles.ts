// Peers in other processes: one generic gRPC method carries every call of contract.ts (wire format:
// proto/internal/roles.proto). An abort of the caller's signal cancels the RPC, which aborts the
// signal that the callee sees. The transport's errors arrive as MilvusErrors: a call for which
// there was no connection is unexecuted, one whose connection was lost may have been carried out.

import {
  Client,
  Server,
  ServerCredentials,
  credentials,
  connectivityState,
  status as grpcStatus,
  type ChannelOptions,
  type ServerUnaryCall,
  type ServiceDefinition,
  type ServiceError,
} from '@grpc/grpc-js';
import { DecodeError } from '../codec/wire.ts';
import { MilvusError, type ErrorName } from '../model/error.ts';
import {
  decodeCallReply,
  decodeCallRequest,
  encodeCallFailure,
  encodeCallHead,
  encodeCallReply,
  encodeCallRequest,
  type CallRequest,
} from './call-message.ts';
import { ROLE_NAMES, type CallContext, type RoleName, type Roles } from './contract.ts';
import { raiseWindow } from './grpc-window.ts';
import { decodePayload } from './payload.ts';
import {
  getAbortError,
  makePeer,
  requireMethod,
  toCallError,
  type DefectListener,
  type PeerMethod,
} from './peer.ts';

const CALL_PATH = '/elanus.internal.Roles/Call';
/** Largest request or reply. */
const MESSAGE_BYTES_MAX = 512 * 1024 * 1024;
/** In flight on one stream without a round trip. */
const WINDOW_BYTES = 8 * 1024 * 1024;
const STOP_GRACE_MS = 5_000;

const asIs = (bytes: Buffer): Buffer => bytes;

const ROLES_SERVICE: ServiceDefinition = {
  Call: {
    path: CALL_PATH,
    requestStream: false,
    responseStream: false,
    requestSerialize: asIs,
    requestDeserialize: asIs,
    responseSerialize: asIs,
    responseDeserialize: asIs,
  },
};

const CLIENT_OPTIONS: ChannelOptions = {
  'grpc-node.flow_control_window': WINDOW_BYTES,
  // Roles reach each other directly, whatever http_proxy says.
  'grpc.enable_http_proxy': 0,
  'grpc.service_config_disable_resolution': 1,
  // A role that restarts is found again within seconds; calls to one that vanished fail in the end.
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 2_000,
  'grpc.keepalive_time_ms': 10_000,
  'grpc.keepalive_timeout_ms': 20_000,
};

export interface RoleServerOptions {
  readonly host: string;
  /** 0 = any free one. */
  readonly port: number;
  readonly roles: Partial<Record<RoleName, object>>;
  readonly monotonicMs: () => number;
  readonly messageBytesMax?: number;
  /** Gets `role.method`; the caller sees Unexpected. */
  readonly onDefect?: DefectListener;
}

export interface RoleServer {
  readonly port: number;
  /** Refuses new calls, waits `graceMs` (5 s) at most for those in progress, then cuts them off. */
  stop(graceMs?: number): Promise<void>;
}

export interface GrpcPeerOptions {
  readonly monotonicMs: () => number;
  readonly messageBytesMax?: number;
}

export interface GrpcPeer<Role> {
  readonly peer: Role;
  /** Later calls reject with ServiceUnavailable; those in progress go on. */
  close(): void;
}

/** Serves calls of other processes to the roles of this one. Rejects when it cannot be bound. */
export async function startRoleServer(options: RoleServerOptions): Promise<RoleServer> {
  const { host, port, messageBytesMax = MESSAGE_BYTES_MAX } = options;
  const server = new Server(limitMessages(messageBytesMax));
  raiseWindow(server, WINDOW_BYTES);
  server.addService(ROLES_SERVICE, {
    Call: (
      call: ServerUnaryCall<Buffer, Buffer>,
      reply: (error: null, bytes: Buffer) => void,
    ): void => {
      const controller = new AbortController();
      const abort = (): void => controller.abort();
      call.on('cancelled', abort);
      void answer(call.request, controller.signal, options).then((bytes) => {
        // grpc-js says "cancelled" at the end of calls that went well, too.
        call.off('cancelled', abort);
        reply(null, bytes);
      });
    },
  });
  const address = host.includes(':') ? `[${host}]:${port}` : `${host}:${port}`;
  const boundPort = await new Promise<number>((resolve, reject) => {
    server.bindAsync(address, ServerCredentials.createInsecure(), (error, bound) => {
      if (error === null) resolve(bound);
      else reject(error);
    });
  });
  return { port: boundPort, stop: (graceMs = STOP_GRACE_MS) => stopServer(server, graceMs) };
}

/** Never rejects. */
async function answer(
  bytes: Buffer,
  signal: AbortSignal,
  { roles, monotonicMs, onDefect }: RoleServerOptions,
): Promise<Buffer> {
  let name = '';
  try {
    const request = readRequest(bytes);
    name = `${request.role}.${request.method}`;
    const method = requireMethod(requireRole(roles, request.role), request.method);
    const { timeoutMs = 0 } = request;
    const deadline = timeoutMs === 0 ? {} : { deadlineMs: monotonicMs() + timeoutMs };
    return encodeCallReply(await method(decodePayload(request.payload), { signal, ...deadline }));
  } catch (error) {
    const isDefect = !(error instanceof MilvusError) && !signal.aborted;
    if (isDefect) onDefect?.(name, error);
    return encodeCallFailure(toCallError(error, signal));
  }
}

function readRequest(bytes: Buffer): CallRequest {
  try {
    return decodeCallRequest(bytes);
  } catch (error) {
    throw explainBytes(error);
  }
}

function requireRole(roles: RoleServerOptions['roles'], name: string): object {
  const role = ROLE_NAMES.includes(name as RoleName) ? roles[name as RoleName] : undefined;
  if (role !== undefined) return role;
  throw new MilvusError('ServiceUnavailable', { fields: { role: name }, isUnexecuted: true });
}

function stopServer(server: Server, graceMs: number): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => {
      server.forceShutdown();
      resolve();
    }, graceMs);
    server.tryShutdown(() => {
      clearTimeout(timer);
      resolve();
    });
  });
}

/**
 * Returns a role of another process as its callers see it. Connects at the first call; peers of one
 * address share a connection. While it cannot be reached, calls reject with ServiceUnavailable.
 *
 * @param address  `host:port`, an IPv6 host in brackets
 */
export function grpcPeer<Name extends RoleName>(
  roleName: Name,
  address: string,
  { monotonicMs, messageBytesMax = MESSAGE_BYTES_MAX }: GrpcPeerOptions,
): GrpcPeer<Roles[Name]> {
  const client = new Client(address, credentials.createInsecure(), {
    ...CLIENT_OPTIONS,
    ...limitMessages(messageBytesMax),
  });
  const closing = new AbortController();
  const target = { client, roleName, address, monotonicMs, closed: closing.signal };
  return {
    peer: makePeer((methodName) => bindRemote(target, methodName)),
    close: () => {
      closing.abort();
      client.close();
    },
  };
}

interface Target {
  readonly client: Client;
  readonly roleName: string;
  readonly address: string;
  readonly monotonicMs: () => number;
  readonly closed: AbortSignal;
}

function bindRemote(target: Target, methodName: string): PeerMethod {
  const { client, roleName, monotonicMs } = target;
  const plainHead = encodeCallHead(roleName, methodName);
  const makeHead = (deadlineMs: number): Uint8Array =>
    encodeCallHead(roleName, methodName, deadlineMs - monotonicMs());
  return async (request, { signal, deadlineMs }: CallContext = {}) => {
    if (signal?.aborted === true) throw getAbortError(signal);
    try {
      const head = deadlineMs === undefined ? plainHead : makeHead(deadlineMs);
      // In this turn: what the caller does with its request afterwards is not sent.
      const message = encodeCallRequest(head, request);
      if (!isReady(client)) await connect(target, signal);
      return decodePayload(decodeCallReply(await callRemote(target, message, signal)));
    } catch (error) {
      throw toCallError(explainBytes(error), signal);
    }
  };
}

function isReady(client: Client): boolean {
  return client.getChannel().getConnectivityState(true) === connectivityState.READY;
}

/** Waits for the connection that is being made. @throws MilvusError unexecuted: there is none */
async function connect(target: Target, signal: AbortSignal | undefined): Promise<void> {
  const { client, closed } = target;
  while (!closed.aborted && signal?.aborted !== true) {
    const channel = client.getChannel();
    const state = channel.getConnectivityState(true);
    if (state === connectivityState.READY) return;
    if (state === connectivityState.TRANSIENT_FAILURE) {
      throw unavailable(target, 'there is no connection');
    }
    // Infinity: an attempt to connect ends by itself.
    await new Promise<void>((resolve) => {
      const end = (): void => {
        signal?.removeEventListener('abort', end);
        resolve();
      };
      signal?.addEventListener('abort', end, { once: true });
      channel.watchConnectivityState(state, Infinity, end);
    });
  }
}

function callRemote(
  target: Target,
  message: Buffer,
  signal: AbortSignal | undefined,
): Promise<Buffer> {
  const { client, closed } = target;
  if (closed.aborted) return Promise.reject(unavailable(target, 'this peer is closed'));
  if (signal?.aborted === true) return Promise.reject(getAbortError(signal));
  return new Promise((resolve, reject) => {
    const onReply = (error: ServiceError | null, reply?: Buffer): void => {
      signal?.removeEventListener('abort', cancel);
      if (signal?.aborted === true) reject(getAbortError(signal));
      else if (error !== null) reject(explainStatus(target, error));
      else resolve(reply!);
    };
    const call = client.makeUnaryRequest(CALL_PATH, asIs, asIs, message, onReply);
    const cancel = (): void => call.cancel();
    signal?.addEventListener('abort', cancel, { once: true });
  });
}

/** The transport's failures; what a callee throws travels inside the reply. */
const ERROR_OF_STATUS: ReadonlyMap<number, ErrorName> = new Map([
  // Not by us, as our signal has not fired: the other side has cut the call off.
  [grpcStatus.CANCELLED, 'ServiceUnavailable'],
  [grpcStatus.UNAVAILABLE, 'ServiceUnavailable'],
  [grpcStatus.DEADLINE_EXCEEDED, 'Timeout'],
  [grpcStatus.UNIMPLEMENTED, 'Unimplemented'],
  [grpcStatus.RESOURCE_EXHAUSTED, 'GeneralCapacityExceeded'],
]);

function explainStatus({ roleName, address }: Target, error: ServiceError): MilvusError {
  return new MilvusError(ERROR_OF_STATUS.get(error.code) ?? 'ServiceInternal', {
    fields: { role: roleName, address, reason: error.details },
  });
}

/** Nothing was sent. */
function unavailable({ roleName, address }: Target, reason: string): MilvusError {
  return new MilvusError('ServiceUnavailable', {
    fields: { role: roleName, address, reason },
    isUnexecuted: true,
  });
}

/** Bytes that are not our messages are DataIntegrity; all else stays. */
function explainBytes(error: unknown): unknown {
  if (!(error instanceof DecodeError)) return error;
  return new MilvusError('DataIntegrity', { fields: { reason: error.message } });
}

function limitMessages(bytes: number): ChannelOptions {
  return {
    'grpc.max_receive_message_length': bytes,
    'grpc.max_send_message_length': bytes,
  };
}
