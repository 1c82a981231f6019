// Work that ends when whoever asked for it gives up, as the work sees it.

export interface Cancelable {
  /** May be made when it is first asked for. Absent: nobody gives up. */
  readonly signal?: AbortSignal;
  /**
   * As `whenCanceled`, without a signal: making one costs as much as reading a request for a
   * search. Absent where there is a signal already.
   */
  readonly onCancel?: (listener: () => void) => () => void;
}

/** Calls the listener when the caller gives up, until the function returned is called. */
export function whenCanceled(call: Cancelable, listener: () => void): () => void {
  if (call.onCancel !== undefined) return call.onCancel(listener);
  const { signal } = call;
  signal?.addEventListener('abort', listener, { once: true });
  return () => signal?.removeEventListener('abort', listener);
}
