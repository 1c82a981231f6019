// What is asked of all shards of a collection at once.

import type { GrowingSegmentInfo } from '../model/growing-segment.ts';
import type { CallContext, Peers, StreamingNode } from './contract.ts';

/**
 * Asks the owner of each shard; replies are in the order of the shards.
 * @throws the first error; what the other shards do goes on
 */
export function askShards<Reply>(
  peers: Pick<Peers, 'shard'>,
  vchannels: readonly string[],
  ask: (shard: StreamingNode, vchannel: string) => Promise<Reply>,
): Promise<Reply[]> {
  return Promise.all(vchannels.map((vchannel) => ask(peers.shard(vchannel), vchannel)));
}

type CollectionPeers = Pick<Peers, 'shard' | 'rootcoord'>;

/**
 * The same for a collection of which only the id is known.
 * @throws MilvusError CollectionNotFound
 */
export async function askCollection<Reply>(
  peers: CollectionPeers,
  collectionId: bigint,
  ask: (shard: StreamingNode, vchannel: string) => Promise<Reply>,
  call: CallContext = {},
): Promise<Reply[]> {
  const ref = { dbName: '', collectionId };
  const { vchannels } = await peers.rootcoord.describeCollection(ref, call);
  return askShards(peers, vchannels, ask);
}

/** Seals what grows in any shard; `timestamp` is that of the last record before. */
export async function flushCollection(
  peers: CollectionPeers,
  collectionId: bigint,
  call: CallContext = {},
): Promise<{ segmentIds: readonly bigint[]; timestamp: bigint }> {
  const replies = await askCollection(
    peers,
    collectionId,
    (shard, vchannel) => shard.flush({ vchannel }, call),
    call,
  );
  return {
    segmentIds: replies.flatMap(({ segmentIds }) => segmentIds),
    timestamp: replies.reduce((last, { timestamp }) => (timestamp > last ? timestamp : last), 0n),
  };
}

/** What grows in any shard, in the order of the shards; see StreamingNode.listGrowing. */
export async function listGrowing(
  peers: CollectionPeers,
  collectionId: bigint,
  { mustServe, call = {} }: { readonly mustServe: boolean; readonly call?: CallContext },
): Promise<GrowingSegmentInfo[]> {
  const replies = await askCollection(
    peers,
    collectionId,
    (shard, vchannel) => shard.listGrowing({ vchannel, mustServe }, call),
    call,
  );
  return replies.flatMap(({ segments }) => segments);
}
