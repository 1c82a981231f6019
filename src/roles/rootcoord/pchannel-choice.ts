// Which pchannels the shards of a new collection belong to, for life. A pure function.

import { getPchannel } from '../../model/channel-name.ts';
import type { CollectionInfo } from '../../model/collection-info.ts';

/** Returns one for each shard: those with the fewest vchannels, of equal ones the first. */
export function choosePchannels(
  collections: readonly Pick<CollectionInfo, 'vchannels'>[],
  pchannels: readonly string[],
  shardCount: number,
): string[] {
  const counts = new Map(pchannels.map((pchannel) => [pchannel, 0]));
  for (const { vchannels } of collections) {
    for (const vchannel of vchannels) {
      const pchannel = getPchannel(vchannel);
      const count = counts.get(pchannel);
      if (count !== undefined) counts.set(pchannel, count + 1);
    }
  }
  return Array.from({ length: shardCount }, () => {
    let chosen = pchannels[0]!;
    for (const pchannel of pchannels) {
      if (counts.get(pchannel)! < counts.get(chosen)!) chosen = pchannel;
    }
    counts.set(chosen, counts.get(chosen)! + 1);
    return chosen;
  });
}
