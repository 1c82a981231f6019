// The rows of a partial update, kept from other writers between its read and its write (R6). Shards
// are asked in the order of their index: two updates never wait for each other.

import type { CollectionInfo } from '../../../model/collection-info.ts';
import type { Keys } from '../../../model/keys.ts';
import type { Proxy, RequestContext } from '../proxy.ts';

/** By shard; undefined where nothing is locked. */
export type LockTokens = readonly (bigint | undefined)[];

/**
 * Calls `task` with the locks' tokens by shard. The shards' writes end the locks; when `task` fails
 * the rest is given back.
 * @param keys  by shard
 */
export async function withRowLocks(
  proxy: Proxy,
  info: CollectionInfo,
  keys: readonly (Keys | undefined)[],
  context: RequestContext,
  task: (tokens: LockTokens) => Promise<void>,
): Promise<void> {
  const { vchannels } = info;
  const tokens: (bigint | undefined)[] = vchannels.map(() => undefined);
  try {
    for (const [shard, vchannel] of vchannels.entries()) {
      const mine = keys[shard];
      if (mine === undefined || mine.values.length === 0) continue;
      const owner = proxy.peers.shard(vchannel);
      tokens[shard] = (await owner.lockKeys({ vchannel, keys: mine }, context)).token;
    }
    await task(tokens);
  } catch (error) {
    await Promise.all(
      tokens.map(async (token, shard) => {
        if (token === undefined) return;
        const vchannel = vchannels[shard]!;
        const owner = proxy.peers.shard(vchannel);
        // Not with the caller's signal, which may be why. A lock that stays ends by itself.
        await owner.unlockKeys({ vchannel, token }, {}).catch(() => undefined);
      }),
    );
    throw error;
  }
}
