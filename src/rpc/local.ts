// Peers in the same process: a call is a function call that fails as the wire does. With `copy`
// (tests, simulation) requests and replies also go through the wire's encoding, so that nobody
// comes to rely on shared memory; without it they are handed over as they are, and neither side
// changes them afterwards.

import { MilvusError } from '../model/error.ts';
import type { CallContext } from './contract.ts';
import { decodePayload, encodePayload } from './payload.ts';
import { getAbortError, makePeer, requireMethod, toCallError, type PeerMethod } from './peer.ts';

export interface LocalPeerOptions {
  /** False by default. With true an abort also ends the call at once, as on the wire. */
  readonly copy?: boolean;
}

const NO_CONTEXT: CallContext = Object.freeze({});

/** Returns the role as its peers see it. A caller's signal ends the call when the role obeys it. */
export function localPeer<Role extends object>(role: Role, options?: LocalPeerOptions): Role {
  return lazyPeer(() => role, options);
}

/** As localPeer, for a role that is made later; until then calls reject with ServiceNotReady. */
export function lazyPeer<Role extends object>(
  findRole: () => Role | undefined,
  { copy = false }: LocalPeerOptions = {},
): Role {
  const find = (methodName: string): PeerMethod => {
    const role = findRole();
    if (role === undefined) throw new MilvusError('ServiceNotReady');
    return requireMethod(role, methodName);
  };
  return makePeer(copy ? (name) => bindCopying(find, name) : (name) => bindDirect(find, name));
}

type FindMethod = (methodName: string) => PeerMethod;

function bindDirect(find: FindMethod, methodName: string): PeerMethod {
  return async (request, call = NO_CONTEXT) => {
    const { signal } = call;
    if (signal?.aborted === true) throw getAbortError(signal);
    try {
      return await find(methodName)(request, call);
    } catch (error) {
      throw toCallError(error, signal);
    }
  };
}

function bindCopying(find: FindMethod, methodName: string): PeerMethod {
  return async (request, call = NO_CONTEXT) => {
    const { signal } = call;
    if (signal?.aborted === true) throw getAbortError(signal);
    try {
      const copy = decodePayload(encodePayload(request));
      const reply = find(methodName)(copy, signal === undefined ? NO_CONTEXT : { signal });
      return decodePayload(encodePayload(await untilAborted(reply, signal)));
    } catch (error) {
      throw toCallError(error, signal);
    }
  };
}

/** Settles as the work does, or rejects with the signal's reason when it fires first. */
function untilAborted<T>(work: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return work;
  return new Promise<T>((resolve, reject) => {
    const give = (): void => reject(signal.reason as Error);
    signal.addEventListener('abort', give, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener('abort', give));
  });
}
