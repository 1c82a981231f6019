// The in-memory index of the catalog's databases and collections: who is called what, where.
// Written only after the catalog has taken the change; readers never wait.

import { MilvusError } from '../../model/error.ts';
import type { CollectionInfo, DatabaseInfo } from '../../model/collection-info.ts';

export class Names {
  readonly databases = new Map<string, DatabaseInfo>();
  readonly #collections = new Map<bigint, CollectionInfo>();
  /** Database name → collection name or alias → collection id. */
  readonly #ids = new Map<string, Map<string, bigint>>();

  putDatabase(database: DatabaseInfo): void {
    this.databases.set(database.name, database);
    if (!this.#ids.has(database.name)) this.#ids.set(database.name, new Map());
  }

  removeDatabase(name: string): void {
    this.databases.delete(name);
    this.#ids.delete(name);
  }

  requireDatabase(name: string): DatabaseInfo {
    const database = this.databases.get(name);
    if (database === undefined) {
      throw new MilvusError('DatabaseNotFound', { fields: { database: name } });
    }
    return database;
  }

  put(info: CollectionInfo): void {
    this.remove(info.collectionId);
    this.#collections.set(info.collectionId, info);
    const ids = this.#idsOf(info.dbName);
    for (const name of [info.schema.name, ...info.aliases]) ids.set(name, info.collectionId);
  }

  remove(collectionId: bigint): void {
    const info = this.#collections.get(collectionId);
    if (info === undefined) return;
    this.#collections.delete(collectionId);
    const ids = this.#idsOf(info.dbName);
    for (const name of [info.schema.name, ...info.aliases]) ids.delete(name);
  }

  /** By name or alias. */
  find(dbName: string, name: string): CollectionInfo | undefined {
    const id = this.#ids.get(dbName)?.get(name);
    return id === undefined ? undefined : this.#collections.get(id);
  }

  findById(collectionId: bigint): CollectionInfo | undefined {
    return this.#collections.get(collectionId);
  }

  /** @throws MilvusError DatabaseNotFound, CollectionNotFound */
  require(dbName: string, name: string): CollectionInfo {
    this.requireDatabase(dbName);
    const info = this.find(dbName, name);
    if (info === undefined) {
      throw new MilvusError('CollectionNotFound', {
        fields: { database: dbName, collection: name },
      });
    }
    return info;
  }

  isAlias(dbName: string, name: string): boolean {
    const info = this.find(dbName, name);
    return info !== undefined && info.schema.name !== name;
  }

  list(dbName?: string): CollectionInfo[] {
    const all = [...this.#collections.values()];
    return dbName === undefined ? all : all.filter((info) => info.dbName === dbName);
  }

  #idsOf(dbName: string): Map<string, bigint> {
    let ids = this.#ids.get(dbName);
    if (ids === undefined) {
      ids = new Map();
      this.#ids.set(dbName, ids);
    }
    return ids;
  }
}
