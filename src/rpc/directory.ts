// Where things are: which streaming node owns a shard, and which query nodes there are. Pure and
// fixed for the life of a process: the nodes of a standalone server do not change.

import assert from 'node:assert/strict';
import { parseVchannel } from '../model/vchannel.ts';

export interface DirectoryNodes {
  readonly streamingNodes: readonly number[];
  readonly queryNodes: readonly number[];
}

export class Directory {
  readonly queryNodes: readonly number[];
  readonly #streamingNodes: readonly number[];

  constructor({ streamingNodes, queryNodes }: DirectoryNodes) {
    assert(streamingNodes.length > 0 && queryNodes.length > 0);
    this.queryNodes = queryNodes;
    this.#streamingNodes = streamingNodes;
  }

  /** Returns the node that owns the shard's pchannel. @throws MilvusError ChannelNotFound */
  findOwner(vchannel: string): number {
    const nodes = this.#streamingNodes;
    return nodes.length === 1
      ? nodes[0]!
      : nodes[parseVchannel(vchannel).pchannelIndex % nodes.length]!;
  }
}
