// A call of the client API as its handler gets it, before its message is read: the same whatever
// protocol brings it.

import type { CallMemory } from './admission.ts';
import type { CallContext } from './contract.ts';

/** What a handler finds out about a call, for whoever counts calls. */
export interface CallFacts {
  collection: { readonly dbName: string; readonly schema: { readonly name: string } } | undefined;
  /** Query vectors of a search, rows of a write. */
  units: number;
}

export interface ClientCall extends Required<Omit<CallContext, 'deadlineMs'>> {
  readonly deadlineMs?: number;
  /** The database that the client's connection is set to; '' when it is not. */
  readonly dbName: string;
  /** For its reply. */
  readonly memory: CallMemory;
  readonly facts: CallFacts;
}
