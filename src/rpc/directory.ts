// Where things are: which streaming node owns a pchannel, and which query nodes there are. Fixed
// for the life of a process: the nodes of a standalone server do not change.

import assert from 'node:assert/strict';
import { MilvusError } from '../model/error.ts';

export interface DirectoryEntries {
  /** Pchannel → node id. */
  readonly owners: Iterable<readonly [string, number]>;
  readonly queryNodes: readonly number[];
}

export class Directory {
  readonly queryNodes: readonly number[];
  readonly #owners: ReadonlyMap<string, number>;

  constructor({ owners, queryNodes }: DirectoryEntries) {
    assert(queryNodes.length > 0);
    this.queryNodes = queryNodes;
    this.#owners = new Map(owners);
  }

  /** Returns the node that owns the pchannel. @throws MilvusError ChannelNotFound */
  findOwner(pchannel: string): number {
    const nodeId = this.#owners.get(pchannel);
    if (nodeId !== undefined) return nodeId;
    throw new MilvusError('ChannelNotFound', { fields: { channel: pchannel } });
  }
}
