// Shards as their callers see them: each call goes to the streaming node that owns the shard by
// then. One that surely was not carried out, because it came to the wrong node or there was none,
// is made again after another look at who the owner is; nothing else is. Bounded in time and in
// calls that wait.

import type { Runtime } from '../base/clock.ts';
import { retry } from '../base/retry.ts';
import { getPchannel } from '../model/channel-name.ts';
import { MilvusError, type ErrorName } from '../model/error.ts';
import type { CallContext, StreamingNode } from './contract.ts';
import { makePeer, type PeerMethod } from './peer.ts';

export interface ShardPeersOptions {
  readonly runtime: Runtime;
  /** Looks up who owns the pchannel now. */
  readonly findOwner: (pchannel: string) => StreamingNode;
}

const DELAYS = { baseDelayMs: 20, delayMsMax: 500 };
/** Without a deadline a caller waits so long for an owner. */
const WAIT_MS_MAX = 10_000;
/** Calls that wait for an owner; further ones are not made again. */
const WAITING_MAX = 1024;
/** Peers that are kept; when there are more they are made anew. */
const PEERS_MAX = 4096;
/**
 * The node is not there, is not yet ready or is not the owner. Other refusals are the shard's own:
 * another look at the owner does not mend a full queue or a stale schema.
 */
const MENDED_BY_ANOTHER_LOOK: ReadonlySet<ErrorName> = new Set([
  'ChannelNotFound',
  'ServiceNotReady',
  'ServiceUnavailable',
]);

export class ShardPeers {
  readonly #options: ShardPeersOptions;
  readonly #peers = new Map<string, StreamingNode>();
  #waiting = 0;

  constructor(options: ShardPeersOptions) {
    this.#options = options;
  }

  readonly get = (vchannel: string): StreamingNode => {
    let peer = this.#peers.get(vchannel);
    if (peer === undefined) {
      const pchannel = getPchannel(vchannel);
      peer = makePeer<StreamingNode>((methodName) => this.#bind(pchannel, methodName));
      if (this.#peers.size >= PEERS_MAX) this.#peers.clear();
      this.#peers.set(vchannel, peer);
    }
    return peer;
  };

  #bind(pchannel: string, methodName: string): PeerMethod {
    const { findOwner } = this.#options;
    // What an owner is asked of comes from the contract: a peer has every method of it.
    const ask: PeerMethod = (request, call) => {
      const owner = findOwner(pchannel) as unknown as Readonly<Record<string, PeerMethod>>;
      return owner[methodName]!(request, call);
    };
    return async (request, call) => {
      try {
        return await ask(request, call);
      } catch (error) {
        if (!isMisrouted(error) || this.#waiting >= WAITING_MAX) throw error;
      }
      return this.#askAgain(() => ask(request, call), call);
    };
  }

  async #askAgain(ask: () => Promise<unknown>, call: CallContext = {}): Promise<unknown> {
    const { runtime } = this.#options;
    const { deadlineMs = Infinity } = call;
    const untilMs = Math.min(deadlineMs, runtime.monotonicMs() + WAIT_MS_MAX);
    this.#waiting += 1;
    try {
      return await retry(ask, { ...DELAYS, runtime, untilMs, isRetriable: isMisrouted, call });
    } finally {
      this.#waiting -= 1;
    }
  }
}

function isMisrouted(error: unknown): boolean {
  return (
    error instanceof MilvusError &&
    error.isUnexecuted &&
    MENDED_BY_ANOTHER_LOOK.has(error.errorName)
  );
}
