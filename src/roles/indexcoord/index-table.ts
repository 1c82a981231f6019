// The index coordinator's definitions and files: the catalog's records, held in memory. Changed
// only after the catalog.

import type { Catalog } from '../../meta/catalog.ts';
import type { IndexFile, IndexInfo } from '../../model/segment-info.ts';

export class IndexTable {
  readonly #indexes = new Map<bigint, IndexInfo[]>();
  /** Collection id → `<segment>/<index>` → file. */
  readonly #files = new Map<bigint, Map<string, IndexFile>>();

  async load(catalog: Catalog): Promise<void> {
    for (const index of await catalog.list('index')) this.put(index);
    for (const file of await catalog.list('index-file')) this.putFile(file);
  }

  collectionIds(): bigint[] {
    return [...new Set([...this.#indexes.keys(), ...this.#files.keys()])];
  }

  list(collectionId: bigint): readonly IndexInfo[] {
    return this.#indexes.get(collectionId) ?? [];
  }

  has({ collectionId, indexId }: Pick<IndexInfo, 'collectionId' | 'indexId'>): boolean {
    return this.list(collectionId).some((index) => index.indexId === indexId);
  }

  put(index: IndexInfo): void {
    const { collectionId, indexId } = index;
    const others = this.list(collectionId).filter((other) => other.indexId !== indexId);
    this.#indexes.set(collectionId, [...others, index]);
  }

  remove({ collectionId, indexId }: IndexInfo): void {
    const rest = this.list(collectionId).filter((other) => other.indexId !== indexId);
    if (rest.length > 0) this.#indexes.set(collectionId, rest);
    else this.#indexes.delete(collectionId);
  }

  listFiles(collectionId: bigint): IndexFile[] {
    return [...(this.#files.get(collectionId)?.values() ?? [])];
  }

  findFile(
    { collectionId, segmentId, indexId }: Pick<IndexFile, 'collectionId' | 'segmentId' | 'indexId'>,
  ): IndexFile | undefined {
    return this.#files.get(collectionId)?.get(buildKey(segmentId, indexId));
  }

  putFile(file: IndexFile): void {
    let files = this.#files.get(file.collectionId);
    if (files === undefined) {
      files = new Map();
      this.#files.set(file.collectionId, files);
    }
    files.set(buildKey(file.segmentId, file.indexId), file);
  }

  removeFile({ collectionId, segmentId, indexId }: IndexFile): void {
    const files = this.#files.get(collectionId);
    files?.delete(buildKey(segmentId, indexId));
    if (files?.size === 0) this.#files.delete(collectionId);
  }

  forget(collectionId: bigint): void {
    this.#indexes.delete(collectionId);
    this.#files.delete(collectionId);
  }
}

/** What tells one build from another. */
export function buildKey(segmentId: bigint, indexId: bigint): string {
  return `${segmentId}/${indexId}`;
}
