// What both kinds of peers are made of: an object that has every method of a role without a list of
// them, the one way to find a method of a role, and the one meaning of errors and aborts. A caller
// sees nothing but MilvusErrors, whether the role is in this process or not.

import { MilvusError } from '../model/error.ts';
import type { CallContext } from './contract.ts';
import { toMilvusError } from './status.ts';

export type PeerMethod = (request: unknown, call?: CallContext) => Promise<unknown>;

/** Told of an error that is not a MilvusError, where it was thrown. */
export type DefectListener = (methodName: string, error: unknown) => void;

/** Looked up by `await`, JSON.stringify and the like: no contract method may have such a name. */
const NEVER_METHODS: ReadonlySet<string> = new Set([
  'then',
  'toJSON',
  ...Object.getOwnPropertyNames(Object.prototype),
]);

/** Returns an object whose methods are made by `bind` from their names when first used. */
export function makePeer<Role extends object>(bind: (methodName: string) => PeerMethod): Role {
  const methods = Object.create(null) as Record<string, PeerMethod>;
  const isMethod = (key: string | symbol): key is string =>
    typeof key === 'string' && !NEVER_METHODS.has(key);
  return new Proxy(methods, {
    get: (_, key) => (isMethod(key) ? (methods[key] ??= bind(key)) : undefined),
    set: () => false,
    defineProperty: () => false,
    // For findMethod. Not kept: these names may come from the network.
    getOwnPropertyDescriptor: (_, key) =>
      isMethod(key) ? { value: methods[key] ?? bind(key), configurable: true } : undefined,
  }) as unknown as Role;
}

/**
 * Returns a role's method. Only own functions count: the rest of a role's class (`start`, `stop`)
 * is not part of its contract.
 *
 * @throws MilvusError Unimplemented
 */
export function requireMethod(role: object, methodName: string): PeerMethod {
  const method: unknown = Object.getOwnPropertyDescriptor(role, methodName)?.value;
  if (typeof method !== 'function' || NEVER_METHODS.has(methodName)) {
    throw new MilvusError('Unimplemented', { fields: { method: methodName } });
  }
  return method as PeerMethod;
}

/**
 * Returns what a caller is told when its signal has fired: a MilvusError given as the abort's
 * reason, Timeout for AbortSignal.timeout, else Canceled.
 */
export function getAbortError({ reason }: { readonly reason: unknown }): MilvusError {
  if (reason instanceof MilvusError) return reason;
  const isTimeout = reason instanceof Error && reason.name === 'TimeoutError';
  return new MilvusError(isTimeout ? 'Timeout' : 'Canceled');
}

/** Returns what a caller is told of anything thrown during a call; the original is the `cause`. */
export function toCallError(error: unknown, signal: AbortSignal | undefined): MilvusError {
  if (error instanceof MilvusError) return error;
  const isAbort = signal?.aborted === true && error === signal.reason;
  const callError = isAbort ? getAbortError(signal) : toMilvusError(error);
  return Object.defineProperty(callError, 'cause', {
    value: error,
    configurable: true,
    writable: true,
  });
}
