// The RPC table as handlers over bytes, for a server of the client API.

import { DecodeError } from '../../../codec/wire.ts';
import type { Status } from '../../../rpc/status.ts';
import { requireAccess } from './access.ts';
import type { Proxy, RequestContext } from '../proxy.ts';
import { RPC_TABLE } from './rpc-table.ts';

/** A method of the protocol, as far as bytes go. */
interface MethodCodec {
  readonly name: string;
  readonly repliesStatus: boolean;
  readonly decodeRequest: (bytes: Uint8Array) => object;
  readonly encodeReply: (reply: object) => Uint8Array;
}

interface Handler {
  readonly run: (message: Uint8Array, context: RequestContext) => Promise<Uint8Array>;
  readonly encodeError: (status: Status, error: unknown) => Uint8Array;
}

export function createHandlers(
  proxy: Proxy,
  methods: readonly MethodCodec[],
): ReadonlyMap<string, Handler> {
  const handlers = new Map<string, Handler>();
  for (const method of methods) {
    const rpc = RPC_TABLE[method.name];
    if (rpc === undefined) continue;
    if (rpc.kind === 'hot') {
      const { encodeError } = rpc;
      // An async function, so that a message that cannot be decoded rejects instead of throwing.
      const run: Handler['run'] = async (message, context) => rpc.run(proxy, message, context);
      handlers.set(method.name, { run, encodeError });
      continue;
    }
    handlers.set(method.name, {
      run: async (message, context) => {
        const request = decode(method, message) as never;
        const { access } = rpc;
        if (access !== undefined) await requireAccess(proxy, access, request, context);
        return method.encodeReply(await rpc.run(proxy, request, context));
      },
      encodeError: (status) => method.encodeReply(method.repliesStatus ? status : { status }),
    });
  }
  return handlers;
}

function decode(method: MethodCodec, message: Uint8Array): object {
  try {
    return method.decodeRequest(message);
  } catch (error) {
    throw new DecodeError((error as Error).message);
  }
}

