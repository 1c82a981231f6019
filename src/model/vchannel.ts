// Names of shards in the log, as Milvus writes them: a vchannel is
// `<pchannel>_<collectionId>v<shard index>`, and a pchannel ends in its number. A vchannel belongs
// to one pchannel for life.

import { MilvusError } from './error.ts';

const PCHANNEL_PREFIX = 'by-dev-rootcoord-dml_';
const VCHANNEL = /^(.*_(\d+))_(\d+)v(\d+)$/;

export interface VchannelParts {
  readonly pchannel: string;
  readonly pchannelIndex: number;
  readonly collectionId: bigint;
  readonly shardIndex: number;
}

export function makeVchannel(
  pchannelIndex: number,
  collectionId: bigint,
  shardIndex: number,
): string {
  return `${PCHANNEL_PREFIX}${pchannelIndex}_${collectionId}v${shardIndex}`;
}

/** @throws MilvusError ChannelNotFound for a name that is not one */
export function parseVchannel(vchannel: string): VchannelParts {
  const found = VCHANNEL.exec(vchannel);
  if (found === null) {
    throw new MilvusError('ChannelNotFound', { fields: { channel: vchannel } });
  }
  const [, pchannel = '', pchannelIndex, collectionId = '', shardIndex] = found;
  return {
    pchannel,
    pchannelIndex: Number(pchannelIndex),
    collectionId: BigInt(collectionId),
    shardIndex: Number(shardIndex),
  };
}
