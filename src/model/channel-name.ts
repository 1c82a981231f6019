// Names of channels, as in Milvus. A pchannel is a log with one owner; a vchannel is a shard's part
// of it, and belongs to the same one for life: its name says which.

const PCHANNEL_PREFIX = 'by-dev-rootcoord-dml_';
const VCHANNEL = /^(.+)_(\d+)v(\d+)$/;

export interface VchannelName {
  readonly pchannel: string;
  readonly collectionId: bigint;
  readonly shardIndex: number;
}

export function namePchannel(index: number): string {
  return `${PCHANNEL_PREFIX}${index}`;
}

export function nameVchannel({ pchannel, collectionId, shardIndex }: VchannelName): string {
  return `${pchannel}_${collectionId}v${shardIndex}`;
}

/** Of a vchannel's name. */
export function getPchannel(vchannel: string): string {
  return vchannel.slice(0, vchannel.lastIndexOf('_'));
}

/** Undefined for what is no vchannel's name. */
export function parseVchannel(name: string): VchannelName | undefined {
  const [, pchannel, collection, shard] = VCHANNEL.exec(name) ?? [];
  if (pchannel === undefined || collection === undefined || shard === undefined) return undefined;
  return { pchannel, collectionId: BigInt(collection), shardIndex: Number(shard) };
}
