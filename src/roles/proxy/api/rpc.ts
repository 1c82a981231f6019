// An RPC of the client API as data: how its message is read into plain values, the verb that does
// the work with them, how the verb's result becomes a reply. Verbs know no message and no status,
// so that other protocols call the same ones.

import type { Status } from '../../../rpc/status.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import type { Access } from './access.ts';

/** Decodes a message of milvus.proto by its full name, for fields that carry encoded messages. */
export type DecodeNested = (typeName: string, bytes: Uint8Array) => object;

interface RpcRow<Request, Input, Result> {
  /** What a database may forbid; left out = nothing. */
  readonly access?: Access;
  /** @throws MilvusError for what no verb can take */
  readonly read: (request: Request, decodeNested: DecodeNested) => Input;
  readonly run: (proxy: Proxy, input: Input, context: RequestContext) => Promise<Result>;
}

interface ColdRow<Request, Input, Result> extends RpcRow<Request, Input, Result> {
  /** The reply without its status; left out = nothing but the status. */
  readonly reply?: (result: Result, context: RequestContext) => object;
}

interface HotRow<Request, Input, Result> extends RpcRow<Request, Input, Result> {
  readonly codec: MessageCodec<Request, Result>;
}

/** How bytes become a request, and a verb's result the bytes of a reply. */
export interface MessageCodec<Request, Result> {
  readonly decode: (message: Uint8Array) => Request;
  readonly encode: (result: Result, context: RequestContext) => Uint8Array | Promise<Uint8Array>;
  /** @param error  what was thrown: it may say more than a status can */
  readonly encodeError: (status: Status, error: unknown) => Uint8Array;
}

/** A decoded request: its own database has one of these names, or none. */
export interface AnyRequest {
  readonly dbName?: string;
  readonly db_name?: string;
}

/** A row of whatever verb, whose parts fit each other: `cold` and `hot` have seen to it. */
export interface Rpc extends RpcRow<AnyRequest, unknown, unknown> {
  readonly reply?: (result: unknown, context: RequestContext) => object;
  readonly codec?: MessageCodec<AnyRequest, unknown>;
}

/** A verb whose messages go through the protobuf library. */
export function cold<Request, Input, Result>(row: ColdRow<Request, Input, Result>): Rpc {
  return row as unknown as Rpc;
}

/** A verb of the hot path, whose messages are read and written by hand. */
export function hot<Request extends AnyRequest, Input, Result>(
  row: HotRow<Request, Input, Result>,
): Rpc {
  return row as unknown as Rpc;
}

/** Of a request that says nothing, or nothing that matters. */
export const readNothing = (): object => ({});
