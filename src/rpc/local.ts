// Peers in the same process: a call is a function call that fails as the wire does. Requests and
// replies are handed over as they are, and neither side changes them afterwards; with `copy`
// (tests, simulation) they go through the wire's encoding, so that nobody comes to rely on shared
// memory.

import { MilvusError } from '../model/error.ts';
import type { CallContext } from './contract.ts';
import { decodePayload, encodePayload } from './payload.ts';
import {
  getAbortError,
  makePeer,
  requireMethod,
  toCallError,
  type DefectListener,
  type PeerMethod,
} from './peer.ts';

export interface LocalPeerOptions {
  /** False by default. With true an abort also ends the call at once, as on the wire. */
  readonly copy?: boolean;
  /** Told of errors that are not MilvusErrors: the caller sees Unexpected. */
  readonly onDefect?: DefectListener;
}

const NO_CONTEXT: CallContext = Object.freeze({});

/** Returns the role as its peers see it. A caller's signal ends the call when the role obeys it. */
export function localPeer<Role extends object>(role: Role, options?: LocalPeerOptions): Role {
  return lazyPeer(() => role, options);
}

/** As localPeer, for a role that is made later; until then calls reject with ServiceNotReady. */
export function lazyPeer<Role extends object>(
  findRole: () => Role | undefined,
  { copy = false, onDefect }: LocalPeerOptions = {},
): Role {
  const carry = copy ? carryCopies : carryDirectly;
  return makePeer((methodName) => {
    const find = makeFinder(findRole, methodName);
    return async (request, call = NO_CONTEXT) => {
      // A signal that is made when it is asked for has not fired, and is not cheap.
      if (call.onCancel === undefined && call.signal?.aborted === true) {
        throw getAbortError(call.signal);
      }
      try {
        return await carry(find(), request, call);
      } catch (error) {
        if (error instanceof MilvusError) throw error;
        if (call.signal?.aborted !== true) onDefect?.(methodName, error);
        throw toCallError(error, call.signal);
      }
    };
  });
}

/** Finds the method of the role that there is at a call, and looks at each role once. */
function makeFinder(findRole: () => object | undefined, methodName: string): () => PeerMethod {
  let role: object | undefined;
  let method: PeerMethod | undefined;
  return () => {
    const current = findRole();
    if (current === undefined) throw new MilvusError('ServiceNotReady', { isUnexecuted: true });
    if (current !== role) {
      method = requireMethod(current, methodName);
      role = current;
    }
    return method!;
  };
}

const carryDirectly = (method: PeerMethod, request: unknown, call: CallContext) =>
  method(request, call);

async function carryCopies(
  method: PeerMethod,
  request: unknown,
  { signal, deadlineMs }: CallContext,
): Promise<unknown> {
  const copy = decodePayload(encodePayload(request));
  const context = {
    ...(signal === undefined ? {} : { signal }),
    ...(deadlineMs === undefined ? {} : { deadlineMs }),
  };
  const reply = await untilAborted(method(copy, context), signal);
  return decodePayload(encodePayload(reply));
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
