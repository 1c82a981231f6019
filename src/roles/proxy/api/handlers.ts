// The RPC table as handlers over bytes, for a server of the client API. What every call goes
// through is here, once: decode, resolve the context, ask for access, read, run, reply, encode.

import { DecodeError } from '../../../codec/wire.ts';
import type { CallKind, CallMemory } from '../../../rpc/admission.ts';
import type { CallFacts, ClientCall } from '../../../rpc/client-call.ts';
import { OK_STATUS, type Status } from '../../../rpc/status.ts';
import { ANONYMOUS, DEFAULT_DATABASE, type Proxy, type RequestContext } from '../proxy.ts';
import { requireAccess } from './access.ts';
import type { AnyRequest, DecodeNested, MessageCodec, Rpc } from './rpc.ts';
import { RPC_TABLE } from './rpc-table.ts';

/** A method of the protocol, as far as bytes go. */
interface Method {
  readonly name: string;
  /** The reply is a bare status. */
  readonly repliesStatus: boolean;
  readonly decodeRequest: (bytes: Uint8Array) => object;
  readonly encodeReply: (reply: object) => Uint8Array;
}

interface Protocol {
  readonly methods: readonly Method[];
  readonly decodeMessage: DecodeNested;
}

interface Handler {
  readonly kind: CallKind;
  readonly run: (message: Uint8Array, call: ClientCall) => Promise<Uint8Array>;
  readonly encodeError: (status: Status, error: unknown) => Uint8Array;
}

export function createHandlers(proxy: Proxy, protocol: Protocol): ReadonlyMap<string, Handler> {
  const decodeNested: DecodeNested = (name, bytes) => protocol.decodeMessage(name, bytes);
  const handlers = new Map<string, Handler>();
  for (const method of protocol.methods) {
    const rpc = RPC_TABLE[method.name];
    if (rpc !== undefined) handlers.set(method.name, makeHandler(proxy, method, rpc, decodeNested));
  }
  return handlers;
}

function makeHandler(
  proxy: Proxy,
  method: Method,
  rpc: Rpc,
  decodeNested: DecodeNested,
): Handler {
  const { access, read, run, codec = makeColdCodec(method, rpc.reply) } = rpc;
  return {
    kind: access === 'writing' ? 'write' : access === 'reading' ? 'read' : 'other',
    run: async (message, call) => {
      const request = codec.decode(message);
      const context = new HandlerContext(call, request.dbName || request.db_name || '');
      if (access !== undefined) await requireAccess(proxy, access, context);
      const result = await run(proxy, read(request, decodeNested), context);
      return codec.encode(result, context);
    },
    encodeError: codec.encodeError,
  };
}

function makeColdCodec(
  { repliesStatus, decodeRequest, encodeReply }: Method,
  reply: Rpc['reply'] = () => ({}),
): MessageCodec<AnyRequest, unknown> {
  return {
    decode: (message) => {
      try {
        return decodeRequest(message);
      } catch (error) {
        throw new DecodeError((error as Error).message);
      }
    },
    encode: (result, context) =>
      encodeReply(repliesStatus ? OK_STATUS : { status: OK_STATUS, ...reply(result, context) }),
    encodeError: (status) => encodeReply(repliesStatus ? status : { status }),
  };
}

class HandlerContext implements RequestContext {
  readonly dbName: string;
  readonly principal = ANONYMOUS;
  readonly memory: CallMemory;
  readonly facts: CallFacts;
  readonly deadlineMs?: number;
  readonly #call: ClientCall;

  /** The request's own database, else the connection's, else the default one. */
  constructor(call: ClientCall, ownDbName: string) {
    this.dbName = ownDbName || call.dbName || DEFAULT_DATABASE;
    this.memory = call.memory;
    this.facts = call.facts;
    if (call.deadlineMs !== undefined) this.deadlineMs = call.deadlineMs;
    this.#call = call;
  }

  /** Made when it is first asked for. */
  get signal(): AbortSignal {
    return this.#call.signal;
  }

  onCancel(listener: () => void): () => void {
    return this.#call.onCancel(listener);
  }
}
