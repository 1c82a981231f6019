// Which partitions of a shard may be read, as the query coordinator last said.

import type { CollectionInfo } from '../../model/collection-info.ts';
import { MilvusError } from '../../model/error.ts';

export class LoadedPartitions {
  /** null = all, also later ones. */
  #loaded: ReadonlySet<bigint> | null = new Set();

  set(partitionIds: readonly bigint[] | null): void {
    this.#loaded = partitionIds === null ? null : new Set(partitionIds);
  }

  /**
   * Returns the partitions to read: those asked for, or all that are loaded.
   * @throws MilvusError CollectionNotLoaded, PartitionNotLoaded
   */
  require(info: CollectionInfo, partitionIds: readonly bigint[]): readonly bigint[] {
    if (this.#loaded === null) return partitionIds;
    if (this.#loaded.size === 0) {
      throw new MilvusError('CollectionNotLoaded', { fields: { collection: info.schema.name } });
    }
    for (const id of partitionIds) {
      if (this.#loaded.has(id)) continue;
      const name = info.partitions.find((p) => p.partitionId === id)?.name ?? String(id);
      throw new MilvusError('PartitionNotLoaded', { fields: { partition: name } });
    }
    return partitionIds.length > 0 ? partitionIds : [...this.#loaded];
  }
}
